"""Lists of the files in a folder, which sites put beside it to spare the listing of the folder.

Nobody says what a line looks like, so it is read leniently: a path, relative to whatever it may be
or absolute, of which only the name and the directory before it count. Blank lines, lines of class
folders and of the list itself, and the headings of `ls -R` are passed over; any other line must be
that of an image.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from imagenet_builders.errors import SourceError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.locate.access import unreadable
from imagenet_builders.locate.listing import WNID, is_system_file
from imagenet_builders.words import counted

MAX_LINES = 1 << 21
"""Bound on the lines of a list; ImageNet has 1,431,167 images in 1,000 folders."""
MAX_LINE_BYTES = 16 << 10
"""Bound on one line; no path that Linux takes has more than 4,096 bytes."""

_QUOTES = "'\""
_TOTAL = re.compile(r"total [0-9]+")
_MAX_SHOWN = 100


def read_list(path: Path, is_image: Callable[[str], bool]) -> list[tuple[str | None, str]]:
    """The images in a list.

    Args:
        path: The list.
        is_image: Whether a name is that of an image.

    Returns:
        For each line, in order, the class folder that the image is in, or None where the line does
        not say it; and the image's file name.

    Raises:
        SourceError: It cannot be read, is no text, too large, or has a line that is not an image's.
    """
    found: list[tuple[str | None, str]] = []
    heading: str | None = None
    for number, line in enumerate(_lines(path), start=1):
        text = line.strip().strip(_QUOTES)
        if text.endswith(":"):
            heading = text[:-1].rstrip("/").rpartition("/")[2]
            continue
        before, slash, name = text.rstrip("/").rpartition("/")
        if is_image(name):
            folder = before.rpartition("/")[2] if slash else heading
            is_class = folder and WNID.fullmatch(folder)
            # A thousand folders have a million lines.
            found.append((sys.intern(folder) if folder and is_class else None, name))
        elif not (
            _means_nothing(name) or is_system_file(name) or name == path.name
        ):  # As `find . > list` has it.
            # What has no image's path before is no list, but maybe a private file.
            shown = repr(text[:_MAX_SHOWN]) if found else counted(len(text), "character")
            raise SourceError(
                f"{path}: expected the path of an image in line {number:,}, found {shown}; mend "
                "the list, or move it away so that the folder is listed"
            )
    if not found:
        raise SourceError(f"{path}: there is no image in this list; move it away, or mend it")
    return found


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text, one at a time: what is not one may be of any size."""
    count = 0
    try:
        with os.fdopen(open_regular(path, follow=True), "rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    raise SourceError(
                        f"{path}: line {count + 1:,} has more than {MAX_LINE_BYTES:,} bytes, which "
                        "is longer than any path; this is no list of files, move it away so that "
                        "the folder is listed"
                    )
                text = line.decode("utf-8-sig" if count == 0 else "utf-8").splitlines()
                count += len(text)
                if count > MAX_LINES:
                    raise SourceError(
                        f"{path}: expected a list of at most {MAX_LINES:,} lines, found more; "
                        "ImageNet has fewer images, so mend the list, or move it away so that the "
                        "folder is listed"
                    )
                yield from text
    except UnicodeDecodeError:
        raise SourceError(
            f"{path}: expected a list of files as text, found bytes that are not UTF-8 in line "
            f"{count + 1:,}"
        ) from None
    except OSError as error:
        raise unreadable(str(path), error) from error


def _means_nothing(name: str) -> bool:
    return (
        name in ("", ".", "..", "train", "val", "validation", "test")
        or WNID.fullmatch(name) is not None
        or _TOTAL.fullmatch(name) is not None
    )
