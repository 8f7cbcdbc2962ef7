"""A new file that is put together in a buffer, to whose places images are read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import google_crc32c

from imagenet_builders.write.new_file import NewFile

if TYPE_CHECKING:
    import numpy as np

# Little enough to stay in the processor's cache. What is larger has a buffer to itself.
_BUFFER_BYTES = 1 << 20


class _Kept(threading.local):
    """The buffer of a thread, which writes one file after another."""

    buffer: np.ndarray | None = None


_kept = _Kept()


class LaidOutFile(NewFile):
    """As `NewFile`; a thread has one of them open at a time.

    What is put into `room` is a part of the file once `add` says how much of it.
    """

    _buffer: np.ndarray | None = None
    _filled = 0

    def room(self, size: int) -> memoryview:
        """Where the next bytes of the file can be put, so many at least."""
        import numpy as np

        buffer = self._buffer
        if buffer is None or self._filled + size > len(buffer):
            self._write_out()
            if size > _BUFFER_BYTES:
                buffer = np.empty(size, np.uint8)
            else:
                buffer = _kept.buffer
                if buffer is None:
                    buffer = _kept.buffer = np.empty(_BUFFER_BYTES, np.uint8)
            self._buffer = buffer
        return buffer.data[self._filled :]

    def add(self, size: int) -> None:
        """Appends so many bytes of what was put into `room`."""
        self._filled += size

    def crc_of(self, start: int, end: int) -> int:
        """CRC-32C of what was put into the last `room` between two places in it."""
        assert self._buffer is not None
        crc: int = google_crc32c.extend(0, self._buffer[self._filled + start : self._filled + end])
        return crc

    def write(self, buffers: Sequence[bytes], size: int) -> None:
        """Appends buffers; see `NewFile`."""
        self._write_out()
        super().write(buffers, size)

    def _flush(self) -> None:
        super()._flush()
        self._write_out()

    def _write_out(self) -> None:
        """Writes what was added."""
        filled, self._filled = self._filled, 0
        if filled:
            assert self._buffer is not None
            data = self._buffer[:filled]
            super()._flush()
            self._crc = google_crc32c.extend(self._crc, data)
            self.write_through(data)
