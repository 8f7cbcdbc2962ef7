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

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import zip_directory, zip_large
from imagenet_builders.labels.image_names import IMAGE_FILE
from imagenet_builders.locate.found import Found
from imagenet_builders.sources import npz_files, zip_images
from imagenet_builders.sources.inspection import Counted, Inspection, Problem, Wrong
from imagenet_builders.sources.kind import Expected, Kind
from imagenet_builders.sources.reader import Access, ImageRow, Reader, columns
from imagenet_builders.sources.rows import check_image_size

if TYPE_CHECKING:
    import pyarrow as pa

# A folder in archives of all of ILSVRC2012, which have millions of members.
_TREE = "CLS-LOC"

_CLASS = re.compile(r"(n[0-9]{8})(?:_[0-9]+\.|/)")


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
            return None, None  # Its names are too many to be read here.
        place = zip_directory.Place(fd, str(path), 0, None, None)
        entries = zip_directory.read_directory(place, *zip_directory.find_directory(place))
    except zip_directory.NotReadError as error:
        found, _, action = error.problem.partition("; ")
        of_member = f" (member {error.member!r})" if error.member else ""
        expected = "a zip archive of plain files, stored or deflated"
        return Wrong(expected, found + of_member, "", action or "check where it comes from"), None
    except ArchiveError as error:
        at = "" if error.offset is None else f", at byte {error.offset:,}"
        return Wrong(
            "a zip archive with its directory at the end",
            f"{error.problem}{at}",
            "the copy was cut off, is not done yet, or was damaged",
        ), None
    return None, tuple(entry.filename for entry in entries)


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts images, or arrays, by the names in the archive; see `Kind.count`."""
    if expected.files:
        return npz_files.count(found, inspected, expected)
    if found.inside:
        return Counted(), []
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


KIND = Kind(
    name="zip",
    form="either",
    access=Access(read, ranges),
    images=zip_images.prepare_images,
    boxes=zip_images.prepare_boxes,
    copies=npz_files.copies,
    archives_in=npz_files.archives_in,
    inspect=inspect,
    count=count,
)
