"""The kind of source `squashfs`: an image of a folder of images, which is read without mounting it.

Source: Linux, `fs/squashfs/squashfs_fs.h`; what is in a superblock.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError, ImagenetBuildersError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats import signatures
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.glimpse import Glimpse
from imagenet_builders.locate.listing import LIST_ENDING, WNID, is_system_file
from imagenet_builders.locate.search import Match, Place, named_files
from imagenet_builders.sources.columns import number_array
from imagenet_builders.sources.indexing import Prepared, Runner
from imagenet_builders.sources.inspection import (
    WARNING,
    Counted,
    Inspection,
    Problem,
    Wrong,
    foreign,
    refused,
)
from imagenet_builders.sources.kind import Expected, Kind
from imagenet_builders.sources.reader import Access, Fill, ImageRow, Reader, columns
from imagenet_builders.sources.rows import (
    WHOLE_FILE,
    Rows,
    SourceFile,
    check_not_too_many,
    place_to_open,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from imagenet_builders.formats.squashfs.image import Member, SquashFSImage

# In an image of no more files and folders, `check` reads all names.
_MAX_LISTED = 20_000

# So many names show what is in it.
_GLIMPSED = 8

_MAGIC = b"hsqs"
_BYTES_USED = struct.Struct("<40xQ")
_INODES = struct.Struct("<4xI")


# So deep lies the folder of a split in an image of all of them.
_MAX_DEPTH = 6


def recognise(place: Place) -> Iterator[Match]:
    """Recognises images by their names, and splits in them by their folders; see `Recognise`."""
    pattern = place.layout.folders.get(place.part)
    for match in named_files(place):
        if pattern is None:
            yield match
            continue
        path = match.paths[0]
        try:
            folder = _folder_in(path, re.compile(pattern, re.IGNORECASE))
        except ImagenetBuildersError as error:
            yield match._replace(problem=str(error))
            continue
        if folder is not None:
            yield match._replace(where=f"{path}, {folder}/", inside=folder)


def _folder_in(path: Path, pattern: re.Pattern[str]) -> str | None:
    """The folder of a split in an image: the first one that is nearest to its root, or None."""

    def is_above(folder: str) -> bool:
        name = folder.rpartition("/")[2]
        is_deep = folder.count("/") >= _MAX_DEPTH
        return not (is_deep or WNID.fullmatch(name) or pattern.fullmatch(folder))

    with _open(SourceFile.of(path)) as image:
        found = filter(pattern.fullmatch, image.folders(is_above))
        return min(found, key=lambda folder: (folder.count("/"), folder), default=None)


def prepare_images(found: Found, naming: Naming, workers: Runner, *, strict: bool) -> Prepared:
    """Prepares an image to be indexed; see `PrepareImages`.

    It is listed in this process: a chain of directories, each known from the one before.
    """
    file = SourceFile.of(found.paths[0], found.copies)
    return Prepared((file,), lambda: _rows(file, naming, found.inside))


def _rows(file: SourceFile, naming: Naming, inside: str) -> pa.Table:
    """The rows of the images in a SquashFS image.

    As in folders, what lies beside class folders is passed over with a warning. So is a list of the
    files: nobody can remove it from an image.

    Args:
        file: The image.
        naming: What the names of the images say.
        inside: The folder that has them, as in `Found`.

    Returns:
        A table of `row_schema()` and the columns `name` and `reference`.

    Raises:
        ArchiveError: It is damaged, or holds something else.
        OptionError: A package to unpack it is not installed.
    """
    import numpy as np
    import pyarrow as pa

    rows = Rows()
    references: list[int] = []
    for member in _listed(file):
        if not _is_inside(member.path, inside):
            continue
        folder, _, name = member.path.rpartition("/")
        folder = folder.rpartition("/")[2]
        in_class = folder if WNID.fullmatch(folder) else None
        is_beside = naming.is_train and in_class is None and not naming.is_image(name)
        if is_beside or name.lower().endswith(LIST_ENDING) or is_system_file(member.path):
            rows.pass_over(member.path)
            continue
        try:
            if member.kind != "file":
                raise ValueError(f"a {member.kind} where only plain files belong")
            key, label = naming.row_of_file(name, in_class)
        except ValueError as error:
            raise ArchiveError(
                file.path,
                f"this file does not belong in the image: {error}; check what it was made of",
                member=member.path,
            ) from None
        rows.add(key, label, 0, WHOLE_FILE, member.size, member.path)
        check_not_too_many(file.path, len(rows))
        references.append(member.reference)
    if not rows:
        raise ArchiveError(file.path, f"there are no {naming.expected} in it; check what it is")
    column = number_array(np.array(references, np.int64), pa.int64())
    return rows.table().append_column("reference", column)


def _is_inside(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def classes(found: Found, workers: object) -> tuple[str, ...]:
    """The class folders in an image."""
    del workers
    file = SourceFile.of(found.paths[0], found.copies)
    paths = (member.path for member in _listed(file))
    folders = {path.rpartition("/")[0] for path in paths if _is_inside(path, found.inside)}
    names = {folder.rpartition("/")[2] for folder in folders}
    return tuple(sorted(name for name in names if WNID.fullmatch(name)))


def read(reader: Reader, rows: pa.Table) -> Iterator[ImageRow]:
    """Reads images by the references of their inodes; see `Access.read`."""
    names = ("key", "label", "file", "size", "name", "reference")
    for key, label, file, size, name, reference in columns(rows, *names):
        name = name or key
        data = reader.opened(file, _open).read(reference, size, name)
        reader.bytes_read += size
        yield ImageRow(key, label, os.path.join(reader.files[file].path, name), 0, data)


def fill(reader: Reader, rows: pa.Table) -> Fill:
    """Reads images as `read` does into buffers; see `Access.fill`."""
    images = columns(rows, "key", "file", "size", "name", "reference")

    def fill_next(buffer: memoryview) -> bool:
        key, file, size, name, reference = next(images)
        image = reader.opened(file, _open)
        if size != len(buffer) or not image.read_into(reference, buffer):
            data = image.read(reference, size, name or key)
            if len(data) != len(buffer):
                return False
            buffer[:] = data
        reader.bytes_read += size
        return True

    return fill_next


def ranges(reader: Reader, rows: pa.Table) -> Iterator[tuple[int, int, int]]:
    """Where images lie, as their inodes say; see `Access.ranges`."""
    # As the inodes lie, so that each block of them is read once.
    rows = rows.sort_by([("file", "ascending"), ("reference", "ascending")])
    for file, reference, size in columns(rows, "file", "reference", "size"):
        for start, length in reader.opened(file, _open).ranges(reference, size):
            yield file, start, length


def _open(file: SourceFile) -> SquashFSImage:
    from imagenet_builders.formats.squashfs.image import SquashFSImage

    with place_to_open(file) as place:
        return SquashFSImage(place, file.path)


def _listed(file: SourceFile) -> Iterator[Member]:
    from imagenet_builders.formats.squashfs.image import list_files

    with place_to_open(file) as place:
        yield from list_files(place, file.path)


def glimpse(path: Path, inside: str = "") -> Glimpse:
    """The first names in the folder of images; what is damaged shows nothing."""
    from imagenet_builders.formats.squashfs.image import list_files

    names: list[str] = []
    try:
        for member in list_files(path):
            if _is_inside(member.path, inside):
                names.append(member.path)
                if len(names) == _GLIMPSED:
                    break
    except (ImagenetBuildersError, OSError):  # Indexing it says so.
        pass
    return Glimpse(path, names=tuple(names))


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, None]:
    """What is wrong with the superblock of an image; see `Kind.inspect`."""
    block = os.pread(fd, signatures.BYTES, 0)
    other = foreign(block, "a SquashFS image", signatures.SQUASHFS)
    if other is not None:
        return other, None
    if not block.startswith(_MAGIC) or len(block) < _BYTES_USED.size:
        return Wrong("a SquashFS image", signatures.described(block)), None
    (used,) = _BYTES_USED.unpack_from(block)
    if used <= size:
        return None, None
    return Wrong(
        f"a SquashFS image of {used:,} bytes, as it says itself",
        f"{size:,} bytes",
        "the copy was cut off or is not done yet",
    ), None


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Says where an image has fewer files than there should be images; see `Kind.count`."""
    with os.fdopen(open_regular(found.paths[0], follow=True), "rb") as file:
        (inodes,) = _INODES.unpack(file.read(_INODES.size))
    counted = Counted(unread=f"the names in {found.paths[0]}")
    if expected.naming is not None and inodes <= _MAX_LISTED:
        image = SourceFile.of(found.paths[0])
        try:
            images = _rows(image, expected.naming, found.inside).num_rows
            # Where nobody knows how many images there should be, the classes tell what lacks.
            there = classes(found, None) if expected.images is None else ()
            counted = Counted(images, frozenset(there) or None)
        except ImagenetBuildersError as error:
            return Counted(), [refused(error, found.paths[0])]
    files = inodes if counted.images is None else counted.images
    if expected.images is None or files >= expected.images:
        return counted, []
    how = "files and folders, as its first bytes say" if counted.images is None else "images"
    return counted, [
        Problem(
            WARNING,
            str(found.paths[0]),
            f"{expected.images:,} images",
            f"{files:,} {how}",
            "a subset, or an image that was made of a copy that was not finished",
            "make it again, or build without what is missing; --strict refuses it",
        )
    ]


KIND = Kind(
    name="squashfs",
    recognise=recognise,
    access=Access(read, ranges, fill),
    images=prepare_images,
    classes=classes,
    glimpse=glimpse,
    inspect=inspect,
    count=count,
)
