"""The kind of source `class-tars`: a folder of one tar for each class, as they leave their tar."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.class_directories import (
    CLASS_ARCHIVES,
    CLASS_FOLDERS,
    fewer,
    holding,
)
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import list_folders
from imagenet_builders.locate.search import Match, Place, named_directories
from imagenet_builders.sources import tar_images
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.sources.indexing import (
    Prepared,
    Runner,
    run_for_table,
    what_is_passed_over,
)
from imagenet_builders.sources.inspection import Counted, Inspection, Problem
from imagenet_builders.sources.kind import Copies, Expected, Kind
from imagenet_builders.sources.tar_images import CLASS_TAR

if TYPE_CHECKING:
    import pyarrow as pa

# So many tars are looked at for their mean bytes.
_SAMPLED = 32


def recognise(place: Place) -> Iterator[Match]:
    """Recognises folders that hold class tars; see `search.Recognise`."""
    for path in named_directories(place):
        try:
            folder, holds = holding(path, [CLASS_ARCHIVES])
        except SourceError:  # As class folders, it is found with what is wrong.
            continue
        if folder is not None:
            yield Match((folder,), odd=fewer(CLASS_ARCHIVES, CLASS_FOLDERS, holds))


def prepare_images(found: Found, naming: Naming, workers: Runner, *, strict: bool) -> Prepared:
    """Prepares a folder of class tars to be indexed; see `PrepareImages`."""
    root = found.paths[0]
    tars, rest = _listed(root)
    files = tuple(source_files((root / name for name in tars), found.copies))

    def make() -> pa.Table:
        try:
            wnids = [name.removesuffix(".tar") for name in tars]
            labelled = [(wnid, naming.label_of(wnid)) for wnid in wnids]
        except ValueError as error:
            raise SourceError(
                f"{root}: {error}; move it elsewhere, or stage the original archive"
            ) from None
        jobs = tar_images.jobs_of_files(zip(files, labelled, strict=True))
        return run_for_table(workers, tar_images.class_images, jobs)

    return Prepared(files, make, odd=what_is_passed_over(root, rest, CLASS_ARCHIVES.words))


def classes(found: Found) -> tuple[str, ...]:
    """The classes that there are tars of."""
    return tuple(name.removesuffix(".tar") for name in _listed(found.paths[0])[0])


def _listed(root: Path) -> tuple[list[str], list[str]]:
    """Names of the class tars in a folder, and of all else."""
    folders, others = list_folders(root)
    tars = [name for name in others if CLASS_TAR.fullmatch(name)]
    return tars, folders + [name for name in others if not CLASS_TAR.fullmatch(name)]


def copies(found: Found) -> Copies:
    """What is copied: the tars; see `Kind.copies`."""
    root = found.paths[0]
    with os.scandir(root) as entries:
        tars = sorted(entry.name for entry in entries if CLASS_TAR.fullmatch(entry.name))
    return Copies(tuple(root / name for name in tars))


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts the classes, and estimates the bytes of all; see `Kind.count`."""
    root = found.paths[0]
    with os.scandir(root) as entries:
        tars = sorted(entry.name for entry in entries if CLASS_TAR.fullmatch(entry.name))
    some = tars[:: max(1, len(tars) // _SAMPLED)]
    mean = sum(os.stat(root / name).st_size for name in some) / max(1, len(some))
    wnids = frozenset(name.removesuffix(".tar") for name in tars)
    return Counted(None, wnids, total_bytes=int(mean * len(tars))), []


KIND = Kind(
    name="class-tars",
    form="folder",
    recognise=recognise,
    images=prepare_images,
    classes=classes,
    copies=copies,
    count=count,
)
