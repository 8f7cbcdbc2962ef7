"""What writes and reads values of types that have no other types in them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from imagenet_builders.run.beam.data.document import DocumentError, Reader, Writer
from imagenet_builders.run.beam.data.named import NotDataError
from imagenet_builders.run.beam.data.plain import Codec, described, items, refused

SCALARS: dict[type, frozenset[type]] = {
    bool: frozenset((bool,)),
    int: frozenset((int, bool)),
    float: frozenset((float, int)),
    str: frozenset((str,)),
}
"""Numbers and texts, each with the types whose values are taken for it as they are."""


class Nothing(Codec):
    """None."""

    def write(self, value: Any, out: Writer) -> Any:
        """See `Codec.write`."""
        if value is not None:
            raise refused(value, "None")

    def read(self, document: Any, parts: Reader) -> Any:
        """See `Codec.read`."""
        if document is not None:
            raise DocumentError(f"{described(document)} where nothing belongs")


class Scalar(Codec):
    """Numbers and texts.

    Args:
        kind: One of `SCALARS`.
    """

    def __init__(self, kind: type):
        self._kind = kind
        self._types = SCALARS[kind]

    def write(self, value: Any, out: Writer) -> Any:
        """See `Codec.write`."""
        if type(value) in self._types:
            return value
        try:  # Numbers of NumPy, and texts of an `Enum`.
            if self._kind is int:
                return operator.index(value)
            if self._kind is float and isinstance(value, float):
                return float(value)
        except TypeError:
            pass
        if self._kind is str and isinstance(value, str):
            return str.__str__(value)
        raise refused(value, self._kind.__name__)

    def read(self, document: Any, parts: Reader) -> Any:
        """See `Codec.read`."""
        if type(document) not in self._types:
            raise DocumentError(f"{described(document)} where {self._kind.__name__} belongs")
        return document

    def write_many(self, values: Sequence[Any], out: Writer) -> Any:
        """See `Codec.write_many`."""
        if self._types.issuperset(map(type, values)):
            return list(values)
        return super().write_many(values, out)

    def read_many(self, document: Any, parts: Reader) -> list[Any]:
        """See `Codec.read_many`."""
        if self._types.issuperset(map(type, items(document))):
            return items(document)
        return super().read_many(document, parts)


class Literal(Codec):
    """One of some values.

    Args:
        values: Numbers or texts.
    """

    def __init__(self, values: tuple[Any, ...]):
        self._values = values

    def write(self, value: Any, out: Writer) -> Any:
        """See `Codec.write`."""
        if value not in self._values:
            raise NotDataError(f"{value!r}, not one of {self._values}")
        return value

    def read(self, document: Any, parts: Reader) -> Any:
        """See `Codec.read`."""
        for value in self._values:
            if document == value and type(document) is type(value):
                return value
        raise DocumentError(f"{described(document)} where one of {self._values} belongs")


class Bytes(Codec):
    """Bytes."""

    def write(self, value: Any, out: Writer) -> Any:
        """See `Codec.write`."""
        if not isinstance(value, bytes | bytearray | memoryview):
            raise refused(value, "bytes")
        return out.add(bytes(value))

    def read(self, document: Any, parts: Reader) -> Any:
        """See `Codec.read`."""
        return bytes(parts.take(document))


class Paths(Codec):
    """Paths."""

    def write(self, value: Any, out: Writer) -> Any:
        """See `Codec.write`."""
        if not isinstance(value, PurePath):
            raise refused(value, "a path")
        return str(value)

    def read(self, document: Any, parts: Reader) -> Any:
        """See `Codec.read`."""
        if not isinstance(document, str):
            raise DocumentError(f"{described(document)} where a path belongs")
        return Path(document)


class Tables(Codec):
    """An Arrow table, as an Arrow stream."""

    def write(self, value: Any, out: Writer) -> Any:
        """See `Codec.write`."""
        import pyarrow as pa

        if not isinstance(value, pa.Table):
            raise refused(value, "an Arrow table")
        sink = pa.BufferOutputStream()
        # Compacting drops the rows outside a slice, which Arrow would otherwise send along.
        table = value.combine_chunks()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return out.add(memoryview(sink.getvalue()))

    def read(self, document: Any, parts: Reader) -> Any:
        """See `Codec.read`."""
        import pyarrow as pa

        try:
            table = pa.ipc.open_stream(pa.py_buffer(parts.take(document))).read_all()
            table.validate(full=True)
        except Exception as error:  # Not all of them are Arrow's.
            raise DocumentError(f"no Arrow table ({error})") from None
        return table
