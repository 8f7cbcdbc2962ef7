"""The kind of source `parquet`: the files of `imagenet-1k` of Hugging Face.

Rows cannot be read in place (see `formats.parquet`), so each file is unpacked to a tar of its
images in scratch space, under their official names. The label of each must be that of its name.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import parquet, signatures, tar_header
from imagenet_builders.formats.gzip_stream import StreamError
from imagenet_builders.labels.image_names import NAMED_IMAGE, Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources import tar_images
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.sources.indexing import Prepared
from imagenet_builders.sources.inspection import (
    COPY_AGAIN,
    WARNING,
    Counted,
    Inspection,
    Problem,
    Wrong,
    foreign,
)
from imagenet_builders.sources.kind import Copies, Expected, Kind
from imagenet_builders.sources.rows import Rows, check_image_size
from imagenet_builders.sources.shard_sets import ShardSet, ShardsJob
from imagenet_builders.sources.unpacking import Means, Packed, unpacked_bytes

if TYPE_CHECKING:
    import pyarrow as pa

FILE = r"({})-([0-9]{{5}})-of-([0-9]{{5}})(?:-[0-9a-f]+)?\.parquet"
"""Regular expression of the name of a file of a part, with a place for its word."""

_WORDS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_FILE = re.compile(FILE.format("|".join(_WORDS)))


def file_sets(names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of files among the names in a directory, by split; other names are passed over."""
    found: dict[str, list[tuple[int, str]]] = {}
    counts: dict[str, int] = {}
    words: dict[str, str] = {}
    for name in names:
        match = _FILE.fullmatch(name)
        if match is not None:
            split = _WORDS[match[1]]
            found.setdefault(split, []).append((int(match[2]), name))
            counts[split] = max(counts.get(split, 0), int(match[3]))
            words[split] = match[1]
    return {
        split: sets.numbered_set(
            numbers,
            functools.partial(f"{words[split]}-{{:05}}-of-{counts[split]:05}.parquet".format),
            counts[split],
        )
        for split, numbers in found.items()
    }


def prepare_images(found: Found, naming: Naming, workers: Means, *, strict: bool) -> Prepared:
    """Unpacks files, so that the tars of their images can be indexed; see `PrepareImages`."""
    staged = tuple(source_files(found.paths, found.copies))
    content = functools.partial(as_tar, naming.part)
    parts = [Packed(file, f"{Path(file.path).stem}.tar", content) for file in staged]
    files = tuple(workers.unpack(parts))
    # Rows point into the tars; the files are what was staged.
    return Prepared(
        (*files, *staged), lambda: sets.index(shards_table, naming.part, files, workers)
    )


def as_tar(part: str, packed: Packed, fd: int, report: Callable[[int], None]) -> Iterator[bytes]:
    """The images of a file as a tar; see `Packed.content`.

    Raises:
        ArchiveError: An image has no name, or not the label that its name says.
        StreamError: The file is damaged.
    """
    naming = Naming(part)
    path = packed.file.path
    for image in parquet.images(packed.file.place):
        name = os.path.basename(image.path or "")
        try:
            key, label = naming.row_of(name)
        except ValueError as error:
            raise ArchiveError(
                path,
                f"this image does not belong in the file: {error}; check that this is the "
                "original file of imagenet-1k",
                member=name,
            ) from None
        if image.label != label:
            raise ArchiveError(
                path,
                f"expected class {label}, that of the image's name, found {image.label}; check "
                "that this is the original file of imagenet-1k",
                member=name,
            )
        check_image_size(path, name, len(image.data))
        report(len(image.data))
        yield tar_header.plain_file(key, len(image.data)) + image.data
        yield bytes(-len(image.data) % tar_header.BLOCK)
    yield bytes(2 * tar_header.BLOCK)


def shards_table(job: ShardsJob, report: Callable[[int, int], None]) -> pa.Table:
    """The rows of some tars; a job for the workers.

    Args:
        job: Which.
        report: Not used; the signature is that of every job of the workers.

    Returns:
        A table of `row_schema()`, in the order of the job and of each tar.
    """
    rows, naming = Rows(), Naming(job.split)
    for part in sets.each_shard(
        job, lambda position, file: tar_images.images_in(file, position, naming.row_of_file)
    ):
        rows.extend(part)
    return rows.table()


def copies(found: Found) -> Copies:
    """What is copied: nothing, because files are read once and unpacked in any case."""
    return Copies()


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, None]:
    """What is wrong with the end of a file, and with the name of its first image."""
    head, tail = os.pread(fd, 4, 0), os.pread(fd, 4, max(0, size - 4))
    block = os.pread(fd, signatures.BYTES, 0)
    other = foreign(block, "a Parquet file", signatures.PARQUET)
    if other is not None:
        return other, None
    if head != parquet.MAGIC or tail != parquet.MAGIC:
        found = signatures.described(block)
        if head == parquet.MAGIC:
            found = "the beginning of one, but not its end"
        return Wrong("a Parquet file", found, "the copy was cut off or is not done yet"), None
    try:
        name = os.path.basename(parquet.first_path(str(path)) or "")
    except StreamError as error:
        found, _, action = error.problem.partition("; ")
        return Wrong("a Parquet file of images", found, "", action or COPY_AGAIN), None
    if NAMED_IMAGE.fullmatch(name):
        return None, None
    return Wrong(
        "images such as n01440764_10026_n01440764.JPEG",
        f"{name!r}" if name else "an image without a name",
        "another dataset has files of the same names",
        "see what it is; imagenet-1k of Hugging Face is read",
    ), None


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts images by what the ends of the files say; see `Kind.count`."""
    images = sum(parquet.rows_in(str(path)) for path in found.paths)
    rest = f"the rows of {found.where or found.paths[0]} but the first of each file"
    if expected.images is None or images >= expected.images:
        return Counted(images, unread=rest), []
    lacking = Problem(
        WARNING,
        str(found.paths[0].parent),
        f"{expected.images:,} images",
        f"{images:,}",
        "a subset, or a copy that was not finished",
        "copy what is missing, or build without; --strict refuses it",
    )
    return Counted(images, unread=rest), [lacking]


KIND = Kind(
    name="parquet",
    recognise=functools.partial(sets.recognise_sets, file_sets),
    images=prepare_images,
    copies=copies,
    unpacked_bytes=unpacked_bytes,
    inspect=inspect,
    count=count,
    not_whole=sets.not_whole,
)
