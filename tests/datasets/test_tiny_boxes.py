"""The text files with the boxes of Tiny ImageNet."""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builders.datasets.tiny_imagenet import boxes as tiny
from imagenet_builders.datasets.tiny_imagenet.boxes import BoxFileError, PixelBox

GOLDFISH = "n01443537"


def is_class(wnid: str) -> bool:
    return wnid in {GOLDFISH, "n03444034", "n04067472"}


def test_a_train_file_gives_the_box_of_each_image_in_its_order():
    data = b"n01443537_1.JPEG\t0\t10\t63\t58\nn01443537_0.JPEG\t5\t6\t7\t8\n"
    assert list(tiny.train_boxes(data).items()) == [
        ("n01443537_1.JPEG", PixelBox(0, 10, 63, 58)),
        ("n01443537_0.JPEG", PixelBox(5, 6, 7, 8)),
    ]


def test_the_known_lines_of_the_validation_file_give_classes_and_boxes():
    data = b"val_0.JPEG\tn03444034\t0\t32\t44\t62\nval_1.JPEG\tn04067472\t52\t55\t57\t59\n"
    assert tiny.validation_boxes(data, is_class) == {
        "val_0.JPEG": ("n03444034", PixelBox(0, 32, 44, 62)),
        "val_1.JPEG": ("n04067472", PixelBox(52, 55, 57, 59)),
    }


@pytest.mark.parametrize(
    "data",
    [
        b"a.JPEG\t1\t2\t3\t4",
        b"a.JPEG\t1\t2\t3\t4\r\n",
        b"a.JPEG 1 2  3 4 \n\n",
        b"\n \n a.JPEG\t1\t2\t3\t4\t\n",
        b"\xef\xbb\xbfa.JPEG\t1\t2\t3\t4\n",
    ],
    ids=["no last newline", "Windows", "spaces", "empty lines", "byte order mark"],
)
def test_white_space_does_not_matter(data: bytes):
    assert tiny.train_boxes(data) == {"a.JPEG": PixelBox(1, 2, 3, 4)}


@pytest.mark.parametrize("data", [b"", b"\n\n"])
def test_a_file_without_lines_has_no_boxes(data: bytes):
    assert tiny.train_boxes(data) == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a.JPEG 1 2 3 4\nb.JPEG 1 2 3\n", "line 2: expected 5 columns, found 4$"),
        (b"a.JPEG n01443537 1 2 3 4\n", "line 1: expected 5 columns, found 6"),
        (b"a.JPEG 1 2 3 x\n", "line 1: expected whole numbers from 0 to 64, found 'x'"),
        (b"a.JPEG 1 2 3 4.5\n", "found '4.5'"),
        (b"a.JPEG -1 2 3 4\n", "found '-1'"),
        (b"a.JPEG 1 2 65 4\n", "found '65'"),
        (b"a.JPEG 1 2 3 %d\n" % 10**30, "found '1000000000"),
        ("a.JPEG 1 2 3 ²\n".encode(), "found '²'"),
        ("a.JPEG 1 2 3 ٣\n".encode(), "found '٣'"),
        (b"a.JPEG 1 2 3 4\na.JPEG 1 2 3 4\n", "line 2: 'a.JPEG' is there twice, first in line 1"),
        (b"a.JPEG 1 2 3 4\n\n\nb.JPEG \xff 2 3 4\n", "found bytes that are not UTF-8 at byte 24"),
        (b"PK\x03\x04 no text\n", "line 1: expected 5 columns, found 3$"),
        (b"not an image 1 2\n", "line 1: expected the name of an image first, found another text"),
    ],
)
def test_an_invalid_box_is_an_error_with_its_place(data: bytes, message: str):
    with pytest.raises(BoxFileError, match=message):
        tiny.train_boxes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"val_0.JPEG 1 2 3 4\n", "line 1: expected 6 columns, found 5"),
        (b"val_0.JPEG n01440764 1 2 3 4\n", "line 1: 'n01440764' is not a class of Tiny ImageNet"),
        (b"val_0.JPEG 0 1 2 3 4\n", "line 1: '0' is not a class"),
        (b"val_0.JPEG n01443537 1 2 3 99\n", "line 1: expected whole numbers"),
    ],
)
def test_an_invalid_annotation_is_an_error_with_its_place(data: bytes, message: str):
    with pytest.raises(BoxFileError, match=message):
        tiny.validation_boxes(data, is_class)


def test_a_file_larger_than_any_real_one_is_refused_before_it_is_read():
    with pytest.raises(BoxFileError, match=r"at most 16,777,216 bytes, found 16,777,217"):
        tiny.train_boxes(bytes(tiny.MAX_BYTES + 1))


def test_a_long_line_is_quoted_in_part():
    with pytest.raises(BoxFileError) as caught:
        tiny.train_boxes(b"a" * 100_000)
    assert len(str(caught.value)) < 200


def test_a_box_becomes_its_pixels_divided_by_the_side():
    box = PixelBox(xmin=0, ymin=32, xmax=44, ymax=62)
    assert tiny.relative([box]).tolist() == [[32 / 64, 0, 62 / 64, 44 / 64]]


def test_a_swapped_min_and_max_are_exchanged():
    swapped = PixelBox(xmin=44, ymin=62, xmax=0, ymax=32)
    right = PixelBox(xmin=0, ymin=32, xmax=44, ymax=62)
    first, second = tiny.relative([swapped, right]).tolist()
    assert first == second


coordinates = st.integers(0, tiny.SIDE)


@given(st.builds(PixelBox, coordinates, coordinates, coordinates, coordinates))
def test_every_box_is_within_the_image_in_order_and_exact_in_float32(box: PixelBox):
    relative = tiny.relative([box])
    assert relative.dtype == np.float32
    [[ymin, xmin, ymax, xmax]] = relative.tolist()
    assert 0 <= ymin <= ymax <= 1
    assert 0 <= xmin <= xmax <= 1
    stored = np.array([ymin, xmin, ymax, xmax], np.float32) * tiny.SIDE
    assert sorted(stored[[1, 3]].tolist()) == sorted([box.xmin, box.xmax])
    assert sorted(stored[[0, 2]].tolist()) == sorted([box.ymin, box.ymax])


@given(st.binary(max_size=200) | st.text("a1 \t\n\r-.e", max_size=100).map(str.encode))
def test_any_bytes_give_boxes_or_the_one_error(data: bytes):
    boxes = {}
    with contextlib.suppress(BoxFileError):
        boxes = tiny.train_boxes(data)
    assert all(0 <= number <= tiny.SIDE for box in boxes.values() for number in box)


_PARTS = ["a.JPEG", "b.JPEG", "c.jpg", "x.JPEG.JPEG", ".JPEG", "n01443537", "0", "64", "65", "07"]
_PARTS += ["\t", "\n", "\t1\t2\t3\t4\n", " ", "\r\n", "\x1c", "\u00a0", "\ufeff", "a.JPEG\t1"]


@pytest.mark.parametrize("is_train", [True, False])
@given(st.lists(st.sampled_from(_PARTS), max_size=12).map("".join))
def test_what_is_read_at_once_is_what_is_read_line_by_line(is_train: bool, text: str):
    def outcome() -> object:
        try:
            if is_train:
                return list(tiny.train_boxes(text.encode()).items())
            return list(tiny.validation_boxes(text.encode(), is_class).items())
        except BoxFileError as error:
            return str(error)

    at_once = outcome()
    with mock.patch.object(tiny, "_usual_lines", return_value=None):
        assert at_once == outcome()


def test_a_file_as_the_official_ones_is_read_at_once():
    data = b"a.JPEG\t0\t10\t63\t64\nb.JPEG\t5\t6\t7\t8\n"
    with mock.patch.object(tiny, "_lines", side_effect=AssertionError):
        assert len(tiny.train_boxes(data)) == 2
