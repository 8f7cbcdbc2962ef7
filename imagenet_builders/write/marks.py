"""Marks: small files that say of a shard that it is finished, and what is in it.

A mark is a line with the SHA-256 of the rest, which is the shard's `ShardResult` as JSON; in it the
offsets of the records are base64 of the bytes that `RecordOffsets` packs.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import google_crc32c

from imagenet_builders.plan.recipe import Note
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.results import ShardResult

FORMAT = 2
"""Of what is in a mark; shards whose marks have another format are written again."""

BYTES_A_RECORD = 16
"""What a mark has for each record of its shard, the least that it says aside."""

_READ_BYTES = 1 << 20

# No mark is longer: the offsets of 13 million records, were they all in one shard, have 210 MB.
_MAX_BYTES = 1 << 28


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


def mark_content(result: ShardResult) -> bytes:
    r"""What the mark of a finished shard holds: a SHA-256, and the result as JSON.

    >>> result = ShardResult("train", 0, 1, 5, 21, "89abcdef", (), None)
    >>> mark_content(result).partition(b"\n")[2]
    b'{"split": "train", "number": 0, ..., "notes": [], "offsets": null}'
    """
    content = dataclasses.asdict(result)
    if result.offsets is not None:
        content["offsets"] = base64.b64encode(result.offsets.packed).decode()
    text = json.dumps(content).encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def read_mark(path: Path) -> ShardResult | None:
    """What a mark says of its shard; None if there is none, or it was damaged."""
    try:
        with open(path, "rb") as file:
            digest, _, text = file.read(_MAX_BYTES).partition(b"\n")
        if digest.decode() != hashlib.sha256(text).hexdigest():
            return None
        content = json.loads(text)
        notes = tuple(Note(**note) for note in content.pop("notes"))
        offsets = content.pop("offsets")
        if offsets is not None:
            offsets = RecordOffsets(base64.b64decode(offsets, validate=True))
        result = ShardResult(**content, notes=notes, offsets=offsets)
        if offsets is not None and not offsets.fit(result.examples, result.file_bytes):
            return None
        return result
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
