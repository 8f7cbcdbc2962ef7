"""The kind of source `tar.gz`: tars in gzip, of annotations, or of images that must be unpacked."""

from __future__ import annotations

import os
from pathlib import Path

from imagenet_builders.formats import tar_header
from imagenet_builders.locate.found import Found
from imagenet_builders.sources import box_archives, tar_archives
from imagenet_builders.sources.inspection import Wrong
from imagenet_builders.sources.kind import Copies, Kind

# Images are compressed already, so a tar of them is 1 to 5 % larger than its gzip file.
_GROWTH = 1.1


def unpacked_bytes(size: int) -> int:
    """Bytes that unpacking needs at most, from the bytes of a gzip file of images.

    An estimate: a gzip file says what it unpacks to only modulo 4 GiB.
    """
    return int(size * _GROWTH)


def copies(found: Found) -> Copies:
    """What is copied: annotations only, because images are read once and unpacked in any case."""
    return Copies() if found.part == "images" else Copies(found.paths)


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, None]:
    """What is wrong with the beginning of a gzip file; see `Kind.inspect`."""
    block = os.pread(fd, tar_header.BLOCK, 0)
    # Archives of boxes may be plain tars whatever their name says; a build says if another is.
    if block.startswith(b"\x1f\x8b") or tar_archives.is_header(block):
        return None, None
    if any(block):
        return Wrong("a gzip-compressed tar archive", *tar_archives.foreign(block)), None
    return Wrong(
        "gzip data",
        "zeros at the beginning",
        "a copy into a file that was made at its full size first, which is not done yet",
    ), None


KIND = Kind(
    name="tar.gz",
    boxes=box_archives.prepare_boxes,
    copies=copies,
    unpacked_bytes=unpacked_bytes,
    inspect=inspect,
)
