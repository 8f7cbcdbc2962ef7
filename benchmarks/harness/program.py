"""What programs have in common: options, a directory to work in, turns, and how they end."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness import contestants
from harness.errors import BenchmarkError
from harness.measuring import Measured, measure
from harness.rounds import in_turn
from harness.storage import sync

_Result = TypeVar("_Result")


def parser(
    doc: str | None, *, rounds: int, work_dir: Path | None = None
) -> argparse.ArgumentParser:
    """A parser with the options that most programs have.

    Args:
        doc: The module's docstring, whose first line describes it.
        rounds: The default of `--rounds`.
        work_dir: That of `--work-dir`; None has `work_place` take the system's.
    """
    made = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    made.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    made.add_argument(
        "--work-dir", type=Path, default=work_dir, metavar="DIR", help="on the storage to measure"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="what was measured")
    return made


@contextlib.contextmanager
def work_place(work_dir: Path | None, program: str) -> Iterator[Path]:
    """A new directory below `work_dir`, or where the system has such; it is removed in the end."""
    if work_dir is not None:
        work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work_dir, prefix=f"{program}-") as place:
        yield Path(place).resolve()


def run_in_turn(
    names: Sequence[str], rounds: int, run: Callable[[str], _Result]
) -> dict[str, list[_Result]]:
    """Runs all in turn, round by round.

    Args:
        names: The contestants.
        rounds: How often each has its turn.
        run: Runs one of them.

    Returns:
        Contestant to what its runs gave.
    """
    found: dict[str, list[_Result]] = {name: [] for name in names}
    for number in range(rounds):
        for name in in_turn(names, number):
            found[name].append(run(name))
    return found


def measured_in(
    work: Path, name: str, command: Sequence[str], environment: dict[str, str] | None = None
) -> Measured:
    """Measures a command until all that it wrote is on storage; its log is in `work`."""
    return measure(
        name,
        command,
        log=work / f"{name.replace('/', '-')}.log",
        cwd=work,
        environment=environment or contestants.environment(),
        then=lambda: sync(work),
    )


def say(name: str, run: Measured, rate: str, busy: float | None = None) -> None:
    """Says what a run took, as soon as it is over; standard output is for the table.

    Args:
        name: The contestant.
        run: What it took.
        rate: How fast that was.
        busy: Share of the CPUs that others used just before.
    """
    others = "" if busy is None else f"; others used {busy:.0%} of the CPUs before"
    print(
        f"{name:<15} {run.seconds:7.2f} s, {rate}, CPU {run.user_seconds:.2f} + "
        f"{run.system_seconds:.2f} s, peak {run.peak_bytes / 1e6:,.0f} MB{others}",
        file=sys.stderr,
        flush=True,
    )


def seconds_of(runs: dict[str, list[Measured]]) -> dict[str, list[float]]:
    """Contestant to the seconds of its runs."""
    return {name: [run.seconds for run in mine] for name, mine in runs.items()}


def finish(lines: Sequence[str], json_file: Path | None, **document: Any) -> None:
    """Prints the table, and writes what was measured to a file if one is given."""
    print("", *lines, sep="\n")
    if json_file is not None:
        json_file.write_text(json.dumps({**document, "table": lines}, indent=1) + "\n")


def end(main: Callable[[], int], file: str) -> None:
    """Runs a program and ends with its status; what it cannot do is said in a sentence."""
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"{Path(file).stem}: {error}")
