"""Writes a new file in few system calls and computes its checksum on the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import google_crc32c

from imagenet_builders.write import durable

if TYPE_CHECKING:
    import numpy as np

# A vectored write takes at most so many buffers (IOV_MAX is 1024 on Linux), and waits for so many
# bytes: enough that system calls do not matter, little enough to stay in the processor's cache.
_MAX_BUFFERS = 512
_MAX_BYTES = 1 << 20


class NewFile:
    """A file being written; its errors are `TargetError`s.

    Args:
        path: The file; one that is there already is replaced.

    Attributes:
        size: Bytes of the file. Like the checksum, it is complete when the `with` block has ended.
    """

    def __init__(self, path: Path):
        self._path = path
        self._buffers: list[bytes] = []
        self._waiting = 0
        self._crc = 0
        self.size = 0

    @property
    def crc32c(self) -> str:
        """CRC-32C of what was written, 8 hexadecimal digits."""
        return f"{self._crc:08x}"

    def __enter__(self) -> Self:
        with durable.writing(self._path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o666)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self._flush()
        finally:
            # A network file system may report only here that a quota is used up.
            with durable.writing(self._path):
                os.close(self._fd)

    def write(self, buffers: Sequence[bytes], size: int) -> None:
        """Appends buffers, which are not copied.

        Args:
            buffers: The next bytes of the file, in pieces.
            size: Their bytes in all.
        """
        self._buffers += buffers
        self._waiting += size
        if self._waiting >= _MAX_BYTES or len(self._buffers) >= _MAX_BUFFERS:
            self._flush()

    def flush(self) -> None:
        """Writes what was appended, so that the memory of buffers can be used again."""
        self._flush()

    def write_through(self, data: np.ndarray) -> None:
        """Appends bytes at once, so that their memory can be used again.

        Their checksum is left to whoever asks: it is not in `crc32c`.

        Args:
            data: The next bytes of the file, uint8 of shape (bytes,).
        """
        self._flush()
        if not len(data):
            return
        with durable.writing(self._path):
            _write_all(self._fd, [data.data])
        self.size += len(data)

    def _flush(self) -> None:
        """Writes all buffers, however little the kernel takes at a time."""
        buffers, self._buffers = self._buffers, []
        for buffer in buffers:
            self._crc = google_crc32c.extend(self._crc, buffer)
        with durable.writing(self._path):
            for start in range(0, len(buffers), _MAX_BUFFERS):
                _write_all(self._fd, buffers[start : start + _MAX_BUFFERS])
        self.size += self._waiting
        self._waiting = 0


def _write_all(fd: int, buffers: Sequence[bytes | memoryview]) -> None:
    left: list[bytes | memoryview] = list(buffers)
    while left:
        written = os.writev(fd, left)
        done = 0
        while done < len(left) and written >= len(left[done]):
            written -= len(left[done])
            done += 1
        left = left[done:]
        if left and written:
            left[0] = memoryview(left[0])[written:]
