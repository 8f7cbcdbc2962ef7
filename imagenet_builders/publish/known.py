"""What a dataset is known by, so that nothing else that has its name is taken for it.

Who may write the directory above can rename datasets at any time, but not change what is in them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Self

from imagenet_builders.files.regular import read_regular

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened whose name may have become that of a link."""

_INFO = "dataset_info.json"
_MAX_BYTES = 1 << 26


@dataclasses.dataclass(frozen=True)
class Known:
    """What a directory, or what else has its name, is known by.

    Attributes:
        device: The file system that it is on.
        inode: Its number there; some network file systems change it.
        owner: Its owner.
        digest: Of what it describes and the names in it; empty if it describes no dataset.
    """

    device: int
    inode: int
    owner: int
    digest: str = ""

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """What has a name now; None for nothing.

        Raises:
            OSError: It cannot be looked at.
        """
        try:
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                with contextlib.suppress(PermissionError):
                    fd = os.open(path, DIRECTORY)
                    try:
                        return cls.of(fd)
                    finally:
                        os.close(fd)
        except FileNotFoundError:
            return None
        return cls(status.st_dev, status.st_ino, status.st_uid)

    @classmethod
    def of(cls, fd: int) -> Self:
        """A directory that is open."""
        status, digest = os.fstat(fd), ""
        with contextlib.suppress(OSError):
            described = read_regular(_INFO, _MAX_BYTES, dir_fd=fd)
            names = json.dumps(sorted(os.listdir(fd))).encode()
            digest = hashlib.sha256(names + described).hexdigest()
        return cls(status.st_dev, status.st_ino, status.st_uid, digest)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self | None:
        """What `to_bytes` has written; None for anything else."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError, RecursionError):
            return None

    def to_bytes(self) -> bytes:
        """To be noted in a private file."""
        return json.dumps(dataclasses.asdict(self)).encode()

    def is_at(self, path: Path) -> bool:
        """Whether it has that name now."""
        other = Known.at(path)
        return other is not None and self.is_same(other)

    def is_same(self, other: Known) -> bool:
        """Whether both are the same, or equal ones of the same owner."""
        if (self.device, self.inode) == (other.device, other.inode):
            return True
        return bool(self.digest) and (self.owner, self.digest) == (other.owner, other.digest)
