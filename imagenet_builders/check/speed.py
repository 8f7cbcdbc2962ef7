"""Measures the speed of reading an archive at random and in order, to advise on `--stage`.

A build reads each image once, and the images of a shard lie all over the archive. Local disks and
most parallel file systems read at random as fast as in order. On others, copying the archive in
order to a local disk first (`--stage`) is faster. A few seconds of real reads show which it is.

The random reads come first and bypass this machine's memory where the file system allows that. The
reads in order are from another part of the archive. What a server has in memory remains unknown.
"""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagenet_builders.errors import SourceError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.words import size_text

# The mean image of ILSVRC2012, in whole pages.
_IMAGE_BYTES = 28 * 4096
_PAGE = 4096
_IN_ORDER_BYTES = 8 << 20
_THREADS = 8
_SECONDS = 1.3
_MAX_BYTES = 1 << 30
_MIN_ARCHIVE_BYTES = 256 << 20

# A copy reads and writes everything once more; it pays only if random reads are much slower.
_PAYS_BELOW = 1 / 3


@dataclasses.dataclass(frozen=True)
class Speed:
    """The speed of reading an archive.

    Attributes:
        path: The archive; None if no archive is large enough to tell.
        at_random: Bytes per second of reads of an image's size, by several threads.
        in_order: Bytes per second of large reads in turn.
        archives: Bytes of the archives that a build reads, of the dataset that has most.
        free: Bytes free in the scratch directory, or None.
        apart: Whether the scratch directory is on another file system.
        bypassed: Whether random reads bypassed this machine's memory; if not, the file was dropped
            from memory first, as far as the system allows.
    """

    path: Path | None
    at_random: float = 0.0
    in_order: float = 0.0
    archives: int = 0
    free: int | None = None
    apart: bool = True
    bypassed: bool = True

    @property
    def is_slow(self) -> bool:
        """Whether random reads are so slow that a copy pays."""
        return self.at_random < _PAYS_BELOW * self.in_order

    @property
    def stage(self) -> bool:
        """Whether `--stage` is recommended."""
        return (
            self.path is not None
            and self.is_slow
            and self.apart
            and (self.free is None or self.archives <= self.free)
        )

    @property
    def advice(self) -> str:
        """The advice, in a sentence."""
        if self.path is None:
            return (
                f"no archive of {size_text(_MIN_ARCHIVE_BYTES)} or more is staged, so there is "
                "nothing to measure, and nothing to gain by --stage"
            )
        if not self.is_slow:
            return "build without --stage: reading at random is fast enough here"
        if not self.apart:
            return (
                "reading at random is slow, and the scratch directory is on the same file system; "
                "build with --stage and --scratch-dir on a fast local disk with "
                f"{size_text(self.archives)} free"
            )
        if not self.stage:
            return (
                "reading at random is slow, but the scratch directory has only "
                f"{size_text(self.free or 0)} free for {size_text(self.archives)}; build with "
                "--stage and --scratch-dir on a fast local disk that has room"
            )
        minutes = self.archives / self.in_order / 60
        return (
            "build with --stage: reading at random is slow, and copying "
            f"{size_text(self.archives)} in order takes about {max(1, round(minutes)):,} min"
        )

    def lines(self) -> Iterator[str]:
        """The measurement as text."""
        if self.path is not None:
            cold = "" if self.bypassed else " (some of it perhaps from memory)"
            yield f"Reading {self.path}:"
            yield f"  at random  {self.at_random / 1e6:10,.0f} MB/s{cold}"
            yield f"  in order   {self.in_order / 1e6:10,.0f} MB/s"

    def document(self) -> dict[str, object]:
        """The measurement as a JSON object."""
        return {
            "path": None if self.path is None else str(self.path),
            "random_bytes_per_second": round(self.at_random),
            "sequential_bytes_per_second": round(self.in_order),
            "archives_bytes": self.archives,
            "scratch_free_bytes": self.free,
            "other_file_system": self.apart,
            "stage": self.stage,
            "advice": self.advice,
        }


def measure(datasets: Sequence[Sequence[Path]], scratch: Path) -> Speed:
    """Measures the largest archive, in less than three seconds unless a read hangs.

    Args:
        datasets: For each dataset, the archives that a build of it would read.
        scratch: The scratch directory of a build; it may not exist.

    Returns:
        The measurement; it writes nothing.

    Raises:
        SourceError: The archive cannot be read.
    """
    sizes = {path: path.stat().st_size for files in datasets for path in files}
    if not sizes or max(sizes.values()) < _MIN_ARCHIVE_BYTES:
        return Speed(None)
    path = max(sizes, key=lambda each: sizes[each])
    there = next(
        each for each in (scratch.absolute(), *scratch.absolute().parents) if each.is_dir()
    )
    system = os.statvfs(there)
    try:
        half = sizes[path] // 2
        at_random, bypassed = _read_at_random(path, half, sizes[path])
        in_order = _read_in_order(path, half)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror}; check that its file system is healthy"
        ) from error
    return Speed(
        path,
        at_random,
        in_order,
        max(sum(sizes[path] for path in files) for files in datasets),
        system.f_bavail * system.f_frsize,
        os.stat(path).st_dev != os.stat(there).st_dev,
        bypassed,
    )


def _read_at_random(path: Path, begin: int, end: int) -> tuple[float, bool]:
    """Bytes per second of random reads in a part of a file, and whether they bypassed memory."""
    with _opened(path) as (fd, bypasses):
        # Each offset once: some cache has the bytes that were read a moment ago.
        pages = range(-(-begin // _IMAGE_BYTES), end // _IMAGE_BYTES)
        wanted = random.sample(pages, min(len(pages), _MAX_BYTES // _IMAGE_BYTES))
        offsets = iter([page * _IMAGE_BYTES for page in wanted])
        read = [0] * _THREADS
        errors: list[OSError] = []
        deadline = time.monotonic() + _SECONDS
        lock = threading.Lock()

        def work(number: int) -> None:
            # Reads that bypass memory must be aligned to a page.
            with contextlib.closing(mmap.mmap(-1, _IMAGE_BYTES)) as buffer:
                while time.monotonic() < deadline and not errors:
                    with lock:
                        offset = next(offsets, None)
                    if offset is None:
                        return
                    try:
                        if not bypasses:
                            os.posix_fadvise(fd, offset, _IMAGE_BYTES, os.POSIX_FADV_DONTNEED)
                        read[number] += os.preadv(fd, [buffer], offset)
                    except OSError as error:
                        errors.append(error)

        started = time.monotonic()
        threads = [threading.Thread(target=work, args=(number,)) for number in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return sum(read) / (time.monotonic() - started), bypasses


def _read_in_order(path: Path, end: int) -> float:
    """Bytes per second of reading in order up to `end`, as `--stage` copies."""
    begin = random.randrange(max(1, end - _MAX_BYTES)) // _PAGE * _PAGE
    end = min(end, begin + _MAX_BYTES)
    buffer = bytearray(_IN_ORDER_BYTES)
    fd = open_regular(path, follow=True)
    try:
        os.posix_fadvise(fd, begin, end - begin, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        started = time.monotonic()
        done = begin
        while done < end and time.monotonic() - started < _SECONDS:
            count = os.preadv(fd, [memoryview(buffer)[: end - done]], done)
            if not count:
                break
            done += count
        return (done - begin) / (time.monotonic() - started)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[int, bool]]:
    """A descriptor of a file, and whether its reads bypass this machine's memory."""
    fd, bypasses = -1, hasattr(os, "O_DIRECT")
    if bypasses:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT | os.O_NONBLOCK)
            with contextlib.closing(mmap.mmap(-1, _PAGE)) as page:
                os.preadv(fd, [page], 0)
        except OSError:  # The file system cannot do that.
            bypasses = False
            if fd >= 0:
                os.close(fd)
    if not bypasses:
        fd = open_regular(path, follow=True)
    try:
        yield fd, bypasses
    finally:
        os.close(fd)
