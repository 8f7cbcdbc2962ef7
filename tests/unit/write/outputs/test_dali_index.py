"""DALI's index of a TFRecord file: the lines of `tfrecord2idx`, and nothing else is read as one."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs import tfrecord
from imagenet_builders.write.outputs.dali_index import INDEX


def as_tfrecord2idx(path: Path) -> bytes:
    """What NVIDIA's `tools/tfrecord2idx` writes of a file, by its own rule."""
    lines = []
    with path.open("rb") as file:
        while True:
            start = file.tell()
            head = file.read(8)
            if not head:
                break
            (length,) = struct.unpack("<q", head)
            file.read(4)
            file.read(length)
            file.read(4)
            lines.append(f"{start} {file.tell() - start}\n")
    return "".join(lines).encode()


@pytest.mark.parametrize("sizes", [[], [0], [10, 0, 5000, 1 << 20, 3]], ids=["none", "one", "some"])
def test_the_index_is_that_of_tfrecord2idx(tmp_path: Path, sizes: list[int]):
    path = tmp_path / "x.tfrecord"
    examples: list[FlatExample] = [
        {"image": bytes(size), "label": number} for number, size in enumerate(sizes)
    ]
    offsets = tfrecord.OUTPUT.write(path, examples).offsets
    assert offsets is not None
    index = INDEX.make(offsets)
    assert index == as_tfrecord2idx(path)
    assert INDEX.parse(index) == offsets


def test_offsets_beyond_32_bits_are_kept():
    offsets = RecordOffsets.of(np.array([12, (1 << 40) + 7]), np.array([3, (1 << 32) - 17]))
    assert INDEX.make(offsets) == b"0 19\n1099511627771 4294967295\n"
    assert INDEX.parse(INDEX.make(offsets)) == offsets


def test_the_index_of_many_records_is_made_in_parts():
    sizes = np.random.default_rng(1).integers(0, 1000, 40_000)
    ends = np.cumsum(sizes + 16)
    index = INDEX.make(RecordOffsets.of(ends - 4 - sizes, sizes))
    starts = [0, *ends.tolist()]
    assert index.decode().splitlines() == [
        f"{start} {size + 16}" for start, size in zip(starts, sizes.tolist(), strict=False)
    ]
    assert INDEX.parse(index) == RecordOffsets.of(ends - 4 - sizes, sizes)


def test_an_index_lies_in_its_folder():
    assert INDEX.name_of("x-train.tfrecord-00000-of-00002") == (
        "dali_index/x-train.tfrecord-00000-of-00002.idx"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"0 20",
        b"0 20\n20\n",
        b"0  20\n",
        b"00 20\n",
        b"-1 20\n",
        b"0 15\n",
        b"0 4294967296\n",
        b"0 20\r\n",
        b"0 20 \n",
        b"0x0 20\n",
        b"99999999999999999999 20\n",
        b"9223372036854775807 20\n",
        b"0 20\n\xff",
        b"0 20\n0 20 20 20\n",
    ],
)
def test_what_is_no_index_is_refused(content: bytes):
    assert INDEX.parse(content) is None
