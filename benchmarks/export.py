"""Times exports of imagenet2012 against `cp` and against the usual writer of each form.

    python benchmarks/export.py --gb 6 --rounds 2 --work-dir /scratch/bench

All read the same archives from a warm page cache, turn by turn within each round; each is a process
of its own, imports included, and its time ends when all it wrote is on storage. `build` and `both`
are a build of TFRecord, and of TFRecord and ArrayRecord in one pass. `dali-index` is made of a
dataset as stock TensorFlow Datasets leaves it. `sqfstar` gets the archives as they are, as one
stream. README.md says how to read the table.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import contestants, program
from harness.corpus import corpus
from harness.errors import BenchmarkError
from harness.machine import busy_share, describe_machine
from harness.measuring import Measured
from harness.page_cache import read_through
from harness.storage import file_sizes, sync

PACKAGES = ("tensorflow-datasets", "webdataset", "pyarrow")
COPIES = ("cp", "webdataset")
"""What has no part of this package."""

FORMS = ("webdataset", "imagefolder", "squashfs", "slim", "huggingface")
NAMES = (
    *COPIES,
    "sqfstar",
    "build",
    "both",
    *(f"to-{form}" for form in FORMS),
    "dali-index",
)
# ext4 without a journal passes over each file that was removed in the last minute whenever it makes
# one, so what one contestant has left would be paid by the next.
_MANY_FILES, _FORGOTTEN_AFTER = 500, 61.0
_FREE = 2.5
_ADVICE = "name another --work-dir, or take a smaller --gb"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; the exit status says whether all was exported, not how fast."""
    arguments = _parse(argv)
    arguments.work_dir.mkdir(parents=True, exist_ok=True)  # Which keeps the corpus.
    free = _FREE * arguments.gb * 1e9
    manual = corpus(arguments.corpus, arguments.work_dir, arguments.gb, free=free, advice=_ADVICE)
    archives = [manual.resolve() / name for name in contestants.ARCHIVES]
    total = sum(path.stat().st_size for path in archives)
    with program.work_place(arguments.work_dir, "export") as work:
        staged = work / "staged"  # Builders see these archives and no others.
        staged.mkdir()
        for path in archives:
            (staged / path.name).symlink_to(path)
        what = f"{', '.join(contestants.ARCHIVES)}: {total / 1e9:.2f} GB"
        machine = {**describe_machine(work, PACKAGES), "corpus": what}
        print(*machine.values(), sep="\n", flush=True)
        contestants.import_all_once()
        built = _built(staged, work) if "dali-index" in arguments.only else work

        def run(name: str) -> Measured:
            sync(work)
            busy = busy_share()
            for path in archives if name != "dali-index" else _files(built):
                read_through(path)
            measured = _run(name, archives, staged, built, work, arguments.workers)
            program.say(name, measured, f"{total / measured.seconds / 1e9:5.2f} GB/s", busy)
            return measured

        runs = program.run_in_turn(arguments.only, arguments.rounds, run)
    lines, seconds = list(_table(runs, total)), program.seconds_of(runs)
    program.finish(lines, arguments.json, machine=machine, bytes=total, seconds=seconds)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = program.parser(__doc__, rounds=2, work_dir=Path("bench"))
    parser.add_argument("--gb", type=float, default=6.0, help="size of the archives")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="archives that are there")
    parser.add_argument("--workers", default="2", metavar="N")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    return parser.parse_args(argv)


def _built(staged: Path, work: Path) -> Path:
    """A dataset as stock TensorFlow Datasets leaves it: without an index beside its shards."""
    data_dir = work / "built"
    command = contestants.ours(
        "imagenet2012", manual=staged, product=data_dir, scratch=work / "scratch", workers="2"
    )
    program.measured_in(work, "build of what is indexed", command)
    [info] = data_dir.rglob("dataset_info.json")
    for path in info.parent.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    (info.parent / "provenance.json").unlink()
    return data_dir


def _files(directory: Path) -> Iterator[Path]:
    return (directory / name for name in file_sizes(directory))


def _run(
    name: str, archives: list[Path], staged: Path, built: Path, work: Path, workers: str
) -> Measured:
    """One run: what it took. What it wrote is removed."""
    product, scratch = work / "product", work / "scratch"
    product.mkdir()
    if name in COPIES:
        command = contestants.command(
            name, archives, program=__file__, manual=staged, product=product, scratch=scratch
        )
    elif name == "sqfstar":
        stream = f"tar -chf - -C {staged} . | sqfstar -quiet -no-progress {product / 'all.sqfs'}"
        command = ["sh", "-c", stream]
    elif name in ("build", "both"):
        command = contestants.ours(
            "imagenet2012", manual=staged, product=product / "a", scratch=scratch, workers=workers
        )
        if name == "both":
            formats = ("--file-format", "tfrecord,array_record")
            command += [*formats, "--array-record-dir", str(product / "b")]
    else:
        form = name.removeprefix("to-")
        source = ["--data-dir", str(built)]
        if name != form:
            source = ["--manual-dir", str(staged), "--scratch-dir", str(scratch)]
        command = [
            *(sys.executable, "-m", "imagenet_builders.cli", "export", "imagenet2012"),
            *("--to", form, *source, "--out", str(product / "out"), "--workers", workers),
        ]
    measured = program.measured_in(work, name, command)
    sizes = file_sizes(product)
    size = sum(sizes.values())
    if name != "dali-index" and size < 0.9 * sum(path.stat().st_size for path in archives):
        raise BenchmarkError(f"{name} made {size:,} bytes only; see {work / name}.log")
    shutil.rmtree(product)
    shutil.rmtree(scratch, ignore_errors=True)
    if len(sizes) > _MANY_FILES:
        time.sleep(_FORGOTTEN_AFTER)
    return measured


def _table(runs: dict[str, list[Measured]], total: int) -> Iterator[str]:
    yield "| contestant | s | GB/s | s / cp's s | CPU s: user + sys | peak MB |"
    yield "|---|---|---|---|---|---|"
    for name, mine in runs.items():
        seconds = [run.seconds for run in mine]
        median = statistics.median(seconds)
        ratio = "-"
        if "cp" in runs:
            pairs = zip(mine, runs["cp"], strict=True)
            ratio = f"{statistics.median(m.seconds / c.seconds for m, c in pairs):.2f}"
        user = statistics.median(run.user_seconds for run in mine)
        system = statistics.median(run.system_seconds for run in mine)
        peak = max(run.peak_bytes for run in mine) / 1e6
        yield (
            f"| {name} | {median:.1f} ({min(seconds):.1f} to {max(seconds):.1f}) | "
            f"{total / median / 1e9:.2f} | {ratio} | {user:.1f} + {system:.1f} | {peak:,.0f} |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--contestant"]:
        contestants.FUNCTIONS[sys.argv[2]](*sys.argv[3:])
        sys.exit()
    program.end(main, __file__)
