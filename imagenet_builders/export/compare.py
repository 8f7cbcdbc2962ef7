"""Compares an export with its `provenance.json`: every file, its size and its checksum."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c

from imagenet_builders.export import tree
from imagenet_builders.files.json_object import json_object
from imagenet_builders.files.regular import NotAFileError, kind_of, open_regular, read_regular
from imagenet_builders.publish.provenance import FILE_NAME, digest_of
from imagenet_builders.run.progress import Progress
from imagenet_builders.write.outputs.output import Written, WrittenFile

_MAX_BYTES = 1 << 31
_READ_BYTES = 1 << 20

_ANEW = "export the dataset anew, to another directory"
_MOVE = "find out who put it there, and move it elsewhere"
_READ = "see that its file system is healthy and that you may read it"


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is not as it was when it was exported.

    Attributes:
        path: The file or directory.
        what: What is wrong, in words.
        expected: What should be there, or None.
        found: What is there, or None.
        advice: What to do.
    """

    path: str
    what: str
    expected: str | None = None
    found: str | None = None
    advice: str = _ANEW


@dataclasses.dataclass(frozen=True)
class Compared:
    """What was found.

    Attributes:
        dataset: Full name of the dataset that was exported.
        form: The form, as `--to` has it.
        examples: Split to its number of examples.
        files: Number of files that were read.
        size: Their bytes.
        differences: What is wrong.
    """

    dataset: str
    form: str
    examples: dict[str, int]
    files: int
    size: int
    differences: list[Difference]


class _DamagedError(Exception):
    """The provenance does not say what it should."""


def document_in(directory: Path) -> dict[str, Any] | None:
    """The provenance in a directory; None unless it is that of an export."""
    try:
        document = json_object(read_regular(directory / FILE_NAME, _MAX_BYTES))
    except OSError:
        return None
    return document if document and isinstance(document.get("form"), str) else None


def compare(directory: Path, document: dict[str, Any], workers: int) -> Compared:
    """Reads all files of an export.

    Args:
        directory: Its directory.
        document: As `document_in` gives it.
        workers: Number of files that are read at the same time.

    Returns:
        What was found.
    """
    path = str(directory / FILE_NAME)
    differences: list[Difference] = []
    if document.get("self") != digest_of(document):
        differences.append(Difference(path, "it was changed after the export"))
    try:
        digests = _digests(document)
        groups = list(_groups(directory, document))
        examples = {name: int(each["examples"]) for name, each in document["splits"].items()}
        name = str(document["dataset"])
    except (
        _DamagedError,
        KeyError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
    ) as error:
        said = str(error) if isinstance(error, _DamagedError) else "it is no list of files"
        differences.append(Difference(path, said))
        return Compared(str(directory), document["form"], {}, 0, 0, differences)
    files = [file for group in groups for file in group.files]
    size = sum(group.size for group in groups)
    with (
        Progress(f"reading {name} as {document['form']}", images=len(files), size=size) as progress,
        ThreadPoolExecutor(workers) as threads,
    ):
        for group, found in zip(
            groups, threads.map(lambda each: _read_all(directory, each), groups), strict=True
        ):
            progress.update(len(group.files), group.size)
            differences += found
    for each, digest in digests.items():
        differences += _check_digest(directory, each, digest)
    known = {file.name for file in files} | {*digests, FILE_NAME}
    differences += _strangers(directory, known)
    once = list(dict.fromkeys(differences))
    return Compared(name, document["form"], examples, len(files), size, once)


@dataclasses.dataclass(frozen=True)
class _Group:
    """Files with a checksum each, or of those of a part, which have one together, and a list."""

    files: Sequence[WrittenFile]
    size: int
    crc32c: str | None = None
    listed: str = ""


def _digests(document: dict[str, Any]) -> dict[str, str]:
    return {_safe(name): str(digest) for name, digest in document["files"].items()}


def _safe(name: Any) -> str:
    if not isinstance(name, str) or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise _DamagedError(f"it names {name!r}, which no file of an export is called")
    return name


def _groups(directory: Path, document: dict[str, Any]) -> Iterator[_Group]:
    seen = set[str]()
    for split, entry in document["splits"].items():
        if "files" in entry:
            for name, size, crc32c in entry["files"]:
                if name not in seen:  # One file may have all splits.
                    yield _Group([WrittenFile(_safe(name), int(size), str(crc32c))], int(size))
                    seen.add(name)
        else:
            yield from _parts(directory, split, entry)


def _parts(directory: Path, split: str, entry: dict[str, Any]) -> Iterator[_Group]:
    """The parts of a split whose images are files: consecutive ones of its list."""
    listed = directory / tree.list_of(split)
    try:
        text = read_regular(listed, _MAX_BYTES).decode(errors="surrogateescape")
    except OSError as error:
        raise _DamagedError(f"{listed} cannot be read: {error.strerror}") from None
    names = iter(text.splitlines())
    # An export of before has no lengths; there, a part ends where its bytes do.
    lengths = entry.get("shard_lengths") or [None] * len(entry["shard_bytes"])
    parts = zip(lengths, entry["shard_bytes"], entry["shard_crc32c"], strict=True)
    for length, size, crc32c in parts:
        files, left = list[WrittenFile](), int(size)
        count = None if length is None else int(length)
        while left > 0 if count is None else len(files) < count:
            name = next(names, None)
            if name is None:
                break
            try:
                there = os.lstat(directory / _safe(name)).st_size
            except OSError:
                there = 0
            files.append(WrittenFile(name, there, ""))
            left -= there
        yield _Group(files, int(size), str(crc32c), str(listed))
    # Of a file that is missing nobody knows how long it was, so what is left is read as well.
    rest = [WrittenFile(name, 0, "") for name in names]
    if rest:
        yield _Group(rest, 0, "")


def _read_all(directory: Path, group: _Group) -> list[Difference]:
    """Compares the files of a group with what they should be."""
    differences, found = list[Difference](), list[WrittenFile]()
    for file in group.files:
        path = directory / file.name
        try:
            size, crc32c = _read(path)
        except FileNotFoundError:
            differences.append(Difference(str(path), "it is missing"))
            continue
        except OSError as error:
            differences.append(_unreadable(path, error))
            continue
        found.append(WrittenFile(file.name, size, crc32c))
        if group.crc32c is None and (size, crc32c) != (file.size, file.crc32c):
            differences.append(
                Difference(
                    str(path),
                    "it was changed after the export",
                    f"{file.size:,} bytes with the CRC-32C {file.crc32c}",
                    f"{size:,} bytes with {crc32c}",
                )
            )
    if group.crc32c is not None and not differences:
        of_all = Written.of_files(len(found), group.size, found).crc32c
        if of_all != group.crc32c and not found:
            differences.append(Difference(group.listed, "it was changed after the export"))
        elif of_all != group.crc32c:
            first, last = found[0].name, found[-1].name
            what = (
                f"it, or one of the {len(found):,} images to {last} in its list, was changed after "
                "the export"
                if len(found) > 1
                else "it was changed after the export"
            )
            differences.append(Difference(str(directory / first), what))
    return differences


def _read(path: Path) -> tuple[int, str]:
    checksum, size = google_crc32c.Checksum(), 0
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        while data := file.read(_READ_BYTES):
            checksum.update(data)
            size += len(data)
    return size, checksum.hexdigest().decode()


def _check_digest(directory: Path, name: str, digest: str) -> list[Difference]:
    path = directory / name
    try:
        found = hashlib.sha256(read_regular(path, _MAX_BYTES)).hexdigest()
    except OSError as error:
        gone = error.errno == errno.ENOENT
        return [Difference(str(path), "it is missing") if gone else _unreadable(path, error)]
    if found == digest:
        return []
    return [Difference(str(path), "it was changed after the export")]


def _strangers(directory: Path, known: set[str]) -> Iterator[Difference]:
    """What is in an export and is not of it."""
    waiting = [directory]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                for entry in sorted(entries, key=lambda each: each.name):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif str(Path(entry.path).relative_to(directory)) not in known:
                        kind = kind_of(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode))
                        what = f"{kind} that the export did not put there"
                        yield Difference(entry.path, what, advice=_MOVE)
        except OSError as error:
            what = f"it cannot be listed: {error.strerror}"
            yield Difference(str(here), what, advice=_READ)


def _unreadable(path: Path, error: OSError) -> Difference:
    advice = _ANEW if isinstance(error, NotAFileError) else _READ
    return Difference(str(path), f"it cannot be read: {error.strerror}", advice=advice)
