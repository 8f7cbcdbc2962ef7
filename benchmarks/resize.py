"""Times ways to make photographs smaller, and what a build of `imagenet2012_resized` adds to them.

    pip install -e '.[benchmark]'
    python benchmarks/resize.py
    python benchmarks/resize.py --build --work-dir /scratch/bench

Each way decodes, resizes and encodes all pictures, turn by turn. The peak signal-to-noise ratio
(PSNR) compares with all pixels, resized by Pillow's Lanczos filter. OpenCV and pyvips take part
where they are installed (`opencv-python-headless`; `pyvips`, `pyvips-binary`).

With `--build`, whole builds of `imagenet2012_resized/256` by one and by two workers take turns with
a bare loop that decodes, resizes and encodes the same files. A build of a few images and one of
many are made, and the difference divided by that of their images, so that no start-up is in it.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import contestants, program
from harness.measuring import Measured
from harness.photographs import jpeg, pictures
from harness.reading_corpus import stage
from PIL import Image

from imagenet_builders.images import inspect_and_repair
from imagenet_builders.images.resizing import resize, resized_size

KNOBS = ((85, "4:2:0"), (85, "4:4:4"), (90, "4:2:0"), (90, "4:4:4"), (95, "4:2:0"), (95, "4:4:4"))
SOURCES = ((500, 375), (1600, 1200))
SHORT_SIDES = (((500, 375), 256), ((500, 400), 320), ((500, 400), 384), ((1000, 750), 512))

POOL = 100
"""Different pictures of those that are built."""
TIMES = 10
"""How often the bare loop takes each of them."""
FEW_AND_MANY = (1280, 3840)
"""Numbers of images; a build of fewer would start no workers."""
IMAGES_A_SHARD = 64

Way = Callable[[bytes, int], bytes]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", action="store_true", help="time builds, and nothing else")
    parser.add_argument("--work-dir", type=Path, default=Path("bench"), help="where, with --build")
    arguments = parser.parse_args(argv)
    if arguments.build:
        print(*_builds(arguments.work_dir, arguments.rounds), sep="\n")
        return 0
    print("| original | way | images/CPU s | bytes | PSNR, dB |\n|---|---|---|---|---|")
    for size in SOURCES:
        files = [jpeg(each, 95) for each in pictures(arguments.images, size)]
        exact = [_exact(data, 256) for data in files]
        for name, spent, made in _timed(_ways(), files, arguments.rounds):
            noise = statistics.mean(map(_psnr, made, exact))
            mean = statistics.mean(map(len, made))
            rate = len(files) / spent
            print(f"| {size[0]}x{size[1]} | {name} | {rate:,.0f} | {mean:,.0f} | {noise:.1f} |")
    print("\n| original | short side | quality | colours | bytes before | after | PSNR, dB |")
    print("|---|---|---|---|---|---|---|")
    for size, short_side in SHORT_SIDES:
        files = [jpeg(each, 95) for each in pictures(arguments.images, size)]
        before = statistics.mean(map(len, files))
        exact = [_exact(data, short_side) for data in files]
        for quality, colours in KNOBS if short_side == 256 else KNOBS[4:5]:
            made = [
                resize(data, *size, short_side, quality=quality, subsampling=colours)
                for data in files
            ]
            noise = statistics.mean(map(_psnr, made, exact))
            print(
                f"| {size[0]}x{size[1]} | {short_side} | {quality} | {colours} | {before:,.0f} "
                f"| {statistics.mean(map(len, made)):,.0f} | {noise:.1f} |"
            )
    return 0


def _builds(work: Path, rounds: int) -> Iterator[str]:
    """A table of builds by one and two workers beside the bare loop."""
    pool = [jpeg(each, 95) for each in pictures(POOL)]
    user: dict[str, list[float]] = {}
    clock: dict[str, list[float]] = {}
    with program.work_place(work, "resize") as place:
        for count in FEW_AND_MANY:
            stage(place / f"{count}", (pool[at % POOL] for at in range(count)), count)
        for _ in range(rounds):
            for workers in (1, 2):
                few, many = (_built(place, count, workers) for count in FEW_AND_MANY)
                each = f"a build, {workers} worker{'s' * (workers > 1)}"
                count = FEW_AND_MANY[1] - FEW_AND_MANY[0]
                user.setdefault(each, []).append(count / (many.user_seconds - few.user_seconds))
                clock.setdefault(each, []).append(count / (many.seconds - few.seconds))
            bare, started, began = _pillow(Image.Resampling.LANCZOS, scaled=True), *_now()
            for data in pool * TIMES:
                bare(data, 256)
            ended, stopped = _now()
            user.setdefault("the bare loop", []).append(TIMES * POOL / (ended - started))
            clock.setdefault("the bare loop", []).append(TIMES * POOL / (stopped - began))
    yield "| | images/user s | of the bare loop's | images/s by the clock |\n|---|---|---|---|"
    for each, rates in user.items():
        pairs = zip(rates, user["the bare loop"], strict=True)
        share = statistics.median(mine / bare for mine, bare in pairs)
        yield (
            f"| {each} | {statistics.median(rates):,.0f} | {share:.2f} "
            f"| {statistics.median(clock[each]):,.0f} |"
        )


def _now() -> tuple[float, float]:
    """User seconds of this process, and the time."""
    return os.times().user, time.perf_counter()


def _built(place: Path, count: int, workers: int) -> Measured:
    """One build, in a directory that is removed after it."""
    product = place / "product"
    command = contestants.ours(
        "imagenet2012_resized/256",
        manual=place / f"{count}",
        product=product,
        scratch=place / "scratch",
        workers=str(workers),
    )
    # In shards of the size that they have of ImageNet, so that workers share them.
    command += ["--num-shards", str(count // IMAGES_A_SHARD), "--allow-fewer-splits"]
    measured = program.measured_in(place, f"a build of {count:,} images", command)
    shutil.rmtree(product)
    shutil.rmtree(place / "scratch", ignore_errors=True)
    return measured


def _timed(
    ways: dict[str, Way], files: Sequence[bytes], rounds: int
) -> list[tuple[str, float, list[bytes]]]:
    """Least CPU seconds of each way, and what it made."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    made = {}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            made[name] = [way(data, 256) for data in files]
            spent[name].append(time.process_time() - started)
    return [(name, min(spent[name]), made[name]) for name in ways]


def _ways() -> dict[str, Way]:
    filters = Image.Resampling
    ways = {
        f"Pillow, {name}": _pillow(one)
        for name, one in (
            ("Lanczos", filters.LANCZOS),
            ("bicubic", filters.BICUBIC),
            ("Hamming", filters.HAMMING),
            ("box", filters.BOX),
        )
    }
    ways["Pillow, Lanczos, reducing_gap=2"] = _pillow(filters.LANCZOS, 2.0)
    ways["Pillow, Lanczos, DCT scaling"] = _pillow(filters.LANCZOS, scaled=True)
    ways["simplejpeg, Pillow's Lanczos, DCT scaling"] = _simplejpeg
    ways["what a build does with it"] = _as_a_build
    if importlib.util.find_spec("cv2") is not None:
        ways["OpenCV, area"] = _opencv
    os.environ["VIPS_CONCURRENCY"] = "1"
    if importlib.util.find_spec("pyvips") is not None:
        ways["pyvips, thumbnail"] = _vips
    return ways


def _pillow(resampling: int, gap: float | None = None, *, scaled: bool = False) -> Way:
    def way(data: bytes, short_side: int) -> bytes:
        image = Image.open(io.BytesIO(data))
        size = resized_size(*image.size, short_side)
        if scaled:
            image.draft(None, (2 * size[0], 2 * size[1]))
        return _saved(image.resize(size, resampling, reducing_gap=gap))

    return way


def _saved(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=2)
    return buffer.getvalue()


def _simplejpeg(data: bytes, short_side: int) -> bytes:
    import simplejpeg

    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    size = resized_size(width, height, short_side)
    pixels = simplejpeg.decode_jpeg(data, min_height=2 * size[1], min_width=2 * size[0])
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    return bytes(simplejpeg.encode_jpeg(np.asarray(small), 95, colorsubsampling="420"))


def _as_a_build(data: bytes, short_side: int) -> bytes:
    image = inspect_and_repair(data)
    return resize(
        image.data, image.width, image.height, short_side, quality=95, subsampling="4:2:0"
    )


def _opencv(data: bytes, short_side: int) -> bytes:
    cv2: Any = importlib.import_module("cv2")
    cv2.setNumThreads(1)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    size = resized_size(image.shape[1], image.shape[0], short_side)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def _vips(data: bytes, short_side: int) -> bytes:
    pyvips: Any = importlib.import_module("pyvips")
    image = pyvips.Image.new_from_buffer(data, "")
    width, height = resized_size(image.width, image.height, short_side)
    small = pyvips.Image.thumbnail_buffer(data, width, height=height, size="force", no_rotate=True)
    return bytes(small.jpegsave_buffer(Q=95, subsample_mode="on"))


def _exact(data: bytes, short_side: int) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    size = resized_size(*image.size, short_side)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS), float)


def _psnr(data: bytes, exact: np.ndarray) -> float:
    error = np.mean((np.asarray(Image.open(io.BytesIO(data)), float) - exact) ** 2)
    return 10 * float(np.log10(255**2 / error))


if __name__ == "__main__":
    sys.exit(main())
