"""Images are made smaller as an independent decoder, filter and encoder make them."""

from __future__ import annotations

import hashlib
import io
import math
from typing import Any

import numpy as np
import pytest
from makers import pictures
from PIL import Image

from imagenet_builders.images import ImageProblemError, inspect
from imagenet_builders.images.resizing import library, resize, resized_size

KNOBS: dict[str, Any] = {"quality": 95, "subsampling": "4:2:0"}


def small(data: bytes, short_side: int = 256, **knobs: Any) -> bytes:
    facts = inspect(data)
    return resize(data, facts.width, facts.height, short_side, **{**KNOBS, **knobs})


def by_hand(data: bytes, size: tuple[int, int], *, subsampling: int = 2) -> bytes:
    image = Image.open(io.BytesIO(data)).resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=subsampling, comment=b"")
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)), np.float64)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return 10 * math.log10(255**2 / np.mean((one - other) ** 2))


def photo(width: int, height: int, **form: bool) -> bytes:
    image = pictures.photo_like(key=f"{width}x{height}", size=(width, height))
    return pictures.jpeg(image, **form)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((500, 375), (341, 256)),
        ((375, 500), (256, 341)),
        ((257, 257), (256, 256)),
        ((513, 1026), (256, 512)),
        ((256, 3000), (256, 3000)),
        ((1000, 257), (996, 256)),
        ((2, 2), (2, 2)),
    ],
)
def test_the_aspect_is_kept_and_nothing_is_enlarged(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_size(*size, 256) == expected


@pytest.mark.parametrize("size", [(256, 256), (300, 256), (120, 900), (1, 1)])
def test_an_image_that_is_not_larger_passes_byte_for_byte(size: tuple[int, int]) -> None:
    data = photo(*size)
    assert small(data) is data


@pytest.mark.parametrize("form", [{}, {"grey": True}, {"progressive": True}], ids=str)
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_it_is_what_decoding_resizing_and_encoding_by_hand_gives(
    form: dict[str, bool], subsampling: str
) -> None:
    data = photo(500, 375, **form)
    made = small(data, subsampling=subsampling)
    assert made == by_hand(data, (341, 256), subsampling={"4:2:0": 2, "4:4:4": 0}[subsampling])
    assert inspect(made).components == (1 if form.get("grey") else 3)


def test_detail_is_left_out_only_far_above_the_size_that_is_wanted() -> None:
    """1/2, then: what the decoder leaves out is finer than any pixel of the result."""
    picture = pictures.photo_like(key="large", size=(1601, 1203), noise=0)
    data = pictures.jpeg(picture, quality=95)
    made = small(data)
    assert inspect(made)[1:3] == (341, 256)
    assert psnr(pixels(made), pixels(by_hand(data, (341, 256)))) > 45


def test_quality_decides_the_size() -> None:
    sizes = [len(small(photo(500, 375), quality=quality)) for quality in (60, 80, 95)]
    assert sizes == sorted(sizes)
    assert sizes[2] > 1.5 * sizes[0]


def test_orientation_and_what_is_no_pixel_are_dropped() -> None:
    image = pictures.photo_like(key="turned", size=(500, 375))
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees.
    image.save(buffer, "JPEG", quality=90, exif=exif, comment=b"a comment", dpi=(72, 72))
    plain = io.BytesIO()
    image.save(plain, "JPEG", quality=90)
    assert small(buffer.getvalue()) == small(plain.getvalue())
    assert inspect(small(buffer.getvalue()))[1:3] == (341, 256)


def test_what_pillow_cannot_decode_and_tensorflow_can_is_resized_all_the_same() -> None:
    data = photo(500, 375)
    odd = data[:20] + b"\xff\xe2\x00\x0eICC_PROFILE\0" + data[20:]  # A profile that is cut off.
    assert inspect(odd).problem is None
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(odd))
    assert np.abs(pixels(small(odd)) - pixels(small(data))).max() <= 2


def test_what_nothing_can_decode_is_a_problem() -> None:
    with pytest.raises(ImageProblemError, match=r"^JPEG cannot be decoded"):
        resize(b"\xff\xd8\xff\xd9", 500, 375, 256, **KNOBS)


def test_an_image_that_claims_to_be_huge_is_not_decoded() -> None:
    with pytest.raises(ImageProblemError, match="9000 x 9000 pixels; no more than 64,000,000"):
        resize(photo(300, 300), 9000, 9000, 256, **KNOBS)


def test_a_jpeg_of_too_many_scans_is_not_decoded() -> None:
    data = photo(300, 300, progressive=True)
    scan = data.rindex(b"\xff\xda")
    many = data[:-2] + data[scan:-2] * 101 + data[-2:]
    with pytest.raises(ImageProblemError, match="scans; no more than 100"):
        resize(many, 300, 300, 256, **KNOBS)


GOLDEN = "Pillow 12.3.0 with libjpeg-turbo 3.1.4.1"


@pytest.mark.skipif(library() != GOLDEN, reason=f"the bytes are those of {GOLDEN}")
@pytest.mark.parametrize(
    ("size", "subsampling", "digest"),
    [
        ((500, 375), "4:2:0", "f088a7339c272e3e"),
        ((500, 375), "4:4:4", "cc8980ab1c5943b7"),
        ((1600, 1200), "4:2:0", "8ba41bde5d843c13"),
    ],
)
def test_the_bytes_are_those_of_these_versions(
    size: tuple[int, int], subsampling: str, digest: str
) -> None:
    """On every machine; with other versions, they may be others."""
    y, x = np.indices(size[::-1])
    waves = np.stack([x * y // 97, x * x // 61 + y, y * y // 53 - x], axis=-1) % 256
    buffer = io.BytesIO()
    Image.fromarray(waves.astype(np.uint8)).save(buffer, "JPEG", quality=90)
    made = small(buffer.getvalue(), subsampling=subsampling)
    assert hashlib.sha256(made).hexdigest()[:16] == digest
