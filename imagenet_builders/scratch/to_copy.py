"""Finds the staged files that `--stage` copies: those that a build would read at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagenet_builders.locate.choose import preferred
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.sources import kinds


@dataclasses.dataclass(frozen=True)
class ToCopy:
    """What is to be copied.

    Attributes:
        files: The files, each once, below `manual_dir`.
        in_place: Folders of small files, which take less time to read in place than to copy.
    """

    files: tuple[Path, ...]
    in_place: tuple[Path, ...] = ()


def files_to_copy(survey: Survey, source: str | None) -> ToCopy:
    """The files that a build would read at random.

    An archive of images in gzip is not copied: it is read once, from its beginning to its end, and
    unpacked to scratch space in any case. Boxes are copied only with images: alone, they are read
    once, before all else.

    Args:
        survey: What is staged.
        source: The kind of source asked for (`--source`), or None.

    Returns:
        The files; none where there is nothing to build or nothing worth copying.

    Raises:
        SourceError: A source that would be read is not whole.
        OSError: A directory cannot be read.
    """
    taken = list(_taken(survey, source))
    in_place = (path for found in taken for path in kinds.kind(found.kind).copies(found).in_place)
    return ToCopy(copied_of(taken), tuple(dict.fromkeys(in_place)))


def copied_of(taken: Sequence[Found]) -> tuple[Path, ...]:
    """The archives that are copied for a dataset.

    Args:
        taken: What it is built from.

    Returns:
        The files, each once; none if none of them has images.

    Raises:
        OSError: A directory cannot be read.
    """
    if not any(archives_of(found) for found in taken if found.part == "images"):
        return ()
    return tuple(dict.fromkeys(path for found in taken for path in archives_of(found)))


def archives_of(found: Found) -> tuple[Path, ...]:
    """The archives of one source that are read at random.

    Args:
        found: What it is built from.

    Returns:
        The files; none for folders of small files, and for an archive that is unpacked.

    Raises:
        OSError: A directory cannot be read.
    """
    return kinds.kind(found.kind).copies(found).archives


def _taken(survey: Survey, source: str | None) -> Iterator[Found]:
    """The sources that a build takes, as `locate.choose` chooses them."""
    for split, found in survey.found.items():
        boxes = survey.boxes.get(split)
        images = preferred(found, source)
        if images is None or (boxes is None and survey.needs_boxes):
            continue
        yield images
        if boxes is not None and (annotations := preferred(boxes, None)) is not None:
            yield annotations
