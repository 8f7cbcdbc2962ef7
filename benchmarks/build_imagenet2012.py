"""Times a build of imagenet2012 against `cp`, stock TensorFlow Datasets and WebDataset.

    python benchmarks/build_imagenet2012.py --gb 6 --rounds 3

All contestants get the same archives, turn by turn within each round, so that a machine that slows
down slows all of them down; ratios are taken within a round. README.md says how to read the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from harness.contestants import ARCHIVES, FUNCTIONS, NAMES
from harness.corpus import corpus
from harness.errors import BenchmarkError
from harness.machine import describe_machine
from harness.rounds import Bench
from harness.storage import need_space
from harness.table import progress, remarks, same_shards, table

PACKAGES = ("tensorflow-datasets", "tensorflow", "webdataset")
# Stock needs as much again as the dataset for its spill, beside the archives' own size.
FREE_FACTOR = 3
SPACE_ADVICE = (
    "stock TFDS writes everything twice; free some, name another --work-dir, or take a smaller --gb"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; the exit status says whether all was built, not how fast."""
    arguments = _parse(argv)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with _work_dir(arguments.work_dir) as work:
            archives = _corpus(arguments, work)
            size = sum(path.stat().st_size for path in archives)
            need_space(work, FREE_FACTOR * size, advice=SPACE_ADVICE)
            what = f"{', '.join(path.name for path in archives)}: {size / 1e9:.2f} GB"
            machine = {**describe_machine(work, PACKAGES), "corpus": what}
            print(*machine.values(), sep="\n")
            bench = Bench(
                work,
                archives,
                names=arguments.only,
                rounds=arguments.rounds,
                program=__file__,
            )
            runs = []
            try:
                for run in bench.runs():
                    runs.append(run)
                    print(progress(run), file=sys.stderr, flush=True)
            finally:
                bench.remove_outputs()
    except BenchmarkError as error:
        print(f"build_imagenet2012: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build_imagenet2012: interrupted; outputs were removed", file=sys.stderr)
        return 130
    print("", *table(runs, arguments.only, size), "", *remarks(runs), sep="\n")
    if arguments.json:
        document = {"machine": machine, "bytes": size, "runs": [r.as_dict() for r in runs]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0 if same_shards(runs) else 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--gb", type=float, default=6.0, help="size of the corpus to make (default: %(default)s)"
    )
    parser.add_argument(
        "--corpus", type=Path, metavar="DIR", help=f"use the archives there ({', '.join(ARCHIVES)})"
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--work-dir",
        type=Path,
        metavar="DIR",
        help="on the storage to measure; a corpus made there is kept for the next time "
        "(default: a temporary directory, all of which is removed)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[1, 2],
        metavar="N",
        help="ours is measured with so many workers (default: 1 2)",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="of cp, stock, webdataset, ours-1, ours-2, ..."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="all that was measured")
    arguments = parser.parse_args(argv)
    names = [*NAMES, *(f"ours-{count}" for count in arguments.workers)]
    for name in arguments.only or ():
        if name not in names:
            parser.error(f"--only: {name!r} is none of {', '.join(names)}")
    if min(arguments.workers) < 1 or arguments.rounds < 1:
        parser.error("--workers and --rounds must be at least 1")
    arguments.only = [name for name in names if name in (arguments.only or names)]
    return arguments


@contextlib.contextmanager
def _work_dir(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="build_imagenet2012-") as directory:
        yield Path(directory).resolve()


def _corpus(arguments: argparse.Namespace, work: Path) -> list[Path]:
    """The archives to build from, made if need be."""
    free = FREE_FACTOR * arguments.gb * 1e9
    directory = corpus(arguments.corpus, work, arguments.gb, free=free, advice=SPACE_ADVICE)
    return [(directory / name).resolve() for name in ARCHIVES]


def _terminate(number: int, _: object) -> NoReturn:
    """Ends as Ctrl-C does, so that outputs are removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    if sys.argv[1:2] == ["--contestant"]:
        FUNCTIONS[sys.argv[2]](*sys.argv[3:])
        sys.exit()
    sys.exit(main())
