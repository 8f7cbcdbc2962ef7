"""`provenance.json`: where a built dataset comes from and what was done to it on the way.

It lies beside `dataset_info.json`. Readers of the dataset need not know of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import imagenet_builders
from imagenet_builders.files.json_object import json_object
from imagenet_builders.files.regular import read_regular
from imagenet_builders.locate import hash_cache
from imagenet_builders.locate.search import PROVENANCE
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.recipe import Note, Part
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.write import durable
from imagenet_builders.write.results import SplitResult

FILE_NAME = PROVENANCE

# That of 13 million images has some megabytes at most.
_MAX_BYTES = 1 << 26
_SHARD = re.compile(r"-[0-9]{5,}-of-[0-9]{5,}$")


def write_provenance(
    directory: Path,
    *,
    dataset: str,
    results: Sequence[SplitResult],
    options: BuildOptions,
    plans: Mapping[str, str],
    max_examples_per_split: int | None,
    seconds: float,
    kept: Mapping[str, Mapping[str, Any]] | None = None,
    builds: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Writes the provenance of a dataset, the last of its files.

    Args:
        directory: Directory of the dataset, with all its other files.
        dataset: Full name of the dataset, with its version.
        results: What was built.
        options: How it was built.
        plans: Split to the digest of its plan.
        max_examples_per_split: The limit that makes it a part of the dataset, or None.
        seconds: How long it took.
        kept: Split to what the provenance of an earlier build says of it, for splits that are kept.
        builds: The earlier builds that made these.

    Returns:
        The path of the file.

    Raises:
        TargetError: It cannot be written.
    """
    document: dict[str, Any] = {
        "dataset": dataset,
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "max_examples_per_split": max_examples_per_split,
        "bad_images": options.bad_images,
        "decode": options.decode and all(each.get("decode") is True for each in builds),
        "versions": versions(),
        "splits": dict(kept or {})
        | {result.split: split_entry(result, plans[result.split]) for result in results},
        "files": {
            path.name: hashlib.sha256(read_regular(path, _MAX_BYTES)).hexdigest()
            for path in sorted(directory.iterdir())
            if not _SHARD.search(path.name) and not path.is_dir()
        },
    }
    if kept:
        entry = build_entry(document, [result.split for result in results])
        document["builds"] = [*builds, entry | {"decode": options.decode}]
    document["self"] = digest_of(document)
    path = directory / FILE_NAME
    durable.write_file(path, (json.dumps(document, indent=1) + "\n").encode())
    return path


def split_entry(result: SplitResult, plan: str) -> dict[str, Any]:
    """What a provenance says of a split.

    Args:
        result: What was built of it.
        plan: The digest of its plan.
    """
    return {
        "examples": result.examples,
        "bytes": result.record_bytes,
        "shards": len(result.shard_lengths),
        "shard_bytes": list(result.shard_bytes),
        "shard_crc32c": list(result.shard_crc32c),
        "index_crc32c": None if result.index_crc32c is None else list(result.index_crc32c),
        "plan": plan,
        "layout": result.layout,
        "part": None if result.part is None else dataclasses.asdict(result.part),
        "sources": [_source(file) for file in result.files],
        "repaired": [_note(note) for note in result.notes if note.action == "repaired"],
        "skipped": [_note(note) for note in result.notes if note.action == "skipped"],
        "counts": dict(result.counts),
        "made_with": dict(result.made_with),
    }


def build_entry(document: Mapping[str, Any], splits: Iterable[str]) -> dict[str, Any]:
    """What a provenance says of a build: when, with what, and which splits it made.

    Args:
        document: The provenance that the build wrote.
        splits: The splits that it made.

    Raises:
        KeyError: The document does not tell.
    """
    said = {name: document[name] for name in ("built", "seconds", "bad_images", "versions")}
    return said | {"decode": document.get("decode") is True, "splits": list(splits)}


def versions() -> dict[str, str]:
    """The versions that a dataset is built with, by package."""
    # Imported long ago: at the end of a build, files of the environment may be gone.
    import tensorflow_datasets as tfds

    return {
        "imagenet-builders": imagenet_builders.__version__,
        "tensorflow-datasets": tfds.__version__,
        "python": platform.python_version(),
    }


def _source(file: SourceFile) -> dict[str, Any]:
    """A file that was read, with its hashes if `check --hash` has made them."""
    hashes = hash_cache.known_hashes(file.path, file.size, file.mtime_ns)
    path, size, mtime_ns = file.identity
    return {"path": path, "size": size, "mtime_ns": mtime_ns} | hashes


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of a provenance document without its own digest, whatever its layout on disk."""
    content = {name: value for name, value in document.items() if name != "self"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_provenance(directory: Path) -> dict[str, Any] | None:
    """The provenance of a published dataset.

    Args:
        directory: Directory of the dataset.

    Returns:
        The document; None if there is none, or if it is damaged or cannot be read.
    """
    return _read(directory / FILE_NAME)


def part_of(document: Mapping[str, Any], split: str) -> Part | None:
    """How much of the official split was built, as a provenance says; None for all of it."""
    try:
        part = Part(**document["splits"][split]["part"])
    except (KeyError, TypeError):  # As it was before parts were recorded, or damaged.
        return None
    numbers = (part.images, part.of_images, part.classes, part.of_classes)
    is_sound = type(part.images) is int and all(type(each) in (int, type(None)) for each in numbers)
    return part if is_sound and isinstance(part.known_as, str | None) else None


def part_text(document: Mapping[str, Any], split: str) -> str | None:
    """How much of the official split a dataset has, in a phrase; None where that is all of it.

    Of a split without some of the images that were staged, such as those that were skipped, it says
    how many there are, too.
    """
    part = part_of(document, split)
    if part is None:
        return None
    there = document["splits"][split].get("examples")
    less = type(there) is int and there < part.images
    return f"a part of the official split: {f'{there:,} of what was staged, ' * less}{part}"


def made_with_of(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """What decided the bytes of images that were made anew (`SplitRecipe.made_with`), if any."""
    try:
        splits = [split.get("made_with") for split in (document or {})["splits"].values()]
    except (KeyError, AttributeError):  # As somebody else wrote it.
        return {}
    return next((dict(each) for each in splits if isinstance(each, dict) and each), {})


def layouts_of(document: Mapping[str, Any] | None) -> list[str]:
    """The layouts that the splits were built from, if they are known."""
    try:
        layouts = [split.get("layout") for split in (document or {})["splits"].values()]
    except (KeyError, AttributeError):  # As somebody else wrote it.
        return []
    return [each for each in layouts if isinstance(each, str)]


def read_info(directory: Path) -> dict[str, Any]:
    """What `dataset_info.json` of a published dataset says; empty if it cannot be read."""
    return _read(directory / "dataset_info.json") or {}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json_object(read_regular(path, _MAX_BYTES, follow=True))
    except OSError:
        return None


def _note(note: Note) -> dict[str, object]:
    entry: dict[str, object] = dataclasses.asdict(note)
    del entry["action"]
    return entry
