"""Counts Tiny ImageNet for `check`, from names alone and by the rules of a build."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from imagenet_builders import labels
from imagenet_builders.datasets.tiny_imagenet.archives import Archive, tar_files, zip_files
from imagenet_builders.datasets.tiny_imagenet.contents import Contents
from imagenet_builders.datasets.tiny_imagenet.folder import Folder
from imagenet_builders.datasets.tiny_imagenet.layouts import ARCHIVES, NAME, PACKED
from imagenet_builders.datasets.tiny_imagenet.names import ANNOTATIONS, boxes_file
from imagenet_builders.errors import SourceError
from imagenet_builders.locate.found import Found
from imagenet_builders.sources.inspection import ERROR, WARNING, Counted, Inspection, Problem
from imagenet_builders.sources.kind import Expected
from imagenet_builders.sources.rows import SourceFile

# Split to the files with its boxes, in words.
_BOXES_OF = {"train": f"file such as {boxes_file('n01443537')}", "validation": ANNOTATIONS}
"""Split to the files with its boxes, in words."""


def contents_of(found: Found, file: SourceFile) -> Contents:
    """The contents of a source.

    Args:
        found: The source.
        file: Its file, unpacked where it is compressed; of no account for a folder.
    """
    label_of = labels.space(NAME).id_of
    path = found.paths[0]
    if path.name not in ARCHIVES:
        return Folder(path, label_of)
    return Archive(file, label_of, zip_files if found.kind == "zip" else tar_files)


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts the images of a split by their names; see `Dataset.count`."""
    del inspected, expected
    if found.kind == PACKED:
        return Counted(), []
    try:
        contents = contents_of(found, SourceFile.of(found.paths[0]))
        counted = Counted(contents.counts()[found.split], contents.classes(found.split))
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
