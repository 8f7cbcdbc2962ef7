"""Computes MD5 and SHA-256 in one read, of several files at a time, and remembers them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from imagenet_builders.errors import SourceError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.locate import hash_cache

ALGORITHMS = ("md5", "sha256")

# Slow shared storage is good at large reads.
_READ_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True)
class Hashed:
    """A file and its hashes.

    Attributes:
        path: The file.
        size: Its bytes.
        hashes: Algorithm to hash in hexadecimal.
        remembered: Whether an earlier run computed them.
        error: The reason why there are none, or None.
    """

    path: Path
    size: int
    hashes: Mapping[str, str]
    remembered: bool = False
    error: SourceError | OSError | None = None


def remembered(path: Path) -> Hashed | None:
    """The hashes that an earlier run remembered of a file, or None."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    hashes = hash_cache.known_hashes(path, status.st_size, status.st_mtime_ns)
    return Hashed(path, status.st_size, hashes, remembered=True) if hashes else None


def hash_files(
    paths: Sequence[Path], *, threads: int, report: Callable[[int], None] = lambda size: None
) -> Iterator[Hashed]:
    """Hashes files, except unchanged ones whose hashes are remembered.

    Args:
        paths: The files.
        threads: Number of files to read at a time.
        report: Called with the bytes read since the last call, from any thread.

    Yields:
        Each file, in the order in which they are finished. The hashes of a file are remembered when
        it is finished, so an interrupted run loses only the files that it was reading.
    """
    known = {path: remembered(path) for path in dict.fromkeys(paths)}
    yield from (hashed for hashed in known.values() if hashed is not None)
    stop = threading.Event()
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        # The largest first, so that it does not finish long after all others.
        waiting = sorted((path for path, hashed in known.items() if hashed is None), key=size_of)
        jobs = [pool.submit(_hash_file, path, stop, report) for path in reversed(waiting)]
        for job in as_completed(jobs):
            yield job.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if it cannot be read."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _hash_file(path: Path, stop: threading.Event, report: Callable[[int], None]) -> Hashed:
    size = 0
    try:
        with os.fdopen(open_regular(path, follow=True), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            size = before.st_size
            with contextlib.suppress(OSError):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            hashes = _hash(file.fileno(), before.st_size, stop, report)
            after = os.fstat(file.fileno())
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise SourceError(
                f"{path}: the file changed while it was read ({before.st_size:,} bytes then, "
                f"{after.st_size:,} now); wait until its copy is complete and check again"
            )
    except (SourceError, OSError) as error:
        return Hashed(path, size, {}, error=error)
    hash_cache.remember(path, before.st_size, before.st_mtime_ns, hashes)
    return Hashed(path, size, hashes)


def _hash(
    fd: int, size: int, stop: threading.Event, report: Callable[[int], None]
) -> dict[str, str]:
    """The hashes of the first `size` bytes of a file, which may grow meanwhile."""
    digests = [hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS]
    # Each hash has its own thread while the next piece is read into the other buffer; hashing does
    # not hold the interpreter's lock.
    buffers = [bytearray(_READ_BYTES), bytearray(_READ_BYTES)]
    number = done = 0
    with ThreadPoolExecutor(len(digests)) as pool:
        busy: list[Future[None]] = []
        while True:
            buffer = memoryview(buffers[number % 2])[: size - done]
            got = _read_into(fd, buffer)
            for job in busy:
                job.result()
            if not got or stop.is_set():
                break
            busy = [pool.submit(digest.update, buffer[:got]) for digest in digests]
            report(got)
            done += got
            number += 1
    if stop.is_set():
        raise SourceError("the check was ended before all files were read")
    return {digest.name: digest.hexdigest() for digest in digests}


def _read_into(fd: int, buffer: memoryview) -> int:
    """Fills the buffer up to the end of the file, so pieces are large even over a network."""
    got = 0
    while got < len(buffer) and (more := os.readv(fd, [buffer[got:]])):
        got += more
    return got
