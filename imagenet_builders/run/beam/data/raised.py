"""Errors as data: type, arguments, attributes and notes.

An error of Python, or of this package, becomes the same again. None of their code runs for that,
but Python's own. Any other becomes a `WorkerError` with its type and text.
"""

from __future__ import annotations

import builtins
from typing import Any

from imagenet_builders.errors import ImagenetBuildersError, WorkerError
from imagenet_builders.run.beam.data import named
from imagenet_builders.run.beam.data.document import DocumentError, Reader, Writer
from imagenet_builders.run.beam.data.plain import PLAIN

_NOTES = "__notes__"


def write(error: Exception, out: Writer) -> Any:
    """An error as what JSON can hold.

    Args:
        error: The error.
        out: The document.
    """
    try:
        return _write(error, out)
    except named.NotDataError:
        return _write(_as_text(error), out)


def _write(error: Exception, out: Writer) -> Any:
    attributes = dict(vars(error))
    notes = [str(note) for note in attributes.pop(_NOTES, ())]
    if isinstance(error, ImagenetBuildersError):
        name = named.name_in(type(error), out)
        arguments = error.args
    else:
        # What a library derives from an `OSError` has the same errno, text and file.
        kind = next(each for each in type(error).__mro__ if each.__module__ == "builtins")
        if kind is not type(error) and not isinstance(error, OSError):
            raise named.NotDataError("of another library")
        name, arguments, attributes = f"builtins:{kind.__name__}", error.args, {}
        if isinstance(error, OSError) and error.filename is not None:
            where = (error.filename, None, error.filename2)
            arguments = (error.errno, error.strerror, *where)
    return {
        "type": name,
        "arguments": PLAIN.write(list(arguments), out),
        "attributes": PLAIN.write(attributes, out),
        "notes": notes,
    }


def _as_text(error: Exception) -> WorkerError:
    told = WorkerError(f"{type(error).__name__}: {error}")
    for note in getattr(error, _NOTES, ()):
        told.add_note(str(note))
    return told


def read(document: Any, parts: Reader) -> Exception:
    """The error that `write` wrote.

    Raises:
        DocumentError: It is none.
        ImportError: Its module is not here.
        AttributeError: Its module does not have it.
    """
    if not isinstance(document, dict) or document.keys() != _KEYS:
        raise DocumentError("something else where an error belongs")
    arguments = PLAIN.read(document["arguments"], parts)
    attributes = PLAIN.read(document["attributes"], parts)
    notes = document["notes"]
    if not (
        isinstance(arguments, list)
        and isinstance(attributes, dict)
        and isinstance(notes, list)
        and all(isinstance(text, str) for text in (*attributes, *notes))
    ):
        raise DocumentError("something else where what an error says belongs")
    error = _made(document["type"], arguments, attributes, parts)
    for note in notes:
        error.add_note(note)
    return error


_KEYS = {"type", "arguments", "attributes", "notes"}


def _made(
    name: object, arguments: list[Any], attributes: dict[str, Any], parts: Reader
) -> Exception:
    package, _, kind_name = str(name).partition(":")
    if package == "builtins":
        kind: Any = getattr(builtins, kind_name, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise DocumentError(f"the error {str(name)[:100]!r}, which Python does not have")
        try:
            built: Exception = kind(*arguments)
        except Exception:
            raise DocumentError(f"an error {kind_name} that says something else") from None
        return built
    kind = named.find(name, parts.packages)
    if not (isinstance(kind, type) and issubclass(kind, ImagenetBuildersError)):
        raise DocumentError(f"the name {name!r}, which is not that of an error")
    # Not by calling it, because each has parameters of its own.
    made: Exception = kind.__new__(kind, *arguments)
    made.args = tuple(arguments)
    vars(made).update(attributes)
    return made
