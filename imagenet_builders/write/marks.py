"""DOCSTRING of write/marks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import google_crc32c

from imagenet_builders.plan.recipe import Note
from imagenet_builders.write.results import ShardResult

_READ_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class MarkedShard:
    """A shard with a mark.

    Attributes:
        split: Name of the split.
        number: The shard, counted from 0.
        path: The shard.
        mark: Its mark.
        bad_images: `fail` or `skip`.
    """

    split: str
    number: int
    path: str
    mark: str
    bad_images: str


def finished_shard(job: MarkedShard, report: Callable[[int, int], None]) -> ShardResult | None:
    """Reads a shard that an earlier build finished; a job for the workers.

    Args:
        job: The shard.
        report: Told of progress.

    Returns:
        What it holds, or None if it is not finished, or not what its mark says.
    """
    result = read_mark(Path(job.mark))
    if result is None or (result.split, result.number) != (job.split, job.number):
        return None
    if job.bad_images == "fail" and any(note.action == "skipped" for note in result.notes):
        return None
    checksum = google_crc32c.Checksum()
    size = 0
    try:
        with open(job.path, "rb", buffering=0) as file:
            while data := file.read(_READ_BYTES):
                checksum.update(data)
                size += len(data)
    except OSError:
        return None
    if (size, checksum.hexdigest().decode()) != (result.file_bytes, result.crc32c):
        return None
    report(result.examples, result.record_bytes)
    return result


def _mark(result: ShardResult) -> bytes:
    """What a finished shard's mark holds: the result, and before it its SHA-256."""
    text = json.dumps(dataclasses.asdict(result)).encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def read_mark(path: Path) -> ShardResult | None:
    """What a mark says of its shard; None if there is none, or it was damaged."""
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
        if digest.decode() != hashlib.sha256(text).hexdigest():
            return None
        content = json.loads(text)
        notes = tuple(Note(**note) for note in content.pop("notes"))
        return ShardResult(**content, notes=notes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
