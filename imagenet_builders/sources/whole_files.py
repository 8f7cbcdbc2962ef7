"""Reads files of their own, a few ahead: each costs network storage some round trips.

A file is opened once and nothing else is asked of it. Where that is slow, several threads read a
few files each while their like are used, so that a process waits for storage a fraction as long.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from imagenet_builders.errors import SourceError
from imagenet_builders.locate.access import unreadable

_THREADS = 4
# A thread is given so many files at a time; handing one over costs as much as reading it from
# memory does.
_FILES = 8
# A file that takes longer than this, and than its bytes do at so many a second, is not in memory. A
# few take longer because the machine is busy.
_SLOW_SECONDS, _SLOW_BYTES, _SLOW_FILES = 0.0002, 1e9, 4
# What is read ahead has no more bytes than this, but for one share.
_BYTES = 32 << 20


def read_whole(path: str, size: int) -> bytes:
    """All of a file.

    Args:
        path: The file.
        size: Its bytes when it was indexed.

    Returns:
        Its bytes.

    Raises:
        SourceError: It cannot be read, or has another size.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # A byte more tells of a file that has grown, without a look at its status.
            data = os.read(fd, size + 1)
            while len(data) < size and (more := os.read(fd, size + 1 - len(data))):
                data += more
        finally:
            os.close(fd)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) != size:
        found = f"more than {size:,}" if len(data) > size else f"{len(data):,}"
        raise SourceError(
            f"{path}: the file had {size:,} bytes when it was indexed and has {found} now; "
            "wait until its copy is complete and build again"
        )
    return data


def read_into(path: str, buffer: memoryview) -> bool:
    """Reads a file of the size of a buffer to there; False if it is not, or cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # A byte more tells of a file that has grown.
            return os.readv(fd, (buffer, bytearray(1))) == len(buffer)
        finally:
            os.close(fd)
    except OSError:
        return False


def fill_ahead(files: Iterable[tuple[str, int]]) -> Callable[[memoryview], bool]:
    """All of each of many files, as `read_ahead` reads them, into buffers.

    Args:
        files: Path and size of each.

    Returns:
        A function that reads the next file into a buffer of its size; False for another size. It
        raises as `read_whole`.
    """
    files = iter(files)
    slow = 0
    by_threads: Iterator[bytes] | None = None

    def fill(buffer: memoryview) -> bool:
        nonlocal slow, by_threads
        if by_threads is None and slow >= _SLOW_FILES:
            by_threads = _read_by_threads(files)
        if by_threads is not None:
            data = next(by_threads)
        else:
            path, size = next(files)
            started = time.perf_counter()
            if size == len(buffer) and read_into(path, buffer):
                slow += _is_slow(started, size)
                return True
            data = read_whole(path, size)
            slow += _is_slow(started, size)
        if len(data) != len(buffer):
            return False
        buffer[:] = data
        return True

    return fill


def _is_slow(started: float, size: int) -> bool:
    return time.perf_counter() - started > _SLOW_SECONDS + size / _SLOW_BYTES


def read_ahead(files: Iterable[tuple[str, int]]) -> Generator[bytes, None, None]:
    """All of each of many files.

    Files that are in memory are read where they are asked for: to hand one from thread to thread
    takes longer than to read it. Once some were slow, threads read the others ahead.

    Args:
        files: Path and size of each.

    Yields:
        Their bytes, in their order.

    Raises:
        SourceError: As `read_whole`, when it is that file's turn.
    """
    files = iter(files)
    slow = 0
    for path, size in files:
        started = time.perf_counter()
        data = read_whole(path, size)
        slow += _is_slow(started, size)
        yield data
        if slow >= _SLOW_FILES:
            break
    yield from _read_by_threads(files)


def _read_by_threads(files: Iterator[tuple[str, int]]) -> Generator[bytes, None, None]:
    shares = _shares(files)
    waiting: deque[tuple[int, Future[tuple[list[bytes], SourceError | None]]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(_THREADS) as threads:
        for share in itertools.chain(shares, [None]):
            if share is not None:
                size = sum(each for _, each in share)
                waiting.append((size, threads.submit(_read_share, share)))
                ahead += size
            while waiting and (share is None or len(waiting) > _THREADS or ahead > _BYTES):
                size, future = waiting.popleft()
                found, error = future.result()
                ahead -= size
                yield from found
                if error is not None:
                    raise error


def _shares(files: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    share: list[tuple[str, int]] = []
    size = 0
    for file in files:
        share.append(file)
        size += file[1]
        if len(share) == _FILES or size >= _BYTES // _THREADS:
            yield share
            share, size = [], 0
    if share:
        yield share


def _read_share(share: Sequence[tuple[str, int]]) -> tuple[list[bytes], SourceError | None]:
    """The files up to the first that cannot be read, and what is wrong with that."""
    found: list[bytes] = []
    try:
        for path, size in share:
            found.append(read_whole(path, size))
    except SourceError as error:
        return found, error
    return found, None
