"""The kind of source `class-tars`: one tar for each class, as they leave their tar."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.class_directories import PACKED_CLASS_ARCHIVE, holding, look
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.glimpse import of_class_archives
from imagenet_builders.locate.search import Match, Place, named_directories, named_files
from imagenet_builders.sources import tar_archives, tar_images
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.sources.indexing import Prepared, run_for_table, what_is_passed_over
from imagenet_builders.sources.inspection import ERROR, Counted, Inspection, Problem, refused
from imagenet_builders.sources.kind import Copies, Expected, Kind
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.sources.unpacking import (
    Means,
    is_compressed_file,
    packed_tar,
    unpacked_bytes,
)
from imagenet_builders.words import counted, logger

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logger(__name__)

# So many tars are looked at for their mean bytes.
_SAMPLED = 32

# So many tars are opened, to see that they are tars; of more, some.
_MAX_OPENED = 2_000

# Files that are opened at a time to see whether they are compressed: each waits for the storage.
_THREADS = 16


def recognise(place: Place) -> Iterator[Match]:
    """Recognises folders that hold class tars, or class tars in place; see `search.Recognise`.

    In place, among other archives, they are taken for train images if most are of its classes. Then
    the others are refused, as in a folder; where most are of others, they are another dataset.
    """
    for path in named_directories(place):
        try:
            seen = holding(path, lambda each: bool(each.archives))
        except SourceError:  # As class folders, it is found with what is wrong.
            continue
        if seen is not None:
            yield Match((seen.path,), odd=seen.fewer_archives())
    tars = {match.paths[0].name: match.paths[0] for match in named_files(place)}
    known = Naming(place.part).ids
    of_it = {class_of(name) for name in tars} & known.keys()
    strange = [name for name in tars if class_of(name) not in known]
    if len(of_it) > len(strange):
        odd = f"only {len(of_it):,} of the {len(known):,} classes are there"
        yield Match(
            tuple(tars[name] for name in sorted(tars)),
            odd=odd if strange or len(of_it) < len(known) else "",
            where=f"{place.directory} ({counted(len(tars), 'class archive')})",
        )


def prepare_images(found: Found, naming: Naming, workers: Means, *, strict: bool) -> Prepared:
    """Prepares class tars to be indexed; see `PrepareImages`."""
    paths = _tars(found)
    _check_names(paths, naming)
    wnids = [class_of(path.name) for path in paths]
    staged = tuple(source_files(paths, found.copies))
    files = _plain(staged, wnids, workers)
    # No row points into an archive that was unpacked, but it is what was staged.
    also = tuple(file for file in staged if file not in files)

    def make() -> pa.Table:
        labelled = [(wnid, naming.label_of(wnid)) for wnid in wnids]
        jobs = tar_images.jobs_of_files(zip(files, labelled, strict=True))
        return run_for_table(workers, tar_images.class_images, jobs)

    return Prepared((*files, *also), make, odd=_beside(found))


def _beside(found: Found) -> str | None:
    """What lies beside class tars and is not read, a sentence, or None."""
    if _is_in_place(found):  # That belongs to other sources.
        return None
    seen = look(found.paths[0])
    images = seen.images_beside_archives("archives")
    if images is not None:
        _LOG.warning(images)
    return what_is_passed_over(seen.path, (*seen.folders, *seen.others), "class archives")


def _plain(
    files: Sequence[SourceFile], wnids: Sequence[str], workers: Means
) -> tuple[SourceFile, ...]:
    """The tars, those that are compressed unpacked."""
    packed = _which_are_packed([Path(file.place) for file in files])
    parts = [
        packed_tar(file, name=f"{wnid}.tar")
        for file, wnid, is_packed in zip(files, wnids, packed, strict=True)
        if is_packed
    ]
    plain = iter(workers.unpack(parts))
    return tuple(
        next(plain) if is_packed else file for file, is_packed in zip(files, packed, strict=True)
    )


def _which_are_packed(paths: Sequence[Path]) -> list[bool]:
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(is_compressed_file, paths))


def class_of(name: str) -> str:
    """The wnid in the name of a class tar."""
    return name.partition(".")[0].lower()


def classes(found: Found, workers: object) -> tuple[str, ...]:
    """The classes that there are tars of."""
    del workers
    return tuple(class_of(path.name) for path in _tars(found))


def _is_in_place(found: Found) -> bool:
    """Whether the paths of a source are those of class tars, and not a folder of them."""
    return PACKED_CLASS_ARCHIVE.fullmatch(found.paths[0].name) is not None


def _tars(found: Found) -> list[Path]:
    """The class tars of a source, sorted by class."""
    root = found.paths[0]
    paths = (
        list(found.paths) if _is_in_place(found) else [root / name for name in look(root).archives]
    )
    return sorted(paths, key=lambda path: (class_of(path.name), path.name))


def copies(found: Found) -> Copies:
    """What is copied: the tars that are read in place; see `Kind.copies`."""
    paths = _tars(found)
    packed = _which_are_packed(paths)
    return Copies(
        tuple(path for path, is_packed in zip(paths, packed, strict=True) if not is_packed)
    )


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts the classes, and estimates the bytes of all; see `Kind.count`."""
    paths = _tars(found)
    root, naming = paths[0].parent, expected.naming
    problems = []
    try:
        if naming is not None:
            _check_names(paths, naming)
    except SourceError as error:
        problems.append(refused(error, root))
    opened = paths if len(paths) <= _MAX_OPENED else paths[:: len(paths) // _SAMPLED]
    with ThreadPoolExecutor(_THREADS) as threads:
        problems += itertools.islice(filter(None, threads.map(_wrong, opened)), 1)
    some = paths[:: max(1, len(paths) // _SAMPLED)]
    sizes = [os.stat(path).st_size for path in some]
    packed = sum(itertools.compress(sizes, _which_are_packed(some)))
    share = len(paths) / max(1, len(some))
    counts = Counted(
        None,
        frozenset(class_of(path.name) for path in paths),
        total_bytes=int(sum(sizes) * share),
        unpacked_bytes=unpacked_bytes(int(packed * share)),
        unread=f"the names in the class archives in {root}",
    )
    return counts, problems


def _wrong(path: Path) -> Problem | None:
    """What is wrong with the ends of a class tar, or None."""
    fd = open_regular(path, follow=True)
    try:
        wrong, _ = tar_archives.inspect(path, fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)
    if wrong is None:
        return None
    return Problem(ERROR, str(path), wrong.expected, wrong.found, wrong.cause, wrong.action)


def _check_names(paths: Sequence[Path], naming: Naming) -> None:
    """Raises SourceError where sorted class tars are not one for each of some known classes."""
    for path, following in itertools.pairwise(paths):
        if class_of(path.name) == class_of(following.name):
            raise SourceError(
                f"{path.parent}: there are two archives of class {class_of(path.name)}, "
                f"{path.name} and {following.name}; move one of them elsewhere"
            )
    for path in paths:
        try:
            naming.label_of(class_of(path.name))
        except ValueError as error:
            raise SourceError(
                f"{path.parent}: {error}; move it elsewhere, or stage the original archive"
            ) from None


KIND = Kind(
    name="class-tars",
    form="either",
    recognise=recognise,
    images=prepare_images,
    classes=classes,
    copies=copies,
    count=count,
    glimpse=of_class_archives,
)
