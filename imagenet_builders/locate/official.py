"""Facts about the official archives: names, bytes, hashes, numbers of images.

The facts are in `checksums/archives.json` at the top of the project (in the installed package:
`imagenet_builders/checksums/archives.json`), each with its source.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.errors import SourceError
from imagenet_builders.words import counted

_ABOUT = re.compile(r"([0-9]+)(\.[0-9]+)? ?([KMGT])B?\b")
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


@dataclasses.dataclass(frozen=True)
class OfficialArchive:
    """An official archive; a figure is None if it is unknown.

    Attributes:
        name: File name.
        size: Bytes.
        md5: MD5, hexadecimal.
        sha256: SHA-256, hexadecimal.
        images: Number of images inside.
        more_md5: Other valid MD5s (such as of another release under the same name).
        more_sha256: The same for SHA-256.
        size_text: The size in the words of the download page, such as `13GB`.
        members: Number of members.
        member_md5: Name of a member to its MD5.
        note: A remark of a sentence or two.
    """

    name: str
    size: int | None
    md5: str | None
    sha256: str | None
    images: int | None
    more_md5: tuple[str, ...] = ()
    more_sha256: tuple[str, ...] = ()
    size_text: str | None = None
    members: int | None = None
    member_md5: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    note: str = ""

    @property
    def hashes(self) -> dict[str, frozenset[str]]:
        """Algorithm (`md5`, `sha256`) to all valid hashes, as far as known."""
        known = {
            "md5": frozenset(filter(None, (self.md5, *self.more_md5))),
            "sha256": frozenset(filter(None, (self.sha256, *self.more_sha256))),
        }
        return {algorithm: values for algorithm, values in known.items() if values}

    def has_size(self, size: int) -> bool | None:
        """Whether a number of bytes is the official one; None if that is unknown."""
        if self.size is not None:
            return size == self.size
        match = _ABOUT.match(self.size_text or "")
        if match is None:
            return None
        # The page may round or truncate, in powers of 1,000 or of 1,024.
        number, unit = float(match[1] + (match[2] or "")), 10.0 ** -max(0, len(match[2] or "") - 1)
        power = _POWERS[match[3]]
        return bool((number - unit / 2) * 1000**power <= size < (number + unit) * 1024**power)


@functools.cache
def official_archives() -> dict[str, OfficialArchive]:
    """All official archives, by name."""
    return {entry["name"]: _archive(entry) for entry in _facts()["archives"]}


def official_archive(name: str) -> OfficialArchive | None:
    """The official archive of a file name in any case, or None."""
    known = official_archives()
    if name in known:
        return known[name]
    lower = name.lower()
    return next((each for each in known.values() if each.name.lower() == lower), None)


@functools.cache
def _facts() -> dict[str, Any]:
    package = Path(__file__).parent.parent
    path = package / "checksums" / "archives.json"
    if not path.exists():  # A source checkout, where the file has not been moved into the package.
        path = package.parent / "checksums" / "archives.json"
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def _archive(entry: Mapping[str, Any]) -> OfficialArchive:
    md5, *more_md5 = entry["md5"] or [None]
    sha256, *more_sha256 = entry["sha256"] or [None]
    return OfficialArchive(
        entry["name"],
        entry["bytes"],
        md5,
        sha256,
        entry["images"],
        tuple(more_md5),
        tuple(more_sha256),
        entry["size_text"],
        (entry["members"] or {}).get("count"),
        entry.get("member_md5", {}),
        entry.get("note", ""),
    )


def check_image_count(path: Path, size: int, images: int) -> None:
    """Checks that an archive of the official size holds the official number of images.

    An archive of another size is not the official one (a subset, dummy data) and may hold any
    number.

    Args:
        path: The archive.
        size: Its bytes.
        images: Images found in it.

    Raises:
        SourceError: The size is the official one and the number is not.
    """
    official = official_archives().get(path.name)
    if official is None or official.images is None or official.size != size:
        return
    if images != official.images:
        raise SourceError(
            f"{path}: the archive has the official size of {size:,} bytes but holds "
            f"{counted(images, 'image')} instead of {official.images:,}, so a part of it is "
            f"damaged; compare its MD5 with {official.md5} and copy it again"
        )
