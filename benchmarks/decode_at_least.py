"""Times JPEGs that are decoded no larger than a training needs them, and compares their pixels.

    pip install -e '.[benchmark]' scikit-image
    python benchmarks/decode_at_least.py

Each photograph is decoded whole, and by `decode_at_least` of a crop's side, turn by turn; then the
middle of it is resized to the crop. The peak signal-to-noise ratio (PSNR) compares the crops: those
of the smaller pixels with those of all pixels, both resized by Pillow's antialiased bilinear
filter, as torchvision and `tf.image.resize(antialias=True)` do.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from harness.photographs import jpeg, pictures
from PIL import Image

from imagenet_builders.images.pixels import pixels

CROPS = (224, 192, 160, 128)
SIZES = ((500, 375), (1000, 750))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quality", type=int, default=90)
    arguments = parser.parse_args(argv)
    print(
        "| image | bytes | crop | decoded | whole: images/CPU s | at least: images/CPU s | gain "
        "| gain with resizing | PSNR, dB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for size in SIZES:
        files = [jpeg(each, arguments.quality) for each in pictures(arguments.images, size)]
        mean = statistics.mean(map(len, files))
        for crop in CROPS:
            # A network sees the crop at its size; the image around it is 256/224 of that.
            need = round(crop * 256 / 224)
            height, width = pixels(files[0], (need, need)).shape[:2]
            only = _seconds(files, _decoded, need, arguments.rounds)
            resized = functools.partial(_decoded_and_cropped, crop)
            both = _seconds(files, resized, need, arguments.rounds)
            noise = statistics.median(_psnr(each, need, crop) for each in files)
            print(
                f"| {size[0]}x{size[1]} | {mean:,.0f} | {crop} | {width}x{height} "
                f"| {len(files) / only[0]:,.0f} | {len(files) / only[1]:,.0f} "
                f"| {only[0] / only[1]:.2f} | {both[0] / both[1]:.2f} "
                f"| {'same' if np.isinf(noise) else f'{noise:.1f}'} |",
                flush=True,
            )
    return 0


def _seconds(
    files: Sequence[bytes],
    decode: Callable[[tuple[int, int], bytes], object],
    need: int,
    rounds: int,
) -> tuple[float, float]:
    """Median CPU seconds of all files: whole, and at least so large."""
    spent: dict[int, list[float]] = {0: [], need: []}
    for _ in range(rounds):
        for side, times in spent.items():
            started = time.process_time()
            for data in files:
                decode((side, side), data)
            times.append(time.process_time() - started)
    return statistics.median(spent[0]), statistics.median(spent[need])


def _decoded(at_least: tuple[int, int], data: bytes) -> np.ndarray:
    return pixels(data, at_least)


def _decoded_and_cropped(crop: int, at_least: tuple[int, int], data: bytes) -> np.ndarray:
    return _crop(pixels(data, at_least), crop)


def _crop(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of an image, 224/256 of its shorter side, at the size of the crop."""
    height, width = image.shape[:2]
    part = min(height, width) * 224 / 256
    left, top = (width - part) / 2, (height - part) / 2
    box = (left, top, left + part, top + part)
    resized = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR, box)
    return np.asarray(resized)


def _psnr(data: bytes, need: int, crop: int) -> float:
    whole = _crop(pixels(data), crop).astype(float)
    smaller = _crop(pixels(data, (need, need)), crop).astype(float)
    error = float(np.mean((whole - smaller) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


if __name__ == "__main__":
    sys.exit(main())
