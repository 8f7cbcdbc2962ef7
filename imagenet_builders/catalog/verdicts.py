"""The last verdict of `verify` on each dataset, remembered for the catalogs of its user.

It is kept in the user's own cache directory, with what the files of the dataset were like then.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from imagenet_builders.catalog import entry, export_entry
from imagenet_builders.catalog.health import of_verdict
from imagenet_builders.catalog.kept import value_of
from imagenet_builders.catalog.model import Verified
from imagenet_builders.errors import ImagenetBuildersError
from imagenet_builders.files.own_dir import find_own_dir, own_dir
from imagenet_builders.files.private_dir import NotOursError
from imagenet_builders.locate.hash_cache import cache_directory
from imagenet_builders.verify.verdict import Verdict

_FOLDER = "verdicts"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Remembered:
    """A verdict.

    Attributes:
        directory: Directory of the dataset or export.
        identity: What its files were like; see `kept.identity_of`.
        verified: The verdict.
    """

    directory: str
    identity: str
    verified: Verified


def remember(directory: Path, verdict: Verdict, *, is_export: bool) -> None:
    """Remembers a verdict; a cache that cannot be written is no reason to fail.

    Args:
        directory: Directory of the dataset or export.
        verdict: The verdict of now.
        is_export: Whether it is an export.
    """
    try:
        read = export_entry.read if is_export else _read_dataset
        identity = read(directory).identity
        kept = Remembered(str(directory), identity, of_verdict(verdict))
        document = {"version": _VERSION, "verdict": dataclasses.asdict(kept)}
        named = cache_directory()
        named.parent.mkdir(parents=True, exist_ok=True)
        with own_dir(named) as cache, cache.inner(_FOLDER) as inner:
            inner.write(_name(directory), json.dumps(document).encode())
    except (ImagenetBuildersError, OSError):
        pass


def last(directory: Path) -> Remembered | None:
    """The last verdict on a dataset or export by this user; None for none, or nothing sound.

    Args:
        directory: Its directory, absolute.
    """
    cache = find_own_dir(cache_directory())
    if cache is None:
        return None
    with cache:
        try:
            with cache.enter_inner(_FOLDER) as inner:
                document: Any = json.loads(inner.read(_name(directory)))
            if document["version"] != _VERSION:
                return None
            found = value_of(Remembered, document["verdict"])
        except (OSError, NotOursError, ValueError, TypeError, KeyError, RecursionError):
            return None
    return found


def _read_dataset(directory: Path) -> entry.Dataset:
    return entry.read(directory, being_built=False)


def _name(directory: Path) -> str:
    path = os.path.realpath(directory)  # However the user has named it.
    return hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:32]
