"""The kind of source `folders`: images that are files of their own, as an archive unpacks to.

Train images lie in class folders; validation images in one folder or in class folders too; test
images in one folder. Folders cost one listing each, or none where a list of files is beside them,
and one `stat` an image: its size decides, as in a build from archives, how many shards there are,
and no listing has it. Both are done by many at a time, once; then the index is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate import glimpse, listing
from imagenet_builders.locate.class_directories import (
    Directory,
    deeper,
    folders_hold,
    folders_with_images,
    holding,
    lists_of,
    look,
    unknown_class,
)
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.search import Match, Place, named_directories
from imagenet_builders.sources import box_folders, folder_counts, folder_images, whole_files
from imagenet_builders.sources.file_lists import read_list
from imagenet_builders.sources.folder_images import ImageFolder, source_files
from imagenet_builders.sources.indexing import (
    Prepared,
    Runner,
    in_batches,
    run_for_table,
    what_is_passed_over,
)
from imagenet_builders.sources.inspection import Counted, Inspection, Problem, refused
from imagenet_builders.sources.kind import Copies, Expected, Kind
from imagenet_builders.sources.reader import Access, Fill, ImageRow, Reader, columns
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.words import logger

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logger(__name__)

_BATCH_FOLDERS = 64

# Names of folders that have images in one layout and annotations in another, or both.
_IMAGES_TOO = ("train", "val")


def recognise(place: Place) -> Iterator[Match]:
    """Recognises folders that hold images or annotations; see `search.Recognise`."""
    of_boxes = place.what == "boxes"
    for path in named_directories(place):
        # Folders of these names are there for their images, and the directory for anything.
        may_have_none = of_boxes and (path == place.directory or path.name.lower() in _IMAGES_TOO)
        try:
            seen = _annotations_at(path) if of_boxes else _images_at(path)
            if seen is None or (may_have_none and not _has_annotations(seen, place.part)):
                continue
        except SourceError as error:
            if not may_have_none:
                yield Match((path,), str(error))
            continue
        lists = () if of_boxes else lists_of(place, path.name, seen.path)
        yield Match((seen.path, *lists), odd=seen.fewer_images())


def _images_at(path: Path) -> Directory | None:
    """The directory at a path that holds images, in it or in folders."""
    seen = holding(path, lambda each: each.holds_images and folders_hold(each) != (False, True))
    # Of what is named by classes, all is known; annotations are unpacked to such folders, too.
    seen = seen or holding(path, lambda each: not each.folders and bool(folders_with_images(each)))
    return seen or deeper(path)


def _annotations_at(path: Path) -> Directory | None:
    return holding(path, lambda each: each.has_annotations or each.holds_images)


def _has_annotations(seen: Directory, part: str) -> bool:
    """Whether a directory holds the annotations of a part, as the official archives unpack."""
    return folders_hold(seen)[1] if part == "train" else seen.has_annotations


@dataclasses.dataclass(frozen=True)
class Folders:
    """The folders of a part of ILSVRC2012.

    Attributes:
        root: The folder of all of it.
        inside: Names of the folders in it that images lie in, sorted; empty where the images lie in
            the root. Those with the name of a class hold its images only.
        names: Such a folder (or an empty name for the root) to the files in it, where these are
            known; else None.
        passed_over: What else is in the root.
        beside: What to say of class archives beside the images, or None.
    """

    root: Path
    inside: tuple[str, ...]
    names: dict[str, tuple[str, ...]] | None = None
    passed_over: tuple[str, ...] = ()
    beside: str | None = None

    @property
    def paths(self) -> list[Path]:
        """The folders that images lie in."""
        return [self.root / name for name in self.inside] or [self.root]


def prepare_images(found: Found, naming: Naming, workers: Runner, *, strict: bool) -> Prepared:
    """Prepares folders to be indexed; see `PrepareImages`."""
    root, *lists = found.paths
    folders = folders_at(root, lists[0] if lists else None, naming)
    if folders.beside is not None:
        _LOG.warning(folders.beside)
    files = tuple(source_files(folders.paths))
    return Prepared(
        files,
        lambda: _rows(folders, files, naming, workers),
        tuple(source_files(lists)),
        what_is_passed_over(root, folders.passed_over, "class folders"),
    )


def classes(found: Found, workers: object) -> tuple[str, ...]:
    """The classes that there are folders of."""
    del workers
    return tuple(name.lower() for name in listing.list_folders(found.paths[0])[0])


def folders_at(root: Path, file_list: Path | None, naming: Naming) -> Folders:
    """Sees how the images of a part lie in a folder, of whose files there may be a list.

    Raises:
        SourceError: The folder or the list cannot be read, images lie beside class folders, or
            deeper than in one folder.
    """
    seen = look(root)
    is_flat = bool(seen.images) and not seen.folders
    if file_list is not None:
        listed = read_list(file_list, naming.is_image)
        named: dict[str, list[str]] = {}
        for folder, name in listed:
            if not is_flat and folder is None and naming.is_train:
                folder = name.partition("_")[0]
            named.setdefault("" if is_flat else folder or "", []).append(name)
        if is_flat or "" not in named:
            names = {folder: tuple(named[folder]) for folder in sorted(named)}
            return Folders(root, () if is_flat else tuple(names), names)
        _LOG.warning(
            f"{file_list} does not say in which class folders of {root} the images lie; the "
            "folders are listed instead"
        )
    if is_flat and not seen.archives:
        return Folders(root, ())
    if is_flat:
        archives = set(seen.archives)
        rest = tuple(name for name in listing.list_names(root) if name not in archives)
        return Folders(root, (), {"": rest}, beside=seen.images_beside_archives("images"))
    inside = folders_with_images(seen)
    wnids, others = listing.list_folders(root)
    loose = next(filter(naming.is_image, others), None)
    if loose is not None:  # They were being moved, so that neither is all of them.
        raise SourceError(
            f"{root}: expected images or class folders, found images such as {loose!r} and class "
            "folders; move the rest of them into class folders, or stage the original archive"
        )
    inside = tuple(wnids) or inside
    if not inside and deeper(root) is not None:
        raise SourceError(
            f"{root}: images lie in folders of its folders, two deep or more; move the folders of "
            f"images up, so that they lie in {root}"
        )
    return Folders(root, inside, passed_over=tuple(sorted(set(others).difference(inside))))


def _rows(
    folders: Folders, files: Sequence[SourceFile], naming: Naming, workers: Runner
) -> pa.Table:
    """A table of `row_schema()`, with a column `name` where files have other names than keys.

    Raises:
        SourceError: A folder is empty, cannot be read, or holds something else.
    """
    jobs = in_batches(_image_folders(folders, files, naming), _BATCH_FOLDERS)
    return run_for_table(workers, folder_images.folder_images, jobs)


def _image_folders(
    folders: Folders, files: Sequence[SourceFile], naming: Naming
) -> Iterator[ImageFolder]:
    for position, file in enumerate(files):
        name = folders.inside[position] if folders.inside else ""
        wnid = name if listing.WNID.fullmatch(name) else None
        if wnid is not None:
            problem = unknown_class(Path(file.path), naming)
            if problem is not None:
                raise SourceError(
                    f"{file.path}: {problem}; move it elsewhere, or stage the original archive"
                )
        names = None if folders.names is None else folders.names[name]
        row_of = functools.partial(naming.row_of_file, folder=wnid)
        yield ImageFolder(file, position, row_of, names)


def read(reader: Reader, rows: pa.Table) -> Iterator[ImageRow]:
    """Reads images that are files of their own, a few ahead; see `Access.read`."""
    files = _files(reader, rows)
    whole = whole_files.read_ahead(files)
    with contextlib.closing(whole):
        for (path, size), (key, label) in zip(files, columns(rows, "key", "label"), strict=True):
            data = next(whole)
            reader.bytes_read += size
            yield ImageRow(key, label, path, 0, data)


def fill(reader: Reader, rows: pa.Table) -> Fill:
    """Reads images as `read` does into buffers; see `Access.fill`."""
    fill_next = whole_files.fill_ahead(_files(reader, rows))

    def fill_and_count(buffer: memoryview) -> bool:
        is_there = fill_next(buffer)
        reader.bytes_read += len(buffer)
        return is_there

    return fill_and_count


def _files(reader: Reader, rows: pa.Table) -> list[tuple[str, int]]:
    """Path and size of each image."""
    directories = [file.path for file in reader.files]
    return [
        (os.path.join(directories[file], name or key), size)
        for key, file, size, name in columns(rows, "key", "file", "size", "name")
    ]


def nothing_ahead(reader: Reader, rows: pa.Table) -> list[tuple[int, int, int]]:
    """Nothing is asked for beforehand; see `Access.ranges`."""
    del reader, rows
    return []


def copies(found: Found) -> Copies:
    """What is copied: nothing; see `Kind.copies`."""
    return Copies(in_place=found.paths[:1])


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts images in folders, or in the list of them; see `Kind.count`."""
    root, *lists = found.paths
    naming = expected.naming
    if lists:
        counted = folder_counts.in_list(lists[0])
        problems = folder_counts.problems(counted, lists)
        if problems or naming is None:
            return counted, problems
        try:
            names = folders_at(root, lists[0], naming).names
        except SourceError as error:
            return Counted(), [refused(error, root)]
        if names is not None:
            strangers = tuple(folder_counts.strangers_in_list(root, names, naming))
            unread = f"whether all files in {lists[0]} are there"
            counted = dataclasses.replace(counted, refused=strangers, unread=unread)
            return counted, folder_counts.problems(counted, ())
    if naming is None:
        inside: tuple[str, ...] = tuple(listing.list_folders(root)[0])
    else:
        try:
            inside = folders_at(root, None, naming).inside
        except SourceError as error:
            return Counted(), [refused(error, root)]
    counted = folder_counts.in_folders(root, inside, naming)
    return counted, folder_counts.problems(counted, lists)


KIND = Kind(
    name="folders",
    form="folder",
    recognise=recognise,
    access=Access(read, nothing_ahead, fill),
    glimpse=glimpse.of_folder,
    images=prepare_images,
    classes=classes,
    boxes=box_folders.prepare_boxes,
    copies=copies,
    count=count,
)
