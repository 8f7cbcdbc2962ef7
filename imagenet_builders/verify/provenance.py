"""Reads `provenance.json` strictly and compares what it records with the files and the metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from imagenet_builders.verify.metadata import Description, MetadataError, parse_json, read_bytes
from imagenet_builders.verify.problems import REBUILD, Problem, Problems

FILE_NAME = "provenance.json"
INFO_NAME = "dataset_info.json"

# What TensorFlow Datasets' `convert_format` adds to `dataset_info.json`, as it writes it.
_CONVERTED = re.compile(
    rb'\n  "alternativeFileFormats": \[\n    "[a-z_0-9]+"(?:,\n    "[a-z_0-9]+")*\n  \],'
)


@dataclasses.dataclass(frozen=True)
class Part:
    """How much of an official split was staged when a dataset was built; None for what is unknown.

    Attributes:
        classes: Number of classes that have an image.
        of_classes: Number of classes of the official split.
        images: Number of images.
        of_images: Number of images of the official split.
        known_as: The name by which people know these classes.
    """

    classes: int | None
    of_classes: int | None
    images: int
    of_images: int | None
    known_as: str | None

    @classmethod
    def of(cls, entry: Any) -> Part | None:
        """The part that an entry describes; None if it is not one."""
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(entry, dict) or sorted(entry) != sorted(names):
            return None
        part = cls(**entry)
        numbers = (part.classes, part.of_classes, part.of_images)
        is_sound = (
            type(part.images) is int
            and all(number is None or type(number) is int for number in numbers)
            and (part.known_as is None or isinstance(part.known_as, str))
        )
        return part if is_sound else None


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a provenance records of the shards.

    Attributes:
        crcs: Split to the CRC-32C of each shard file, for splits where they are recorded.
        sizes: Split to the bytes of each shard file, likewise.
        skipped: Split to the number of images that were left out when it was built.
        parts: Split to what of the official split it holds, for splits that are a part of it.
        seals: Whether it records checksums of all files, itself included.
        files: Names of the files whose SHA-256 it records.
        index_crcs: Split to the CRC-32C of the index of each shard, where they are recorded.
    """

    crcs: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    sizes: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)
    parts: dict[str, Part] = dataclasses.field(default_factory=dict)
    seals: bool = False
    files: frozenset[str] = frozenset()
    index_crcs: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)


def check_files(directory: Path, problems: Problems, converted_from: str | None = None) -> Any:
    """Checks the provenance by its own digest, and the small files by theirs.

    Args:
        directory: The dataset.
        problems: Receives what is wrong.
        converted_from: The dataset that TensorFlow Datasets made this one from, in another file
            format, and that the provenance is of; or None.

    Returns:
        The document; None if there is none or it cannot be read.
    """
    path = directory / FILE_NAME
    try:
        if not os.path.lexists(path):
            return None
        data = read_bytes(path)
        document = parse_json(path, data)
        if not isinstance(document, dict):
            raise MetadataError(path, "not an object in braces")
    except MetadataError as error:
        problems.add(Problem(error.path, error.what))
        return None
    if not any(data == written for written in _as_written(document)):
        problems.add(Problem(str(path), "its text is not as it was written, so it was changed"))
    if "self" in document and document["self"] not in _own_digests(document):
        what = "its SHA-256 of itself is wrong, so it was changed"
        problems.add(Problem(str(path), what, found=ascii(document["self"])[:80]))
    files = document.get("files", {})
    if not isinstance(files, dict):
        problems.add(Problem(str(path), "'files' is not an object in braces"))
        return document
    advice = f"copy it from {converted_from}" if converted_from else REBUILD
    for name, expected in files.items():
        if not converted_from or name != INFO_NAME:
            _check_digest(directory, name, expected, problems, advice)
    return document


def recorded(
    directory: Path, document: Any, description: Description, problems: Problems
) -> Recorded:
    """Compares a provenance with the metadata.

    Args:
        directory: The dataset.
        document: As `check_files` gives it.
        description: The metadata.
        problems: Receives what is wrong.

    Returns:
        What it records of the shards.
    """
    if not isinstance(document, dict):
        return Recorded()
    path = str(directory / FILE_NAME)
    config = f"/{description.config}" if description.config else ""
    full_name = f"{description.name}{config}/{description.version}"
    if document.get("dataset") != full_name:
        found = ascii(document.get("dataset"))[:80]
        problems.add(Problem(path, "it is of another dataset", expected=full_name, found=found))
    splits = document.get("splits")
    splits = splits if isinstance(splits, dict) else {}
    names = {split.name for split in description.splits}
    if set(splits) != names:
        problems.add(
            Problem(
                path,
                "it has other splits than dataset_info.json",
                expected=", ".join(sorted(names)),
                found=", ".join(sorted(map(str, splits)))[:200],
            )
        )
    crcs, sizes, index_crcs, skipped, parts = {}, {}, {}, {}, {}
    for split in description.splits:
        entry = splits.get(split.name)
        if not isinstance(entry, dict):
            continue
        for key, expected in (
            ("examples", sum(split.lengths)),
            ("bytes", split.record_bytes),
            ("shards", len(split.lengths)),
        ):
            if key in entry and entry[key] != expected:
                what = f"{key} of split {split.name} is not as in dataset_info.json"
                found = ascii(entry[key])[:40]
                problems.add(Problem(path, what, expected=f"{expected}", found=found))
        if entry.get("part") is not None:
            part = Part.of(entry["part"])
            if part is not None:
                parts[split.name] = part
            else:
                what = f"what it says of split {split.name} as a part is not as it was written"
                problems.add(Problem(path, what))
        left_out = entry.get("skipped", [])
        skipped[split.name] = len(left_out) if isinstance(left_out, list) else 0
        try:
            if "shard_crc32c" in entry:
                crcs[split.name] = tuple(int(crc, 16) for crc in entry["shard_crc32c"])
            if "shard_bytes" in entry:
                sizes[split.name] = tuple(int(size) for size in entry["shard_bytes"])
            if entry.get("index_crc32c") is not None:
                index_crcs[split.name] = tuple(int(crc, 16) for crc in entry["index_crc32c"])
        except (TypeError, ValueError):
            problems.add(Problem(path, f"the checksums of split {split.name} are not numbers"))
        for numbers in (crcs, sizes, index_crcs):
            if split.name in numbers and len(numbers[split.name]) != len(split.lengths):
                del numbers[split.name]
                what = f"split {split.name} has not one checksum and size for each shard"
                problems.add(Problem(path, what))
    files = document.get("files")
    files = frozenset(files) if isinstance(files, dict) else frozenset()
    seals = "self" in document and bool(files) and set(crcs) == names
    return Recorded(crcs, sizes, skipped, parts, seals, files, index_crcs)


def _own_digests(document: dict[str, Any]) -> list[str]:
    """Digests of a provenance's canonical JSON (sorted, no white space) without its own `self`."""
    rest = {name: value for name, value in document.items() if name != "self"}
    digests = []
    for ascii_only in (True, False):
        text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)
        digests.append(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    return digests


def _as_written(document: Any) -> list[bytes]:
    """Lists the ways to write a document, because a changed space is a change as well."""
    return [
        (json.dumps(document, indent=indent, ensure_ascii=ascii_only) + end).encode(
            "utf-8", "surrogatepass"
        )
        for indent in (1, None, 2, 4)
        for ascii_only in (True, False)
        for end in ("\n", "")
    ]


def _check_digest(
    directory: Path, name: str, expected: Any, problems: Problems, advice: str
) -> None:
    path = directory / name
    if "/" in name or name in ("", ".", ".."):
        problems.add(Problem(str(directory / FILE_NAME), f"it names a file {name[:80]!a}"))
        return
    try:
        data = read_bytes(path)
    except MetadataError as error:
        problems.add(Problem(error.path, error.what, advice=advice))
        return
    found = hashlib.sha256(data).hexdigest()
    if found != expected and name == INFO_NAME:
        found = hashlib.sha256(_CONVERTED.sub(b"", data, count=1)).hexdigest()
    if found != expected:
        problems.add(
            Problem(
                str(path),
                "the file is not the one that was built: it has another SHA-256 than "
                "provenance.json says",
                expected=str(expected)[:80],
                found=found,
                advice=advice,
            )
        )
