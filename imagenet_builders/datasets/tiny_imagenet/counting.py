"""Counts Tiny ImageNet for `check`, from names alone and by the rules of a build."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping
from pathlib import Path

from imagenet_builders import labels
from imagenet_builders.datasets.tiny_imagenet.archives import (
    Archive,
    tar_files,
    zip_files,
    zip_files_at_once,
)
from imagenet_builders.datasets.tiny_imagenet.contents import Contents
from imagenet_builders.datasets.tiny_imagenet.folder import Folder
from imagenet_builders.datasets.tiny_imagenet.layouts import NAME, PACKED, UNPACKED, ZIP
from imagenet_builders.datasets.tiny_imagenet.names import ANNOTATIONS, boxes_file
from imagenet_builders.datasets.tiny_imagenet.split_boxes import MISSING_TEXT, boxes_of, check_once
from imagenet_builders.errors import SourceError
from imagenet_builders.locate.found import Found
from imagenet_builders.sources.inspection import ERROR, WARNING, Counted, Inspection, Problem
from imagenet_builders.sources.kind import Expected
from imagenet_builders.sources.rows import SourceFile

_BOXES_OF = {"train": f"file such as {boxes_file('n01443537')}", "validation": ANNOTATIONS}
"""Split to the files with its boxes, in words."""


def contents_of(found: Found, file: SourceFile, *, at_once: bool = False) -> Contents:
    """The contents of a source.

    Args:
        found: The source.
        file: Its file, unpacked where it is compressed; of no account for a folder.
        at_once: Whether NumPy may look at all members at once; `check` does without.
    """
    label_of = labels.space(NAME).id_of
    if found.kind == UNPACKED:
        return Folder(found.paths[0], label_of)
    of_zip = zip_files_at_once if at_once else zip_files
    return Archive(file, label_of, of_zip if found.kind == ZIP else tar_files)


@functools.lru_cache(maxsize=1)
def _of_archive(found: Found, file: SourceFile) -> Contents:
    """The contents of an archive, which are listed once for all splits."""
    return contents_of(found, file)


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts the images of a split by their names; see `Dataset.count`."""
    del inspected, expected
    if found.kind == PACKED:
        return Counted(unread=f"the names in {found.paths[0]}"), []
    try:
        file = SourceFile.of(found.paths[0])
        opened = contents_of if found.kind == UNPACKED else _of_archive
        contents = opened(dataclasses.replace(found, split=""), file)
        counted = Counted(contents.counts()[found.split], contents.classes(found.split))
        name = contents.lacking_text(found.split) if counted.images else None
        if name is not None:
            raise contents.error(name, MISSING_TEXT)
        if found.split == "validation":  # The others have their classes from their paths, or none.
            boxes_of(found.split, contents.images(found.split), contents)
        elif found.kind != UNPACKED:  # Of a folder, that would look at each file.
            check_once(contents.images(found.split), contents)
    except SourceError as error:
        return Counted(), [
            Problem(
                ERROR,
                str(found.paths[0]),
                f"all of it ({found.layout})",
                str(error),
                "",
                "see the reason given",
            )
        ]
    lacking = without_boxes(contents, found.split, counted.classes or ())
    if counted.images and lacking is not None:
        return counted, [
            Problem(
                WARNING,
                str(found.paths[0]),
                f"the boxes of {found.split}",
                lacking,
                "a script that sorted the images left them out",
                "copy them from the official archive, or build without them",
            )
        ]
    return counted, []


def without_boxes(contents: Contents, split: str, wnids: Collection[str]) -> str | None:
    """What is missing where there are no boxes of a split, or None.

    Args:
        contents: The contents of the source.
        split: A split that has images.
        wnids: The classes of its images, where their paths tell them.
    """
    if split not in _BOXES_OF or contents.has_boxes(split, wnids):
        return None
    return f"there is no {_BOXES_OF[split]}, so every bbox of {split} will be zeros"
