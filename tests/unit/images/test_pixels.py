"""The pixels of images at their own size and at less, and what they are compared with."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from imagenet_builders.errors import SourceError
from imagenet_builders.images.pixels import pixels

SIZES = [(375, 500), (333, 500), (64, 64), (17, 9), (1, 1)]


def picture(height: int, width: int, mode: str = "RGB") -> Image.Image:
    """Waves of several lengths, none of them so short that a smaller picture lacks it."""
    y, x = np.mgrid[:height, :width]
    channels = [
        127 + 60 * np.sin(x / a) + 50 * np.cos(y / b) for a, b in [(31, 47), (53, 29), (41, 37)]
    ]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("at_least", [(224, 224), (160, 160), (100, 20), (1, 1)])
def test_a_jpeg_is_the_least_of_its_parts_that_is_large_enough(
    size: tuple[int, int], at_least: tuple[int, int], mode: str
) -> None:
    found = pixels(encoded(picture(*size, mode)), at_least)
    parts = [tuple(math.ceil(side / part) for side in size) for part in (8, 4, 2, 1)]
    expected = next(
        (each for each in parts if each[0] >= at_least[0] and each[1] >= at_least[1]), size
    )
    assert found.shape == (*expected, 3)
    assert found.dtype == np.uint8


def test_a_jpeg_that_only_pillow_decodes_is_as_small() -> None:
    data = encoded(picture(200, 300).convert("CMYK"))
    assert pixels(data, (60, 60)).shape == (100, 150, 3)
    assert pixels(data).shape == (200, 300, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pixels_may_be_changed_where_they_are(kind: str) -> None:
    found = pixels(encoded(picture(8, 8), kind))
    found[0, 0] = 7
    assert found[0, 0].tolist() == [7, 7, 7]


@pytest.mark.parametrize("part", [2, 4, 8])
def test_smaller_pixels_are_averages_of_the_whole(part: int) -> None:
    data = encoded(picture(384, 512), quality=95, subsampling=0)
    whole = pixels(data).astype(float)
    smaller = pixels(data, (384 // part, 512 // part)).astype(float)
    averages = whole.reshape(384 // part, part, 512 // part, part, 3).mean((1, 3))
    assert smaller.shape == averages.shape
    assert np.abs(smaller - averages).max() < 4


def test_what_is_no_jpeg_has_its_own_size() -> None:
    image = picture(200, 300)
    assert np.array_equal(pixels(encoded(image, "PNG"), (20, 20)), np.asarray(image))


def test_without_a_size_all_is_decoded() -> None:
    data = encoded(picture(200, 300))
    assert np.array_equal(pixels(data), pixels(data, (101, 10)))
    assert pixels(data).shape == (200, 300, 3)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0nothing", b"GIF89a"])
def test_what_cannot_be_decoded_is_said(data: bytes) -> None:
    for at_least in ((0, 0), (20, 20)):
        with pytest.raises(SourceError, match="an image cannot be decoded"):
            pixels(data, at_least)
