"""Where a dataset is put together before it is published, and what of it is finished.

Beside the directory of the version, `5.1.0`, there is `.5.1.0.building-TOKEN` while it is built:

* `shards/`: finished shards, under their own names, and nothing else; it is what will be published,
  by one rename;
* `marks/`: for each finished shard a mark, and the shards being written;
* `build.json`: what is built.

A shard is finished when it has its name and its mark, is as long as the mark says and has the
checksum that the mark says. A mark is written when the storage has confirmed the shard, and before
the shard gets its name.

The token is that of the lock's holder. Who goes on with what another left gives it another name
first: a process that was asleep while its lock was taken over then finds its files gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c

from imagenet_builders.assembly import durable, lock, publish
from imagenet_builders.assembly import index as index_lib
from imagenet_builders.assembly.plan import SplitPlan
from imagenet_builders.assembly.shards import ShardResult, read_mark
from imagenet_builders.sources.rows import SourceFile

_BUILD = "build.json"
_DONE = ".done"
_PARTS = ("shards", "marks", _BUILD)
_READ_BYTES = 1 << 20
_DIGEST_ROWS = 100_000

_TOKEN = "[0-9a-f]" * 16

# TensorFlow Datasets' own build writes all the time; one that did not for an hour has ended.
_INCOMPLETE_DEAD_SECONDS = 3600.0


class Workplace:
    """The place of one build of a dataset; only for whoever holds its lock.

    Args:
        target: The directory of the version, where it will be published.
        token: Tells this build from every other.

    Attributes:
        target: As given.
        directory: Where shards are put together.
    """

    def __init__(self, target: Path, token: str):
        self.target = target
        # Absolute, because a worker on another machine is in another directory.
        self._place = target.absolute().with_name(f"{_place_prefix(target)}{token}")
        self.directory = self._place / "shards"
        self._marks = self._place / "marks"

    def open(self, description: Mapping[str, Any]) -> str:
        """Makes the place ready for a build; what an earlier one left stays if it is of use.

        Args:
            description: What is built, as JSON; shards of any other description are of no use.

        Returns:
            What there is to say of it, or nothing.

        Raises:
            TargetError: The directories cannot be made.
        """
        said = ""
        for left in _places(self.target):
            before = _described(left)
            theirs = not _is_ours(left)
            if before and before == description and not theirs and not self._place.exists():
                left.rename(self._place)
                continue
            finished = len(_finished(left))
            if before and finished and theirs:
                said = (
                    f"{finished:,} finished shards in {left} are another user's and of no use here"
                )
            elif before and finished:
                said = (
                    f"{finished:,} finished shards of an earlier build are of no use and are "
                    f"removed, because {_difference(before, description)}"
                )
            publish.remove(left)
        for directory in (self._place, self.directory, self._marks):
            with durable.writing(directory):
                directory.mkdir(exist_ok=True)
        self._remove_unfinished()
        content = {"description": description, "directory": self.directory.stat().st_ino}
        durable.write_file(self._place / _BUILD, json.dumps(content).encode())
        return said

    @property
    def file_mode(self) -> int:
        """The mode that files get that are made here, be it by the umask or by an ACL."""
        return stat.S_IMODE((self._place / _BUILD).stat().st_mode)

    def mark_of(self, shard: Path) -> Path:
        """Where the mark of a shard is."""
        return self._marks / f"{shard.name}.done"

    def abandon(self) -> int:
        """Leaves the place to the next build: what is finished stays, the rest is removed.

        Returns:
            Number of finished shards; if there is none, nothing is left.
        """
        # What was exchanged with a published dataset is not what was built here.
        finished = 0 if _described(self._place) is None else len(_finished(self._place))
        if finished:
            self._remove_unfinished()
        else:
            self.close()
        return finished

    def close(self) -> None:
        """Removes the place."""
        # First its name: who still writes there, for a shard that is done, then finds no directory,
        # and puts nothing into one that is being emptied.
        removed = publish.beside(self.target, "removed")
        with contextlib.suppress(OSError):
            self._place.rename(removed)
        publish.remove(removed)
        publish.remove(self._place)

    def _remove_unfinished(self) -> None:
        finished = _finished(self._place)
        for path in [*self.directory.iterdir(), *self._marks.iterdir(), *self._place.iterdir()]:
            if path.name.removesuffix(_DONE) not in finished and path.name not in _PARTS:
                publish.remove(path)


def is_debris_there(target: Path) -> bool:
    """Whether builds of the dataset at `target` that have ended left what is of no use."""
    beside = [path.name for path in target.parent.glob(f".{target.name}.*")]
    beside += [path.name for path in target.parent.glob(f"..{target.name}.*")]
    in_use = {place.name for place in _places(target) if _described(place) is not None}
    return bool(set(beside) - in_use)


def resumable(target: Path) -> list[Path]:
    """Places of builds of the dataset at `target` that have ended, that we can go on with."""
    places = [place for place in _places(target) if _described(place) and _finished(place)]
    return [place for place in places if _is_ours(place)]


def remove_debris(target: Path, lock_path: Path) -> list[str]:
    """Removes what builds that have ended left beside the dataset; for the holder of its lock.

    What can be gone on with stays.

    Args:
        target: The directory of the version.
        lock_path: The lock.

    Returns:
        What was removed that was not of this package, in whole sentences.
    """
    publish.recover(target)
    lock.clean_up(lock_path)
    for place in _places(target):
        if _described(place) is None:
            publish.remove(place)
    for exchange in target.parent.glob(exchange_of(target, _TOKEN).name):
        publish.remove(exchange)
    said = []
    # Source: `_get_incomplete_dir` in TensorFlow Datasets' core/utils/file_utils.py.
    for left in target.parent.glob(f"incomplete.{'[A-Z0-9]' * 6}_{target.name}"):
        # By the clock of the file system, which the holder of a lock touches it with.
        age = _age(left, lock_path.stat().st_mtime)
        if age > _INCOMPLETE_DEAD_SECONDS:
            publish.remove(left)
            said.append(
                f"removed {left}, left by a build of TensorFlow Datasets that was killed "
                f"(nothing in it changed for {age / 3600:.1f} hours)"
            )
    return said


def exchange_of(target: Path, token: str) -> Path:
    """Where the workers of one build on other machines exchange what they need."""
    return target.with_name(f".{target.name}.exchange-{token}")


def _place_prefix(target: Path) -> str:
    return f".{target.name}.building-"


def _places(target: Path) -> list[Path]:
    return sorted(target.parent.glob(f"{_place_prefix(target)}{_TOKEN}"))


def _is_ours(place: Path) -> bool:
    """Whether we may do all with a place that its owner may."""
    try:
        for path in (place, place / "shards", place / "marks"):
            status = path.stat()
            # Only the owner may set a time: asked of the server, this is right with NFS too.
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError:
        return False
    return True


def _described(place: Path) -> Any:
    """What was built there; None where it is of no use any more."""
    try:
        content = json.loads((place / _BUILD).read_bytes())
        # After publishing by exchange, another directory has this name: that of the old dataset.
        if (place / "shards").stat().st_ino == content["directory"]:
            return content["description"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _finished(place: Path) -> set[str]:
    """Names of the shards that have their name and their mark."""
    marked = {path.name.removesuffix(_DONE) for path in (place / "marks").glob(f"*{_DONE}")}
    return {name for name in marked if (place / "shards" / name).exists()}


def describe(
    plans: Sequence[SplitPlan],
    also_read: Sequence[Sequence[SourceFile]],
    *,
    dataset: str,
    file_format: str,
    version: str,
    scratch: Path,
) -> dict[str, Any]:
    """What a build makes, so that another can tell whether its shards are of use.

    Args:
        plans: The plans of the splits.
        also_read: For each, the files that it was made from besides those that its rows point into.
        dataset: Full name of the dataset.
        file_format: Name of the file format.
        version: Version of this package.
        scratch: Directory of files that were unpacked; when they were is of no interest.

    Returns:
        A JSON document.
    """
    splits = {}
    for plan, files in zip(plans, also_read, strict=True):
        digest, sources = plan_digest(plan, files, scratch)
        splits[plan.split] = {
            "examples": plan.rows.num_rows,
            "shards": plan.shard_count,
            "sources": sources,
            "plan": digest,
        }
    return {
        "dataset": dataset,
        "imagenet-builders": version,
        "file format": file_format,
        "splits": splits,
    }


def plan_digest(plan: SplitPlan, also_read: Sequence[SourceFile], scratch: Path) -> tuple[str, str]:
    """Identity of all that decides the shards of a split, and of its source files alone.

    Sources count by name, size and time, wherever they lie: staged to another node's disk, they
    are the same.

    Args:
        plan: The plan.
        also_read: See `describe`.
        scratch: See `describe`.

    Returns:
        Two hexadecimal digests.
    """
    scratch = scratch.absolute()
    files = [
        # What was unpacked has a name that tells from where and when; what from is also read.
        [file.size]
        if Path(file.path).is_relative_to(scratch)
        else [os.path.basename(file.path), file.size, file.mtime_ns]
        for file in (*plan.files, *also_read)
    ]
    sources = hashlib.blake2b(json.dumps(files).encode(), digest_size=16)
    digest = sources.copy()
    digest.update(json.dumps([plan.split, plan.ends, str(plan.rows.schema)]).encode())
    # An Arrow stream, because the same rows can lie in memory in more than one way.
    for start in range(0, plan.rows.num_rows, _DIGEST_ROWS):
        digest.update(index_lib.to_bytes(plan.rows.slice(start, _DIGEST_ROWS)))
    return digest.hexdigest(), sources.hexdigest()


@dataclasses.dataclass(frozen=True)
class MarkedShard:
    """A shard with a mark.

    Attributes:
        split: Name of the split.
        number: The shard, counted from 0.
        path: The shard.
        mark: Its mark.
        bad_images: `fail` or `skip`.
    """

    split: str
    number: int
    path: str
    mark: str
    bad_images: str


def finished_shard(job: MarkedShard, report: Callable[[int, int], None]) -> ShardResult | None:
    """Reads a shard that an earlier build finished; a job for the workers.

    Args:
        job: The shard.
        report: Told of progress.

    Returns:
        What it holds, or None if it is not finished, or not what its mark says.
    """
    result = read_mark(Path(job.mark))
    if result is None or (result.split, result.number) != (job.split, job.number):
        return None
    if job.bad_images == "fail" and any(note.action == "skipped" for note in result.notes):
        return None
    checksum = google_crc32c.Checksum()
    size = 0
    try:
        with open(job.path, "rb", buffering=0) as file:
            while data := file.read(_READ_BYTES):
                checksum.update(data)
                size += len(data)
    except OSError:
        return None
    if (size, checksum.hexdigest().decode()) != (result.file_bytes, result.crc32c):
        return None
    report(result.examples, result.record_bytes)
    return result


def _difference(before: Any, now: Mapping[str, Any]) -> str:
    """In which way two descriptions are not the same, in words."""
    unknown = "it is not known what it was"
    if not isinstance(before, Mapping):
        return unknown
    for name in ("dataset", "imagenet-builders", "file format"):
        if before.get(name) != now.get(name):
            return f"its {name} was {before.get(name)!r} and is {now.get(name)!r}"
    old, new = before.get("splits"), now.get("splits", {})
    if not isinstance(old, Mapping):
        return unknown
    if list(old) != list(new):
        return f"its splits were {', '.join(old)} and are {', '.join(new)}"
    for split, of_split in new.items():
        was = old[split] if isinstance(old[split], Mapping) else {}
        for name in ("examples", "shards"):
            if was.get(name) != of_split[name]:
                return f"split {split} had {was.get(name)} {name} and has {of_split[name]}"
        if was.get("sources") != of_split["sources"]:
            return f"the files that split {split} is built from have changed"
        if was.get("plan") != of_split["plan"]:
            return f"what is in the files that split {split} is built from has changed"
    return unknown


def _age(directory: Path, now: float) -> float:
    """Seconds since anything in a directory changed."""
    times = [0.0]
    for path in (directory, *directory.rglob("*")):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return now - max(times)
