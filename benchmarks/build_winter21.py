"""Times imagenet21k_winter21 from a folder of class tars against imagenet2012 on the same images.

    python benchmarks/build_winter21.py --rounds 3

Each round builds both with the command line, one after the other, from archives in the page cache.
2,000 class tars of 60 images each, and the same images in one tar of 1,000 class tars: there are no
more classes in imagenet2012. What differs is what the index and the readers have to do: many files
instead of one. The ratio is that of the images per second, winter21's to imagenet2012's.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness import contestants, program
from harness.errors import BenchmarkError
from harness.machine import describe_machine
from harness.measuring import Measured, measure
from harness.page_cache import read_through
from harness.storage import file_sizes, need_space, sync

sys.path[:0] = [str(contestants.ROOT / "dummy_data"), str(contestants.ROOT)]

from makers import archives, pictures  # noqa: E402  # The path is set above.

from imagenet_builders import labels  # noqa: E402  # As above.

WINTER21, IMAGENET2012 = "imagenet21k_winter21", "imagenet2012"
POOL = 256


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    with program.work_place(arguments.work_dir, "build_winter21") as work:
        images = arguments.classes * arguments.images
        need = 3 * images * arguments.mean_kb * 1000
        need_space(work, need, advice="free some, or name another --work-dir")
        staged = _make(work, arguments)
        sizes = {name: sum(file_sizes(path).values()) for name, path in staged.items()}
        print(*describe_machine(work, ["tensorflow-datasets", "tensorflow"]).values(), sep="\n")
        print(
            f"{images:,} images of {arguments.mean_kb:g} KB; "
            + "; ".join(f"{name}: {size / 1e9:.2f} GB" for name, size in sizes.items())
        )

        def run(name: str) -> Measured:
            measured = _build(name, staged[name], work, images, arguments)
            program.say(name, measured, f"{images / measured.seconds:,.0f} images/s")
            return measured

        runs = program.run_in_turn(list(staged), arguments.rounds, run)
    # What other programs do to the machine is in the first figure and hardly in the second.
    lines = [
        f"median ratio: {_ratio(runs, lambda run: run.seconds):.2f} (wanted: 0.80 or more)",
        "median ratio of images per second of CPU: "
        f"{_ratio(runs, lambda run: run.user_seconds + run.system_seconds):.2f}",
    ]
    program.finish(lines, arguments.json, seconds=program.seconds_of(runs))
    return 0


def _ratio(runs: dict[str, list[Measured]], spent: Callable[[Measured], float]) -> float:
    """What imagenet2012 spends in a round to what winter21 does."""
    pairs = zip(runs[IMAGENET2012], runs[WINTER21], strict=True)
    return statistics.median(spent(one) / spent(other) for one, other in pairs)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = program.parser(__doc__, rounds=3)
    parser.add_argument("--classes", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--images", type=int, default=60, help="a class; default: %(default)s")
    parser.add_argument(
        "--mean-kb", type=float, default=40, help="size of an image; default: %(default)s"
    )
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    if min(arguments.rounds, arguments.classes, arguments.images, arguments.workers) < 1:
        parser.error("numbers must be at least 1")
    return arguments


def _make(work: Path, arguments: argparse.Namespace) -> dict[str, Path]:
    """Stages the same images twice; returns the manual_dir of each dataset."""
    pool = [
        pictures.split_for_comment(data)
        for data in pictures.photo_pool(POOL, mean_kb=arguments.mean_kb)
    ]
    wnids = random.Random(0).sample(labels.wnids("imagenet21k_winter21"), arguments.classes)
    tars = work / WINTER21 / "tars"
    tars.mkdir(parents=True)
    for wnid in wnids:
        (tars / f"{wnid}.tar").write_bytes(_class_tar(wnid, pool, arguments.images))
    total = arguments.classes * arguments.images
    names = labels.wnids("imagenet2012")
    counts = [len(range(k, total, len(names))) for k in range(len(names))]
    archives.write_tar(
        work / IMAGENET2012 / "ILSVRC2012_img_train.tar",
        (
            (f"{wnid}.tar", _class_tar(wnid, pool, count))
            for wnid, count in zip(names, counts, strict=True)
            if count
        ),
    )
    return {IMAGENET2012: work / IMAGENET2012, WINTER21: work / WINTER21}


def _class_tar(wnid: str, pool: Sequence[tuple[bytes, bytes]], count: int) -> bytes:
    def members() -> Iterator[archives.Member]:
        rng = random.Random(wnid)
        for number in range(count):
            name = f"{wnid}_{number}.JPEG"
            head, tail = rng.choice(pool)
            yield name, b"".join((head, pictures.comment_segment(name), tail))

    return archives.tar_bytes(members())


def _build(
    name: str, manual_dir: Path, work: Path, images: int, arguments: argparse.Namespace
) -> Measured:
    for path in manual_dir.rglob("*.tar"):  # Warm, whatever the round before has evicted.
        read_through(path)
    out = work / "out"
    config = "/whole" if name == WINTER21 else ""
    command = contestants.ours(
        name + config,
        manual=manual_dir,
        product=out,
        scratch=out / "scratch",
        workers=str(arguments.workers),
    )
    log = work / f"{name}.log"
    sync(work)
    measured = measure(name, command, log=log, cwd=work, environment=contestants.environment())
    said = log.read_text(errors="replace")
    if f"{images:,} images" not in said:
        raise BenchmarkError(f"{name} did not build {images:,} images; it said:\n{said}")
    shutil.rmtree(out)
    return measured


if __name__ == "__main__":
    program.end(main, __file__)
