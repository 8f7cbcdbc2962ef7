"""The strict parser of `tf.train.Example`: what builders write, and nothing else."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest
from support.built_datasets import example as protobuf_example

from imagenet_builders.formats.tfrecord.example import Feature, FlatExample, parse, serialize
from imagenet_builders.formats.tfrecord.wire import DamageError

IMAGE = bytes(range(256)) * 20
EXAMPLE: FlatExample = {
    "image": IMAGE,
    "label": -1,
    "file_name": "n01440764_1.JPEG",
    "objects/bbox": np.array([[0.0, 0.25, 1.0, 0.5]], np.float32),
    "objects/label": np.array([3, 300, 2**62]),
    "none": np.array([], np.int64),
}


def as_bytes() -> bytes:
    return b"".join(serialize(EXAMPLE))


def test_parsing_is_the_inverse_of_serializing():
    assert parse(as_bytes()) == {
        "image": Feature("bytes", [IMAGE]),
        "label": Feature("int64", [-1]),
        "file_name": Feature("bytes", [b"n01440764_1.JPEG"]),
        "objects/bbox": Feature("float", [0.0, 0.25, 1.0, 0.5]),
        "objects/label": Feature("int64", [3, 300, 2**62]),
        "none": Feature("int64", []),
    }


def test_examples_that_protobuf_serializes_in_any_order_are_parsed_alike():
    proto = protobuf_example(as_bytes())
    assert parse(proto.SerializeToString()) == parse(as_bytes())


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\x12\x00", "expected the tag 0x0a at byte 0, found 0x12"),
        (b"\x0a\x00\x00", "the example ends at byte 2 of 3"),
        (b"\x0a\x05", "5 bytes are said to follow byte 2, 0 do"),
        (b"\x0a\x80\x00", "the number at byte 1 is too long or cut off"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "bytes are said to follow"),
        (b"\x0a" + b"\xff" * 20, "the number at byte 1 is too long or cut off"),
        (b"".join(serialize({"n": np.zeros(1 << 21, np.int64)})), "a list of numbers of 2,097,"),
        (b"\x0a\x07\x0a\x05\x0a\x01\xff\x12\x00", "not UTF-8"),
        (b"\x0a\x07\x0a\x05\x0a\x01a\x12\x00", "a feature without a kind at byte 9"),
        (b"\x0a\x09\x0a\x07\x0a\x01a\x12\x02\x22\x00", "an unknown kind at byte 9"),
        (b"\x0a\x0b\x0a\x09\x0a\x01a\x12\x04\x1a\x02\x08\x03", "expected the tag 0x0a at byte 11"),
        (b"\x0a\x12" + b"\x0a\x07\x0a\x01a\x12\x02\x1a\x00" * 2, "'a' is there twice"),
        (b"\x0a\x0e\x0a\x0c\x0a\x01a\x12\x07\x12\x05\x0a\x03abc", "a list of floats of 3 bytes"),
    ],
)
def test_an_example_no_builder_writes_is_refused(record: bytes, message: str):
    with pytest.raises(DamageError) as caught:
        parse(record)
    assert message in str(caught.value)


def test_changed_bytes_are_refused_or_parsed_differently():
    record = as_bytes()
    good = parse(record)
    rng = random.Random(7)
    for _ in range(3000):
        damaged = bytearray(record)
        damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
        with contextlib.suppress(DamageError):
            assert parse(bytes(damaged)) != good
        cut = record[: rng.randrange(1, len(record))]
        with pytest.raises(DamageError):
            parse(cut)
