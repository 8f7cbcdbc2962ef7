"""Thumbnails are those of the examples, small, and the same ones each time."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from imagenet_builders.catalog import classes, pictures
from imagenet_builders.catalog.metadata import describe
from imagenet_builders.reading import data_source


@pytest.mark.parametrize("name", ["built", "array_record", "boxes"])
def test_thumbnails_of_examples(name: str, request: pytest.FixtureRequest) -> None:
    directory: Path = request.getfixturevalue(name)
    described = describe(directory)
    rows = classes.rows(described.label_names, None, {})
    found = list(pictures.thumbnails(described, rows, 4))
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
    assert [each.picture for each in pictures.thumbnails(described, rows, 4)] == [
        each.picture for each in found
    ]


def test_no_more_than_there_are(built: Path) -> None:
    found = [each.picture for each in pictures.thumbnails(describe(built), (), 100)]
    numbers = {split: sum(each.split == split for each in found) for split in ("train", "test")}
    assert numbers == {"train": 24, "test": 6}
    assert {each.label for each in found} == {-1}  # Nothing tells the classes.
