"""What surrounds images, made for many at once, is what `serialize` and `frame` make for each."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.formats.tfrecord.around import Column, around, floats, integers
from imagenet_builders.formats.tfrecord.example import serialize

SIZES = (0, 1, 127, 128, 4095, 4096, 16_383, 16_384, 300_000, 2_097_151, 2_097_152)


def texts(values: list[str]) -> Column:
    encoded = [value.encode() for value in values]
    sizes = np.array([len(each) for each in encoded], np.int64)
    return Column("bytes", np.frombuffer(b"".join(encoded), np.uint8), sizes)


def examples(rows: int, rng: random.Random) -> list[dict[str, Any]]:
    made = []
    for _ in range(rows):
        boxes = rng.choice((0, 0, 1, 2, 40))
        made.append(
            {
                "image": bytes(rng.choice(SIZES)),
                "file_name": rng.choice(("", "n01440764_10026.JPEG", "ä" * 64, "x" * 200)),
                "label": rng.choice((-1, 0, 1, 127, 128, 999, 19_166, 1 << 40)),
                "objects/bbox": np.array([rng.random() for _ in range(4 * boxes)], np.float32),
                "objects/label": np.array([rng.randrange(1000) for _ in range(boxes)], np.int64),
            }
        )
    return made


def column(values: list[Any]) -> Column:
    if isinstance(values[0], str):
        return texts(values)
    if isinstance(values[0], int):
        return integers(np.array(values))
    counts = np.array([len(value) for value in values])
    make = floats if values[0].dtype.kind == "f" else integers
    return make(np.concatenate(values), counts)


@pytest.mark.parametrize(
    "names",
    [
        ("image",),
        ("image", "label"),
        ("file_name", "image"),
        ("file_name", "image", "label"),
        ("file_name", "image", "label", "objects/bbox", "objects/label"),
    ],
    ids=",".join,
)
@pytest.mark.parametrize("rows", [1, 2, 300])
def test_is_what_is_made_of_each(names: tuple[str, ...], rows: int) -> None:
    made = [{name: each[name] for name in names} for each in examples(rows, random.Random(rows))]
    sizes = np.array([len(each["image"]) for each in made], np.int32)
    found = around(
        "image",
        sizes,
        {name: column([each[name] for each in made]) for name in names if name != "image"},
    )
    for row, example in enumerate(made):
        record = serialize(example)
        head, tail, _ = frame.frame(record)
        pieces = [found.before[row], example["image"], found.after[row], tail]
        assert b"".join(pieces) == b"".join([head, *record, tail])


def test_of_no_rows_there_is_nothing() -> None:
    found = around("image", np.empty(0, np.int64), {"label": integers(np.empty(0, np.int64))})
    assert found.before == found.after == []
