"""Functions and classes by module and name, and what their annotations say.

A name is `module:Class.method`. It is looked up only in packages that are allowed, and must lead to
a function or a class that stands under this name in this module: not to one that the module itself
imported, to a method of a value, or to whatever else can be called.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from imagenet_builders.run.beam.data.document import DocumentError, Writer

OWN = "imagenet_builders"
"""The package that may always be named."""

_NAME = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*(?:\.[^\W\d]\w*)*)")

# Imported under these names where an annotation alone needs them.
_FOR_TYPES_ALONE = {"pa": "pyarrow"}


class NotDataError(Exception):
    """A value that cannot be written into a document.

    Args:
        what: What it is.

    Attributes:
        where: The field that it is in, once that is known.
    """

    def __init__(self, what: str):
        self.what = what
        self.where = ""

    def __str__(self) -> str:
        return f"{self.where or 'it'} is {self.what}"


def name_in(found: Callable[..., Any], out: Writer) -> str:
    """The name of a function or class in a document.

    Raises:
        NotDataError: It does not stand at the top of a module under its name, or the document may
            not name it.
    """
    name = _name_of(found)
    package = package_of(name)
    if out.allowed is not None and package not in {OWN, *out.allowed}:
        raise NotDataError(f"{name}, which is of a package that the job is not of")
    out.packages.add(package)
    return name


def _name_of(found: Callable[..., Any]) -> str:
    module, name = found.__module__, found.__qualname__
    text = f"{module}:{name}"
    if module == "__main__" or _NAME.fullmatch(text) is None:
        raise NotDataError(
            f"{name} of {module}, which does not stand at the top of a module that can be imported"
        )
    here: Any = sys.modules.get(module)
    for part in name.split("."):
        here = getattr(here, part, None)
    if here is not found:
        raise NotDataError(f"{name} of {module}, where another thing has that name")
    return text


def package_of(name: str) -> str:
    """The package of a name."""
    return name.partition(":")[0].partition(".")[0]


def find(name: object, packages: frozenset[str]) -> Any:
    """The function or class of a name.

    Args:
        name: As `name_of` gives it.
        packages: Packages that may be named, besides this one.

    Raises:
        DocumentError: It is no such name, or names what may not be named.
        ImportError: There is no such module here.
        AttributeError: There is nothing of that name in the module.
    """
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise DocumentError(f"{str(name)[:100]!r} where the name of a function belongs")
    module, qualified = match.groups()
    if package_of(match[0]) not in {OWN, *packages} or "__main__" in module.split("."):
        raise DocumentError(f"the name {match[0]!r}, which is of a package that the job is not of")
    found: Any = importlib.import_module(module)
    for part in qualified.split("."):
        found = getattr(found, part)
    is_one = isinstance(found, types.FunctionType | type)
    if not is_one or (found.__module__, found.__qualname__) != (module, qualified):
        raise DocumentError(f"the name {match[0]!r}, which is not that of a function or a class")
    return found


def annotations_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """The parameters of a function by name, in order, each with its annotation, then `return`.

    A parameter without an annotation, and a function without one, has `Any`.
    """
    if not isinstance(function, types.MethodType):
        return _annotations_of(function)
    found = dict(_annotations_of(function.__func__))
    del found[next(iter(found))]  # What the method is bound to.
    return found


@functools.cache
def _annotations_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    signature = inspect.signature(function)
    module: Mapping[str, Any] = getattr(function, "__globals__", {})
    found = {name: each.annotation for name, each in signature.parameters.items()}
    found["return"] = signature.return_annotation
    return {
        name: Any if each is inspect.Signature.empty else evaluated(each, module)
        for name, each in found.items()
    }


@functools.cache
def fields_of(kind: type) -> Mapping[str, Any]:
    """The annotations of a class, and of those that it is derived from, by name."""
    found: dict[str, Any] = {}
    for each in reversed(kind.__mro__):
        module = vars(sys.modules[each.__module__]) if each.__module__ in sys.modules else {}
        for name, annotation in inspect.get_annotations(each).items():
            found[name] = evaluated(annotation, module)
    return found


def evaluated(annotation: Any, module: Mapping[str, Any]) -> Any:
    """An annotation, which may be a text.

    Args:
        annotation: As it stands in the code.
        module: The names of its module. A name that is imported for type checkers alone becomes an
            `Unresolved`, because most such names are those of a function's parameters, which nobody
            asks for.
    """
    if isinstance(annotation, typing.ForwardRef):  # Of a named tuple.
        annotation = annotation.__forward_arg__
    if not isinstance(annotation, str):
        return annotation
    return eval(annotation, {}, _Names(module))


class Unresolved:
    """A name in an annotation that is not there when the program runs."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __call__(self) -> None:
        """Nothing; `typing` wants that a type can be called."""

    def __getattr__(self, name: str) -> Unresolved:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unresolved(f"{self.name}.{name}")

    def __getitem__(self, _: object) -> Unresolved:
        return self

    def __or__(self, other: Any) -> Any:
        return typing.Union[self, other]  # noqa: UP007  # It is no type.

    def __ror__(self, other: Any) -> Any:
        return typing.Union[other, self]  # noqa: UP007  # It is no type.


class _Names(dict[str, Any]):
    """The names that an annotation of a module can have."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            return getattr(builtins, name)
        if name in _FOR_TYPES_ALONE:
            return importlib.import_module(_FOR_TYPES_ALONE[name])
        return Unresolved(name)
