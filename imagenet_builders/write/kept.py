"""Shards of a dataset that is there, which go into the one that takes its place as they are.

Such a shard gets a second name in the directory of the new dataset, by a hard link, so that it is
not written twice; where that cannot be, it is copied. Then its checksum is compared.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import google_crc32c

from imagenet_builders.errors import TargetError
from imagenet_builders.write import durable

_READ_BYTES = 1 << 20
_COPY_BYTES = 1 << 30
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclasses.dataclass(frozen=True)
class KeptShard:
    """A shard to keep.

    Attributes:
        source: Its file in the dataset that is there.
        path: Its file in the new one.
        examples: Number of its examples.
        size: Bytes that it must have.
        crc32c: CRC-32C that it must have, 8 hexadecimal digits.
    """

    source: str
    path: str
    examples: int
    size: int
    crc32c: str


def link(shard: KeptShard) -> bool:
    """Gives a shard its second name.

    Another user's is not linked: they could change it later, and its mode is not ours to set.

    Returns:
        Whether it has it; otherwise the shard has to be copied.
    """
    with contextlib.suppress(OSError):
        if os.lstat(shard.source).st_uid == os.geteuid():
            os.link(shard.source, shard.path, follow_symlinks=False)
            return True
    return False


def copy(shard: KeptShard) -> None:
    """Copies a shard; not in a worker, for what is published must have no late writers.

    Raises:
        TargetError: It cannot be copied.
    """
    path = Path(shard.path)
    with (
        _opened(shard, shard.source) as source,
        durable.writing(path),
        open(path, "xb", buffering=0) as target,
    ):
        try:
            # File systems on which two files can share their bytes copy none.
            while os.copy_file_range(source.fileno(), target.fileno(), _COPY_BYTES):
                pass
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            source.seek(0)
            target.seek(0)
            shutil.copyfileobj(source, target, _READ_BYTES)


def check_kept(shard: KeptShard, report: Callable[[int, int], None]) -> None:
    """Compares a shard with what it was when it was built; a job for the workers.

    Args:
        shard: The shard, linked or copied.
        report: Told of progress.

    Raises:
        TargetError: It is another.
    """
    checksum = google_crc32c.Checksum()
    size = 0
    with _opened(shard, shard.path) as file:
        try:
            while data := file.read(_READ_BYTES):
                checksum.update(data)
                size += len(data)
        except OSError as error:
            raise _error(shard, f"it cannot be read ({error.strerror})") from error
    found = checksum.hexdigest().decode()
    if (size, found) != (shard.size, shard.crc32c):
        raise _error(
            shard,
            f"it had {shard.size:,} bytes with CRC-32C {shard.crc32c} when it was built, and has "
            f"{size:,} with {found} now",
        )
    report(shard.examples, size)


def _opened(shard: KeptShard, path: str) -> FileIO:
    try:
        file = FileIO(path, opener=lambda name, _: os.open(name, _OPEN))
    except OSError as error:
        what = "is a link" if error.errno == errno.ELOOP else f"cannot be read ({error.strerror})"
        raise _error(shard, f"it {what}") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _error(shard, "it is not a file")
    return file


def _error(shard: KeptShard, what: str) -> TargetError:
    return TargetError(
        f"{shard.source} is to be kept, but {what}; `imagenet-builders verify` says what else is "
        "wrong, and a build with --overwrite makes it anew"
    )
