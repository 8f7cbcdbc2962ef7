"""Checks that the storage has room for a dataset before anything is written."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.words import counted, sizes_apart
from imagenet_builders.write import durable
from imagenet_builders.write.quota import quotas_of

# Metadata, marks, and what a file system needs for directories.
BYTES_A_RECORD = 16
"""Bytes of a mark for each record of its shard."""

_MORE_BYTES = 16 << 20
_MORE_FILES = 32


@dataclasses.dataclass(frozen=True)
class Room:
    """The room in a directory.

    Attributes:
        free: Bytes.
        free_files: Files; None where the file system does not say.
        quota: Whose quota leaves so few bytes, in words; None where the file system does.
        files_quota: The same of files.
        quotas_seen: Whether all quotas are counted.
    """

    free: int
    free_files: int | None
    quota: str | None = None
    files_quota: str | None = None
    quotas_seen: bool = False


def room_in(directory: Path) -> Room:
    """The room that a directory has for this process, as its file system and quotas tell.

    Raises:
        OSError: The file system does not answer.
    """
    status = os.statvfs(directory)
    free, quota = status.f_bavail * status.f_frsize, None
    # A file system that makes inodes as it needs them reports that it has none at all.
    free_files, files_quota = (status.f_favail if status.f_files else None), None
    quotas = quotas_of(directory)
    for each in quotas.there:
        if each.free is not None and each.free < free:
            free, quota = each.free, each.whose
        if each.free_files is not None and (free_files is None or each.free_files < free_files):
            free_files, files_quota = each.free_files, each.whose
    return Room(free, free_files, quota, files_quota, quotas.are_seen)


@dataclasses.dataclass(frozen=True)
class Needs:
    """The room that is needed besides that of the images.

    Attributes:
        bytes_a_record: Bytes for each image.
        files_a_record: Files for each image.
        files: Files in all, besides those of shards.
        copies: How often each image is written.
        flag: The option by which another place is chosen.
    """

    bytes_a_record: int = BYTES_A_RECORD
    files_a_record: int = 0
    files: int = 0
    copies: int = 1
    flag: str = "--data-dir"


def check_space(directory: Path, size: int, files: int, flag: str = Needs.flag) -> None:
    """Makes sure that a directory has room, as far as its file system and quotas tell.

    Args:
        directory: Where files will be written.
        size: Their bytes.
        files: Their number.
        flag: The option by which another place is chosen.

    Raises:
        TargetError: There is too little space, or there are too few inodes.
    """
    with durable.writing(directory):
        room = room_in(directory)
    if size + _MORE_BYTES > room.free:
        has, needs = sizes_apart(room.free, size + _MORE_BYTES)
        raise TargetError(
            f"{directory} has {has} free{under(room.quota)}, but {needs} are still to be "
            f"written; free some space, or choose another {flag}, then run the same command "
            "again"
        )
    if room.free_files is not None and files + _MORE_FILES > room.free_files:
        raise TargetError(
            f"{directory} has room for {counted(room.free_files, 'more file')} (inodes)"
            f"{under(room.files_quota)}, but {files + _MORE_FILES:,} are needed; remove files that "
            f"nobody needs, of whatever size, or choose another {flag}, then run the same "
            "command again"
        )


def under(quota: str | None) -> str:
    """Whose quota it is, to be said after a number; empty for none."""
    return f" under the quota of {quota}" if quota else ""
