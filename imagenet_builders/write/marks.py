"""Marks: small files, each of which says that a shard is finished and what is in it.

A mark is a line with the SHA-256 of the rest, and then the shard's `ShardResult` as JSON, in which
the offsets of the records are the base64 of `RecordOffsets.packed`.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import google_crc32c

from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.files.regular import read_regular
from imagenet_builders.plan.recipe import ImagePolicy, Note
from imagenet_builders.write import build_dir
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.output import Piece, WrittenFile
from imagenet_builders.write.results import ShardResult

FORMAT = 4
"""The version of what a mark says; shards whose marks have another one are written again."""

_READ_BYTES = 1 << 20

# A longer mark is not read. 13 million records in a single shard would need 210 MB.
_MAX_BYTES = 1 << 28


@dataclasses.dataclass(frozen=True)
class MarkedShard:
    """A shard that has a mark.

    Attributes:
        split: Name of the split.
        number: The shard, counted from 0.
        path: Its file, in a directory as `build_dir` has it.
        mark: The file of its mark, beside it.
        policy: The policy of this build. A shard that left out images is of no use to one that is
            to fail, nor is one whose images were not decoded to one that decodes them.
    """

    split: str
    number: int
    path: str
    mark: str
    policy: ImagePolicy


def finished_shard(job: MarkedShard, report: Callable[[int, int], None]) -> ShardResult | None:
    """Checks a shard that an earlier build marked as finished; a job for the workers.

    Args:
        job: The shard.
        report: Told of progress.

    Returns:
        What it holds; None if it is not what its mark says, or the mark cannot be used.

    Raises:
        TargetError: Its directory is not there, or another is in its place.
    """
    name = Path(job.path).name
    with build_dir.entered(job.path) as directory:
        return _finished(job, directory, name, report)


def _finished(
    job: MarkedShard, directory: PrivateDir, name: str, report: Callable[[int, int], None]
) -> ShardResult | None:
    result = read_mark(Path(build_dir.mark_name(name)), dir_fd=directory.fd)
    if result is None or (result.split, result.number) != (job.split, job.number):
        return None
    skipped = any(note.action == "skipped" for note in result.notes)
    if (skipped and job.policy.bad_images == "fail") or (job.policy.decode and not result.decoded):
        return None
    shard = build_dir.shard_name(name)
    expected = [(f"{shard}/{each.place}", each.size, each.crc32c) for each in result.files]
    try:
        for path, size, crc32c in expected or [(shard, result.file_bytes, result.crc32c)]:
            if _size_and_checksum(directory, path) != (size, crc32c):
                return None
    except OSError:
        return None
    report(result.examples, result.record_bytes)
    return result


def _size_and_checksum(directory: PrivateDir, path: str) -> tuple[int, str]:
    checksum, size = google_crc32c.Checksum(), 0
    with os.fdopen(directory.open(path), "rb", buffering=0) as file:
        while data := file.read(_READ_BYTES):
            checksum.update(data)
            size += len(data)
    return size, checksum.hexdigest().decode()


def mark_content(result: ShardResult) -> bytes:
    r"""Makes the content of a mark.

    >>> result = ShardResult(split="train", number=0, examples=1, record_bytes=5, file_bytes=21,
    ...                      crc32c="89abcdef", offsets=None, decoded=False, notes=())
    >>> mark_content(result).partition(b"\n")[2]
    b'{"examples": 1, "record_bytes": 5, ..., "split": "train", ..., "decoded": false, "notes": []}'
    """
    content = dataclasses.asdict(result)
    if result.offsets is not None:
        content["offsets"] = base64.b64encode(result.offsets.packed).decode()
    if not result.pieces:  # Only exports have them.
        del content["pieces"]
    text = json.dumps(content).encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def read_mark(path: Path, *, dir_fd: int | None = None) -> ShardResult | None:
    """Reads a mark; None if there is none, it is damaged, or it cannot be true.

    Args:
        path: Its file.
        dir_fd: Descriptor of the directory that `path` is relative to.
    """
    try:
        digest, _, text = read_regular(path, _MAX_BYTES, dir_fd=dir_fd).partition(b"\n")
        if digest.decode() != hashlib.sha256(text).hexdigest():
            return None
        content = json.loads(text)
        notes = tuple(Note(**note) for note in content.pop("notes"))
        offsets = content.pop("offsets")
        if offsets is not None:
            offsets = RecordOffsets(base64.b64decode(offsets, validate=True))
        files = tuple(WrittenFile(*each) for each in content.pop("files"))
        pieces = tuple(Piece(*each) for each in content.pop("pieces", ()))
        if pieces and sum(piece.files for piece in pieces) != len(files):
            return None
        result = ShardResult(**content, notes=notes, offsets=offsets, files=files, pieces=pieces)
        if offsets is not None and not offsets.fit(result.examples, result.file_bytes):
            return None
        return result
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
