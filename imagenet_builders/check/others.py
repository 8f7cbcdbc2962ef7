"""Names all that lies in a `manual_dir` and is not read, and for what is known the way from there.

A directory is listed once, and only the files that are named are opened, for their first bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.check import near_names, packagings, parts, site_lists
from imagenet_builders.check.exports import OfExport, of_folder
from imagenet_builders.check.first_bytes import FirstBytes, first_bytes
from imagenet_builders.check.report import Other
from imagenet_builders.datasets.built import INFO
from imagenet_builders.formats import signatures
from imagenet_builders.locate.exported import exported
from imagenet_builders.locate.official import official_archive
from imagenet_builders.locate.search import PROVENANCE

_MAX_DIRECTORIES = 16
_LOOKED_AT = 200
# A folder of more is not looked into: it is one of images, or of many shards.
_LISTED_INSIDE = 2_000
_THREADS = 16
# Folders in the directory of all versions, or of all configurations, of a dataset.
_OF_BUILT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+|\.config")
_BUILT = (
    "a dataset that was built",
    "tfds.load reads it, where data_dir is the directory that it lies in; only derived datasets "
    "are built from one (--source built)",
)
_ELSEWHERE = "give its directory, or put a link to it beside what is read"
# Names that differ in their numbers alone are one thing.
_NUMBER = re.compile(r"[0-9]+")
# Whose files begin with no page, whatever else is in them.
_OF_DATA = re.compile(r".*\.(pkl|pickle|np[yz]|rar|7z|bin|mat|pt|pth|safetensors)", re.IGNORECASE)
# What no file of many images begins with.
_ONE_IMAGE = (signatures.recognise(b"\xff\xd8\xff"), signatures.recognise(b"\x89PNG"))
_OF_CLASSES = re.compile(r"n[0-9]{8}(\.tar)?|.*\.(?i:jpe?g|png|xml)|images|.*_files\.txt")


@dataclasses.dataclass(frozen=True)
class _Group:
    """Entries of a directory whose names differ in their numbers alone.

    Attributes:
        path: The first of them.
        count: How many there are.
        inside: Some of the names in the first, sorted, if they are folders.
    """

    path: Path
    count: int
    inside: tuple[str, ...] | None = None


def others(manual_dir: Path, used: Iterable[Path], explained: Iterable[Path]) -> list[Other]:
    """Says what else there is.

    Args:
        manual_dir: The directory that was surveyed.
        used: The files and folders that are read, or could be.
        explained: Files of which problems say all.

    Returns:
        Whatever is in the directory, and beside what is read below it; known packagings first.
    """
    root = os.path.abspath(manual_dir)
    taken = {os.path.abspath(path) for path in used}
    above = {str(parent) for path in taken for parent in Path(path).parents}
    known = taken | above | {os.path.abspath(path) for path in explained}
    below = sorted(path for path in above - taken if path.startswith(root + os.sep))
    if not taken and (whole := _whole(Path(root))) is not None:
        return [whole]
    found: list[Other] = []
    holding = {os.path.dirname(path) for path in taken}
    for directory in [root, *below][:_MAX_DIRECTORIES]:
        if directory in holding and os.path.isfile(os.path.join(directory, INFO)):
            continue  # A built dataset that is read: all files there are its own.
        of_source = _names_in_sources() if directory in taken else None
        export = exported(Path(directory))
        of_export = OfExport(export, taken) if export is not None else None
        below_root = manual_dir / os.path.relpath(directory, root)
        files, folders = list[str](), list[str]()
        for entry in _entries(directory):
            if entry.path in known or (of_source is not None and of_source(entry.name)):
                continue
            is_folder = _is_folder(entry)
            if of_export is not None and of_export.says_all_of(entry.name, is_folder=is_folder):
                continue
            (folders if is_folder else files).append(entry.name)
        found += of_export.others(below_root) if of_export is not None else ()
        found += _named(below_root, sorted(files), sorted(folders))
    return sorted(found, key=lambda other: not other.what)


def _entries(directory: str | Path) -> Iterator[os.DirEntry[str]]:
    """What is in a directory; nothing if it cannot be read, which the survey reports."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        yield from entries


def _inside(directory: Path) -> tuple[list[str], list[str]]:
    """Sorted names of the files and folders in a directory; of one that has many, none."""
    entries = list(itertools.islice(_entries(directory), _LISTED_INSIDE + 1))
    if len(entries) > _LISTED_INSIDE:
        return [], []
    folders = {entry.name for entry in entries if _is_folder(entry)}
    return sorted({entry.name for entry in entries} - folders), sorted(folders)


def _names_in_sources() -> Callable[[str], bool]:
    """Whether an entry of a directory that is a source itself may be a part of that."""
    configs = (config for each in datasets.every() for config in each.configs)
    names = {name for config in configs for split in config.splits for name in split.folders}
    names.update(name for each in datasets.every() for name in each.files)
    return lambda name: _OF_CLASSES.fullmatch(name) is not None or name in names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _named(directory: Path, files: list[str], folders: list[str]) -> Iterator[Other]:
    """What is said of the files and folders in a directory."""
    for split in parts.find(files):
        begins = [first_bytes(directory / name).signature for name in split.names[:2]]
        if len(begins) == 2 and parts.are_archives(*begins):
            continue
        yield Other(directory / split.names[0], 1, split.sentence, split.action)
        files = [name for name in files if name not in split.names]
    groups = list(_groups(directory, files, None)) + list(_groups(directory, folders, ()))
    with ThreadPoolExecutor(_THREADS) as threads:
        for said in threads.map(_of_group, groups[:_LOOKED_AT]):
            yield from said
    for group in groups[_LOOKED_AT:]:
        yield Other(group.path, group.count, is_folder=group.inside is not None)


def _groups(
    directory: Path, names: Sequence[str], inside: tuple[str, ...] | None
) -> Iterator[_Group]:
    by_form: dict[str, list[str]] = {}
    for name in names:
        by_form.setdefault(_NUMBER.sub("0", name), []).append(name)
    for same in by_form.values():
        yield _Group(directory / same[0], len(same), inside)


def _whole(directory: Path) -> Other | None:
    """What is said of a `manual_dir` that is a packaging itself, such as a cache, or None."""
    inside = [name for names in _inside(directory) for name in names]
    for row in packagings.ROWS:  # Of datasets, files are named one by one.
        if row.inside and row.is_the_folder(directory.name, inside):
            return Other(directory, 1, row.what, row.way, is_folder=True)
    return None


def _of_group(group: _Group) -> list[Other]:
    """What is said of a group; of a folder, also what is known in it."""
    if group.inside is None:
        return [_of_files(group)]
    files, folders = _inside(group.path)
    if group.path.name in datasets.names() and any(map(_OF_BUILT.fullmatch, folders)):
        return [Other(group.path, group.count, *_BUILT, is_folder=True)]
    export = exported(group.path) if PROVENANCE in files else None
    if export is not None:
        return [Other(group.path, group.count, *of_folder(export, group.count), is_folder=True)]
    for row in packagings.rows():
        if row.is_the_folder(group.path.name, [*files, *folders]):
            by = next(filter(row.is_inside, [*files, *folders]), None)
            what = row.what if by is None else f"{row.what} ({by} is in it)"
            if by in files and (begins := first_bytes(group.path / by)).words:
                said = f"by {by} in it {row.what}; but that is {begins.words}"
                return [Other(group.path, group.count, said, begins.action, is_folder=True)]
            return [Other(group.path, group.count, what, row.way, is_folder=True)]
    if group.count == 1:
        inside = [*_split_in(group.path, files)]
        inside += [_of_files(each, _ELSEWHERE) for each in _groups(group.path, files, None)]
        if known := [other for other in inside if other.what]:
            return known
    return [Other(group.path, group.count, is_folder=True)]


def _split_in(directory: Path, files: list[str]) -> Iterator[Other]:
    for split in parts.find(files):
        yield Other(directory / split.names[0], 1, split.sentence, split.action)


def _of_files(group: _Group, way_of_official: str = "") -> Other:
    """What is said of files, of which the first is looked at."""
    name = group.path.name
    what, way = "a download or copy that is not done", "finish it"
    if not near_names.is_unfinished(name):
        what, way = _what(name, first_bytes(group.path), way_of_official)
    return Other(group.path, group.count, what, way)


def _what(name: str, begins: FirstBytes, way_of_official: str) -> tuple[str, str]:
    """What a file is, and what to do with it; empty where that is not known."""
    row = next((row for row in packagings.rows() if row.is_file(name)), None)
    official = official_archive(name)
    if row is not None and (official is None or row not in packagings.ROWS):
        what, way = row.what, row.way
    elif official is not None:
        row = None
        of = " and ".join(datasets.made_of(official.name))
        what = f"the official archive of {of}" if of else "an official archive"
        way = way_of_official if of else ""
    elif site_lists.is_list(name):
        what, way = "a list of hashes", "check --hash compares them"
    else:
        what, way = "", ""
    signature = begins.signature
    is_data = _OF_DATA.fullmatch(name) is not None
    if not what and (begins.size == 0 or (signature == signatures.HTML and not is_data)):
        # A mark of some program, or a page that belongs there.
        return ("an empty file (0 bytes)", "") if begins.size == 0 else ("", "")
    if begins.words:
        return _but(what, begins.words), begins.action
    is_odd = row is not None and (
        signature not in row.begins if row.begins else signature in _ONE_IMAGE
    )
    if is_odd and begins.size is not None:
        found = signature.name if signature else "something else, as its first bytes say"
        return _but(what, found), signature.action if signature else "see what it is (file)"
    if not what and signature is not None:
        return signature.name, "" if signature.action == signatures.LOOK else signature.action
    return what, way


def _but(by_name: str, found: str) -> str:
    return f"by its name {by_name}; but it is {found}" if by_name else found
