"""Reads a site's own lists of hashes beside the archives: `ILSVRC2012.md5`, `MD5SUMS`."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagenet_builders.files.regular import open_regular

_LIST = re.compile(
    r".*[._-](?:md5|sha256)(?:sums?)?(?:\.txt)?|(?:md5|sha256)(?:sums?)?(?:\.txt)?"
    r"|checksums?(?:\.txt)?",
    re.IGNORECASE,
)
_ALGORITHMS = {32: "md5", 64: "sha256"}
# The formats of md5sum and sha256sum (a backslash in front means that the name has some), of BSD's
# md5 and of openssl, and a hash alone.
_COREUTILS = re.compile(r"(\\?)([0-9a-fA-F]{32}|[0-9a-fA-F]{64})[ \t]+\*?(.+)")
_BSD = re.compile(r"(?:MD5|SHA2?-?256) ?\((.+)\) ?= ?([0-9a-fA-F]+)", re.IGNORECASE)
_ALONE = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{64}")
_COMMENT = ("#", ";")

_MAX_BYTES = 64 << 20
_MAX_LISTS = 100


@dataclasses.dataclass(frozen=True)
class Listed:
    """A line of a site's list.

    Attributes:
        source: The list.
        line: Number of the line, from 1.
        algorithm: `md5` or `sha256`.
        digest: The hash, in lower-case hexadecimal digits.
    """

    source: Path
    line: int
    algorithm: str
    digest: str


def listed_hashes(
    directories: Iterable[Path], files: Iterable[Path]
) -> tuple[dict[Path, tuple[Listed, ...]], list[str]]:
    """Finds files in the lists of some directories.

    Args:
        directories: Directories that may have lists.
        files: The files.

    Returns:
        File to its lines, without the files that are in no list; and the lists that cannot be read,
        each with the reason.
    """
    wanted = {Path(os.path.abspath(file)): file for file in files}
    found: dict[Path, tuple[Listed, ...]] = {}
    unreadable: list[str] = []
    for source in _lists(directories):
        try:
            lines = _parse(source)
        except (OSError, ValueError) as error:
            unreadable.append(f"{source}: {getattr(error, 'strerror', None) or error}")
            continue
        for name, listed in lines:
            file = _meant(source.parent, name, wanted)
            if file is not None and listed not in found.get(file, ()):
                found[file] = (*found.get(file, ()), listed)
    return found, unreadable


def is_list(name: str) -> bool:
    """Whether a file may be a list of hashes, by its name."""
    return _LIST.fullmatch(name) is not None


def _lists(directories: Iterable[Path]) -> list[Path]:
    lists: dict[Path, None] = {}
    for directory in dict.fromkeys(Path(os.path.abspath(each)) for each in directories):
        try:
            with os.scandir(directory) as entries:
                names = [entry.name for entry in entries if _LIST.fullmatch(entry.name)]
        except OSError:
            continue  # The survey reports it.
        lists |= {path: None for name in sorted(names) if os.path.isfile(path := directory / name)}
    return list(lists)[:_MAX_LISTS]


def _parse(source: Path) -> list[tuple[str, Listed]]:
    """The lines of a list: name of a file, and its hash."""
    with os.fdopen(open_regular(source, follow=True), "rb") as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES or b"\0" in data:
        raise ValueError("this is not a list of hashes")
    text = data.decode("utf-8-sig", "surrogateescape")
    return list(_lines(source, text.splitlines()))


def _lines(source: Path, lines: list[str]) -> Iterator[tuple[str, Listed]]:
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith(_COMMENT):
            continue
        if match := _COREUTILS.fullmatch(line):
            escaped, digest, name = match.groups()
            if escaped:
                name = name.replace("\\n", "\n").replace("\\\\", "\\")
        elif match := _BSD.fullmatch(line):
            name, digest = match.groups()
        elif _ALONE.fullmatch(line):
            name, digest = source.stem, line
        else:
            continue
        algorithm = _ALGORITHMS.get(len(digest))
        if algorithm is not None:
            yield name, Listed(source, number, algorithm, digest.lower())


def _meant(directory: Path, name: str, wanted: dict[Path, Path]) -> Path | None:
    """The file that a list in `directory` means by a name, even if the list came from elsewhere."""
    path = Path(os.path.normpath(directory / name))
    base = os.path.basename(name)
    for candidate in (path, directory / base):
        if candidate in wanted:
            return wanted[candidate]
    below = [file for file in wanted if file.name == base and directory in file.parents]
    return wanted[below[0]] if len(below) == 1 else None
