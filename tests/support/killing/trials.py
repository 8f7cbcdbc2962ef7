"""What is left of builds that were killed, and what becomes of it when they are run again."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from support.command_line import DATASET, ERROR
from support.killing.forks import Ended, Point, Server
from support.killing.remains import differences, everything, is_whole, problems, published

SHARDS = ("--num-shards", "2")

# What makes a difference only when the machine itself goes down, or to nobody.
_NO_CHANGES = ("fsync", "os.utime", "os.chmod")


def damaged(data: bytes, chosen: random.Random) -> tuple[bytes, str]:
    """Damages some bytes; returns them and what was done."""
    place = chosen.randrange(len(data))
    # Most of an archive is pixels; what is told of them is found in its blocks' beginnings.
    place = chosen.choice([place, place // 512 * 512 + chosen.randrange(160)]) % len(data)
    match chosen.choice(["flip", "cut", "zeros", "noise", "repeat", "junk", "drop"]):
        case "flip":
            bit = 1 << chosen.randrange(8)
            changed = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
            return changed, f"bit {bit} flipped at {place}"
        case "cut":
            return data[:place], f"cut at {place}"
        case "zeros":
            return data[:place] + bytes(512) + data[place + 512 :], f"512 zeros at {place}"
        case "noise":
            return data[:place] + chosen.randbytes(64) + data[place + 64 :], f"noise at {place}"
        case "repeat":
            begin = place // 512 * 512
            again = data[begin : begin + 1024]
            return data[:begin] + again + data[begin:], f"1024 bytes twice at {begin}"
        case "junk":
            return data + chosen.randbytes(700), "junk at the end"
        case _:
            begin = place // 512 * 512
            return data[:begin] + data[begin + 512 :], f"512 bytes left out at {begin}"


def damage_is_survived(
    forks: Server, staged_dir: Path, directory: Path, chosen: random.Random
) -> tuple[str, list[str]]:
    """Builds from archives after damaging one of them.

    Args:
        forks: Where it is built.
        staged_dir: The sound archives; its name is the dataset's.
        directory: For the damaged ones and what is built.
        chosen: Decides which is damaged, and how.

    Returns:
        How it ended, and what is wrong with that: nothing, where every dataset that was published
        is found right by verification, and there is one sentence for what was not.
    """
    manual_dir, data_dir = directory / "staged", directory / "built"
    manual_dir.mkdir(parents=True)
    archives = sorted(staged_dir.iterdir())
    one = chosen.choice(archives)
    for archive in archives:
        if archive != one:
            (manual_dir / archive.name).symlink_to(archive)
    data, what = damaged(one.read_bytes(), chosen)
    (manual_dir / one.name).write_bytes(data)
    where = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir)]
    policy = ["--bad-images", chosen.choice(["fail", "skip"])]
    ended = forks.run(["build", staged_dir.name, *where, *policy], data_dir)
    wrong = []
    if ended.status not in (0, 1):
        wrong.append(f"status {ended.status}")
    errors = [line for line in ended.err.splitlines() if line.startswith(ERROR)]
    if len(errors) != ended.status or "Traceback" in ended.err:
        wrong.append(ended.err)
    for dataset in published(data_dir):
        wrong += [f"{dataset.relative_to(data_dir)}: {each}" for each in problems(dataset)]
    if ended.status == 0 and not published(data_dir):
        wrong.append("nothing was published")
    where_and_how = f"{staged_dir.name}/{one.name}, {what}, {policy[1]}"
    return ("built" if ended.status == 0 else "refused"), [
        f"{where_and_how}: {each}" for each in wrong
    ]


class Trials:
    """Builds killed at many points, each from the same beginning and followed by a rerun.

    Args:
        forks: Where builds are run.
        argv: Gives the command line of a build into a directory.
        directory: For the trials.
        expected: The files of the dataset that comes out.
        prepare: Makes the beginning in a data directory.
        before: A dataset that readers may find until the new one is there.
        first: Python to run first in the build that is killed.
        processes: With worker processes.
        again: Gives the command line of the rerun, if it is another.
        either: What may come out, if it is not always `expected`.
    """

    def __init__(
        self,
        forks: Server,
        argv: Callable[[Path], Sequence[str]],
        directory: Path,
        expected: dict[str, bytes],
        *,
        prepare: Callable[[Path], object] = lambda data_dir: None,
        before: dict[str, bytes] | None = None,
        first: str = "",
        processes: bool = False,
        again: Callable[[Path], Sequence[str]] | None = None,
        either: Sequence[dict[str, bytes]] = (),
    ):
        self._forks = forks
        self._argv = argv
        self._again = again or argv
        self._directory = directory
        self._directory.mkdir(exist_ok=True)
        self._either = either or [expected]
        self._prepare = prepare
        self._readable = [expected] if before is None else [expected, before]
        self._must_be_there = before is not None
        self._first = first
        self._processes = processes
        self.failures: list[str] = []
        self.tried = self.killed = 0

    def changes(self) -> tuple[str, ...]:
        """The changes to the file system that a build makes that is not killed."""
        data_dir = self._new()
        ended = self._run(data_dir, None)
        assert ended.status == 0, ended
        return ended.changes

    def kill_at(self, point: Point, what: str = "", *, gap: bool = False) -> None:
        """Tries one point; notes in which ways it was not survived.

        Args:
            point: The point.
            what: What happens there, for the message.
            gap: There may be a moment in which readers find nothing.
        """
        data_dir = self._new()
        ended = self._run(data_dir, point)
        self.tried += 1
        self.killed += ended.status != 0
        failures = []
        dataset = data_dir / DATASET
        try:
            seen = is_whole(dataset, *self._readable)
        except (OSError, ValueError, KeyError) as error:
            failures.append(f"readers find {error!r}")
        else:
            if not seen:
                failures.append("readers find a dataset that is neither")
        if self._must_be_there and not gap and not dataset.exists():
            failures.append("readers find nothing")
        left = everything(data_dir)
        again = self._forks.run(self._again(data_dir), data_dir)
        if again.status != 0:
            failures.append(f"the rerun ended with {again.status}: {again.err}")
        fewest = min((differences(data_dir, each) for each in self._either), key=len)
        failures += fewest
        if failures:
            name = f"{point.kind} {point.number} of the {point.where}"
            self.failures.append(
                f"{name} by signal {int(point.signal)} ({what}): "
                f"{'; '.join(failures[:5])}\n   status {ended.status}, said {ended.err!r}, "
                f"then {again.err!r}\n   left {[n for n in left if n.count('/') < 2]}"
            )
        else:
            shutil.rmtree(data_dir)

    def kill_at_changes(self, changes: Sequence[str], begin: int = 0, *, gap: bool = False) -> None:
        """Tries every change from `begin` on that finds the disk in another state than the last.

        Of many removals in a row, the first two stand for all.
        """
        for number in range(begin, len(changes)):
            before = changes[max(begin, number - 2) : number]
            if before and before[-1].startswith(_NO_CHANGES):
                continue
            if [each.split()[0] for each in (*before, changes[number])] == ["os.remove"] * 3:
                continue
            self.kill_at(Point("change", number), changes[number], gap=gap)

    def assert_survived(self) -> None:
        assert self.failures == [], f"{len(self.failures)} of {self.tried}:\n" + "\n".join(
            self.failures[:12]
        )

    def _new(self) -> Path:
        data_dir = self._directory / f"trial{self.tried}-{len(os.listdir(self._directory))}"
        data_dir.mkdir()
        self._prepare(data_dir)
        return data_dir

    def _run(self, data_dir: Path, point: Point | None) -> Ended:
        return self._forks.run(
            self._argv(data_dir),
            data_dir,
            point,
            first=self._first,
            processes=self._processes,
            log=True,
        )
