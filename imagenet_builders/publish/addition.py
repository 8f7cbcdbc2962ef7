"""Splits that are staged later: what of the dataset that is there is kept when they are added.

A shard is kept if it is what `provenance.json` says of it. So a dataset that has no such file, or
that has more in its directory than its builds have put there, is not added to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagenet_builders.files.ours import is_ours, owner_and_mode
from imagenet_builders.locate.found import Survey
from imagenet_builders.plan.identity import made_with_text, plan_digest
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.publish import provenance
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.words import counted
from imagenet_builders.write import outputs

_CRC = re.compile("[0-9a-f]{8}")


class NotAddableError(Exception):
    """Nothing can be added to a dataset; the reason goes on from its path and a colon."""


@dataclasses.dataclass(frozen=True)
class KeptSplit:
    """A split of the dataset that is there.

    Attributes:
        split: Its name.
        shard_lengths: Number of examples in each shard.
        record_bytes: Bytes of the serialized examples.
        shard_bytes: Bytes of each shard.
        shard_crc32c: CRC-32C of each shard's file, 8 hexadecimal digits.
        shards: File name of each shard.
        record: What the provenance says of it.
    """

    split: str
    shard_lengths: tuple[int, ...]
    record_bytes: int
    shard_bytes: tuple[int, ...]
    shard_crc32c: tuple[str, ...]
    shards: tuple[str, ...]
    record: Mapping[str, Any]

    def shard_facts(self) -> Iterator[tuple[str, int, int, str]]:
        """File name, examples, bytes and CRC-32C of each shard."""
        return zip(
            self.shards, self.shard_lengths, self.shard_bytes, self.shard_crc32c, strict=True
        )

    def difference(self, plan: SplitPlan, also_read: Sequence[SourceFile]) -> str | None:
        """Why a build of what is staged now would not give this split; None if it would.

        Times of files do not count, for a copy of the same archive may have another.

        Args:
            plan: What a build would make.
            also_read: As for `plan.identity.describe`.
        """
        then = [(os.path.basename(each["path"]), each["size"]) for each in self.record["sources"]]
        times: dict[tuple[str, int], list[int]] = {}
        for name, each in zip(then, self.record["sources"], strict=True):
            times.setdefault(name, []).append(each["mtime_ns"])

        def as_recorded(file: SourceFile) -> SourceFile:
            of_file = times.get((os.path.basename(file.path), file.size))
            return dataclasses.replace(file, mtime_ns=of_file.pop(0)) if of_file else file

        plan = dataclasses.replace(plan, files=tuple(map(as_recorded, plan.files)))
        digest, _ = plan_digest(plan, list(map(as_recorded, also_read)))
        if digest == self.record["plan"]:
            return None
        reason = self.made_otherwise(plan.made_with)
        if reason is not None:
            return reason
        if plan.shard_count != len(self.shards):
            return (
                f"it has {counted(len(self.shards), 'shard')} of {self.split}, not "
                f"{plan.shard_count} (--num-shards says how many)"
            )
        now = [
            (os.path.basename(file.path), file.size)
            for file in (*plan.files, *also_read)
            if not file.is_unpacked
        ]
        if set(then) != set(now):
            return self._from_others()
        return f"what is in the files that its {self.split} was built from has changed"

    def made_otherwise(self, made_with: Mapping[str, str | int]) -> str | None:
        """Why its images are not of those that are made anew with what is given, or None."""
        then = self.record.get("made_with") or {}
        if then == made_with:
            return None
        before, now = made_with_text(then), made_with_text(made_with)
        return f"its {self.split} was made with {before}, not with {now}"

    def _from_others(self) -> str:
        return f"its {self.split} was built from other files than those that are staged now"

    def compare_files(self, paths: Iterable[Path]) -> tuple[str | None, list[str]]:
        """Compares archives with those that the split was built from, without opening any.

        Args:
            paths: What is staged of it now; folders are passed over.

        Returns:
            Why a build of them would not give this split, by their names and sizes, or None; and
            the names of those whose times alone differ, as of copies.
        """
        times = {
            (os.path.basename(each["path"]), each["size"]): each["mtime_ns"]
            for each in self.record["sources"]
        }
        later = []
        for path in paths:
            if path.is_file():
                status = path.stat()
                time = times.get((path.name, status.st_size))
                if time is None:
                    return self._from_others(), []
                if time != status.st_mtime_ns:
                    later.append(path.name)
        return None, later


@dataclasses.dataclass(frozen=True)
class Kept:
    """The dataset that is there.

    Attributes:
        path: Its directory.
        splits: Its splits, by name.
        builds: The builds that made it, as the provenance has them, the first first.
    """

    path: Path
    splits: Mapping[str, KeptSplit]
    builds: tuple[Mapping[str, Any], ...]

    def identity(self) -> dict[str, list[str]]:
        """Tells what is kept from what another dataset would have, as JSON."""
        return {
            name: [
                split.record["plan"],
                hashlib.sha256(json.dumps(split.shard_crc32c).encode()).hexdigest(),
            ]
            for name, split in self.splits.items()
        }

    def built_without(self, staged: Survey) -> list[str]:
        """What is staged by now of a split that was built without it: boxes, or a patch."""
        lacking = []
        for split, kept in self.splits.items():
            read = {part for each in kept.record["sources"] for part in Path(each["path"]).parts}
            boxes = [path for one in staged.boxes.get(split, ()) for path in one.paths]
            if boxes and not any(path.name in read for path in boxes):
                lacking.append(f"boxes of {split}")
            sources = (one for one in staged.buildable.get(split, ()) if not one.problem)
            paths = one.paths if (one := next(sources, None)) is not None else ()
            names = [path.name for path in paths if path.name not in read]
            if names and paths[0].name in read:
                more = f" and {counted(len(names) - 1, 'more file')}" if len(names) > 1 else ""
                lacking.append(f"{names[0]}{more} of {split}")
        return lacking

    def compare_staged(self, staged: Survey, source: str | None) -> tuple[str | None, list[str]]:
        """Compares all that is staged; see `KeptSplit.compare_files`.

        Args:
            staged: What is staged.
            source: As for `staged_later`.
        """
        later: list[str] = []
        for name, split in self.splits.items():
            found = staged.buildable.get(name, ())
            taken = next((one for one in found if source in (None, one.kind)), None)
            if taken is not None and all(map(os.path.isfile, taken.paths)):
                reason, names = split.compare_files(taken.paths)
                if reason is not None:
                    return reason, []
                later += names
        return None, list(dict.fromkeys(later))


def staged_later(path: Path, staged: Survey, source: str | None = None) -> list[str]:
    """The splits that are staged and not in a dataset, in the order of the survey.

    Args:
        path: The directory of the dataset.
        staged: What is staged of it.
        source: The kind of source that is asked for, or None for any.
    """
    there = {split.get("name") for split in _splits(provenance.read_info(path))}
    return [
        split
        for split, found in staged.buildable.items()
        if split not in there and any(source in (None, one.kind) for one in found)
    ]


def read(path: Path) -> Kept:
    """Reads what is there, without its shards.

    Args:
        path: The directory of a dataset.

    Raises:
        NotAddableError: Nothing can be added to it.
    """
    _check_ours(path)
    info = provenance.read_info(path)
    document = provenance.read_provenance(path)
    if document is None:
        raise NotAddableError(
            "it has no provenance.json with the checksums of its shards, which every dataset that "
            "this package builds has"
        )
    others = info.get("alternativeFileFormats")
    if others:
        raise NotAddableError(
            f"it has its splits as {', '.join(map(str, others))} too, which would be missing of "
            "what is added"
        )
    try:
        output = outputs.get(info["fileFormat"])
        assert output is not None
        splits = {
            split["name"]: _kept(info["name"], output.suffix, split, document["splits"])
            for split in _splits(info)
        }
        builds = tuple(document.get("builds") or [_only_build(document)])
        files = set(document["files"])
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError):
        raise NotAddableError(
            "its provenance.json does not tell the size and the checksum of each shard"
        ) from None
    files |= {provenance.FILE_NAME, *(name for kept in splits.values() for name in kept.shards)}
    folder = output.index.folder if output.index is not None else None
    if output.index is not None:
        files |= {output.index.name_of(name) for kept in splits.values() for name in kept.shards}
    # A network file system keeps files that are open and were removed under such names.
    try:
        there = os.listdir(path)
        if folder in there:
            there.remove(folder)
            there += [f"{folder}/{name}" for name in _listed(path / folder)]
        strange = sorted(name for name in there if name not in files and name[0] != ".")
    except OSError as error:
        raise NotAddableError(f"it cannot be listed ({error.strerror})") from None
    if strange:
        raise NotAddableError(
            f"{ascii(strange[0])[1:-1]} in it is not the dataset's; move it elsewhere"
        )
    return Kept(path, splits, builds)


def _listed(folder: Path) -> list[str]:
    """The names in a folder of a dataset, which is not followed where it is a link."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return [name for name in os.listdir(fd) if not name.startswith(".nfs")]
    finally:
        os.close(fd)


def _check_ours(path: Path) -> None:
    """Makes sure that nobody else has put the dataset there, or its checksums.

    Raises:
        NotAddableError: Somebody has, so that their shards would be published as this user's.
    """
    for each, flags in ((path, os.O_DIRECTORY), (path / provenance.FILE_NAME, os.O_NOFOLLOW)):
        try:
            fd = os.open(each, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
        except OSError:
            continue  # It is told where it is read.
        try:
            if not is_ours(fd):
                raise NotAddableError(
                    f"{each} {owner_and_mode(fd)}, and you are user {os.geteuid()}: what others "
                    "have made is not published as yours; ask them to run the same command"
                )
        finally:
            os.close(fd)


def _splits(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    splits = info.get("splits")
    return [each for each in splits if isinstance(each, dict)] if isinstance(splits, list) else []


def _kept(name: str, suffix: str, split: dict[str, Any], records: Mapping[str, Any]) -> KeptSplit:
    """A split by the dataset's own description and its provenance, which must agree."""
    record = records[split["name"]]
    lengths = tuple(map(int, split["shardLengths"]))
    kept = KeptSplit(
        split["name"],
        lengths,
        int(split["numBytes"]),
        tuple(map(int, record["shard_bytes"])),
        tuple(record["shard_crc32c"]),
        tuple(
            f"{name}-{split['name']}.{suffix}-{number:05}-of-{len(lengths):05}"
            for number in range(len(lengths))
        ),
        record,
    )
    whole = {len(lengths), len(kept.shard_bytes), len(kept.shard_crc32c)} == {len(lengths)}
    if not (whole and lengths and all(map(_CRC.fullmatch, kept.shard_crc32c))):
        raise ValueError(split["name"])
    if "/" in kept.shards[0] or not isinstance(record["plan"], str):
        raise ValueError(kept.shards[0])
    for each in record["sources"]:
        _ = each["path"] + "", each["size"] + each["mtime_ns"]
    return kept


def _only_build(document: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of the one build of a dataset that was made before builds were listed."""
    return provenance.build_entry(document, document["splits"])


def unstaged(kept: Kept, staged: Iterable[str]) -> frozenset[str]:
    """The splits that are kept and not staged now, which nobody misses."""
    return frozenset(kept.splits) - set(staged)
