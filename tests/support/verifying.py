"""Built datasets for the tests of verification, with and without checksums, and damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagenet_builders.formats.tfrecord import frame as framing
from imagenet_builders.formats.tfrecord.example import parse, serialize
from imagenet_builders.verify.dataset import verify_dataset
from imagenet_builders.verify.provenance import FILE_NAME
from imagenet_builders.verify.verdict import Verdict
from support.built_datasets import tfrecords


def verified(directory: Path, *, decode: bool = False) -> Verdict:
    return verify_dataset(directory, workers=1, decode=decode)


def said(verdict: Verdict) -> str:
    return "\n".join(problem.sentence for problem in verdict.problems)


def copy(directory: Path, target: Path) -> Path:
    """A copy of a dataset below another data_dir, with the directories of its name."""
    copied = target / directory.parent.name / directory.name
    shutil.copytree(directory, copied)
    return copied


def without_checksums(directory: Path) -> Path:
    """Takes the checksums of files out of the provenance, so that only what records say counts."""
    path = directory / FILE_NAME
    document = json.loads(path.read_text())
    for entry in document["splits"].values():
        del entry["shard_crc32c"], entry["shard_bytes"]
    del document["files"], document["self"]
    path.write_text(json.dumps(document, indent=1) + "\n")
    return directory


def read_frames(shard: Path) -> list[bytes]:
    """The records of a TFRecord file."""
    return list(tfrecords(shard.read_bytes()))


def write_frames(shard: Path, contents: list[bytes]) -> None:
    """Writes records with checksums that are right."""
    data = b""
    for record in contents:
        before, after, _ = framing.frame([record])
        data += before + record + after
    shard.write_bytes(data)


def changed(record: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A record with other features."""
    features = values(record)
    change(features)
    return b"".join(serialize(features))


def values(record: bytes) -> dict[str, Any]:
    """The features of a record that has one value of each."""
    return {name: feature.values[0] for name, feature in parse(record).items()}
