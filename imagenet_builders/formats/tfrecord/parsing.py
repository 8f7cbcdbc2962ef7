"""Serialized `tf.train.Example` protos as features: the strict inverse of `records.serialize`.

Strict, because a verifier uses it: what protobuf would forgive (unknown fields, a feature twice,
numbers longer than they need be) was not written by any builder and is an error here. Only the
order of the features is free, as protobuf's own serializer writes them in any order.

Sources: tensorflow/core/example/{example,feature}.proto.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from imagenet_builders.errors import ImagenetBuildersError

# Far more than any example has; a list of Python numbers takes ten times the bytes of the proto.
_MAX_FEATURES = 1000
_MAX_LIST_BYTES = 1 << 20

_KINDS = {0x0A: "bytes", 0x12: "float", 0x1A: "int64"}


class ExampleError(ImagenetBuildersError, ValueError):
    """Bytes are not a strictly serialized `tf.train.Example`; the message says what and where."""


class Feature(NamedTuple):
    """One feature.

    Attributes:
        kind: `bytes`, `float` or `int64`.
        values: The values, in order.
    """

    kind: str
    values: list[bytes] | list[float] | list[int]


def parse(record: bytes) -> dict[str, Feature]:
    r"""The features of a serialized example.

    Args:
        record: The proto.

    Returns:
        Feature path (`objects/bbox` for a nested one) to its values.

    Raises:
        ExampleError: The bytes are not an example as builders write it.

    >>> parse(b'\n\x10\n\x0e\n\x05label\x12\x05\x1a\x03\n\x01\x03')
    {'label': Feature(kind='int64', values=[3])}
    """
    if not record:
        return {}
    position, end = _field(record, 0, len(record), 0x0A)
    if end != len(record):
        raise ExampleError(f"the example ends at byte {end} of {len(record)}")
    features: dict[str, Feature] = {}
    while position < end:
        position, entry_end = _field(record, position, end, 0x0A)
        start, key_end = _field(record, position, entry_end, 0x0A)
        try:
            name = str(record[start:key_end], "utf-8")
        except UnicodeDecodeError:
            raise ExampleError(f"the name of a feature at byte {start} is not UTF-8") from None
        if name in features:
            raise ExampleError(f"the feature {name[:60]!a} is there twice, again at byte {start}")
        start, value_end = _field(record, key_end, entry_end, 0x12)
        if value_end != entry_end:
            raise ExampleError(f"unknown bytes after a feature, at byte {value_end}")
        if len(features) == _MAX_FEATURES:
            raise ExampleError(f"more than {_MAX_FEATURES:,} features")
        features[name] = _feature(record, start, value_end)
        position = entry_end
    return features


def _feature(record: bytes, position: int, end: int) -> Feature:
    if position == end:
        raise ExampleError(f"a feature without a kind at byte {position}")
    tag = record[position]
    kind = _KINDS.get(tag)
    if kind is None:
        raise ExampleError(f"a feature of an unknown kind at byte {position}")
    position, list_end = _field(record, position, end, tag)
    if list_end != end:
        raise ExampleError(f"unknown bytes after a list of values, at byte {list_end}")
    if kind == "bytes":
        values: list[bytes] = []
        while position < end:
            start, position = _field(record, position, end, 0x0A)
            values.append(record[start:position])
            if len(values) > _MAX_LIST_BYTES:
                raise ExampleError(f"more than {_MAX_LIST_BYTES:,} values in a feature")
        return Feature(kind, values)
    if position == end:
        return Feature(kind, list[int]())
    if end - position > _MAX_LIST_BYTES:
        raise ExampleError(f"a list of numbers of {end - position:,} bytes, at byte {position}")
    start, packed_end = _field(record, position, end, 0x0A)
    if packed_end != end or start == end:
        raise ExampleError(f"a list of numbers is not packed as it should be, at byte {position}")
    if kind == "float":
        if (end - start) % 4:
            raise ExampleError(f"a list of floats of {end - start} bytes, at byte {start}")
        return Feature(kind, list(struct.unpack_from(f"<{(end - start) // 4}f", record, start)))
    numbers: list[int] = []
    while start < end:
        number, start = _varint(record, start, end)
        numbers.append(number - (1 << 64) if number >> 63 else number)
    return Feature(kind, numbers)


def _field(record: bytes, position: int, end: int, tag: int) -> tuple[int, int]:
    """Start and end of the content of a length-delimited field."""
    if position >= end or record[position] != tag:
        found = f"{record[position]:#04x}" if position < end else "the end"
        raise ExampleError(f"expected the tag {tag:#04x} at byte {position}, found {found}")
    length, start = _varint(record, position + 1, end)
    if length > end - start:
        raise ExampleError(f"{length:,} bytes are said to follow byte {start}, {end - start} do")
    return start, start + length


def _varint(record: bytes, position: int, end: int) -> tuple[int, int]:
    """A number in base 128 of the shortest form, and where it ends."""
    number = shift = 0
    at = position
    while at < end:
        byte = record[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if (byte == 0 and shift) or number >> 64:
                break
            return number, at
        shift += 7
        if shift > 63:
            break
    raise ExampleError(f"a number at byte {position} is too long or cut off")
