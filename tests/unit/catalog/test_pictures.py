"""Thumbnails are those of the examples, small, and the same ones each time."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from imagenet_builders.catalog import classes, pictures
from imagenet_builders.catalog.metadata import describe
from imagenet_builders.formats.tfrecord.example import serialize
from imagenet_builders.formats.tfrecord.frame import frame
from imagenet_builders.reading import data_source


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("name", ["built", "array_record", "boxes"])
def test_thumbnails_of_examples(name: str, request: pytest.FixtureRequest) -> None:
    directory: Path = request.getfixturevalue(name)
    described = describe(directory)
    rows = classes.rows(described.label_names, None, {})
    found = list(pictures.thumbnails(described, rows, 4, fail))
    assert [each.picture.split for each in found] == [
        split.name for split in described.splits for _ in range(4)
    ]
    assert len({each.picture.file for each in found}) == len(found)
    for split in described.splits:
        source = data_source(str(directory), split.name)
        by_name = {example["file_name"].decode(): example for example in source}
        for each in found:
            picture = each.picture
            if picture.split != split.name:
                continue
            example = by_name[picture.key]
            assert picture.label == example["label"]
            assert bool(picture.words) == (picture.label >= 0)
            with Image.open(io.BytesIO(each.content)) as opened:
                assert opened.size == (picture.width, picture.height)
                assert max(opened.size) <= 200
                height, width = example["image"].shape[:2]
                assert abs(opened.width / opened.height - width / height) < 0.05
            if "objects" in example:
                assert len(picture.boxes) == len(example["objects"]["bbox"])
    assert [each.picture for each in pictures.thumbnails(described, rows, 4, fail)] == [
        each.picture for each in found
    ]


def test_no_more_than_there_are(built: Path) -> None:
    found = [each.picture for each in pictures.thumbnails(describe(built), (), 100, fail)]
    numbers = {split: sum(each.split == split for each in found) for split in ("train", "test")}
    assert numbers == {"train": 24, "test": 6}
    assert {each.label for each in found} == {-1}  # Nothing tells the classes.


def png(width: int, height: int) -> bytes:
    """A PNG whose header claims so many pixels."""
    content = io.BytesIO()
    Image.new("RGB", (1, 1)).save(content, "PNG")
    head = b"IHDR" + struct.pack(">II", width, height) + content.getvalue()[24:29]
    crc = struct.pack(">I", zlib.crc32(head))
    return content.getvalue()[:12] + head + crc + content.getvalue()[33:]


@pytest.mark.parametrize("image", [b"", b"\xff\xd8 no more", png(20_000, 20_000)])
def test_an_image_without_a_thumbnail_takes_no_other_ones(
    image: bytes, built: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "imagenet2012" / "5.1.0"
    shutil.copytree(built, directory)
    described = describe(directory)
    shard = directory / described.splits[0].shards("imagenet2012", "tfrecord")[0]
    record = serialize({"image": image, "label": 0, "file_name": b"x.JPEG"})
    head, tail, _ = frame(record)
    shard.write_bytes(described.splits[0].lengths[0] * b"".join([head, *record, tail]))
    shutil.rmtree(directory / "dali_index")
    failed: list[Exception] = []
    shown = list(pictures.thumbnails(described, (), 100, failed.append))
    examples = sum(split.examples for split in described.splits)
    assert len(failed) == described.splits[0].lengths[0]
    assert len(shown) == examples - len(failed)
