"""`provenance.json`: where a built dataset comes from and what was done to it on the way.

It lies beside `dataset_info.json`; readers of the dataset need not know of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imagenet_builders
from imagenet_builders.errors import TargetError
from imagenet_builders.locate import hash_cache
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.recipe import Note
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.write import durable
from imagenet_builders.write.results import SplitResult

FILE_NAME = "provenance.json"

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
        "versions": _versions(),
        "splits": {
            result.split: {
                "examples": result.examples,
                "bytes": result.record_bytes,
                "shards": len(result.shard_lengths),
                "shard_bytes": list(result.shard_bytes),
                "shard_crc32c": list(result.shard_crc32c),
                "plan": plans[result.split],
                "layout": result.layout,
                "sources": [_source(file) for file in result.files],
                "repaired": [_note(note) for note in result.notes if note.action == "repaired"],
                "skipped": [_note(note) for note in result.notes if note.action == "skipped"],
                "counts": dict(result.counts),
            }
            for result in results
        },
        "files": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(directory.iterdir())
            if not _SHARD.search(path.name)
        },
    }
    document["self"] = digest_of(document)
    path = directory / FILE_NAME
    durable.write_file(path, (json.dumps(document, indent=1) + "\n").encode())
    return path


def _versions() -> dict[str, str]:
    # Loaded long ago: at the end of a build nothing is looked up that might be gone by now.
    import tensorflow_datasets as tfds

    return {
        "imagenet-builders": imagenet_builders.__version__,
        "tensorflow-datasets": tfds.__version__,
        "python": platform.python_version(),
    }


def _source(file: SourceFile) -> dict[str, Any]:
    """A file that was read, with its hashes if `check --hash` has made them."""
    hashes = hash_cache.known_hashes(file.path, file.size, file.mtime_ns)
    return dataclasses.asdict(file) | hashes


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
        The document; None if there is none or it cannot be read.
    """
    return _read(directory / FILE_NAME)


def check_readable(directory: Path) -> None:
    """Makes sure that a published dataset can be told from one that is only a part.

    Raises:
        TargetError: Its provenance cannot be read.
    """
    if read_provenance(directory) is None:
        raise TargetError(
            f"{directory / FILE_NAME} is damaged or may not be read, so it is not known whether "
            "the dataset is whole; look with `imagenet-builders verify`, or build it with "
            "--overwrite"
        )


def read_info(directory: Path) -> dict[str, Any]:
    """What `dataset_info.json` of a published dataset says; empty if it cannot be read."""
    return _read(directory / "dataset_info.json") or {}


def is_of(
    directory: Path,
    description: Mapping[str, Any],
    *,
    bad_images: str,
    max_examples_per_split: int | None,
) -> bool:
    """Whether a published dataset is what a build would make.

    Args:
        directory: Directory of the dataset.
        description: What the build would make, as `plan.identity.describe` gives it.
        bad_images: What it would do with bad images: `fail` or `skip`.
        max_examples_per_split: The limit that would make it a part of the dataset, or None.

    Returns:
        Whether sources, records, shards and file format are the same, made by the same versions.
    """
    document = read_provenance(directory)
    try:
        return bool(
            document is not None
            and document["dataset"] == description["dataset"]
            and document["max_examples_per_split"] == max_examples_per_split
            and document["versions"] == _versions()
            and read_info(directory)["fileFormat"] == description["file format"]
            and {name: split["plan"] for name, split in document["splits"].items()}
            == {name: split["plan"] for name, split in description["splits"].items()}
            and (
                bad_images == "skip"
                or not any(split["skipped"] for split in document["splits"].values())
            )
        )
    except (KeyError, TypeError, AttributeError):  # As somebody else wrote it.
        return False


def part_of_splits(directory: Path) -> int | None:
    """The `max_examples_per_split` with which a published dataset was built, if it was."""
    document = read_provenance(directory) or {}
    limit = document.get("max_examples_per_split")
    return limit if isinstance(limit, int) else None


def warn_of_a_part(directory: Path) -> None:
    """Warns who reads a published dataset that is only a part, built to try things out."""
    limit = part_of_splits(directory)
    if limit is not None:
        warnings.warn(
            f"{directory} holds at most {limit:,} examples of each split: it was built with "
            "max_examples_per_split, to try things out; build it without to replace it",
            stacklevel=3,
        )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _note(note: Note) -> dict[str, object]:
    entry: dict[str, object] = dataclasses.asdict(note)
    del entry["action"]
    return entry
