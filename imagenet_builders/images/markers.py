"""Looks for markers among a JPEG's compressed data, which takes a look at each byte of them."""

from __future__ import annotations

import threading

# The space for larger images is not kept.
_KEPT_BYTES = 1 << 20


class _Space:
    """Where bytes of images are compared.

    Args:
        size: How many of one image.
    """

    def __init__(self, size: int):
        import numpy as np

        self.numpy = np
        self.prefix = np.array(0xFF, np.uint8)
        self.bytes = bytearray(size)
        self.found = np.frombuffer(self.bytes, np.bool_)
        self.numbers = np.frombuffer(self.bytes, np.uint8)


class _Kept(threading.local):
    """The space of a thread; to get one anew for each image takes longer than to use it."""

    space: _Space | None = None


_kept = _Kept()


def holds_marker(data: bytes | memoryview, start: int, stop: int) -> bool:
    """Whether an FF stands between two offsets that another byte than 00 follows.

    Args:
        data: A JPEG.
        start: Where its compressed data begin.
        stop: Where they end.

    It is NumPy's work, in two passes, and that of `memchr`: 5 µs for 100 kB.
    """
    count = stop - start - 1
    if count < 1:
        return False
    space = _kept.space
    if space is None:
        space = _kept.space = _Space(_KEPT_BYTES)
    if count > _KEPT_BYTES:
        space = _Space(count)
    np = space.numpy
    scan = np.frombuffer(data, np.uint8, count + 1, start)
    numbers = space.numbers[:count]
    np.equal(scan[:-1], space.prefix, space.found[:count])
    np.minimum(numbers, scan[1:], out=numbers)  # 1 for an FF before another byte than 00, else 0.
    return space.bytes.find(1, 0, count) >= 0
