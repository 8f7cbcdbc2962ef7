"""The kind of source `tar.gz`: compressed tars of annotations, or of images, which are unpacked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from imagenet_builders.formats import compressed_stream, tar_header
from imagenet_builders.locate.found import Found
from imagenet_builders.sources import box_archives, tar_archives
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources.inspection import Counted, Inspection, Problem, Wrong
from imagenet_builders.sources.kind import Copies, Expected, Kind
from imagenet_builders.sources.unpacking import unpacked_bytes


def copies(found: Found) -> Copies:
    """What is copied: annotations only, because images are read once and unpacked in any case."""
    return Copies() if found.part == "images" or found.inside else Copies(found.paths)


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, None]:
    """What is wrong with the beginning of a compressed file; see `Kind.inspect`."""
    block = os.pread(fd, tar_header.BLOCK, 0)
    # Archives may be plain tars whatever their name says; a build says if one is neither.
    if compressed_stream.format_of(block):
        return tar_archives.wrong_inside(path, fd), None
    if tar_archives.is_header(block):
        return None, None
    if any(block):
        return Wrong("a gzip-compressed tar archive", *tar_archives.foreign(block)), None
    return Wrong(
        "gzip data",
        "zeros at the beginning",
        "a copy into a file that was made at its full size first, which is not done yet",
    ), None


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts nothing: names come after what is compressed; see `Kind.count`."""
    del inspected, expected
    return Counted(unread=f"the names in {found.where or found.paths[0]}"), []


KIND = Kind(
    name="tar.gz",
    recognise=tar_archives.recognise,
    takes_patch=True,
    images=tar_archives.prepare_images,
    classes=tar_archives.classes,
    boxes=box_archives.prepare_boxes,
    copies=copies,
    unpacked_bytes=unpacked_bytes,
    inspect=inspect,
    not_whole=sets.not_whole,
    count=count,
)
