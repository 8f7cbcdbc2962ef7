"""Times builds of tiny_imagenet of full size: 120,000 images of about 2 kB.

    python benchmarks/build_tiny.py --python ../old/.venv/bin/python

The zip has the names, the numbers and the layout of `tiny-imagenet-200.zip`; its pictures are made
up, a few hundred different ones. With images so small it is not bytes that take the time, but what
is done for each image and each command. Each build is a process of its own, imports included, and
they have their turns in each round. `--python` names the interpreter of another checkout, which is
measured in turns with this one.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import statistics
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from build_downsampled import leaves
from harness import contestants, program
from harness.machine import busy_share, describe_machine
from harness.measuring import Measured
from harness.page_cache import read_through
from PIL import Image

ROOT = "tiny-imagenet-200"
CLASSES, OF_A_CLASS, OTHERS = 200, 500, 10_000
_POOL, _SIDE, _QUALITY = 200, 64, 70


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; the exit status says whether all was built, not how fast."""
    arguments = _parse(argv)
    with program.work_place(arguments.work_dir, "build_tiny") as work:
        archive = make_archive(work / "manual", arguments.of_a_class)
        images = CLASSES * arguments.of_a_class + 2 * OTHERS
        machine = {
            **describe_machine(work, ()),
            "corpus": f"{archive.name}: {archive.stat().st_size / 1e6:.0f} MB, {images:,} images",
        }
        print(*machine.values(), sep="\n")
        print(f"{busy_share():.0%} of the CPUs were busy with other programs just before")
        pythons = [sys.executable, *arguments.python]
        names = ["cp", *(f"{n} workers, {each}" for n in arguments.workers for each in pythons)]

        def run(name: str) -> Measured:
            read_through(archive)
            measured = _run(name, archive, work)
            program.say(name, measured, f"{images / measured.seconds:,.0f} images/s")
            return measured

        runs = program.run_in_turn(names, arguments.rounds, run)
    seconds = program.seconds_of(runs)
    program.finish(list(_table(runs, images)), arguments.json, machine=machine, seconds=seconds)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = program.parser(__doc__, rounds=3)
    parser.add_argument("--of-a-class", type=int, default=OF_A_CLASS, metavar="N")
    parser.add_argument("--workers", nargs="+", default=["1", "2"], metavar="N")
    parser.add_argument("--python", nargs="+", default=[], metavar="FILE")
    return parser.parse_args(argv)


def make_archive(directory: Path, of_a_class: int) -> Path:
    """Writes a zip like the official one.

    Args:
        directory: Where; it is made.
        of_a_class: Train images of each class; officially 500.
    """
    sys.path.insert(0, str(contestants.ROOT))
    from imagenet_builders import labels

    directory.mkdir()
    wnids = labels.wnids("tiny_imagenet")
    pool = []
    for pixels in leaves(_POOL, _SIDE):
        stream = io.BytesIO()
        Image.fromarray(pixels.transpose(1, 2, 0)).save(stream, "JPEG", quality=_QUALITY)
        pool.append(stream.getvalue())
    rng = random.Random(0)
    path = directory / f"{ROOT}.zip"
    box = "12\t10\t50\t47"
    # As Info-ZIP leaves what does not shrink.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{ROOT}/wnids.txt", "".join(f"{wnid}\n" for wnid in wnids))
        for wnid in wnids:
            folder = f"{ROOT}/train/{wnid}"
            names = [f"{wnid}_{number}.JPEG" for number in range(of_a_class)]
            for name in names:
                archive.writestr(f"{folder}/images/{name}", rng.choice(pool))
            boxes = "".join(f"{name}\t{box}\n" for name in names)
            archive.writestr(f"{folder}/{wnid}_boxes.txt", boxes)
        lines = []
        for number in range(OTHERS):
            archive.writestr(f"{ROOT}/val/images/val_{number}.JPEG", rng.choice(pool))
            lines.append(f"val_{number}.JPEG\t{wnids[number % CLASSES]}\t{box}\n")
        archive.writestr(f"{ROOT}/val/val_annotations.txt", "".join(lines))
        for number in range(OTHERS):
            archive.writestr(f"{ROOT}/test/images/test_{number}.JPEG", rng.choice(pool))
    return path


def _run(name: str, archive: Path, work: Path) -> Measured:
    product, scratch = work / "product", work / "scratch"
    environment = contestants.environment()
    product.mkdir()
    if name == "cp":
        command = ["cp", str(archive), str(product)]
    else:
        workers, python = name.split(" workers, ")
        command = contestants.ours(
            "tiny_imagenet",
            manual=archive.parent,
            product=product,
            scratch=scratch,
            workers=workers,
        )
        command[0] = python
        if python != sys.executable:
            del environment["PYTHONPATH"]  # It has this checkout.
    measured = program.measured_in(work, name, command, environment)
    shutil.rmtree(product)
    shutil.rmtree(scratch, ignore_errors=True)
    return measured


def _table(runs: dict[str, list[Measured]], images: int) -> Iterator[str]:
    yield "| | s | images/s | user s | system s | µs an image, of both |"
    yield "|---|---|---|---|---|---|"
    for name, mine in runs.items():
        seconds, user, system = (
            statistics.median(getattr(run, each) for run in mine)
            for each in ("seconds", "user_seconds", "system_seconds")
        )
        yield (
            f"| {name} | {seconds:.2f} | {images / seconds:,.0f} | {user:.2f} | {system:.2f} "
            f"| {(user + system) / images * 1e6:.1f} |"
        )


if __name__ == "__main__":
    program.end(main, __file__)
