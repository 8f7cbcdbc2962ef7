"""Finds the staged files that `--stage` copies: those that a build would read at random."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from imagenet_builders.locate.choose import preferred
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.sources import kinds


@dataclasses.dataclass(frozen=True)
class ToCopy:
    """What is to be copied.

    Attributes:
        files: The files, each once, below `manual_dir`.
        in_place: Folders of small files, which take less time to read in place than to copy. In a
            copy they are links; none of the files lies in one of them.
        stand_ins: Other entries of a directory whose files are copied, each with whether it is a
            directory. Empty ones in the copy let a build say of them what it always says.
    """

    files: tuple[Path, ...]
    in_place: tuple[Path, ...] = ()
    stand_ins: tuple[tuple[Path, bool], ...] = ()


def files_to_copy(survey: Survey, manual_dir: Path, source: str | None) -> ToCopy:
    """The files that a build would read at random.

    An archive of images in gzip is not copied: it is read once, from its beginning to its end, and
    unpacked to scratch space in any case. Boxes are copied only with images: alone, they are read
    once, before all else.

    Args:
        survey: What is staged.
        manual_dir: Where it is staged.
        source: The kind of source asked for (`--source`), or None.

    Returns:
        The files; none where there is nothing to build or nothing worth copying.

    Raises:
        SourceError: A source that would be read is not whole.
        OSError: A directory cannot be read.
    """
    taken = list(_taken(survey, source))
    files: dict[Path, None] = {}
    stand_ins: dict[Path, bool] = {}
    in_place: dict[Path, None] = {}
    for found in taken:
        copies = kinds.kind(found.kind).copies(found)
        files |= dict.fromkeys((*copies.archives, *copies.beside))
        in_place |= dict.fromkeys(copies.linked)
        for directory in copies.stood_in_for:
            if directory == manual_dir:  # Other datasets may be staged there.
                continue
            with os.scandir(directory) as entries:
                stand_ins |= {directory / entry.name: entry.is_dir() for entry in entries}
    if not copied_of(taken) or not _can_be_links(in_place, [*files, *stand_ins], manual_dir):
        return ToCopy((), tuple(in_place))
    others = sorted((path, is_dir) for path, is_dir in stand_ins.items() if path not in files)
    return ToCopy(tuple(files), tuple(in_place), tuple(others))


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


def _can_be_links(in_place: Iterable[Path], others: Iterable[Path], manual_dir: Path) -> bool:
    """Whether nothing would be copied to behind a link of the copy, and so into the original."""
    links = set(in_place)
    behind = {*others, *links}
    return manual_dir not in links and not any(links & set(path.parents) for path in behind)


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
