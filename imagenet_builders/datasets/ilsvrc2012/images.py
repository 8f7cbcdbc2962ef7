"""The rows of the images of a part of ILSVRC2012, whatever they are staged as.

Labels come from the class in a train image's name and from the number in a validation image's name,
never from the order of anything: the official validation archive is not sorted, and one directory
entry in it would shift every label that is taken by position.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from imagenet_builders import labels
from imagenet_builders.datasets.ilsvrc2012 import trees
from imagenet_builders.datasets.ilsvrc2012.splits import classes as wnids
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.access import saying_why
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import list_folders
from imagenet_builders.locate.official import check_image_count, official_archives
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.tables import run_for_table
from imagenet_builders.sources import slim_tfrecords, tar_images, webdataset
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.sources.rows import Rows, SourceFile, check_not_too_many
from imagenet_builders.sources.tar_images import CLASS_TAR, ClassTar, ClassTarsJob

if TYPE_CHECKING:
    import pyarrow as pa

# Enough work for a process to be worth starting, little enough for all to be busy to the end.
_BATCH_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Something staged that is ready to be indexed.

    Attributes:
        files: The files of the index.
        make: Makes its rows.
        also_read: Files that the rows are made from besides.
        odd: What is there that does not belong, but does no harm; a sentence, or None.
        how: What decides besides the files whether rows are made.
    """

    files: tuple[SourceFile, ...]
    make: Callable[[], pa.Table]
    also_read: tuple[SourceFile, ...] = ()
    odd: str | None = None
    how: tuple[str, ...] = ()


def index_found(
    what: Sequence[str],
    found: Found,
    naming: Naming,
    room: BuildContext,
) -> Index:
    """The rows of what provides the images of a split.

    Args:
        what: Names what is indexed, for the cache: dataset, split, and what else decides the rows.
        found: What provides them.
        naming: What the names of the images say.
        room: What to index with.

    Returns:
        The rows in the order of the source; keys are the images' official file names. The same
        images have the same keys and labels, whatever they are staged as.

    Raises:
        SourceError: It is damaged, is not what its name says, or cannot be read.
    """
    with saying_why(found.paths[0]):
        prepared = _PREPARE[found.kind](found, naming, room)
        if prepared.odd is not None:
            if room.options.strict:
                raise SourceError(f"{prepared.odd}; remove it, or build without --strict")
            warnings.warn(f"{prepared.odd}; it is passed over", stacklevel=4)
        files = prepared.files
        index = room.cache.get(
            [*what, found.kind, *prepared.how],
            [*files, *prepared.also_read],
            lambda: Index(prepared.make(), files),
        )
    _check_complete(found, naming, index, strict=room.options.strict)
    return index


def _of_archive(found: Found, naming: Naming, room: BuildContext) -> Prepared:
    files = tuple(map(SourceFile.of, found.paths))

    def make() -> pa.Table:
        if naming.is_train:
            rows = _class_tars_in(files[0], naming, room.workers)
        else:
            rows = tar_images.flat_images(files[0], 0, naming.row_of)
            for position, patch in enumerate(files[1:], start=1):
                _apply_patch(rows, patch, position, naming.row_of)
        check_image_count(found.paths[0], files[0].size, len(rows))
        return rows.table()

    return Prepared(files, make)


def _class_tars_in(file: SourceFile, naming: Naming, workers: Workers) -> Rows:
    tars = tar_images.class_tars(file, naming.label_of)
    rows = index_class_tars(file, tars, workers)
    if naming.part == "train":
        _check_class_counts(file, rows)
    return rows


def index_class_tars(
    file: SourceFile, tars: Sequence[tuple[ClassTar, int]], workers: Workers
) -> Rows:
    """The rows of the images in class tars.

    Args:
        file: The archive of the class tars, the only file of the index.
        tars: The class tars with their labels.
        workers: Who reads them.

    Returns:
        The rows, in the order of `tars` and of each class tar.

    Raises:
        ArchiveError: A class tar is damaged, empty, or holds something else than its images.
    """
    jobs = list(tar_images.in_batches(file, 0, list(tars), _BATCH_BYTES))
    parts: dict[int, Rows] = {}
    count = 0
    for number, part in workers.run(tar_images.class_images, jobs, in_process=len(jobs) == 1):
        parts[number] = part
        count += len(part)
        check_not_too_many(file.path, count)
    rows = Rows()
    for number in range(len(jobs)):
        rows.extend(parts[number])
    return rows


def _check_class_counts(file: SourceFile, rows: Rows) -> None:
    """In an archive of the official size, every class has its official number of images."""
    official = official_archives()["ILSVRC2012_img_train.tar"]
    if file.size != official.size:
        return
    found = Counter(rows.labels)
    for label, (wnid, expected) in enumerate(labels.train_counts().items()):
        if found[label] != expected:
            raise SourceError(
                f"{file.path}: class {wnid} has {found[label]:,} images instead of the official "
                f"{expected:,}, though the archive has the official size of {file.size:,} bytes; "
                f"compare its MD5 with {official.md5} and copy it again"
            )


def _apply_patch(
    rows: Rows, patch: SourceFile, position: int, row_of: Callable[[str], tuple[str, int]]
) -> None:
    """Lets rows point to the patch where it has an image of the same name."""
    at = {key: row for row, key in enumerate(rows.keys)}
    patched = tar_images.flat_images(patch, position, row_of)
    if not patched:  # As a copy into a preallocated file leaves it, which would pass unnoticed.
        raise ArchiveError(
            patch.path,
            "there is no image in this patch of the test archive; copy it again, or move it away "
            "to build without it",
        )
    first: dict[str, int] = {}
    for key, offset, size in zip(patched.keys, patched.offsets, patched.sizes, strict=True):
        if first.setdefault(key, offset) != offset:
            raise ArchiveError(
                patch.path,
                f"this image is there twice, first at byte {first[key]:,}, and only one of them "
                "can replace that of the test archive; copy the patch again",
                member=key,
                offset=offset,
            )
        if key not in at:
            raise ArchiveError(
                patch.path,
                "the patch replaces images of the test archive, but the test archive has no such "
                "image; check that both are complete",
                member=key,
                offset=offset,
            )
        row = at[key]
        rows.files[row], rows.offsets[row], rows.sizes[row] = position, offset, size


def _of_class_tars(found: Found, naming: Naming, room: BuildContext) -> Prepared:
    root = found.paths[0]
    folders, others = list_folders(root)
    names = [name for name in others if CLASS_TAR.fullmatch(name)]
    rest = folders + [name for name in others if not CLASS_TAR.fullmatch(name)]
    wnids = [name.removesuffix(".tar") for name in names]
    files = tuple(source_files(root / name for name in names))

    def make() -> pa.Table:
        try:
            jobs = tar_images.files_in_batches(
                [
                    ClassTarsJob(
                        file,
                        position,
                        ((ClassTar(None, wnid, 0, file.size, 0), naming.label_of(wnid)),),
                    )
                    for position, (file, wnid) in enumerate(zip(files, wnids, strict=True))
                ],
                _BATCH_BYTES,
            )
        except ValueError as error:
            raise SourceError(
                f"{root}: {error}; remove it, or stage the original archive"
            ) from None
        batches = list(jobs)
        return run_for_table(room.workers, tar_images.class_images_of_files, batches)

    return Prepared(files, make, odd=trees.what_is_passed_over(root, rest, "class archives"))


def _of_folders(found: Found, naming: Naming, room: BuildContext) -> Prepared:
    root, *lists = found.paths
    folders = trees.folders(root, lists[0] if lists else None, naming)
    files = tuple(source_files(folders.paths))
    return Prepared(
        files,
        lambda: trees.folder_rows(folders, files, naming, room),
        tuple(source_files(lists)),
        trees.what_is_passed_over(root, folders.passed_over, "class folders"),
    )


def _of_squashfs(found: Found, naming: Naming, room: BuildContext) -> Prepared:
    # In this process: a chain of directories, each known from the one before.
    file, strict = SourceFile.of(found.paths[0]), room.options.strict
    return Prepared(
        (file,),
        lambda: trees.squashed_rows(file, naming, strict=strict),
        how=("strict",) if strict else (),
    )


def _of_webdataset(found: Found, naming: Naming, room: BuildContext) -> Prepared:
    files = tuple(source_files(found.paths))
    return Prepared(files, lambda: webdataset.index_shards(naming.part, files, room.workers))


def _of_tfrecords(found: Found, naming: Naming, room: BuildContext) -> Prepared:
    files = tuple(source_files(found.paths))
    return Prepared(files, lambda: slim_tfrecords.index_shards(naming.part, files, room.workers))


_PREPARE: Mapping[str, Callable[[Found, Naming, BuildContext], Prepared]] = {
    "tar": _of_archive,
    "class-tars": _of_class_tars,
    "folders": _of_folders,
    "squashfs": _of_squashfs,
    "webdataset": _of_webdataset,
    "tfrecord": _of_tfrecords,
}


def _check_complete(found: Found, naming: Naming, index: Index, *, strict: bool) -> None:
    """Compares the numbers of images with the official ones: it may be a copy, or packed anew.

    Raises:
        SourceError: They differ, and `strict` is set.
    """
    import numpy as np

    classes = ""
    if naming.part == "train":
        official = list(labels.train_counts().values())
        numbers = np.bincount(index.table["label"].to_numpy(), minlength=len(official))
        odd = np.flatnonzero(numbers != official).tolist()
        if not odd:
            return
        expected = sum(official)
        few = ", ".join(
            f"{wnids()[label]} has {numbers[label]:,} of {official[label]:,}" for label in odd[:3]
        )
        classes = f"; {len(odd):,} classes differ: {few}{', ...' if len(odd) > 3 else ''}"
    elif naming.count in (None, len(index)):
        return
    else:
        expected = naming.count or 0
    text = (
        f"{found}: expected the official {expected:,} images of {found.split}, found "
        f"{len(index):,}{classes}"
    )
    if strict:
        raise SourceError(f"{text}; copy all of it, or build without --strict")
    warnings.warn(text, stacklevel=5)


def index_split(found: Found, room: BuildContext) -> Index:
    """The rows of a split of ILSVRC2012, whichever dataset it is for; see `index_found`."""
    return index_found(["ilsvrc2012", found.split], found, Naming(found.split), room)
