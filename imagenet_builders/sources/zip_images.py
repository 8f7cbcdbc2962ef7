"""Rows of the images and of the annotations in a zip archive of ILSVRC2012, such as Kaggle's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import voc, zip_large, zip_members
from imagenet_builders.formats.zip_members import ZipMember
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import is_system_file
from imagenet_builders.sources.box_archives import (
    Xml,
    XmlBatch,
    box_schema,
    parse_batch,
    without_repeats,
)
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
            try:
                key, label = naming.row_of_file(member.file_name, class_folder(member.name))
            except ValueError as error:
                if is_system_file(member.name):
                    rows.pass_over(member.name)
                    continue
                raise _unexpected(file.path, member, str(error)) from None
            rows.add(key, label, 0, member.offset, member.size, member.file_name)
            packed.append(member.compressed_size if member.method == "deflated" else 0)
            crcs.append(member.crc)
            check_not_too_many(file.path, len(rows))
    stored = np.array(packed, np.int64)
    sizes = np.where(stored > 0, stored, np.array(rows.sizes, np.int64))
    _check_apart(file.path, np.array(rows.offsets, np.int64), sizes)
    table = rows.table()
    for name, column in (("packed", stored), ("crc", np.array(crcs, np.int64))):
        table = table.append_column(name, pa.array(column))
    return table


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
        if is_system_file(member.name):
            continue
        try:
            image = naming.annotated(member.file_name)
        except ValueError as error:
            raise _unexpected(path, member, str(error)) from None
        data = zip_members.read(fd, path, member, limit=voc.MAX_BYTES)
        yield Xml(member.name, image, member.offset, data)


def _unexpected(path: str, member: ZipMember, reason: str) -> ArchiveError:
    return ArchiveError(
        path,
        f"this member does not belong in the archive: {reason}; "
        "check that this is the official archive, unaltered",
        member=member.name,
        offset=member.header_offset,
    )
