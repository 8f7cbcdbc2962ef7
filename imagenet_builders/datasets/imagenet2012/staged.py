"""Where the splits of imagenet2012 are staged, and the rows in them.

Labels come from the class in a train image's name and from the number in a validation image's name,
never from the order of anything: the official validation archive is not sorted, and one directory
entry in it would shift every label that is taken by position.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from imagenet_builders import labels
from imagenet_builders.assembly.index import Index
from imagenet_builders.assembly.workers import Workers
from imagenet_builders.assembly.workroom import Workroom
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.sources import tar_images
from imagenet_builders.sources.rows import Rows, SourceFile
from imagenet_builders.sources.tar_images import ClassTar
from imagenet_builders.staging import layouts
from imagenet_builders.staging.checksums import check_image_count, official_archives
from imagenet_builders.staging.found import Survey
from imagenet_builders.staging.layouts import TEST_PATCH
from imagenet_builders.staging.locate import Located, locate

ARCHIVES = {
    "train": ("ILSVRC2012_img_train.tar",),
    "validation": ("ILSVRC2012_img_val.tar",),
    "test": ("ILSVRC2012_img_test_v10102019.tar", "ILSVRC2012_img_test.tar"),
}
"""Split to the names of its archive."""

NAME = "imagenet2012"
SPLITS = ("train", "validation", "test")

NO_LABEL = -1

_TEST_IMAGES = 100_000
_NUMBERED = re.compile(r"ILSVRC2012_(val|test)_([0-9]{8})\.JPEG")

# Enough work for a process to be worth starting, little enough for all to be busy to the end.
_BATCH_BYTES = 1 << 30


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """All that is staged of the dataset; see `imagenet_builders.datasets.SURVEYS`."""
    del config
    return layouts.survey(NAME, manual_dir, {split: split for split in SPLITS}, boxes=False)


def locate_splits(manual_dir: Path) -> Located:
    """Finds the archives of the splits under `manual_dir`.

    Raises:
        StagingError: There is none.
    """
    return locate("imagenet2012", manual_dir, ARCHIVES)


def index_split(split: str, archive: Path, room: Workroom) -> Index:
    """The rows of a split.

    Args:
        split: `train`, `validation` or `test`.
        archive: The archive that provides it.
        room: What to index with.

    Returns:
        The rows in the order of the archive; keys are the images' file names.

    Raises:
        SourceError: The archive is damaged or is not what its name says.
    """
    files = [SourceFile.of(archive)]
    patch = archive.with_name(TEST_PATCH)
    if split == "test" and patch.is_file():
        files.append(SourceFile.of(patch))

    def make() -> Index:
        rows = _INDEXERS[split](files, room.workers)
        check_image_count(archive, files[0].size, len(rows))
        return Index(rows.table(), tuple(files))

    return room.cache.get(["imagenet2012", split], files, make)


def _index_train(files: list[SourceFile], workers: Workers) -> Rows:
    [file] = files
    classes = labels.space("imagenet2012")
    tars = [
        (class_tar, classes.id_of(class_tar.wnid))
        for class_tar in tar_images.class_tars(file, classes.__contains__)
    ]
    rows = index_class_tars(file, tars, workers)
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
    parts = dict(
        workers.run("imagenet_builders.sources.tar_images:class_images", jobs, here=len(jobs) == 1)
    )
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


def _index_validation(files: list[SourceFile], workers: Workers) -> Rows:
    del workers  # One chain of headers: each says only where the next one is.
    [file] = files
    by_number = labels.validation_labels().tolist()

    def row_of(name: str) -> tuple[str, int]:
        return name, by_number[_number(name, "val", len(by_number)) - 1]

    return tar_images.flat_images(file, 0, row_of)


def _index_test(files: list[SourceFile], workers: Workers) -> Rows:
    del workers

    def row_of(name: str) -> tuple[str, int]:
        _number(name, "test", _TEST_IMAGES)
        return name, NO_LABEL

    rows = tar_images.flat_images(files[0], 0, row_of)
    for position, patch in enumerate(files[1:], start=1):
        _apply_patch(rows, patch, position, row_of)
    return rows


def _apply_patch(
    rows: Rows, patch: SourceFile, position: int, row_of: Callable[[str], tuple[str, int]]
) -> None:
    """Lets rows point to the patch where it has an image of the same name."""
    at = {key: row for row, key in enumerate(rows.keys)}
    patched = tar_images.flat_images(patch, position, row_of)
    for key, offset, size in zip(patched.keys, patched.offsets, patched.sizes, strict=True):
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


def _number(name: str, split: str, count: int) -> int:
    match = _NUMBERED.fullmatch(name)
    if match is None or match[1] != split:
        raise ValueError(f"only images such as ILSVRC2012_{split}_00000001.JPEG belong here")
    number = int(match[2])
    if not 1 <= number <= count:
        raise ValueError(f"the images are numbered from 1 to {count:,}")
    return number


_INDEXERS: dict[str, Callable[[list[SourceFile], Workers], Rows]] = {
    "train": _index_train,
    "validation": _index_validation,
    "test": _index_test,
}
