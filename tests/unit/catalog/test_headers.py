"""The header of an image is found, however much lies before it, and without the image's bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.processes import run_python

from imagenet_builders.catalog.features import ImageFeatures
from imagenet_builders.catalog.headers import Headers, HeadersJob, read_headers
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.write import outputs

NAMES = ImageFeatures("image", "label", "bbox", True, 10)


def encoded(mode: str, kind: str, **more: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (30, 20)).save(file, kind, **more)
    return file.getvalue()


def found(tmp_path: Path, *examples: FlatExample, expected: int | None = None) -> Headers:
    path = tmp_path / "shard"
    outputs.DEFAULT.write(path, examples)
    count = len(examples) if expected is None else expected
    return read_headers(HeadersJob(str(path), outputs.DEFAULT, count, NAMES, 7), lambda *_: None)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (encoded("RGB", "JPEG"), "JPEG, colour"),
        (encoded("L", "JPEG"), "JPEG, grey"),
        (encoded("CMYK", "JPEG"), "JPEG, CMYK"),
        (encoded("RGB", "PNG"), "PNG, colour"),
        (encoded("RGBA", "PNG"), "PNG, colour with alpha"),
        (encoded("LA", "PNG"), "PNG, grey with alpha"),
        (encoded("P", "GIF"), "GIF, colour"),
        (encoded("RGB", "JPEG", icc_profile=bytes(60_000)), "JPEG, colour"),
        (encoded("RGB", "JPEG", icc_profile=bytes(500_000)), "JPEG, colour"),
        (encoded("RGB", "JPEG", progressive=True), "JPEG, colour"),
    ],
)
def test_the_kind_and_the_size_of_an_image(tmp_path: Path, image: bytes, kind: str) -> None:
    headers = found(tmp_path, {"image": image, "label": 3})
    assert (headers.problem, headers.number, headers.records) == (None, 7, 1)
    assert headers.kinds == {kind: 1}
    assert (list(headers.widths), list(headers.heights)) == ([30], [20])
    assert (list(headers.sizes), list(headers.labels)) == ([len(image)], [3])


def test_only_heads_are_read(tmp_path: Path) -> None:
    """Whatever the bytes of an image are: they might be gigabytes."""
    image = encoded("RGB", "JPEG") + os.urandom(10_000_000)
    path = tmp_path / "shard"
    written = outputs.DEFAULT.write(path, [{"image": image, "label": 3}] * 3)
    index = outputs.DEFAULT.index
    assert index is not None
    assert written.offsets is not None
    file = tmp_path / index.name_of("shard")
    file.parent.mkdir()
    file.write_bytes(index.make(written.offsets))
    before = _bytes_read()
    headers = read_headers(HeadersJob(str(path), outputs.DEFAULT, 3, NAMES, 0), lambda *_: None)
    assert (headers.problem, list(headers.widths)) == (None, [30] * 3)
    assert _bytes_read() - before < 200_000


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


def test_what_is_no_image_is_counted(tmp_path: Path) -> None:
    bad = [b"<html>", b"\xff\xd8\xff\xe0", b"not empty"]
    examples: list[FlatExample] = [{"image": each, "label": 1} for each in bad]
    headers = found(tmp_path, *examples)
    assert (headers.problem, headers.records, headers.unreadable) == (None, 3, 3)
    assert list(headers.widths) == []


def test_a_box_of_zeros_is_none(tmp_path: Path) -> None:
    image = encoded("RGB", "PNG")
    boxes = [np.zeros(4, np.float32), np.array([0.0, 0.5, 0.5, 1.0], np.float32)]
    examples: list[FlatExample] = [{"image": image, "label": 1, "bbox": each} for each in boxes]
    headers = found(tmp_path, *examples)
    assert list(headers.boxes) == [0, 1]
    assert list(headers.areas) == [0.25]


def test_another_number_of_records_is_said(tmp_path: Path) -> None:
    headers = found(tmp_path, {"image": b"x", "label": 1}, expected=2)
    assert headers.problem is not None
    assert "has 1 record and not 2" in headers.problem


def test_a_record_without_a_label_has_none(tmp_path: Path) -> None:
    assert list(found(tmp_path, {"image": encoded("RGB", "PNG")}).labels) == [-1]


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shard")
    job = HeadersJob(str(tmp_path / "shard"), outputs.DEFAULT, 2, NAMES, 0)
    problem = read_headers(job, lambda *_: None).problem
    assert problem is not None
    assert "it is a FIFO" in problem


_READ = """
import sys
from imagenet_builders.catalog.features import ImageFeatures
from imagenet_builders.catalog.headers import HeadersJob, read_headers
from imagenet_builders.write import outputs
names = ImageFeatures("image", "label", None, False, 10)
job = HeadersJob(sys.argv[1], outputs.get("array_record"), int(sys.argv[2]), names, 0)
headers = read_headers(job, lambda *_: None)
# Not `ru_maxrss`, which begins with that of the process that started this one.
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(headers.records, int(peak) // 1000)
"""


def test_records_that_are_large_when_unpacked_are_not_all_read_at_once(tmp_path: Path) -> None:
    """They are compressed: a file of some kilobytes may unpack to gigabytes."""
    path, count = tmp_path / "shard", 24
    image = encoded("RGB", "JPEG") + bytes(30_000_000)
    output = outputs.get("array_record")
    assert output is not None
    output.write(path, ({"image": image, "label": 1} for _ in range(count)))
    assert path.stat().st_size < 1_000_000
    records, megabytes = map(int, run_python(_READ, path, str(count)).split())
    assert records == count
    assert megabytes < 700  # All at once, 2,200.
