"""Functions in documents: by name, with the values that are bound to them."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imagenet_builders.run.beam.data import named
from imagenet_builders.run.beam.data.document import DocumentError, Reader, Writer
from imagenet_builders.run.beam.data.named import NotDataError
from imagenet_builders.run.beam.data.plain import Codec, described, refused


class Functions(Codec):
    """Functions of a module, methods of a value, and `functools.partial` of such.

    The values are of the types that the function's parameters have, or of its class.

    Args:
        codec: Gives what writes and reads values of a type.
        record: The same for a class that has fields; raises NotDataError for another.
    """

    def __init__(self, codec: Callable[[Any], Codec], record: Callable[[type], Codec]):
        self._codec, self._record = codec, record

    def write(self, value: Any, out: Writer) -> Any:
        """See `Codec.write`."""
        if isinstance(value, functools.partial):
            function = value.func
            codecs = self._codecs(function, value.args, value.keywords)
            return {
                "function": self.write(function, out),
                "arguments": [
                    each.write(argument, out)
                    for each, argument in zip(codecs[0], value.args, strict=True)
                ],
                "keywords": {
                    name: codecs[1][name].write(argument, out)
                    for name, argument in value.keywords.items()
                },
            }
        if isinstance(value, types.MethodType):
            of = type(value.__self__)
            method = value.__func__.__name__
            if inspect.getattr_static(of, method, None) is not value.__func__:
                raise NotDataError(f"a method {method} that {of.__qualname__} does not have")
            return {
                "method": method,
                "class": named.name_in(of, out),
                "of": self._record(of).write(value.__self__, out),
            }
        if isinstance(value, types.FunctionType):
            return named.name_in(value, out)
        raise refused(value, "a function")

    def read(self, document: Any, parts: Reader) -> Any:
        """See `Codec.read`."""
        if isinstance(document, str):
            found = named.find(document, parts.packages)
            if not isinstance(found, types.FunctionType):
                raise DocumentError(f"the name {document!r}, which is not that of a function")
            return found
        match document:
            case {"function": inner, "arguments": list(first), "keywords": dict(rest), **more} if (
                not more
            ):
                function = self.read(inner, parts)
                try:
                    codecs = self._codecs(function, first, rest)
                except NotDataError as error:
                    raise DocumentError(f"values that cannot be bound: {error}") from None
                return functools.partial(
                    function,
                    *[each.read(one, parts) for each, one in zip(codecs[0], first, strict=True)],
                    **{name: codecs[1][name].read(one, parts) for name, one in rest.items()},
                )
            case {"method": str(method), "class": name, "of": value, **more} if not more:
                of = named.find(name, parts.packages)
                if not isinstance(of, type) or not isinstance(
                    inspect.getattr_static(of, method, None), types.FunctionType
                ):
                    raise DocumentError(f"a method {method[:100]!r} of what has none")
                try:
                    read = self._record(of)
                except NotDataError as error:
                    raise DocumentError(f"{error.what}") from None
                return getattr(read.read(value, parts), method)
        raise DocumentError(f"{described(document)} where a function belongs")

    def _codecs(
        self, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]
    ) -> tuple[list[Codec], dict[str, Codec]]:
        """What writes and reads the values that are bound to a function's parameters."""
        if not isinstance(function, types.FunctionType | types.MethodType):
            raise refused(function, "a function")
        hints = dict(named.annotations_of(function))
        del hints["return"]
        places = [*hints][: len(arguments)]
        if len(places) < len(arguments) or not hints.keys() >= keywords.keys():
            raise NotDataError(f"{function.__qualname__} with more than it has parameters for")
        return (
            [self._codec(hints[name]) for name in places],
            {name: self._codec(hints[name]) for name in keywords},
        )


def plain(function: Callable[..., Any]) -> Any:
    """The function below any `functools.partial`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def is_function(function: object) -> bool:
    """Whether it is a function or a method, below any `functools.partial`."""
    return isinstance(plain(function), types.FunctionType | types.MethodType)  # type: ignore[arg-type]  # Whatever it is.


def bound_of(function: Callable[..., Any]) -> frozenset[str]:
    """The names of the parameters that `functools.partial` has bound."""
    if not isinstance(function, functools.partial):
        return frozenset()
    bound = inspect.signature(function.func).bind_partial(*function.args, **function.keywords)
    return frozenset(bound.arguments)
