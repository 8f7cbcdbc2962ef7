"""Measures the CPU time that a build spends on each image, in seconds.

    python benchmarks/cpu_per_image.py --rows tar winter21 --python ../old/.venv/bin/python

A process with one worker builds a small corpus and a large one of the same kind, and the difference
of the two, divided by that of their images, is what an image takes: start-up is in neither, because
the process has built the small one before. Each is built once more with the index that was kept,
which tells what the index takes. `--python` names the interpreter of another checkout, which is
measured in turns with this one, on the same files. README.md says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness import contestants, program, several_builds
from harness.errors import BenchmarkError
from harness.machine import busy_share, describe_machine
from harness.sources import SOURCES, stage
from harness.storage import need_space

_SMALL = 1 / 16
_ADVICE = "name another --work-dir, or fewer --images"


class Cost(NamedTuple):
    """CPU time of an image, in µs.

    Attributes:
        user: In user mode.
        system: In the kernel.
        both: Together.
        indexing: What of both together goes to the index.
    """

    user: float
    system: float
    both: float
    indexing: float


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; the exit status says whether all was built."""
    arguments = _parse(argv)
    with program.work_place(arguments.work_dir, "cpu_per_image") as work:
        size = arguments.images * arguments.mean_kb * 1000
        need_space(work, (3 + len(arguments.rows)) * size, advice=_ADVICE)
        print(*describe_machine(work, ["numpy", "pyarrow"]).values(), sep="\n")
        print(f"{arguments.images:,} images of {arguments.mean_kb:g} kB; one worker", flush=True)
        costs: dict[tuple[str, str], list[Cost]] = {}
        for row in arguments.rows:
            staged = [
                stage(row, work / f"{row}-{name}", images, arguments.mean_kb)
                for name, images in (
                    ("small", round(arguments.images * _SMALL)),
                    ("large", arguments.images),
                )
            ]

            def run(python: str, row: str = row, staged: Sequence = staged) -> Cost:
                busy = busy_share()
                cost = _cost(row, python, staged, work, arguments.out)
                _say(row, python, cost, busy)
                return cost

            runs = program.run_in_turn(arguments.pythons, arguments.rounds, run)
            costs.update({(row, python): mine for python, mine in runs.items()})
            for each in staged:
                shutil.rmtree(each.directory)
    rows = [{"row": row, "python": python, "costs": c} for (row, python), c in costs.items()]
    program.finish(list(_table(costs)), arguments.json, rows=rows)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = program.parser(__doc__, rounds=3)
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=list(SOURCES),
        default=["tar"],
        metavar="ROW",
        help=f"what is built, of {', '.join(SOURCES)} (default: tar)",
    )
    parser.add_argument(
        "--python",
        nargs="+",
        default=[],
        dest="pythons",
        metavar="FILE",
        help="interpreters of other checkouts",
    )
    parser.add_argument("--images", type=int, default=16_000, help="default: %(default)s")
    parser.add_argument("--mean-kb", type=float, default=40, help="default: %(default)s")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="for what is built (default: beside the corpora)"
    )
    arguments = parser.parse_args(argv)
    if arguments.images < 1600 or arguments.rounds < 1:
        parser.error("--images must be at least 1600, and --rounds 1")
    # Not resolved: that an interpreter is a link is what makes it that of its environment.
    arguments.pythons = [sys.executable, *map(os.path.abspath, arguments.pythons)]
    return arguments


def _cost(row: str, python: str, staged: Sequence, work: Path, out: Path | None) -> Cost:
    """What an image takes, by one process."""
    environment = contestants.environment()
    if python != sys.executable:
        del environment["PYTHONPATH"]
    with tempfile.TemporaryDirectory(dir=out or work, prefix="cpu_per_image-") as place:
        builds = [
            [
                *("build", SOURCES[row].dataset, "--manual-dir", str(each.directory)),
                *("--data-dir", f"{place}/out", "--scratch-dir", f"{place}/scratch{number}"),
                *("--workers", "1"),
            ]
            for number, each in enumerate(staged)
        ]
        # The first is not counted: it imports what all need.
        builds = [builds[0], *builds, *builds]
        log = work / "log"
        with open(log, "w") as said:
            done = subprocess.run(
                [python, several_builds.__file__, json.dumps(builds), f"{place}/out"],
                env=environment,
                cwd=work,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                check=False,
            )
        if done.returncode:
            words = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise BenchmarkError(f"{row} cannot be built; it said:\n{words}")
    small, large, small_again, large_again = json.loads(done.stdout.splitlines()[-1])[1:]
    images = staged[1].images - staged[0].images
    user, system = ((b - a) / images * 1e6 for a, b in zip(small, large, strict=True))
    again = (sum(large_again) - sum(small_again)) / images * 1e6
    return Cost(user, system, user + system, user + system - again)


def _say(row: str, python: str, cost: Cost, busy: float) -> None:
    print(
        f"{row:<13} {python}: user {cost.user:.1f} µs, system {cost.system:.1f}, index of both "
        f"{cost.indexing:.1f}; others used {busy:.0%} of the CPUs before",
        file=sys.stderr,
        flush=True,
    )


def _table(costs: dict[tuple[str, str], list[Cost]]) -> Iterator[str]:
    yield "| row | interpreter | user µs | system µs | both µs | the index, of both |"
    yield "|---|---|---|---|---|---|"
    for (row, python), mine in costs.items():
        columns = [
            f"{statistics.median(column):.1f} ({min(column):.1f} to {max(column):.1f})"
            for column in zip(*mine, strict=True)
        ]
        yield f"| {' | '.join([row, python, *columns])} |"


if __name__ == "__main__":
    program.end(main, __file__)
