"""Rows of the annotations in folders of VOC XML files: an archive of them that someone unpacked.

Every file is opened once, many at a time, by as many processes as there are; no archive would cost
as much. Files lie in the folder, or in class folders in it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats import voc
from imagenet_builders.labels.image_names import NAMED_IMAGE, Annotated, Naming
from imagenet_builders.locate.access import unreadable
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import is_system_file, list_folders, list_names
from imagenet_builders.sources.box_archives import (
    Xml,
    XmlBatch,
    box_schema,
    parse_batch,
    without_repeats,
)
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.sources.indexing import Prepared, Runner, in_batches, run_for_table
from imagenet_builders.sources.rows import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_FILES = 4096

# Network storage answers many at a time as fast as one.
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class FilesJob:
    """Some annotations to be read and parsed.

    Attributes:
        root: The folder of all annotations.
        files: Path of each below it, and what its name says of its image.
        labels: Wnid to label, of all classes of the dataset.
    """

    root: str
    files: tuple[tuple[str, Annotated], ...]
    labels: Mapping[str, int]


def prepare_boxes(found: Found, naming: Naming, workers: Runner, scratch: Path) -> Prepared:
    """Prepares folders of annotations to be indexed; see `kind.PrepareBoxes`."""
    root = found.paths[0]
    classes, _ = list_folders(root)
    folders = tuple(source_files([root / wnid for wnid in classes] or [root]))

    def make() -> pa.Table:
        jobs = file_batches(root, folders, naming)
        table = run_for_table(workers, parse_files, jobs, schema=box_schema())
        return without_repeats(table, str(root))

    return Prepared(folders, make)


def file_batches(root: Path, folders: Sequence[SourceFile], naming: Naming) -> Iterator[FilesJob]:
    """The annotations in folders, in batches.

    Args:
        root: The folder of all annotations.
        folders: The folders that they lie in.
        naming: What names say of images.

    Yields:
        The batches, folder by folder, in each by name.

    Raises:
        SourceError: A folder cannot be read, or holds something else.
    """
    for batch in in_batches(_files_in(root, folders, naming), _BATCH_FILES):
        yield FilesJob(str(root), batch, naming.ids)


def _files_in(
    root: Path, folders: Sequence[SourceFile], naming: Naming
) -> Iterator[tuple[str, Annotated]]:
    with ThreadPoolExecutor(_THREADS) as threads:
        listings = threads.map(lambda folder: list_names(folder.path), folders)
        for folder, names in zip(folders, listings, strict=True):
            for name in names:
                # Images may lie beside their annotations.
                if is_system_file(name) or NAMED_IMAGE.fullmatch(name):
                    continue
                path = os.path.join(folder.path, name)
                try:
                    image = naming.annotated(name)
                except ValueError as error:
                    raise SourceError(
                        f"{path!r} does not belong in its folder: {error}; move it elsewhere, or "
                        "stage the original archive"
                    ) from None
                yield os.path.relpath(path, root), image


def parse_files(job: FilesJob, report: Callable[[int, int], None]) -> pa.Table:
    """The rows of some annotations; a job for the workers.

    Args:
        job: Which.
        report: Not used; the signature is that of every job of the workers.

    Returns:
        A table of `box_archives.box_schema()`, a row an annotation, in their order.

    Raises:
        SourceError: An annotation cannot be read, or is none.
    """

    def read(file: tuple[str, Annotated]) -> Xml:
        name, image = file
        path = os.path.join(job.root, name)
        try:
            # Not blocking: of a pipe without a writer, opening would never end.
            fd = open_regular(path, follow=True)
            with open(fd, "rb") as opened:
                data = opened.read(voc.MAX_BYTES + 1) or b""
        except OSError as error:
            raise unreadable(path, error) from error
        if len(data) > voc.MAX_BYTES:
            raise SourceError(
                f"{path}: expected an annotation of at most {voc.MAX_BYTES:,} bytes, found more; "
                "check what it is"
            )
        return Xml(name, image, 0, data)

    with ThreadPoolExecutor(_THREADS) as threads:
        files = tuple(threads.map(read, job.files))
    return parse_batch(XmlBatch(job.root, files, job.labels), report)
