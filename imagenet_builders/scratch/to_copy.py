"""Which of the files that are staged a build would read: what `--stage` copies."""

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
        in_place: Folders of small files that are read where they are, which takes less time than to
            copy them. In a copy they are links; none of the files lies in one of them.
        stand_ins: What else lies in a directory of which files are copied, each with whether it is
            a directory. An empty one in the copy lets a build say of it what it always says.
    """

    files: tuple[Path, ...]
    in_place: tuple[Path, ...] = ()
    stand_ins: tuple[tuple[Path, bool], ...] = ()


def files_to_copy(survey: Survey, manual_dir: Path, source: str | None) -> ToCopy:
    """The files that a build would read at random.

    An archive of images in gzip is read once, from its beginning to its end, and unpacked to
    scratch space in any case, so that it is not copied. Nor are boxes for images of which none is:
    they are read once, before all else.

    Args:
        survey: What is staged.
        manual_dir: Where.
        source: The kind of source asked for (`--source`), or None.

    Returns:
        The files; none where there is nothing to build or nothing worth copying.

    Raises:
        SourceError: What would be read is not whole.
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
            if directory == manual_dir:  # What else is there is others' business.
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
    """Whether nothing of a copy would lie behind a link in it, that is in the original."""
    links = set(in_place)
    behind = {*others, *links}
    return manual_dir not in links and not any(links & set(path.parents) for path in behind)


def archives_of(found: Found) -> tuple[Path, ...]:
    """The archives that are read at random where something is built from.

    Args:
        found: What it is built from.

    Returns:
        The files; none for folders of small files, and for an archive that is unpacked.

    Raises:
        OSError: A directory cannot be read.
    """
    return kinds.kind(found.kind).copies(found).archives


def _taken(survey: Survey, source: str | None) -> Iterator[Found]:
    """What a build takes, as `choosing.choose` and `choose_boxes` do."""
    for split, found in survey.found.items():
        boxes = survey.boxes.get(split)
        images = preferred(found, source)
        if images is None or (boxes is None and survey.needs_boxes):
            continue
        yield images
        if boxes is not None and (annotations := preferred(boxes, None)) is not None:
            yield annotations
