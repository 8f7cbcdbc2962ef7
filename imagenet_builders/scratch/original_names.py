"""Lets errors and warnings name staged archives, not the copies and unpacked files that are read.

Readers of a message mend a staged archive; its copy in scratch space may be gone by then.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from imagenet_builders.errors import ArchiveError, SourceError, StagingError
from imagenet_builders.plan.context import Origin
from imagenet_builders.scratch.copy import ScratchCopy


@contextlib.contextmanager
def naming_originals(copy: ScratchCopy, unpacked: Mapping[str, Origin]) -> Iterator[None]:
    """Lets messages of the block about sources name the originals.

    Errors in writing to scratch space, and the system's errors about files there, stay as they are.

    Args:
        copy: The copy that is read.
        unpacked: Path of each unpacked file, to its origin; it may grow meanwhile.

    Raises:
        SourceError: As raised in the block.
        StagingError: As raised in the block.
    """

    def renamed(text: str) -> str:
        for path, origin in unpacked.items():
            text = text.replace(path, origin.name)
        if copy.directory is None:
            return text
        # The path may be relative in a message; then it is the end of the absolute one.
        text = text.replace(os.path.abspath(copy.manual_dir), os.path.abspath(copy.original))
        return text.replace(str(copy.manual_dir), str(copy.original))

    with _renaming_warnings(renamed):
        try:
            yield
        except (SourceError, StagingError) as error:
            error.args = tuple(
                renamed(each) if isinstance(each, str) else each for each in error.args
            )
            if isinstance(error, ArchiveError):
                error.archive = renamed(error.archive)
                error.problem = renamed(error.problem)
            raise


@contextlib.contextmanager
def _renaming_warnings(renamed: Callable[[str], str]) -> Iterator[None]:
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_renamed(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            text = renamed(str(message))
            show(
                message if text == str(message) else category(text),
                category,
                filename,
                lineno,
                file,
                line,
            )

        warnings.showwarning = show_renamed
        yield
