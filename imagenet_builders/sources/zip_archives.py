"""The kind of source `zip`: images that are members of a zip archive, or arrays in one.

The rows of images have the columns `packed` (int64: bytes of the image as it lies in the archive,
deflated; 0 where it is not) and `crc` (int64: its CRC-32).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import zip_large
from imagenet_builders.labels.image_names import IMAGE_FILE, Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import is_system_file
from imagenet_builders.locate.search import Match, Place, named_files
from imagenet_builders.sources import duplicates, npz_files, zip_images, zip_inspection
from imagenet_builders.sources.inspection import (
    Counted,
    Inspection,
    Problem,
    Wrong,
    refused,
)
from imagenet_builders.sources.kind import Expected, Kind, boxes_unread
from imagenet_builders.sources.reader import Access, ImageRow, Reader, columns
from imagenet_builders.sources.rows import SourceFile, check_image_size, opened

if TYPE_CHECKING:
    import pyarrow as pa

# A folder in archives of all of ILSVRC2012, which have millions of members.
_TREE = "CLS-LOC"

# In an archive of no more members, `check` reads all names; more take seconds.
_MAX_LISTED = 100_000

_CLASS = re.compile(r"(n[0-9]{8})(?:_[0-9]+\.|/)")


def recognise(place: Place) -> Iterator[Match]:
    """Recognises archives by their names, and parts in them by their folders; see `Recognise`.

    Where members are too many to be looked at, an archive has all parts until a build reads it.
    """
    inside = place.layout.inside.get(place.part, "")
    for match in named_files(place):
        if not inside or _may_have(match.paths[0], inside):
            yield match


def _may_have(path: Path, inside: str) -> bool:
    try:
        file = SourceFile.of(path)
        if _has_too_many(file):
            return True
        with opened(file) as fd:
            entries = zip_large.list_names(fd, file.path, inside)
            return any(not is_system_file(entry.filename) for entry in entries)
    except (SourceError, OSError):  # The inspection says what is wrong with it.
        return True


def read(reader: Reader, rows: pa.Table) -> Iterator[ImageRow]:
    """Reads members, and compares their checksums; see `Access.read`."""
    names = ("key", "label", "file", "offset", "size", "packed", "crc")
    for key, label, file, offset, size, packed, crc in columns(rows, *names):
        path = reader.files[file].path
        check_image_size(path, key, packed)
        data = reader.read(file, offset, packed or size)
        problem = None
        try:
            data = member_bytes(data, size=size, crc=crc, deflated=packed > 0)
        except ValueError as error:
            problem = str(error)
        yield ImageRow(key, label, path, offset, data, problem)


def ranges(reader: Reader, rows: pa.Table) -> Iterator[tuple[int, int, int]]:
    """Where members lie; see `Access.ranges`."""
    for file, offset, size, packed in columns(rows, "file", "offset", "size", "packed"):
        yield file, offset, packed or size


def member_bytes(data: bytes, *, size: int, crc: int, deflated: bool) -> bytes:
    """The bytes of a zip member from those that are stored.

    Args:
        data: As they are stored.
        size: Bytes of the member itself; no more than one more is ever made.
        crc: CRC-32 of the member itself.
        deflated: Whether they are compressed.

    Returns:
        The member.

    Raises:
        ValueError: They cannot be inflated to that size, or have another CRC-32.
    """
    if deflated:
        inflater = zlib.decompressobj(-15)
        try:
            data = inflater.decompress(data, size + 1)
        except zlib.error as error:
            raise ValueError(f"its compressed data are damaged ({error})") from None
        if len(data) != size or not inflater.eof or inflater.unused_data:
            raise ValueError(
                f"its compressed data are damaged: they do not make {size:,} bytes, as the "
                "archive says"
            )
    found = zlib.crc32(data)
    if found != crc:
        raise ValueError(
            f"damaged: expected the CRC-32 {crc:08x} that the archive says, found {found:08x}"
        )
    return data


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, tuple[str, ...] | None]:
    """What is wrong with the directory of an archive, and the names in it; see `Kind.inspect`."""
    try:
        if zip_large.is_large(fd, str(path), _TREE):
            return None, None  # Its names are read where they are counted.
    except ArchiveError:
        pass  # The same is said where all of it is read.
    return zip_inspection.inspect(path, fd, size)


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts images, or arrays, by the names in the archive; see `Kind.count`."""
    if expected.files:
        return npz_files.count(found, inspected, expected)
    if found.inside and expected.naming is not None:
        return _count_inside(found, expected.naming)
    images = 0
    classes: set[str] = set()
    for name in inspected[found.paths[0]].names or ():
        *folders, last = name.split("/")
        is_wanted = not expected.folders or any(part in folders for part in expected.folders)
        if is_wanted and IMAGE_FILE.fullmatch(last):
            images += 1
            if match := _CLASS.search(name):
                classes.add(match[1])
    return Counted(images, frozenset(classes) or None), []


def _count_inside(found: Found, naming: Naming) -> tuple[Counted, list[Problem]]:
    path, file = found.paths[0], SourceFile.of(found.paths[0])
    try:
        if _has_too_many(file):
            return Counted(unread=f"the names in {path}"), []
        rows = zip_images.rows_by_names(file, naming, found.inside)
    except SourceError as error:
        return Counted(), [refused(error, path)]
    twice = duplicates.find(rows, (file,))
    if twice is not None:
        return Counted(), [refused(twice, path)]
    wnids = {key.partition("_")[0] for key in rows.keys} if naming.is_train else ()
    return Counted(len(rows), frozenset(wnids) or None), []


def count_boxes(found: Found, naming: Naming) -> tuple[Counted, list[Problem]]:
    """Looks at the names of annotations by the rule of a build; see `Kind.count_boxes`."""
    path, file = found.paths[0], SourceFile.of(found.paths[0])
    try:
        if not _has_too_many(file):
            zip_images.check_annotations(file, naming, found.inside)
    except SourceError as error:
        return Counted(), [refused(error, path)]
    return boxes_unread(found, naming)


def _has_too_many(file: SourceFile) -> bool:
    """Whether an archive has more names than are looked at."""
    with opened(file) as fd:
        return zip_large.count_members(fd, file.path) > _MAX_LISTED


KIND = Kind(
    name="zip",
    form="either",
    recognise=recognise,
    access=Access(read, ranges),
    images=zip_images.prepare_images,
    boxes=zip_images.prepare_boxes,
    copies=npz_files.copies,
    archives_in=npz_files.archives_in,
    inspect=inspect,
    count=count,
    count_boxes=count_boxes,
)
