"""Examples as bytes: the `tf.train.Example` proto, and the TFRecord frame around it.

TensorFlow Datasets spends most of a build here, copying each image some ten times between Python,
protobuf and TensorFlow. The bytes are simple, so they are put together directly, the image itself
is never copied, and the tests hold the result against TensorFlow Datasets' own serializer.

The features of an example are written in the order of their names, which is what
`SerializeToString(deterministic=True)` does with a proto map, as long as no name is the beginning
of another one.

Sources: tensorflow/core/example/{example,feature}.proto; the TFRecord format in
tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import google_crc32c
import numpy as np

from imagenet_builders.formats.tfrecord.frame import masked

FlatValue = bytes | str | int | np.ndarray
FlatExample = Mapping[str, FlatValue]
"""Feature path (`objects/bbox` for a nested one) to value: bytes and str become a bytes list, an
int an int64 list, an array of floats or integers a float or int64 list of its elements."""

FRAME_BYTES = 16
"""What a TFRecord frame adds to a record: its length, and a checksum of the length and the data."""

# Below this, copying a value is cheaper than one more buffer in a vectored write.
_SHARE_FROM = 4096


def serialize(example: FlatExample) -> list[bytes]:
    r"""The serialized `tf.train.Example` as a list of buffers, large values uncopied.

    Args:
        example: The features.

    Returns:
        Buffers whose concatenation is the proto.

    >>> b"".join(serialize({"label": 3}))
    b'\n\x10\n\x0e\n\x05label\x12\x05\x1a\x03\n\x01\x03'
    """
    buffers: list[bytes] = []
    total = 0
    for name in sorted(example):
        before, data = _entry(name, example[name])
        total += len(before) + len(data)
        if len(data) >= _SHARE_FROM:
            buffers += (before, data)
        else:
            buffers.append(before + data)
    return [b"\x0a" + _varint(total), *buffers]


def serialized_sizes(features: Mapping[str, np.ndarray | int], rows: int) -> np.ndarray:
    """Bytes of serialized examples, from the sizes of their values alone.

    Args:
        features: Feature path to the number of bytes *inside* the feature's list for each example,
            shape (rows,), or one number for all: `bytes_value_sizes`, `int_value_sizes`,
            `float_value_sizes` give them.
        rows: Number of examples.

    Returns:
        int64 array of shape (rows,).
    """
    total = np.zeros(rows, dtype=np.int64)
    for name, inside in features.items():
        feature = _field_sizes(np.asarray(inside, dtype=np.int64))
        value = _field_sizes(feature)
        total += _field_sizes(_field_sizes(np.asarray(len(name.encode()))) + value)
    return _field_sizes(total)


def bytes_value_sizes(lengths: np.ndarray) -> np.ndarray:
    """Bytes inside a bytes list of one value of each of the given lengths."""
    return _field_sizes(np.asarray(lengths, dtype=np.int64))


def int_value_sizes(values: np.ndarray) -> np.ndarray:
    """Bytes inside an int64 list of one value each; a negative one takes ten bytes."""
    return _field_sizes(_varint_sizes(np.asarray(values, dtype=np.int64)))


def float_value_sizes(counts: np.ndarray) -> np.ndarray:
    """Bytes inside a float list of the given numbers of values."""
    counts = np.asarray(counts, dtype=np.int64)
    return np.where(counts > 0, _field_sizes(4 * counts), 0)


def frame(buffers: Sequence[bytes]) -> tuple[bytes, bytes, int]:
    """The TFRecord frame of a record.

    Args:
        buffers: The record's bytes, in pieces.

    Returns:
        What goes before the record, what goes after it, and the record's length in bytes.
    """
    length = 0
    crc = 0
    for buffer in buffers:
        length += len(buffer)
        crc = google_crc32c.extend(crc, buffer)
    packed = struct.pack("<Q", length)
    before = packed + struct.pack("<I", masked(google_crc32c.value(packed)))
    return before, struct.pack("<I", masked(crc)), length


def _entry(name: str, value: FlatValue) -> tuple[bytes, bytes]:
    """An entry of the map `Features.feature`: what goes before the value's data, and the data."""
    kind, before, data = _value_list(value)
    size = len(data)
    feature = kind + _varint(len(before) + size) + before
    key = name.encode()
    entry = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(feature) + size) + feature
    return b"\x0a" + _varint(len(entry) + size) + entry, data


# Fields 1, 2 and 3 of the proto `Feature`: bytes_list, float_list, int64_list.
_BYTES, _FLOATS, _INTS = b"\x0a", b"\x12", b"\x1a"


def _value_list(value: FlatValue) -> tuple[bytes, bytes, bytes]:
    """The kind of list that holds a value, what goes before its data in the list, the data."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return _BYTES, b"\x0a" + _varint(len(value)), value
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        kind, data = _FLOATS, value.astype("<f4").tobytes()
    else:
        numbers = [value] if isinstance(value, int) else value.ravel().tolist()
        kind, data = _INTS, b"".join(map(_varint, numbers))
    # An empty packed list is not written at all.
    return kind, b"\x0a" + _varint(len(data)) if data else b"", data


def _varint(number: int) -> bytes:
    """A number in protobuf's base 128, a negative one as its 64-bit two's complement."""
    number &= 0xFFFFFFFFFFFFFFFF
    if number < 0x80:
        return _SMALL_VARINTS[number]
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SMALL_VARINTS = [bytes([number]) for number in range(0x80)]


def _varint_sizes(numbers: np.ndarray) -> np.ndarray:
    sizes = np.ones_like(numbers)
    largest = int(numbers.max(initial=0))
    for bits in range(7, min(63, largest.bit_length()), 7):
        sizes += numbers >= (1 << bits)
    return np.where(numbers < 0, 10, sizes)


def _field_sizes(contents: np.ndarray) -> np.ndarray:
    """Bytes of a length-delimited field (tag below 16) with contents of the given sizes."""
    sizes: np.ndarray = 1 + _varint_sizes(contents) + contents
    return sizes
