r"""Writes and reads the `tf.train.Example` proto.

TensorFlow Datasets spends most of a build here, copying each image some ten times between Python,
protobuf and TensorFlow. The bytes are simple, so they are put together directly, the image itself
is never copied, and the tests hold the result against TensorFlow Datasets' own serializer.

The features of an example are written in the order of their names, which is what
`SerializeToString(deterministic=True)` does with a proto map, as long as no name is the beginning
of another one.

`parse` is the strict inverse of `serialize`, because a verifier uses it: what protobuf would
forgive (unknown fields, a feature twice, numbers longer than they need be) no builder writes, and
it is an error here. Only the order of the features is free, as protobuf's own serializer writes
them in any order.

Source: tensorflow/core/example/{example,feature}.proto.

>>> record = b"".join(serialize({"label": 3}))
>>> record
b'\n\x10\n\x0e\n\x05label\x12\x05\x1a\x03\n\x01\x03'
>>> parse(record)
{'label': Feature(kind='int64', values=[3])}
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from imagenet_builders.formats.tfrecord.wire import (
    DamageError,
    decode_varint,
    encode_varint,
    signed,
)

FlatValue = bytes | str | int | np.ndarray
FlatExample = Mapping[str, FlatValue]
"""Feature path (`objects/bbox` for a nested one) to value: bytes and str become a bytes list, an
int an int64 list, an array of floats or integers a float or int64 list of its elements."""

# Fields 1, 2 and 3 of the proto `Feature`: bytes_list, float_list, int64_list.
_BYTES, _FLOATS, _INTS = b"\x0a", b"\x12", b"\x1a"
_KINDS = {_BYTES[0]: "bytes", _FLOATS[0]: "float", _INTS[0]: "int64"}
TAGS = {kind: tag for tag, kind in _KINDS.items()}
"""The tag of a feature's list of values, by the kind of these."""

# Far more than any example has; a list of Python numbers takes ten times the bytes of the proto.
_MAX_FEATURES = 1000
_MAX_LIST_BYTES = 1 << 20

# Below this, copying a value is cheaper than one more buffer in a vectored write.
_SHARE_FROM = 4096


class Feature(NamedTuple):
    """One feature.

    Attributes:
        kind: `bytes`, `float` or `int64`.
        values: The values, in order.
    """

    kind: str
    values: list[bytes] | list[float] | list[int]


def serialize(example: FlatExample) -> list[bytes]:
    """The serialized `tf.train.Example` as a list of buffers, large values uncopied.

    Args:
        example: The features.

    Returns:
        Buffers whose concatenation is the proto.
    """
    buffers: list[bytes] = []
    total = 0
    for name in sorted(example):
        value = example[name]
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bytes):
            before, data = before_bytes(name, len(value)), value
        elif type(value) is int:
            before, data = _number_entry(name, value), b""
        else:
            before, data = _entry(name, value)
        total += len(before) + len(data)
        if len(data) >= _SHARE_FROM:
            buffers += (before, data)
        else:
            buffers.append(before + data)
    return [b"\x0a" + encode_varint(total), *buffers]


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
        feature = field_sizes(np.asarray(inside, dtype=np.int64))
        value = field_sizes(feature)
        total += field_sizes(field_sizes(np.asarray(len(name.encode()))) + value)
    return field_sizes(total)


def bytes_value_sizes(lengths: np.ndarray) -> np.ndarray:
    """Bytes inside a bytes list of one value of each of the given lengths."""
    return field_sizes(np.asarray(lengths, dtype=np.int64))


def int_value_sizes(values: np.ndarray) -> np.ndarray:
    """Bytes inside an int64 list of one value each; a negative one takes ten bytes."""
    return field_sizes(varint_sizes(np.asarray(values, dtype=np.int64)))


def float_value_sizes(counts: np.ndarray) -> np.ndarray:
    """Bytes inside a float list of the given numbers of values."""
    counts = np.asarray(counts, dtype=np.int64)
    return np.where(counts > 0, field_sizes(4 * counts), 0)


def parse(record: bytes) -> dict[str, Feature]:
    """The features of a serialized example.

    Args:
        record: The proto.

    Returns:
        Feature path (`objects/bbox` for a nested one) to its values.

    Raises:
        DamageError: The bytes are not an example as builders write it.
    """
    if not record:
        return {}
    position, end = _field(record, 0, len(record), 0x0A)
    if end != len(record):
        raise DamageError(f"the example ends at byte {end} of {len(record)}")
    features: dict[str, Feature] = {}
    while position < end:
        position, entry_end = _field(record, position, end, 0x0A)
        start, key_end = _field(record, position, entry_end, 0x0A)
        try:
            name = str(record[start:key_end], "utf-8")
        except UnicodeDecodeError:
            raise DamageError(f"the name of a feature at byte {start} is not UTF-8") from None
        if name in features:
            raise DamageError(f"the feature {name[:60]!a} is there twice, again at byte {start}")
        start, value_end = _field(record, key_end, entry_end, 0x12)
        if value_end != entry_end:
            raise DamageError(f"unknown bytes after a feature, at byte {value_end}")
        if len(features) == _MAX_FEATURES:
            raise DamageError(f"more than {_MAX_FEATURES:,} features")
        features[name] = _feature(record, start, value_end)
        position = entry_end
    return features


# Lengths of names and of small images, and labels, are the same again and again.
@functools.lru_cache(maxsize=1 << 13)
def before_bytes(name: str, size: int) -> bytes:
    """What goes before the data of an entry with one value of bytes, of so many."""
    return _before(name, _BYTES, b"\x0a" + encode_varint(size), size)


@functools.lru_cache(maxsize=1 << 13)
def _number_entry(name: str, number: int) -> bytes:
    """An entry with one integer."""
    return b"".join(_entry(name, number))


def _entry(name: str, value: int | np.ndarray) -> tuple[bytes, bytes]:
    """An entry with numbers: what goes before their data, and the data."""
    kind, before, data = _value_list(value)
    return _before(name, kind, before, len(data)), data


def _before(name: str, kind: bytes, before: bytes, size: int) -> bytes:
    """What goes before the data of an entry of the map `Features.feature`.

    Args:
        name: Name of the feature.
        kind: The kind of list that has the value.
        before: What goes before the data in that list.
        size: Bytes of the data.
    """
    feature = kind + encode_varint(len(before) + size) + before
    key = name.encode()
    entry = (
        b"\x0a"
        + encode_varint(len(key))
        + key
        + b"\x12"
        + encode_varint(len(feature) + size)
        + feature
    )
    return b"\x0a" + encode_varint(len(entry) + size) + entry


def _value_list(value: int | np.ndarray) -> tuple[bytes, bytes, bytes]:
    """The kind of list that holds numbers, what goes before their data in the list, the data."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        kind, data = _FLOATS, value.astype("<f4").tobytes()
    else:
        numbers = [value] if isinstance(value, int) else value.ravel().tolist()
        kind, data = _INTS, b"".join(map(encode_varint, numbers))
    # An empty packed list is not written at all.
    return kind, b"\x0a" + encode_varint(len(data)) if data else b"", data


def varint_sizes(numbers: np.ndarray) -> np.ndarray:
    """Bytes of numbers as `encode_varint` writes them."""
    sizes = np.ones_like(numbers)
    largest = int(numbers.max(initial=0))
    for bits in range(7, min(63, largest.bit_length()), 7):
        sizes += numbers >= (1 << bits)
    return np.where(numbers < 0, 10, sizes)


def field_sizes(contents: np.ndarray) -> np.ndarray:
    """Bytes of a length-delimited field (tag below 16) with contents of the given sizes."""
    sizes: np.ndarray = 1 + varint_sizes(contents) + contents
    return sizes


def _feature(record: bytes, position: int, end: int) -> Feature:
    if position == end:
        raise DamageError(f"a feature without a kind at byte {position}")
    tag = record[position]
    kind = _KINDS.get(tag)
    if kind is None:
        raise DamageError(f"a feature of an unknown kind at byte {position}")
    position, list_end = _field(record, position, end, tag)
    if list_end != end:
        raise DamageError(f"unknown bytes after a list of values, at byte {list_end}")
    if kind == "bytes":
        values: list[bytes] = []
        while position < end:
            start, position = _field(record, position, end, 0x0A)
            values.append(record[start:position])
            if len(values) > _MAX_LIST_BYTES:
                raise DamageError(f"more than {_MAX_LIST_BYTES:,} values in a feature")
        return Feature(kind, values)
    if position == end:
        return Feature(kind, list[int]())
    if end - position > _MAX_LIST_BYTES:
        raise DamageError(f"a list of numbers of {end - position:,} bytes, at byte {position}")
    start, packed_end = _field(record, position, end, 0x0A)
    if packed_end != end or start == end:
        raise DamageError(f"a list of numbers is not packed as it should be, at byte {position}")
    if kind == "float":
        if (end - start) % 4:
            raise DamageError(f"a list of floats of {end - start} bytes, at byte {start}")
        return Feature(kind, list(struct.unpack_from(f"<{(end - start) // 4}f", record, start)))
    numbers: list[int] = []
    while start < end:
        number, start = decode_varint(record, start, end)
        numbers.append(signed(number))
    return Feature(kind, numbers)


def _field(record: bytes, position: int, end: int, tag: int) -> tuple[int, int]:
    """Start and end of the content of a length-delimited field."""
    if position >= end or record[position] != tag:
        found = f"{record[position]:#04x}" if position < end else "the end"
        raise DamageError(f"expected the tag {tag:#04x} at byte {position}, found {found}")
    length, start = decode_varint(record, position + 1, end)
    if length > end - start:
        raise DamageError(f"{length:,} bytes are said to follow byte {start}, {end - start} do")
    return start, start + length
