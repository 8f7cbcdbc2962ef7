"""Rows of the annotations in an archive of VOC XML files, one row an image.

Half a million small files in a gzip-compressed tar: headers and bodies take 0.8 GB, of which the
boxes are 2 %. The archive is unpacked to an anonymous file in scratch space, which is gone when it
is closed or the process ends, so that it is walked with the same strictness as any other tar. The
annotations are handed out in batches, to be parsed by as many processes as there are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from imagenet_builders.errors import ArchiveError
from imagenet_builders.files.own_dir import enter_own
from imagenet_builders.formats import compressed_stream, member_names, tar, voc
from imagenet_builders.formats.gzip_stream import StreamError
from imagenet_builders.labels.image_names import Annotated, Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.sources.columns import list_array, number_array, numbers_in, text_array
from imagenet_builders.sources.indexing import Prepared, run_for_table
from imagenet_builders.sources.rows import SourceFile, open_file, row_schema
from imagenet_builders.sources.trees import path_inside
from imagenet_builders.sources.unpacking import Means, plain_tars

if TYPE_CHECKING:
    import pyarrow as pa

MAX_UNPACKED_BYTES = 8 << 30
"""Bound on a compressed archive once it is unpacked; the official one for train has 0.8 GB."""
MAX_GROWTH = 200
"""So many times its size a compressed archive may have once it is unpacked, beside 64 MiB; small
XML files, in a tar that is mostly padding, have some 40, zeros 1,000."""

_HEAD_BYTES = 8
_WNID = re.compile(r"n[0-9]{8}")

# Less than this is parsed in this process: starting one takes as long.
_SMALL_BYTES = 256 << 10

# Enough for a worker to be busy for a tenth of a second.
_BATCH_FILES = 2048
_BATCH_BYTES = 4 << 20


class Xml(NamedTuple):
    """An annotation as it lies in an archive.

    Attributes:
        name: Of the member.
        image: What its name says of its image.
        offset: Of its bytes in the archive, unpacked.
        data: Its bytes.
    """

    name: str
    image: Annotated
    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class XmlBatch:
    """Some annotations to be parsed.

    Attributes:
        archive: What to call the archive in messages.
        files: The annotations.
        labels: Wnid to label, of all classes of the dataset.
    """

    archive: str
    files: tuple[Xml, ...]
    labels: Mapping[str, int]


@contextlib.contextmanager
def opened(file: SourceFile, scratch: Path) -> Iterator[tuple[int, str]]:
    """Opens an archive, through an unpacked copy if it is compressed.

    Args:
        file: The archive, compressed or not, whatever its name says.
        scratch: Directory for the copy; made if need be.

    Yields:
        A descriptor of the tar, and what to call it in messages.

    Raises:
        ArchiveError: The compressed data are damaged, cut off, or too large.
        SourceError: The file changed since `file` was made.
        OSError: It cannot be read, or there is no room for the copy.
    """
    with os.fdopen(open_file(file), "rb", buffering=0) as source:
        file.check_unchanged(source.fileno())
        form = compressed_stream.format_of(os.pread(source.fileno(), _HEAD_BYTES, 0))
        if form is None:
            yield source.fileno(), file.path
            return
        with enter_own(scratch, make=True) as directory:
            unnamed = directory.open_anonymous()
        with os.fdopen(unnamed, "r+b", buffering=0) as copy:
            _unpack(source, form, copy, file.path, scratch)
            yield copy.fileno(), f"{file.path} (unpacked)"


def prepare_boxes(found: Found, naming: Naming, workers: Means, scratch: Path) -> Prepared:
    """Prepares an archive of annotations to be indexed; see `kind.PrepareBoxes`.

    An archive that has images, too, is unpacked for these in any case.
    """
    archive = SourceFile.of(found.paths[0], found.copies)
    file = plain_tars([archive], workers)[0] if found.inside else archive

    def make() -> pa.Table:
        with opened(file, scratch) as (fd, name):
            table = run_for_table(
                workers,
                parse_batch,
                xml_batches(fd, name, naming, found.inside),
                in_process=file.size < _SMALL_BYTES,
                schema=box_schema(),
            )
            return without_repeats(table, name)

    return Prepared(tuple(dict.fromkeys((file, archive))), make)


def xml_batches(fd: int, archive: str, naming: Naming, inside: str = "") -> Iterator[XmlBatch]:
    """The annotations in a tar, in its order and in batches.

    Args:
        fd: Descriptor of the tar.
        archive: What to call it in messages.
        naming: What names say of images.
        inside: As in `Found`: the folder that has the annotations, where others have other things.

    Yields:
        The batches. Directories before a name mean nothing.

    Raises:
        ArchiveError: The archive is damaged, holds something else than annotations, or one of more
            than `voc.MAX_BYTES`.
    """
    batch: list[Xml] = []
    size = 0
    for member in tar.walk(fd, archive):
        if member.kind == "directory" or (inside and not path_inside(member.name, inside)):
            continue
        image = _image_of(archive, member, naming)
        if member.size > voc.MAX_BYTES:
            raise ArchiveError(
                archive,
                f"expected an annotation of at most {voc.MAX_BYTES:,} bytes, found one of "
                f"{member.size:,}; check that this is the official archive, unaltered",
                member=member.name,
                offset=member.header_offset,
            )
        data = os.pread(fd, member.size, member.offset)
        batch.append(Xml(member.name, image, member.offset, data))
        size += member.size
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield XmlBatch(archive, tuple(batch), naming.ids)
            batch, size = [], 0
    if batch:
        yield XmlBatch(archive, tuple(batch), naming.ids)


def parse_batch(batch: XmlBatch, report: Callable[[int, int], None]) -> pa.Table:
    """The rows of some annotations.

    Args:
        batch: Which.
        report: Not used; the signature is that of every job of the workers.

    Returns:
        A table of `box_schema()`, a row an annotation, in their order.

    Raises:
        ArchiveError: An annotation cannot be read.
    """
    columns: dict[str, list[Any]] = {name: [] for name in box_schema().names}
    for xml in batch.files:
        try:
            boxes = voc.relative(voc.parse(xml.data))
        except voc.AnnotationError as error:
            raise ArchiveError(
                batch.archive,
                f"this is not an annotation that can be read: {error}; "
                "check that this is the official archive, unaltered",
                member=xml.name,
                offset=xml.offset,
            ) from None
        own, folder = xml.image.label, _folder(xml.name)
        found = [batch.labels.get(name) for name in boxes.names]
        row = {
            "key": xml.image.key,
            "label": own,
            "file": 0,
            "offset": xml.offset,
            "size": len(xml.data),
            "boxes": boxes.corners,
            "box_labels": [own if label is None else label for label in found],
            "swapped": boxes.swapped,
            "clamped": boxes.clamped,
            "empty": boxes.empty,
            "unnamed": found.count(None),
            "elsewhere": bool(folder and xml.image.wnid) and folder != xml.image.wnid,
            "repeats": 0,
        }
        for name, value in row.items():
            columns[name].append(value)
    return _table(columns)


def _table(columns: Mapping[str, list[Any]]) -> pa.Table:
    """A table of `box_schema()`; not by `pa.table`, see `sources.columns`."""
    import numpy as np
    import pyarrow as pa

    arrays = []
    for field in box_schema():
        values, kind = columns[field.name], field.type
        if pa.types.is_string(kind):
            arrays.append(text_array(values))
        elif pa.types.is_list(kind):
            arrays.append(list_array(values, kind))
        elif pa.types.is_boolean(kind):
            arrays.append(number_array(np.array(values, np.uint8), pa.uint8()).cast(kind))
        else:
            arrays.append(number_array(np.array(values, str(kind)), kind))
    return pa.Table.from_arrays(arrays, schema=box_schema())


def box_schema() -> pa.Schema:
    """The columns of the rows of annotations.

    Beside those of every index (`label` is the class of the image; -1 for one that the dataset does
    not have): `boxes` (list of float32: ymin, xmin, ymax, xmax of each box in turn, relative),
    `box_labels` (list of int32, one a box); and what was odd: how many of the boxes were `swapped`,
    `clamped`, or `unnamed` (their name is no class, so they got the image's), how many `empty` ones
    were left out (int32), whether the annotation lies `elsewhere` than in the folder of its image's
    class (bool), and how many `repeats` of it there were (int32).
    """
    import pyarrow as pa

    counts = [(name, pa.int32()) for name in ("swapped", "clamped", "empty", "unnamed")]
    return row_schema(
        ("boxes", pa.list_(pa.float32())),
        ("box_labels", pa.list_(pa.int32())),
        *counts,
        ("elsewhere", pa.bool_()),
        ("repeats", pa.int32()),
    )


def without_repeats(table: pa.Table, archive: str) -> pa.Table:
    """The first annotation of each image, and how often it is repeated.

    Args:
        table: A table of `box_schema()`.
        archive: What to call the archive in messages.

    Returns:
        The table without the repeats.

    Raises:
        ArchiveError: Two annotations of an image say different things.
    """
    import numpy as np

    codes = numbers_in(table["key"].combine_chunks().dictionary_encode().indices)
    _, first, positions = np.unique(codes, return_index=True, return_inverse=True)
    if len(first) == table.num_rows:
        return table
    repeats = np.zeros(table.num_rows, dtype=np.int32)
    said = table.select(["boxes", "box_labels"])
    for row in np.setdiff1d(np.arange(table.num_rows), first):
        original = first[positions[row]]
        if said.slice(row, 1).to_pylist() != said.slice(original, 1).to_pylist():
            raise ArchiveError(
                archive,
                "there are two annotations of this image, and they differ; the other one is at "
                f"byte {table['offset'][original].as_py():,}; check that this is the official "
                "archive, unaltered",
                member=table["key"][row].as_py(),
                offset=table["offset"][row].as_py(),
            )
        repeats[original] += 1
    column = table.schema.get_field_index("repeats")
    table = table.set_column(
        column, table.schema.field(column), number_array(repeats, table["repeats"].type)
    )
    return table.take(np.sort(first))


def _image_of(archive: str, member: tar.Member, naming: Naming) -> Annotated:
    """What a member's name says of its image."""
    reason = f"a {member.kind} where only plain files belong"
    if member.kind == "file":
        try:
            return naming.annotated(member_names.parts(member.name)[-1])
        except ValueError as error:
            reason = str(error)
    raise ArchiveError(
        archive,
        f"this member does not belong in the archive: {reason}; "
        "check that this is the official archive, unaltered",
        member=member.name,
        offset=member.header_offset,
    )


def _folder(name: str) -> str | None:
    """The wnid that is the name of a member's folder, or None."""
    folder = member_names.portable(name).rpartition("/")[0].rpartition("/")[2]
    return folder if _WNID.fullmatch(folder) else None


def _unpack(source: IO[bytes], form: str, copy: IO[bytes], path: str, scratch: Path) -> None:
    """Writes the content of a compressed file to another, unbuffered one."""
    most = min(MAX_UNPACKED_BYTES, (64 << 20) + MAX_GROWTH * os.fstat(source.fileno()).st_size)
    unpacked = 0
    try:
        for data in compressed_stream.pieces(source.read, form):
            unpacked += len(data)
            if unpacked > most:
                raise StreamError(
                    f"expected an archive of at most {most:,} bytes unpacked, found a larger one; "
                    "check that this is the official archive, unaltered",
                    source.tell(),
                )
            left = memoryview(data)
            while left:
                left = left[copy.write(left) :]
    except StreamError as error:
        raise ArchiveError(path, error.problem, offset=error.offset) from error.__cause__
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = f"{error.strerror} to unpack {path} in; choose another with --scratch-dir"
        raise OSError(error.errno, hint, str(scratch)) from error
