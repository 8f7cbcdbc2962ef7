"""Which files are in the page cache: dropping them, reading them in, asking the kernel."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path


def evict(path: Path) -> None:
    """Drops a file from the page cache; only clean pages can be dropped, so it is synced first."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_through(path: Path) -> None:
    """Has a file in the page cache, as far as it fits."""
    buffer = bytearray(8 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def cached_share(path: Path) -> float | None:
    """Share of a file's pages that are in the page cache; None if the system does not tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    size = path.stat().st_size
    length = ctypes.c_size_t(size)
    with open(path, "rb") as file:
        address = libc.mmap(
            None, length, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), ctypes.c_long(0)
        )
    if address == ctypes.c_void_p(-1).value:
        return None
    try:
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        if libc.mincore(ctypes.c_void_p(address), length, pages) != 0:
            return None
    finally:
        libc.munmap(ctypes.c_void_p(address), length)
    # Only the lowest bit of each byte is defined.
    resident = bytes(pages).translate(bytes(number & 1 for number in range(256))).count(1)
    return resident / len(pages)


def mean_cached_share(paths: Sequence[Path]) -> float | None:
    """Share of all the files' pages together; None if the system does not tell."""
    try:
        told = [cached_share(path) for path in paths]
    except (OSError, AttributeError):
        return None
    shares = [share for share in told if share is not None]
    if len(shares) < len(told):
        return None
    sizes = [path.stat().st_size for path in paths]
    return sum(share * size for share, size in zip(shares, sizes, strict=True)) / sum(sizes)
