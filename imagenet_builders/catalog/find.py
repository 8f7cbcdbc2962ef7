"""Finds what there is under a data directory: datasets, exports, and what is neither yet.

Names of directories are those of TensorFlow Datasets (`<name>/<version>`,
`<name>/<config>/<version>`); an export may lie anywhere in the first levels.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.catalog.model import Fault
from imagenet_builders.errors import StagingError
from imagenet_builders.export import compare
from imagenet_builders.files.json_object import json_object
from imagenet_builders.files.regular import read_regular
from imagenet_builders.publish import provenance, readable
from imagenet_builders.publish.readable import INFO
from imagenet_builders.words import counted, printable

# Name, configuration, version; an export may lie as deep.
_DEPTH = 3

# A dataset has fewer configurations than that, and a folder of classes has more.
_MAX_INNER = 2_000

_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_BUILDING = re.compile(r"\.(.+)\.building-[0-9a-f]{16}")
_OLD = re.compile(r"\.(.+)\.old-[0-9a-f]{8}")
_STOCK_INCOMPLETE = re.compile(r"incomplete\.[A-Z0-9]{6}_(.+)")

# A directory of Hugging Face's library, whose splits have files that are called as ours.
_HUGGING_FACE = ("dataset_dict.json", "state.json")


@dataclasses.dataclass(frozen=True)
class Found:
    """A dataset or an export.

    Attributes:
        directory: Its directory, absolute.
        is_export: Whether it is an export.
        being_built: Whether a build of the same name is under way beside it, or was interrupted.
    """

    directory: Path
    is_export: bool
    being_built: bool


def find(data_dir: Path, skip: Collection[Path] = ()) -> tuple[list[Found], list[Fault]]:
    """Finds what there is under a data directory.

    Args:
        data_dir: The directory.
        skip: Directories not to look into, absolute.

    Returns:
        Datasets and exports in the order of their paths, and what has no page.

    Raises:
        StagingError: There is no such directory, or it may not be listed.
    """
    data_dir = data_dir.absolute()
    if not os.path.isdir(data_dir):
        raise StagingError(f"{data_dir} is not a directory; give the one that datasets are in")
    try:
        _names(data_dir)
    except OSError as error:
        # An empty catalog would take the place of one that is good.
        raise StagingError(f"{data_dir} cannot be listed: {_why(data_dir, error)}") from None
    found: list[Found] = []
    faults: list[Fault] = []
    skipped = {os.path.realpath(each) for each in skip}
    for each in _below(data_dir, 0, skipped, set()):
        if isinstance(each, Found):
            found.append(each)
        else:
            faults.append(each)
    return sorted(found, key=lambda each: each.directory), faults


def _below(
    directory: Path, depth: int, skipped: Collection[str], seen: set[str]
) -> Iterator[Found | Fault]:
    real = os.path.realpath(directory)
    if real in skipped or real in seen:
        return
    seen.add(real)
    try:
        names = _names(directory)
    except OSError as error:
        sentence = f"it cannot be listed: {_why(directory, error)}"
        yield _fault(directory, sentence, unread=_is_for_datasets(directory, depth))
        return
    if depth and (INFO in names or provenance.FILE_NAME in names):
        if (there := _what(directory, names)) is not None:
            yield there
            return
        if any(each in names for each in _HUGGING_FACE):
            return
        if INFO not in names and not _VERSION.fullmatch(directory.name) and _is_damaged(directory):
            yield _fault(
                directory,
                f"its {provenance.FILE_NAME} is damaged, so it is not known what it is; see what "
                "`imagenet-builders verify` says",
                unread=True,
            )
            return
    if depth == _DEPTH:
        return
    if not os.access(directory, os.X_OK):
        sentence = f"it cannot be looked into: {readable.whose(directory)}"
        yield _fault(directory, sentence, unread=_is_for_datasets(directory, depth))
        return
    unread = {provenance.FILE_NAME} & names if depth else set()
    if unread and not os.access(directory / provenance.FILE_NAME, os.R_OK):
        path = directory / provenance.FILE_NAME
        yield _fault(path, f"it cannot be read: {readable.whose(path)}", unread=True)
        return
    shown = (name for name in names if not name.startswith("."))
    inner = {name for name in shown if os.path.isdir(directory / name)}
    moved = {match[1] for name in names if (match := _OLD.fullmatch(name))} - inner
    for name in moved:  # It is being replaced, in two steps.
        readable.wait_for_exchange(directory / name)
        inner |= {name} if os.path.isdir(directory / name) else set()
    building = {match[1] for name in names if (match := _BUILDING.fullmatch(name))}
    for name in sorted(building - inner):
        yield _fault(
            directory / name,
            "it is being built, or its build was interrupted; once it is there, make the catalog "
            "again",
        )
    if len(inner) > _MAX_INNER:
        # Not a directory of datasets; to look into each of them would take long.
        what = counted(len(inner), "directory", "directories")
        yield _fault(directory, f"{what} are in it, more than datasets have; none is looked into")
        return
    for name in sorted(inner):
        path = directory / name
        stock = _STOCK_INCOMPLETE.fullmatch(name)
        if stock is not None:
            yield _fault(path, "TensorFlow Datasets is building here, or was interrupted")
            continue
        nothing = True
        for one in _below(path, depth + 1, skipped, seen):
            nothing = False
            if isinstance(one, Found) and one.directory == path and name in building:
                yield dataclasses.replace(one, being_built=True)
            else:
                yield one
        if nothing and depth and _VERSION.fullmatch(name):
            yield _fault(
                path,
                f"it has the name of a version, and no {INFO}, so there is no dataset in it",
                # Of whatever has this, there was one.
                unread=os.path.lexists(path / provenance.FILE_NAME),
            )


def _is_for_datasets(directory: Path, depth: int) -> bool:
    """Whether nothing but datasets is where this directory is, or has such a name."""
    name = directory.name
    return not depth or name in datasets.names() or _VERSION.fullmatch(name) is not None


def _names(directory: Path) -> set[str]:
    with os.scandir(directory) as entries:
        return {entry.name for entry in entries}


def _what(directory: Path, names: Collection[str]) -> Found | None:
    """The dataset or export in a directory that has the file of one; None for neither."""
    if provenance.FILE_NAME in names and compare.document_in(directory) is not None:
        return Found(directory, is_export=True, being_built=False)
    if INFO in names and not _is_hugging_face(directory, names):
        return Found(directory, is_export=False, being_built=False)
    return None


def _is_damaged(directory: Path) -> bool:
    """Whether a provenance cannot be understood; other programs may have files of this name."""
    path = directory / provenance.FILE_NAME
    document = provenance.read_provenance(directory)
    if document is not None:
        return "self" in document
    return os.access(path, os.R_OK)


def _is_hugging_face(directory: Path, names: Collection[str]) -> bool:
    """Whether the metadata are those of Hugging Face's library, whose file has the same name."""
    if not any(each in names for each in _HUGGING_FACE):
        return False
    try:
        document = json_object(read_regular(directory / INFO, readable.MAX_BYTES, follow=True))
    except OSError:
        return False
    return document is not None and "fileFormat" not in document


def _why(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return readable.whose(path)
    return error.strerror or str(error)


def _fault(path: Path, sentence: str, unread: bool = False) -> Fault:
    return Fault(printable(str(path)), printable(sentence), unread)
