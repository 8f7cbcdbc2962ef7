"""Rows of the images and of the annotations in a zip archive of ILSVRC2012, such as Kaggle's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import voc, zip_large, zip_members
from imagenet_builders.labels.image_names import Annotated, Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import is_system_file
from imagenet_builders.sources.box_archives import (
    Xml,
    XmlBatch,
    box_schema,
    parse_batch,
    without_repeats,
)
from imagenet_builders.sources.columns import number_array
from imagenet_builders.sources.indexing import Prepared, in_batches, run_for_table
from imagenet_builders.sources.rows import Rows, SourceFile, check_not_too_many, opened
from imagenet_builders.sources.trees import class_folder
from imagenet_builders.sources.unpacking import Means

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_BATCH_BYTES = 4 << 20

# Annotations are small, and lie side by side.
_WINDOW_BYTES = 256 << 10


def prepare_images(found: Found, naming: Naming, workers: Means, *, strict: bool) -> Prepared:
    """Prepares an archive to be indexed; see `PrepareImages`. Members are read in place."""
    file = SourceFile.of(found.paths[0], found.copies)
    return Prepared((file,), lambda: _image_rows(file, naming, found.inside))


def _image_rows(file: SourceFile, naming: Naming, inside: str) -> pa.Table:
    """A table of `row_schema()` and the columns `packed` and `crc` of the kind."""
    import numpy as np
    import pyarrow as pa

    rows = Rows()
    packed: list[int] = []
    crcs: list[int] = []
    with opened(file) as fd:
        for member in zip_large.list_inside(fd, file.path, inside):
            row = _row_of(file.path, naming, member.name, member.header_offset)
            if row is None:
                rows.pass_over(member.name)
                continue
            rows.add(*row, 0, member.offset, member.size, member.file_name)
            packed.append(member.compressed_size if member.method == "deflated" else 0)
            crcs.append(member.crc)
            check_not_too_many(file.path, len(rows))
    stored = np.array(packed, np.int64)
    sizes = np.where(stored > 0, stored, np.array(rows.sizes, np.int64))
    _check_apart(file.path, np.array(rows.offsets, np.int64), sizes)
    table = rows.table()
    for name, column in (("packed", stored), ("crc", np.array(crcs, np.int64))):
        table = table.append_column(name, number_array(column, pa.int64()))
    return table


def _row_of(path: str, naming: Naming, name: str, at: int) -> tuple[str, int] | None:
    """Key and label of the image that a member is by its name; None for a file of a system.

    Raises:
        ArchiveError: The member does not belong among the images.
    """
    try:
        return naming.row_of_file(name.rpartition("/")[2], class_folder(name))
    except ValueError as error:
        if is_system_file(name):
            return None
        raise _unexpected(path, name, at, str(error)) from None


def rows_by_names(file: SourceFile, naming: Naming, inside: str) -> Rows:
    """The images by the directory of an archive alone, by the rule of a build for their names.

    Args:
        file: The archive.
        naming: What the names of the images say.
        inside: As in `Found`.

    Returns:
        Their rows, whose offsets are those of their headers.

    Raises:
        ArchiveError: A build will refuse the archive.
    """
    rows = Rows()
    with opened(file) as fd:
        for entry in zip_large.list_names(fd, file.path, inside):
            row = _row_of(file.path, naming, entry.filename, entry.header_offset)
            if row is None:
                rows.pass_over(entry.filename)
            else:
                name = entry.filename.rpartition("/")[2]
                rows.add(*row, 0, entry.header_offset, entry.file_size, name)
    return rows


def check_annotations(file: SourceFile, naming: Naming, inside: str) -> None:
    """Applies the rule of a build to the names of annotations, by the directory alone.

    Args:
        file: The archive.
        naming: What the names of the annotations say of images.
        inside: As in `Found`.

    Raises:
        ArchiveError: A build will refuse the archive.
    """
    with opened(file) as fd:
        for entry in zip_large.list_names(fd, file.path, inside):
            _annotated(file.path, naming, entry.filename, entry.header_offset)


def _check_apart(path: str, offsets: np.ndarray, sizes: np.ndarray) -> None:
    """Refuses members of which one lies in another, as in an archive that is made to deceive."""
    import numpy as np

    order = np.argsort(offsets)
    inside = np.flatnonzero((offsets + sizes)[order][:-1] > offsets[order][1:])
    if len(inside):
        raise ArchiveError(
            path,
            "this member is inside the one before it, so the archive is damaged or made to deceive",
            offset=int(offsets[order][inside[0] + 1]),
        )


def prepare_boxes(found: Found, naming: Naming, workers: Means, scratch: Path) -> Prepared:
    """Prepares the annotations in an archive to be indexed; see `kind.PrepareBoxes`."""
    del scratch
    file = SourceFile.of(found.paths[0], found.copies)

    def make() -> pa.Table:
        with opened(file) as fd:
            batches = (
                XmlBatch(file.path, batch, naming.ids)
                for batch in in_batches(
                    _annotations(fd, file.path, naming, found.inside),
                    _BATCH_BYTES,
                    lambda xml: len(xml.data),
                )
            )
            table = run_for_table(workers, parse_batch, batches, schema=box_schema())
        return without_repeats(table, file.path)

    return Prepared((file,), make)


def _annotations(fd: int, path: str, naming: Naming, inside: str) -> Iterator[Xml]:
    for member in zip_large.list_inside(fd, path, inside, window=_WINDOW_BYTES):
        image = _annotated(path, naming, member.name, member.header_offset)
        if image is None:
            continue
        data = zip_members.read(fd, path, member, limit=voc.MAX_BYTES)
        yield Xml(member.name, image, member.offset, data)


def _annotated(path: str, naming: Naming, name: str, at: int) -> Annotated | None:
    """The image of the annotation that a member is by its name; None for a file of a system."""
    if is_system_file(name):
        return None
    try:
        return naming.annotated(name.rpartition("/")[2])
    except ValueError as error:
        raise _unexpected(path, name, at, str(error)) from None


def _unexpected(path: str, name: str, at: int, reason: str) -> ArchiveError:
    return ArchiveError(
        path,
        f"this member does not belong in the archive: {reason}; "
        "check that this is the official archive, unaltered",
        member=name,
        offset=at,
    )
