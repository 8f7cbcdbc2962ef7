"""What is said of a source that cannot be read while something is written of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from imagenet_builders.errors import SourceError
from imagenet_builders.locate.access import unreadable
from imagenet_builders.sources.reader import Reader

_T = TypeVar("_T")


def reading_errors(examples: Iterator[_T], reader: Reader) -> Iterator[_T]:
    """Passes examples on, and turns an OSError into a `SourceError`: it came from reading.

    Args:
        examples: Examples that are being made.
        reader: What they are read with.

    Raises:
        SourceError: A file cannot be read.
    """
    while True:
        try:
            example = next(examples)
        except StopIteration:
            return
        except OSError as error:
            raise source_error(error, reader) from error
        yield example


def source_error(error: OSError, reader: Reader) -> SourceError:
    """What to say of a file that cannot be read.

    Args:
        error: The system's error.
        reader: What the file was read with.
    """
    path = error.filename or ", ".join(file.path for file in reader.files[:3])
    if isinstance(error, PermissionError):
        return unreadable(path, error)
    return SourceError(
        f"{path}: cannot be read: {error.strerror or error}; check that its file system "
        "is healthy and that you may read it, then run the same command again"
    )
