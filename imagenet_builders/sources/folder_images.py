"""Rows of images that are files of their own, in folders: what is left of an archive unpacked.

Names and sizes are all that is asked of the storage: one listing a folder, one `stat` a file. What
does not belong is an error, as in an archive: a copy that was interrupted, or that another program
left its own files in, is not what it is taken for.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import ANNOTATION_FILE
from imagenet_builders.locate.access import unreadable
from imagenet_builders.locate.links import added, leading_out
from imagenet_builders.locate.listing import is_litter, is_system_file, list_names_and_links
from imagenet_builders.sources.rows import NO_COPIES, WHOLE_FILE, Rows, SourceFile

if TYPE_CHECKING:
    import pyarrow as pa


IF_DIRECTORY = "if images of the class are in it, move them one folder up"
"""What to do about a directory among images."""

# What is said of a file that a program left.
_LITTER = "it was left by another program, and "


# A folder of more files is looked at by several threads.
_STATS_AT_A_TIME = 2048

# Network storage answers many at a time as fast as one.
_THREADS = 8


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """A folder of images.

    Attributes:
        directory: The folder.
        position: Its position among the files of the index.
        row_of: Gives an image's key and label from its name; raises ValueError with the reason for
            a name that should not be there. It goes to worker processes.
        names: The files in it, where a list says that; then the folder is not listed.
    """

    directory: SourceFile
    position: int
    row_of: Callable[[str], tuple[str, int]]
    names: tuple[str, ...] | None = None


def folder_images(folders: Sequence[ImageFolder], report: Callable[[int, int], None]) -> pa.Table:
    """The rows of folders; a job for the workers.

    Args:
        folders: Which.
        report: Not used; the signature is that of every job of the workers.

    Returns:
        A table of `row_schema()`, with a column `name` where a file is not named by its key, in the
        order of `folders`, in each by file name. Every `offset` is `WHOLE_FILE`.

    Raises:
        SourceError: A folder is empty, cannot be read, changed, or holds something else.
    """
    rows = Rows()
    with ThreadPoolExecutor(_THREADS) as threads:
        listings = threads.map(_listed, folders)
        for folder, (files, links) in zip(folders, listings, strict=True):
            _add_folder(rows, folder, files)
            rows.links = added(rows.links, leading_out(folder.directory.path, links))
    return rows.table()


def _listed(folder: ImageFolder) -> tuple[list[tuple[str, int]], list[str]]:
    """The files in a folder with their sizes, and the paths of those that are links."""
    links: list[str] = []
    return list_files(folder.directory.path, folder.names, links=links), links


def _add_folder(rows: Rows, folder: ImageFolder, files: list[tuple[str, int]]) -> None:
    path = folder.directory.path
    for name, _ in filter(lambda file: is_system_file(file[0]), files):
        rows.pass_over(os.path.join(path, name))
    has_annotations = any(ANNOTATION_FILE.fullmatch(name) for name, _ in files)
    files = [
        file
        for file in files
        # Annotations may be unpacked into the folders of their images.
        if not (is_system_file(file[0]) or ANNOTATION_FILE.fullmatch(file[0]))
    ]
    if not files and not has_annotations:
        raise SourceError(f"{path}: there is no image in this folder; copy or unpack it again")
    for name, size in files:
        try:
            key, label = folder.row_of(name)
        except ValueError as error:
            raise SourceError(
                f"{os.path.join(path, name)!r} does not belong in its folder: "
                f"{_LITTER if is_litter(name) else ''}{error}; move it elsewhere, or stage the "
                "original archive"
            ) from None
        rows.add(key, label, folder.position, WHOLE_FILE, size, name)


def list_files(
    directory: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    beside: Collection[str] = (),
    links: list[str] | None = None,
) -> list[tuple[str, int]]:
    """Names and sizes of the files in a directory that holds nothing but plain files.

    A symbolic link to a plain file is one. A size costs a `stat`: no listing has it.

    Args:
        directory: The directory.
        names: The files, where they are known; then it is not listed.
        beside: Names in it that are passed over.
        links: Receives the paths of the links in it; of listed files, nobody asks that.

    Returns:
        Names with sizes in bytes, sorted by name.

    Raises:
        SourceError: It cannot be read, or something in it is not a plain file.
    """
    path = os.fspath(directory)
    if names is None:
        known, found = list_names_and_links(path)
        if links is not None:
            links += found
    else:
        known = sorted(names)
    if beside:
        known = [name for name in known if name not in beside]
    is_listed = names is not None
    for name, other in itertools.pairwise(known):
        if name == other:
            raise SourceError(
                f"{os.path.join(path, name)!r} is twice in the list of the folder's files; mend "
                "the list, or move it away so that the folder is listed"
            )
    if len(known) <= _STATS_AT_A_TIME:
        return _with_sizes(path, known, is_listed)
    parts = [known[at : at + _STATS_AT_A_TIME] for at in range(0, len(known), _STATS_AT_A_TIME)]
    with ThreadPoolExecutor(_THREADS) as threads:
        return [
            each
            for part in threads.map(lambda p: _with_sizes(path, p, is_listed), parts)
            for each in part
        ]


def _with_sizes(directory: str, names: Sequence[str], is_listed: bool) -> list[tuple[str, int]]:
    """Names of plain files with their sizes."""
    files = []
    for name in names:
        path = os.path.join(directory, name)
        try:
            status = os.stat(path)
        except OSError as error:
            if is_listed and isinstance(error, FileNotFoundError):
                raise SourceError(
                    f"{path!r} is in the list of the folder's files, but is not there; mend the "
                    "list, or move it away so that the folder is listed"
                ) from error
            raise unreadable(path, error) from error
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISDIR(status.st_mode):
                raise SourceError(
                    f"{path!r} is a directory where only plain files belong; {IF_DIRECTORY}"
                )
            raise SourceError(
                f"{path!r} is neither file nor directory where only plain files belong; move it "
                "elsewhere, or stage the original archive"
            )
        files.append((name, status.st_size))
    return files


def source_files(paths: Iterable[Path], copies: Mapping[str, str] = NO_COPIES) -> list[SourceFile]:
    """Many files or directories as they are now, asked for several at a time.

    Args:
        paths: The files.
        copies: As for `SourceFile.of`.

    Returns:
        One for each path, in their order.

    Raises:
        SourceError: One is not there or cannot be looked at.
    """

    def look(path: Path) -> SourceFile:
        try:
            return SourceFile.of(path, copies)
        except OSError as error:
            raise unreadable(str(path), error) from error

    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(look, paths))
