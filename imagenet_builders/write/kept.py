"""Shards of a dataset that is there, which go into the one that takes its place as they are.

Such a shard gets a second name in the directory of the new dataset, by a hard link, so that it is
not written twice; where that cannot be, it is copied. Then its checksum is compared.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import google_crc32c

from imagenet_builders.errors import TargetError
from imagenet_builders.files.ours import is_ours
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.files.regular import NotAFileError, open_regular
from imagenet_builders.write import build_dir, durable
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.output import Output, RecordFileError

_READ_BYTES = 1 << 20
_COPY_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class KeptShard:
    """A shard to keep.

    Attributes:
        source: Its file in the dataset that is there.
        path: Its file in the new one.
        examples: Number of its examples.
        size: Bytes that it must have.
        crc32c: CRC-32C that it must have, 8 hexadecimal digits.
        output: The output that wrote it.
    """

    source: str
    path: str
    examples: int
    size: int
    crc32c: str
    output: Output


def link(shard: KeptShard, directory: PrivateDir) -> bool:
    """Gives a shard its second name.

    Another user's is not kept: they could change it later, or have changed it.

    Args:
        shard: The shard.
        directory: Where the new dataset is put together.

    Returns:
        Whether it has it; otherwise the shard has to be copied.

    Raises:
        TargetError: What has the name is not what was built.
    """
    name = build_dir.shard_name(Path(shard.path).name)
    try:
        os.link(shard.source, name, dst_dir_fd=directory.fd, follow_symlinks=False)
    except OSError:
        return False
    # What has been linked, whatever has that name in the dataset by now.
    status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
        if status.st_size == shard.size:
            return True
        directory.unlink(name)
        raise _resized(shard, status.st_size)
    directory.unlink(name)
    return False


def copy(shard: KeptShard, directory: PrivateDir) -> None:
    """Copies a shard; not in a worker, for what is published must have no late writers.

    Args:
        shard: The shard.
        directory: Where the new dataset is put together.

    Raises:
        TargetError: It cannot be copied.
    """
    path = Path(shard.path)
    with (
        _opened(shard, shard.source) as source,
        durable.writing(path),
        FileIO(directory.open_new(build_dir.shard_name(path.name), 0o666), "r+") as target,
    ):
        if not is_ours(source.fileno()):
            raise _error(shard, "it is another user's")
        left = shard.size
        try:
            # File systems on which two files can share their bytes copy none.
            while left and (
                count := os.copy_file_range(
                    source.fileno(), target.fileno(), min(left, _COPY_BYTES)
                )
            ):
                left -= count
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            source.seek(0)
            target.seek(0)
            left = shard.size
            while left and (data := source.read(min(left, _READ_BYTES))):
                left -= len(data)
                while data:
                    data = data[target.write(data) :]


def check_kept(shard: KeptShard, report: Callable[[int, int], None]) -> RecordOffsets | None:
    """Compares a shard with what it was when it was built; a job for the workers.

    Args:
        shard: The shard, linked or copied.
        report: Told of progress.

    Returns:
        Where its records are, if its output has an index of them.

    Raises:
        TargetError: It is another.
    """
    checksum = google_crc32c.Checksum()
    size = 0
    name = build_dir.shard_name(Path(shard.path).name)
    with (
        build_dir.entered(shard.path) as directory,
        _opened(shard, name, directory.fd) as file,
    ):
        try:
            while size <= shard.size and (data := file.read(_READ_BYTES)):
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
    offsets = _offsets(shard) if shard.output.index is not None else None
    report(shard.examples, size)
    return offsets


def _offsets(shard: KeptShard) -> RecordOffsets | None:
    """Where the records of a shard are that has just been read, so that it is in memory."""
    assert shard.output.open is not None
    name = build_dir.shard_name(Path(shard.path).name)
    with build_dir.entered(shard.path) as directory:
        try:
            return shard.output.open(os.fspath(directory.place_of(name)), None).offsets
        except (OSError, RecordFileError) as error:
            raise _error(shard, f"it cannot be read ({error})") from error


def _resized(shard: KeptShard, size: int) -> TargetError:
    return _error(shard, f"it had {shard.size:,} bytes when it was built, and has {size:,} now")


def _opened(shard: KeptShard, path: str, dir_fd: int | None = None) -> FileIO:
    """Opens a shard, which has the size that it must have if it is that of the dataset."""
    try:
        file = FileIO(open_regular(path, dir_fd=dir_fd), "rb")
    except NotAFileError as error:
        what = "it is a link" if error.errno == errno.ELOOP else "it is not a file"
        raise _error(shard, what) from error
    except OSError as error:
        raise _error(shard, f"it cannot be read ({error.strerror})") from error
    size = os.fstat(file.fileno()).st_size
    if size != shard.size:
        file.close()
        raise _resized(shard, size)
    return file


def _error(shard: KeptShard, what: str) -> TargetError:
    return TargetError(
        f"{shard.source} is to be kept, but {what}; `imagenet-builders verify` says what else is "
        "wrong, and a build with --overwrite makes it anew"
    )
