"""Marks: what they say is what was written, or they say nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagenet_builders.write import outputs
from imagenet_builders.write.marks import mark_content, read_mark
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.results import ShardResult


def result_of(examples: int, file_bytes: int, offsets: RecordOffsets | None) -> ShardResult:
    return ShardResult(
        split="train",
        number=0,
        examples=examples,
        record_bytes=28,
        file_bytes=file_bytes,
        crc32c="00000000",
        offsets=offsets,
        decoded=False,
        notes=(),
    )


def sealed(content: Any) -> bytes:
    """A mark whose SHA-256 is right, whatever it says."""
    text = json.dumps(content).encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


@pytest.mark.parametrize(
    "offsets",
    [
        "",
        "AAAA",
        "not base64!",
        7,
        [1, 2],
        None,
        RecordOffsets.of(np.array([12]), np.array([10])),  # Of one record too few.
        RecordOffsets.of(np.array([12, 11]), np.array([10, 10])),  # One in another.
        RecordOffsets.of(np.array([40, 12]), np.array([10, 10])),  # In another order.
        RecordOffsets.of(np.array([-12, 30]), np.array([10, 10])),
        RecordOffsets.of(np.array([12, 50]), np.array([10, 11])),  # Beyond the end.
        RecordOffsets.of(np.array([12, 2**63 - 1]), np.array([10, 1])),
        RecordOffsets.of(np.array([12, 30]), np.array([10, 2**32 - 1])),
    ],
    ids=str,
)
def test_a_mark_with_impossible_offsets_is_ignored(tmp_path: Path, offsets: Any):
    right = RecordOffsets.of(np.array([12, 38]), np.array([10, 18]))
    result = result_of(2, 60, right)
    path = tmp_path / "mark"
    path.write_bytes(mark_content(result))
    assert read_mark(path) == result
    says = json.loads(path.read_bytes().split(b"\n")[1])
    if isinstance(offsets, RecordOffsets):
        offsets = base64.b64encode(offsets.packed).decode()
    if offsets is None:
        del says["offsets"]
    else:
        says["offsets"] = offsets
    path.write_bytes(sealed(says))
    assert read_mark(path) is None


def test_the_mark_of_thousands_of_records_is_small(tmp_path: Path):
    """As many records as one of the 2,048 shards of all of ImageNet-21k has."""
    written = outputs.DEFAULT.write(tmp_path / "x", [{"label": number} for number in range(6_422)])
    result = result_of(6_422, written.file_bytes, written.offsets)
    assert len(mark_content(result)) < 17 * 6_422
    assert len(pickle.dumps(result)) < 13 * 6_422
