"""The kind of source `class-tars`: a folder of one tar for each class, as they leave their tar."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.class_directories import holding, look
from imagenet_builders.locate.found import Found
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

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)

# So many tars are looked at for their mean bytes.
_SAMPLED = 32


def recognise(place: Place) -> Iterator[Match]:
    """Recognises folders that hold class tars; see `search.Recognise`."""
    for path in named_directories(place):
        try:
            seen = holding(path, lambda each: bool(each.archives))
        except SourceError:  # As class folders, it is found with what is wrong.
            continue
        if seen is not None:
            yield Match((seen.path,), odd=seen.fewer_archives())


def prepare_images(found: Found, naming: Naming, workers: Runner, *, strict: bool) -> Prepared:
    """Prepares a folder of class tars to be indexed; see `PrepareImages`."""
    root = found.paths[0]
    seen = look(root)
    beside = seen.images_beside_archives("archives")
    if beside is not None:
        _LOG.warning(beside)
    files = tuple(source_files((root / name for name in seen.archives), found.copies))

    def make() -> pa.Table:
        try:
            wnids = [class_of(name) for name in seen.archives]
            labelled = [(wnid, naming.label_of(wnid)) for wnid in wnids]
        except ValueError as error:
            raise SourceError(
                f"{root}: {error}; move it elsewhere, or stage the original archive"
            ) from None
        jobs = tar_images.jobs_of_files(zip(files, labelled, strict=True))
        return run_for_table(workers, tar_images.class_images, jobs)

    rest = (*seen.folders, *seen.others)
    return Prepared(files, make, odd=what_is_passed_over(root, rest, "class archives"))


def class_of(name: str) -> str:
    """The wnid in the name of a class tar."""
    return name[: -len(".tar")].lower()


def classes(found: Found) -> tuple[str, ...]:
    """The classes that there are tars of."""
    return tuple(sorted(map(class_of, look(found.paths[0]).archives)))


def copies(found: Found) -> Copies:
    """What is copied: the tars; see `Kind.copies`."""
    root = found.paths[0]
    return Copies(tuple(root / name for name in look(root).archives))


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts the classes, and estimates the bytes of all; see `Kind.count`."""
    root = found.paths[0]
    tars = look(root).archives
    some = tars[:: max(1, len(tars) // _SAMPLED)]
    mean = sum(os.stat(root / name).st_size for name in some) / max(1, len(some))
    wnids = frozenset(map(class_of, tars))
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
