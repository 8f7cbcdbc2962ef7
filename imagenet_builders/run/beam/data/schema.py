"""The schema of jobs and results: what the annotations of their types say.

A function says of what type its job and its result are; a dataclass says it of its fields. A
document has values alone: what they become stands in the code of whoever reads it, and a value that
is not of the type that stands there is refused, when it is written and when it is read. So a
document cannot ask for a class. It can name functions, where the schema has one; see `named`.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import PurePath
from typing import Any

from imagenet_builders.run.beam.data import functions, named, simple
from imagenet_builders.run.beam.data.document import DocumentError, Reader, Writer
from imagenet_builders.run.beam.data.named import NotDataError
from imagenet_builders.run.beam.data.plain import PLAIN, Codec, described, items, refused


@functools.cache
def codec(hint: Any) -> Codec:
    """What writes and reads values of a type.

    Args:
        hint: The type, as an annotation has it.

    Raises:
        NotDataError: It is no type of data.
    """
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in (Any, object) or isinstance(hint, typing.TypeVar):
        return PLAIN
    if hint is None or hint is types.NoneType:
        return simple.Nothing()
    if hint in simple.SCALARS:
        return simple.Scalar(hint)
    if hint is bytes:
        return simple.Bytes()
    if origin in (typing.Union, types.UnionType):
        return _Union(arguments)
    if origin is typing.Literal:
        return simple.Literal(arguments)
    if origin is collections.abc.Callable:
        return FUNCTION
    if isinstance(origin, type):
        return _of_class(origin, arguments)
    if isinstance(hint, named.Unresolved):
        raise NotDataError(f"annotated as {hint!r}, a name that is not there when the program runs")
    raise NotDataError(f"annotated as {hint!r}, which is no type of data")


def record(kind: type) -> Codec:
    """What writes and reads values of a dataclass or of a named tuple.

    Raises:
        NotDataError: It is neither.
    """
    found = codec(kind)
    if not isinstance(found, _Record):
        raise NotDataError(f"a method of {kind.__qualname__}, which is no dataclass")
    return found


FUNCTION = functions.Functions(codec, record)
"""What writes and reads functions."""


def _of_class(kind: type, arguments: tuple[Any, ...]) -> Codec:
    if issubclass(kind, PurePath | os.PathLike):
        return simple.Paths()
    if dataclasses.is_dataclass(kind):
        return _Record(kind, [each.name for each in dataclasses.fields(kind) if each.init])
    if kind is tuple and arguments[1:] != (...,) and arguments:
        return _Tuple(arguments)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _Record(kind, kind._fields)
    one = arguments[0] if arguments else Any
    for base, made in _SEQUENCES:
        if kind is base:
            return _Sequence(made, one)
    if kind in (dict, collections.abc.Mapping):
        return _Mapping(*(arguments or (Any, Any)))
    if (kind.__module__, kind.__name__) == ("pyarrow.lib", "Table"):
        return simple.Tables()
    raise NotDataError(f"of type {kind.__module__}.{kind.__qualname__}")


_SEQUENCES: tuple[tuple[Any, Callable[[list[Any]], Any]], ...] = (
    (list, list),
    (tuple, tuple),
    (collections.abc.Sequence, tuple),
    (collections.abc.Collection, tuple),
    (frozenset, frozenset),
    (set, set),
    (collections.abc.Set, frozenset),
)


def job_codec(function: Callable[..., Any]) -> Codec:
    """What writes and reads the jobs of a function, by the annotation of its first parameter."""
    bound = functions.bound_of(function)
    hints = named.annotations_of(functions.plain(function))
    return codec(next((hints[name] for name in hints if name not in bound), Any))


def result_codec(function: Callable[..., Any]) -> Codec:
    """What writes and reads the results of a function, which may come as a `Future`."""
    hint = named.annotations_of(functions.plain(function))["return"]
    kinds = typing.get_args(hint) if _is_union(hint) else (hint,)
    finished = [
        (typing.get_args(each) or (Any,))[0]
        if (typing.get_origin(each) or each) is Future
        else each
        for each in kinds
    ]
    return codec(typing.Union[tuple(finished)])  # noqa: UP007  # As many as there are.


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


class _Union(Codec):
    """One of several types: nothing, or the position of the type and the value."""

    def __init__(self, hints: tuple[Any, ...]):
        # To Python, unions of the same types in another order are equal; so all have one order.
        kinds = sorted((hint for hint in hints if hint is not types.NoneType), key=repr)
        self._codecs = [codec(kind) for kind in kinds]
        self._optional = len(kinds) < len(hints)

    def write(self, value: Any, out: Writer) -> Any:
        if value is None and self._optional:
            return None
        error, mark = NotDataError("of no type"), out.mark()
        for position, each in enumerate(self._codecs):
            try:
                return [position, each.write(value, out)]
            except NotDataError as refusal:
                out.back_to(mark)
                error = refusal
        raise error

    def read(self, document: Any, parts: Reader) -> Any:
        if document is None and self._optional:
            return None
        match document:
            case [int(position), value] if 0 <= position < len(self._codecs):
                return self._codecs[position].read(value, parts)
        raise DocumentError(f"{described(document)} where one of several types belongs")


class _Sequence(Codec):
    def __init__(self, made: Callable[[list[Any]], Any], hint: Any):
        self._made = made
        self._codec = codec(hint)

    def write(self, value: Any, out: Writer) -> Any:
        is_many = isinstance(value, Sequence | set | frozenset)
        if not is_many or isinstance(value, str | bytes | bytearray):
            raise refused(value, "a sequence")
        return self._codec.write_many(list(value), out)

    def read(self, document: Any, parts: Reader) -> Any:
        try:
            return self._made(self._codec.read_many(document, parts))
        except TypeError as error:
            raise DocumentError(f"a set of what cannot be in one ({error})") from None


class _Tuple(Codec):
    """Of a certain length; many of them are columns."""

    def __init__(self, hints: tuple[Any, ...]):
        self._codecs = [codec(hint) for hint in hints]

    def write(self, value: Any, out: Writer) -> Any:
        self._check(value)
        return [each.write(one, out) for each, one in zip(self._codecs, value, strict=True)]

    def read(self, document: Any, parts: Reader) -> Any:
        pairs = _same_length(self._codecs, items(document))
        return tuple(each.read(one, parts) for each, one in pairs)

    def write_many(self, values: Sequence[Any], out: Writer) -> Any:
        for value in values:
            self._check(value)
        return [
            each.write_many([value[position] for value in values], out)
            for position, each in enumerate(self._codecs)
        ]

    def read_many(self, document: Any, parts: Reader) -> list[Any]:
        pairs = _same_length(self._codecs, items(document))
        return _rows([each.read_many(column, parts) for each, column in pairs])

    def _check(self, value: Any) -> None:
        if not isinstance(value, tuple | list) or len(value) != len(self._codecs):
            raise refused(value, f"a tuple of {len(self._codecs)}")


def _same_length(codecs: list[Codec], found: list[Any]) -> list[tuple[Codec, Any]]:
    if len(codecs) != len(found):
        raise DocumentError(f"a list of {len(found)} where one of {len(codecs)} belongs")
    return list(zip(codecs, found, strict=True))


def _rows(columns: list[list[Any]]) -> list[tuple[Any, ...]]:
    try:
        return list(zip(*columns, strict=True))
    except ValueError:
        raise DocumentError("columns of different lengths") from None


class _Record(Codec):
    """A dataclass or a named tuple; many of them are columns."""

    def __init__(self, kind: type, fields: Sequence[str]):
        self._kind = kind
        self._fields = tuple(fields)

    @functools.cached_property
    def _codecs(self) -> dict[str, Codec]:
        # Not before it is asked for: a class may have fields of its own type.
        hints = named.fields_of(self._kind)
        found = {}
        for name in self._fields:
            with _naming(self._kind, name):
                found[name] = codec(hints.get(name, Any))
        return found

    def write(self, value: Any, out: Writer) -> Any:
        if type(value) is not self._kind:
            raise refused(value, self._kind.__qualname__)
        number = out.number_of(value)
        if number is not None:
            return number
        document = {}
        for name, each in self._codecs.items():
            with _naming(self._kind, name):
                document[name] = each.write(getattr(value, name), out)
        out.remember(value)
        return document

    def read(self, document: Any, parts: Reader) -> Any:
        if type(document) is int:
            value = parts.recall(document)
            if type(value) is not self._kind:
                raise DocumentError(f"another value where {self._kind.__qualname__} belongs")
            return value
        self._check(document)
        found = [each.read(document[name], parts) for name, each in self._codecs.items()]
        made = self._make(found)
        parts.remember(made)
        return made

    def write_many(self, values: Sequence[Any], out: Writer) -> Any:
        if any(type(value) is not self._kind for value in values) or not self._fields:
            return super().write_many(values, out)
        document = {}
        for name, each in self._codecs.items():
            with _naming(self._kind, name):
                document[name] = each.write_many([getattr(one, name) for one in values], out)
        return document

    def read_many(self, document: Any, parts: Reader) -> list[Any]:
        if not self._fields:
            return super().read_many(document, parts)
        self._check(document)
        columns = [each.read_many(document[name], parts) for name, each in self._codecs.items()]
        return [self._make(row) for row in _rows(columns)]

    def _check(self, document: Any) -> None:
        if not isinstance(document, dict):
            raise DocumentError(f"{described(document)} where {self._kind.__qualname__} belongs")
        if document.keys() != set(self._fields):
            odd = sorted(document.keys() ^ set(self._fields))
            raise DocumentError(f"{self._kind.__qualname__} with other fields: {odd[:5]}")

    def _make(self, values: Sequence[Any]) -> Any:
        try:
            if self._is_by_name:
                return self._kind(**dict(zip(self._fields, values, strict=True)))
            return self._kind(*values)
        except Exception as error:  # Its own rules.
            raise DocumentError(f"no {self._kind.__qualname__} ({error})") from None

    @functools.cached_property
    def _is_by_name(self) -> bool:
        return dataclasses.is_dataclass(self._kind) and any(
            each.kw_only for each in dataclasses.fields(self._kind)
        )


class _naming:  # noqa: N801  # It is used as a function.
    """Says in what field of what class a value is that is no data."""

    def __init__(self, kind: type, name: str):
        self._where = f"{kind.__qualname__}.{name}"

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, NotDataError):
            error.where = error.where or self._where


class _Mapping(Codec):
    def __init__(self, keys: Any, values: Any):
        self._keys, self._values = codec(keys), codec(values)

    def write(self, value: Any, out: Writer) -> Any:
        if not isinstance(value, Mapping):
            raise refused(value, "a mapping")
        keys = self._keys.write_many(list(value), out)
        return [keys, self._values.write_many(list(value.values()), out)]

    def read(self, document: Any, parts: Reader) -> Any:
        pairs = _same_length([self._keys, self._values], items(document))
        keys, values = [each.read_many(column, parts) for each, column in pairs]
        try:
            return dict(_rows([keys, values]))
        except TypeError as error:
            raise DocumentError(f"keys that are none ({error})") from None
