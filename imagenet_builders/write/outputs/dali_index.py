r"""The index of a TFRecord file as NVIDIA DALI reads it, and as its `tfrecord2idx` writes it.

It is a text with a line for each record, `"<offset> <size>\n"`: where the record's frame begins, at
its length, and the bytes of the whole frame, with its head of twelve bytes and its tail of four.
"""

from __future__ import annotations

from imagenet_builders.formats.tfrecord.frame import FRAME_BYTES, HEAD_BYTES
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.output import RecordIndex

_MAX_OFFSET = 1 << 62
_AT_ONCE = 1 << 14


def _make(offsets: RecordOffsets) -> bytes:
    import numpy as np

    table = np.empty((len(offsets), 2), np.int64)
    table[:, 0] = offsets.offsets
    table[:, 0] -= HEAD_BYTES
    table[:, 1] = offsets.sizes
    table[:, 1] += FRAME_BYTES
    # One format for many lines takes less time than one for each; for all, it may take gigabytes.
    parts = (table[start : start + _AT_ONCE] for start in range(0, len(table), _AT_ONCE))
    return b"".join(b"%d %d\n" * len(part) % tuple(part.ravel().tolist()) for part in parts)


def _parse(content: bytes) -> RecordOffsets | None:
    import numpy as np

    if content.translate(None, b"0123456789 \n"):
        return None
    # A number that is too large is read as another one, which the comparison below finds.
    table = np.fromstring(content.decode(), np.int64, sep=" ")
    if len(table) % 2:
        return None
    starts, sizes = table[::2], table[1::2]
    if (starts > _MAX_OFFSET).any() or (sizes < FRAME_BYTES).any() or (sizes >= 1 << 32).any():
        return None
    offsets = RecordOffsets.of(starts + HEAD_BYTES, sizes - FRAME_BYTES)
    return offsets if _make(offsets) == content else None


INDEX = RecordIndex("dali_index", ".idx", _make, _parse)
"""DALI's index of a shard, `dali_index/<shard>.idx`."""
