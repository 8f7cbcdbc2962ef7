"""PNGs: every decoder returns the pixels, and the bytes depend on nothing but them."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from makers import pictures
from PIL import Image
from support.processes import run_python

from imagenet_builders.formats import png

SIZES = (8, 16, 32, 64)


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def photographs(size: int, count: int) -> np.ndarray:
    """Pictures that compress as photographs do, shape (count, 3, size, size)."""
    reduced = (
        pictures.photo_like(key=str(number), size=(4 * size, 4 * size)).resize(
            (size, size), Image.Resampling.BOX
        )
        for number in range(count)
    )
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in reduced])


def extremes(size: int) -> np.ndarray:
    """Pictures that are all one value, all noise, and all jumps."""
    rng = np.random.default_rng(0)
    shape = (3, size, size)
    jumps = np.indices(shape).sum(0) % 2 * 255
    kinds = [np.zeros(shape), np.full(shape, 255), rng.integers(0, 256, shape), jumps]
    return np.stack(kinds).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [lambda size: photographs(size, 9), extremes])
def test_pillow_decodes_the_same_pixels(size: int, make):
    planes = make(size)
    for picture, data in zip(planes, png.encode_planes(planes), strict=True):
        np.testing.assert_array_equal(decoded(data), picture.transpose(1, 2, 0))


@pytest.mark.parametrize("size", SIZES)
def test_tensorflow_decodes_the_same_pixels(size: int):
    import tensorflow as tf

    planes = np.concatenate([photographs(size, 3), extremes(size)])
    for picture, data in zip(planes, png.encode_planes(planes), strict=True):
        pixels = tf.io.decode_png(data, channels=3).numpy()
        np.testing.assert_array_equal(pixels, picture.transpose(1, 2, 0))


@settings(max_examples=200, deadline=None)
@given(
    np_st.arrays(
        np.uint8,
        st.tuples(st.integers(1, 3), st.just(3), st.integers(1, 9), st.integers(1, 9)),
        elements=st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 127, 128, 254, 255])),
    )
)
def test_any_pixels_of_any_shape_decode_to_the_same(planes: np.ndarray):
    for picture, data in zip(planes, png.encode_planes(planes), strict=True):
        np.testing.assert_array_equal(decoded(data), picture.transpose(1, 2, 0))


def test_the_filter_follows_the_specification():
    picture = photographs(16, 1)[0].transpose(1, 2, 0).astype(int)
    data = png.encode_planes(photographs(16, 1))[0]
    start = data.index(b"IDAT") + 4
    length = int.from_bytes(data[start - 8 : start - 4], "big")
    rows = np.frombuffer(zlib.decompress(data[start : start + length]), np.uint8).reshape(16, 49)
    assert (rows[:, 0] == 4).all()
    for y in range(16):
        for x in range(16):
            for channel in range(3):
                a = picture[y, x - 1, channel] if x else 0
                b = picture[y - 1, x, channel] if y else 0
                c = picture[y - 1, x - 1, channel] if x and y else 0
                p = a + b - c
                nearest = min((abs(p - v), order, v) for order, v in enumerate((a, b, c)))[2]
                assert rows[y, 1 + 3 * x + channel] == (picture[y, x, channel] - nearest) % 256


def test_the_prediction_is_that_of_the_specification_for_all_neighbours():
    left, up = (each.ravel() for each in np.indices((256, 256)))
    spare = np.empty((png._SPARE_ARRAYS, 4 * len(left)), np.uint8)
    for corner in range(256):
        estimate = left + up - corner
        to_left, to_up = abs(estimate - left), abs(estimate - up)
        nearest = np.where(to_up <= abs(estimate - corner), up, corner)
        is_left = (to_left <= to_up) & (to_left <= abs(estimate - corner))
        expected = np.where(is_left, left, nearest)
        # Rows of two bytes: the corner and the one above, the one to the left and the byte itself.
        rows = np.stack([np.full_like(left, corner), up, left, np.zeros_like(left)], axis=1)
        png._subtract_paeth(rows.astype(np.uint8).ravel(), 2, spare)
        np.testing.assert_array_equal(-spare[0, 3::4], expected.astype(np.uint8))


def test_the_window_fits_the_size_in_the_header():
    # A strict decoder refuses a match from further away than the header allows.
    tile = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 16), dtype=np.uint8)
    [data] = png.encode_planes(np.tile(tile, (1, 1, 16, 4)))
    start = data.index(b"IDAT") + 4
    length = int.from_bytes(data[start - 8 : start - 4], "big")
    assert data[start] >> 4 == 9 - 8
    assert len(zlib.decompressobj(9).decompress(data[start : start + length])) == 64 * 193


def test_the_bytes_do_not_depend_on_the_block():
    planes = photographs(32, 40)
    whole = png.encode_planes(planes)
    assert png.encode_planes(planes[17:18]) == [whole[17]]
    assert png.encode_planes(planes[3:29]) == whole[3:29]
    assert png.encode_planes(planes[::-1]) == whole[::-1]


def test_the_bytes_are_the_same_in_another_process():
    code = (
        "import hashlib, numpy as np; from imagenet_builders.formats import png; "
        "planes = np.arange(7 * 3 * 64, dtype=np.uint8).reshape(7, 3, 8, 8) ** 2; "
        "print(hashlib.sha256(b''.join(png.encode_planes(planes))).hexdigest())"
    )
    assert run_python(code, PYTHONHASHSEED="1") == run_python(code, PYTHONHASHSEED="2")


@pytest.mark.parametrize("size", [32, 64])
def test_files_are_at_most_5_percent_larger_than_those_of_tensorflow(size: int):
    import tensorflow as tf

    planes = photographs(size, 100)
    ours = sum(map(len, png.encode_planes(planes)))
    theirs = sum(len(tf.io.encode_png(p.transpose(1, 2, 0)).numpy()) for p in planes)
    assert ours <= 1.05 * theirs


@pytest.mark.parametrize("size", SIZES)
def test_a_block_has_rows_within_a_limit_of_bytes(size: int):
    rows = png.block_rows(size)
    assert 1 <= rows <= 1024
    assert rows * 3 * size * size < 1 << 20
    assert png.block_rows(5000) == 1
