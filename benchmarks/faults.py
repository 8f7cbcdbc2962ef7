"""Ends builds at random times and points, runs them again, and counts how many survive.

    python benchmarks/faults.py --kills 500 --seed 1 --damaged 200

A trial builds a small imagenet2012 with random options (workers or none, file format, number of
shards, over an older dataset or not), and ends it once to three times: at a random change of the
file system, in the middle of a write, at a random line, or after a random time; by SIGKILL, SIGTERM
or SIGINT; the build itself, one of its workers, or all. It survives if readers found a whole
dataset or none at every time, and if the same command then gives the same bytes as a build that
nobody disturbed, with nothing left beside them.

A trial of `--damaged` builds from dummy archives of which one was damaged. It survives if that is
refused with one sentence, or if verification finds nothing wrong with what was published.

It needs `pip install -e '.[test]'`. The exit status is 1 if any trial did not survive.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "dummy_data"), str(ROOT)]

from support.command_line import DATASET, build_arguments  # noqa: E402  # As above.
from support.corpora.ilsvrc2012 import staged  # noqa: E402  # As above.
from support.killing.forks import Point, Server, server  # noqa: E402  # The path is set above.
from support.killing.remains import content, differences, is_whole, problems  # noqa: E402  # As above.
from support.killing.trials import damage_is_survived  # noqa: E402  # As above.

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
IN_PIECES = "from imagenet_builders.write import new_file; new_file._MAX_BYTES = 1"
MOST_ENDS = 3


@dataclasses.dataclass(frozen=True)
class Way:
    """How a dataset is built.

    Attributes:
        processes: With worker processes.
        file_format: As on the command line.
        shards: Number of shards of each split.
        overwrite: An older dataset is there and is replaced.
    """

    processes: bool
    file_format: str
    shards: int
    overwrite: bool

    @property
    def options(self) -> list[str]:
        workers = "2" if self.processes else "1"
        options = ["--file-format", self.file_format, "--num-shards", str(self.shards)]
        return [*options, "--workers", workers]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    with tempfile.TemporaryDirectory(dir=arguments.work_dir, prefix="faults-") as name:
        work = Path(name).resolve()
        (work / "said").mkdir()
        small = staged().write(work / "staged")
        warm_up = build_arguments(small, work / "warm_up", "--num-shards", "2")
        with server(work / "said", [warm_up]) as forks:
            failed = _kill(forks, small, work, arguments.kills, random.Random(arguments.seed))
            failed += _damage(forks, work, arguments.damaged, random.Random(arguments.seed))
    return 1 if failed else 0


def _kill(forks: Server, small: Path, work: Path, count: int, chosen: random.Random) -> int:
    sound: dict[Way, dict[str, bytes]] = {}
    tried: collections.Counter[str] = collections.Counter()
    survived: collections.Counter[str] = collections.Counter()
    ends = undisturbed = 0
    begun = time.monotonic()
    while tried.total() < count:
        number = tried.total() + undisturbed
        way = Way(
            processes=chosen.random() < 0.3,
            file_format=chosen.choice(["tfrecord", "tfrecord", "array_record"]),
            shards=chosen.choice([1, 2, 3]),
            overwrite=chosen.random() < 0.3,
        )
        if way not in sound:
            data_dir = work / f"sound{len(sound)}"
            assert forks.run(build_arguments(small, data_dir, *way.options), data_dir).status == 0
            assert problems(data_dir / DATASET) == []
            sound[way] = content(data_dir / DATASET)
        kind = chosen.choice(["change", "torn", "line", "time"])
        wrong, ended = _trial(forks, small, work / f"trial{number}", way, kind, sound[way], chosen)
        shutil.rmtree(work / f"trial{number}", ignore_errors=True)
        if not ended and not wrong:  # It was finished before it got to any of its points.
            undisturbed += 1
            continue
        ends += ended
        tried[kind] += 1
        survived[kind] += not wrong
        for each in wrong:
            print(f"trial {number}, {kind}, {way}: {each}", flush=True)
        if tried.total() % 50 == 0:
            print(f"{survived.total()} of {tried.total()} ...", file=sys.stderr, flush=True)
    for kind, of_kind in sorted(tried.items()):
        print(f"ended at a random {kind}: {survived[kind]} of {of_kind} survived")
    seconds = time.monotonic() - begun
    print(
        f"survived/tried: {survived.total()}/{tried.total()} ({ends} builds were ended, in "
        f"{seconds:.0f} s)"
    )
    return tried.total() - survived.total()


def _trial(
    forks: Server,
    small: Path,
    data_dir: Path,
    way: Way,
    kind: str,
    sound: dict[str, bytes],
    chosen: random.Random,
) -> tuple[list[str], int]:
    """One dataset, ended again and again, and at last not; what is wrong, and how many ends."""
    data_dir.mkdir()
    readable = [sound]
    options = way.options
    if way.overwrite:
        assert forks.run(build_arguments(small, data_dir), data_dir).status == 0
        readable.append(content(data_dir / DATASET))
        options = [*options, "--overwrite"]
    argv = build_arguments(small, data_dir, *options)
    wrong: list[str] = []
    ended = 0
    for _ in range(chosen.randint(1, MOST_ENDS)):
        status = _end_one(forks, argv, data_dir, way, kind, chosen)
        ended += status != 0
        try:
            whole = is_whole(data_dir / DATASET, *readable)
        except (OSError, ValueError, KeyError) as error:
            wrong.append(f"readers found {error!r}")
        else:
            if not whole:
                wrong.append("readers found a part")
        if way.overwrite and not (data_dir / DATASET).exists():
            wrong.append("readers found nothing")
    last = forks.run(argv, data_dir, processes=way.processes)
    if last.status != 0:
        wrong.append(f"the last run ended with {last.status}: {last.err}")
    return wrong + differences(data_dir, sound), ended


def _end_one(
    forks: Server, argv: list[str], data_dir: Path, way: Way, kind: str, chosen: random.Random
) -> int:
    number = chosen.choice(SIGNALS)
    if kind == "time":
        running = forks.start(argv, data_dir, first=IN_PIECES, processes=way.processes)
        time.sleep(chosen.uniform(0, 1.2 if way.processes else 0.3))
        processes = [psutil.Process(running.pid)]
        if way.processes and chosen.random() < 0.5:
            processes += processes[0].children()
            if chosen.random() < 0.5:
                processes = processes[-1:]
        for process in processes:
            os.kill(process.pid, number)
        return running.wait().status
    most = {"change": 120, "torn": 20, "line": 20_000}[kind]
    where = "worker" if way.processes and chosen.random() < 0.5 else "parent"
    if where == "worker":
        most //= 8
    point = Point(kind, chosen.randrange(most), int(number), where)
    return forks.run(argv, data_dir, point, first=IN_PIECES, processes=way.processes).status


def _damage(forks: Server, work: Path, count: int, chosen: random.Random) -> int:
    datasets = sorted(path for path in (ROOT / "dummy_data").glob("*imagenet*") if path.is_dir())
    ends: collections.Counter[str] = collections.Counter()
    survived = 0
    for number in range(count):
        directory = work / f"damaged{number}"
        end, wrong = damage_is_survived(forks, chosen.choice(datasets), directory, chosen)
        ends[end] += 1
        survived += not wrong
        for each in wrong:
            print(f"damaged {number}: {each}", flush=True)
        shutil.rmtree(directory)
    if count:
        print(
            f"damaged archives: {survived} of {count} survived ({ends['refused']} refused, "
            f"{ends['built']} built)"
        )
    return count - survived


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500, help="trials (default: %(default)s)")
    parser.add_argument(
        "--damaged", type=int, default=0, help="damaged archives to try (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides all (default: %(default)s)")
    parser.add_argument("--work-dir", type=Path, help="where it is built (default: as tempfile)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
