"""Checks that the storage has room for a dataset before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.words import sizes_apart
from imagenet_builders.write import durable

# Metadata, marks, and what a file system needs for directories.
_MORE_BYTES = 16 << 20
_MORE_FILES = 32


def check_space(directory: Path, size: int, files: int) -> None:
    """Makes sure that a directory has room, as far as its file system tells.

    Quotas count where the file system shows them to `statvfs` (XFS project quotas, Lustre, some NFS
    servers); a quota per user does not.

    Args:
        directory: Where files will be written.
        size: Their bytes.
        files: Their number.

    Raises:
        TargetError: There is too little space, or there are too few inodes.
    """
    with durable.writing(directory):
        status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if size + _MORE_BYTES > free:
        has, needs = sizes_apart(free, size + _MORE_BYTES)
        raise TargetError(
            f"{directory} has {has} free, but {needs} are still to be "
            "written; free some space, or choose another --data-dir, then run the same command "
            "again"
        )
    # A file system that makes inodes as it needs them reports that it has none at all.
    if status.f_files and files + _MORE_FILES > status.f_favail:
        raise TargetError(
            f"{directory} has room for {status.f_favail:,} more files (inodes), but "
            f"{files + _MORE_FILES:,} are needed; free some, or choose another --data-dir, then "
            "run the same command again"
        )
