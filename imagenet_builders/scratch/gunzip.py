"""Unpacks an archive to scratch space, once, and keeps what was good when it cannot go on.

A compressed stream can be read from its beginning only, so its content is put into a plain file
first, and that file is walked like any other archive. It is one plain file, not one for each tar
inside: then nothing here needs to know what the stream holds, and `tar.walk` checks it as strictly
as any other archive.

An interrupted run leaves `<name>.partial`. The next run must read the stream from its beginning
again, but writes only where the file differs. It compares the bytes on disk and trusts none, so it
does not matter whether the run before was killed, the machine lost power, or the archive was
damaged and has been copied again since.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from imagenet_builders.errors import ArchiveError, OptionError, SourceError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.formats.gzip_stream import StreamError
from imagenet_builders.scratch import rapid, space
from imagenet_builders.sources.rows import opened
from imagenet_builders.sources.unpacking import Packed, unpacked_bytes
from imagenet_builders.words import logger, size_text

_LOG = logger(__name__)

# No archive of images unpacks to more than this; a decompression bomb does, up to a thousandfold.
_MAX_GROWTH = 3
_ALWAYS_ALLOWED = 1 << 30
_MAX_STATE = 1 << 20


def unpack_to(
    packed: Packed,
    directory: PrivateDir,
    report: Callable[[int], None] = lambda size: None,
    processors: int = 1,
) -> None:
    """Unpacks to a plain file `Packed.name` in a directory, unless it was unpacked before.

    Args:
        packed: What to unpack.
        directory: Where the plain file goes.
        report: Told of progress, in bytes of the archive read since the last call.
        processors: How many may be used.

    Raises:
        ArchiveError: The archive is damaged or cut off; the message has the offset in it. What was
            unpacked stays for the next run.
        OptionError: There is not enough space in `directory`.
        SourceError: Another process is unpacking to the same place.
        OSError: The archive cannot be read, or the plain file not written for another reason.
    """
    source = packed.file
    if is_unpacked(packed, directory):
        return
    partial = _partial_of(packed)
    directory.unlink(_state_of(packed))
    # Of another state of the archive; what is the same need not be written.
    with contextlib.suppress(FileNotFoundError):
        directory.replace(packed.name, partial)
    with _opened_alone(directory, partial) as out, opened(source) as fd:
        needed = unpacked_bytes(packed.size) - kept_bytes(packed, directory)
        space.check_room(directory, needed, f"to unpack {source.path}")
        size = _unpack(packed, fd, out, report, processors)
        source.check_unchanged(fd)
        os.ftruncate(out, size)
        os.fsync(out)
        directory.replace(partial, packed.name)
    known = {"source": _identity_of(packed), "size": size}
    directory.write(_state_of(packed), json.dumps(known).encode() + b"\n")


def is_unpacked(packed: Packed, directory: PrivateDir) -> bool:
    """Whether the whole content is in a directory, as `unpack_to` leaves it there."""
    try:
        with os.fdopen(directory.open_ours(_state_of(packed))) as state:
            known = json.loads(state.read(_MAX_STATE))
        with os.fdopen(directory.open_ours(packed.name)) as plain:
            size = os.fstat(plain.fileno()).st_size
        return bool(known["source"] == _identity_of(packed) and known["size"] == size)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def kept_bytes(packed: Packed, directory: PrivateDir) -> int:
    """Bytes on the disk of what an interrupted run has unpacked."""
    try:
        name = _partial_of(packed)
        return os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0


def _partial_of(packed: Packed) -> str:
    return f"{packed.name}.partial"


def _state_of(packed: Packed) -> str:
    return f"{packed.name}.json"


def _identity_of(packed: Packed) -> list[object]:
    part = [packed.start, packed.end] if packed.inner is not None else []
    return [*packed.file.identity, *part]


@contextlib.contextmanager
def _opened_alone(directory: PrivateDir, partial: str) -> Iterator[int]:
    """Opens the file to write to, locked against other processes where the file system can."""
    fd = directory.open_kept(partial)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SourceError(
                f"{directory.path / partial}: another build is unpacking to this file at this "
                "moment; wait until it has ended, or choose another directory with --scratch-dir"
            ) from None
        except OSError:
            pass  # The file system has no locks.
        yield fd
    finally:
        os.close(fd)


def _unpack(
    packed: Packed, fd: int, out: int, report: Callable[[int], None], processors: int
) -> int:
    """Unpacks all that is in the archive; returns how many bytes it was."""
    with contextlib.suppress(OSError):
        os.posix_fadvise(fd, packed.start, packed.size, os.POSIX_FADV_SEQUENTIAL)
    several = rapid.processors_for(packed, fd, processors)
    if several:
        seen = _Seen(report)
        closing = contextlib.closing(rapid.pieces(packed, fd, several, seen))
        with contextlib.suppress(rapid.Doubt), closing as pieces, _Placer(out) as placer:
            for piece in pieces:
                if _is_too_much(packed, placer.end):
                    raise rapid.Doubt
                placer.place(piece)
            return placer.end
        _LOG.info(
            f"{packed.file.path}: unpacking it again with one processor, because what rapidgzip "
            "made of it is not what its last bytes say"
        )
        report = seen.again()
    with _Placer(out) as placer:
        try:
            for piece in packed.content(packed, fd, report):
                if _is_too_much(packed, placer.end):
                    raise StreamError(
                        f"it unpacks to more than {_MAX_GROWTH} times its size, which no archive "
                        "of images does; check that this is the official archive",
                        packed.start,
                    )
                placer.place(piece)
        except StreamError as error:
            kept = (
                f" ({size_text(placer.end)} were unpacked up to here; they are kept, and the next "
                "run does not write again what is the same)"
            )
            raise packed.error(error, kept if placer.end else "") from error.__cause__
    return placer.end


def _is_too_much(packed: Packed, size: int) -> bool:
    return size > _ALWAYS_ALLOWED + _MAX_GROWTH * packed.size


class _Seen:
    """Reports what is read, and of what is read again only what comes after that."""

    def __init__(self, report: Callable[[int], None]):
        self._report = report
        self._before = 0

    def __call__(self, size: int) -> None:
        self._before += size
        self._report(size)

    def again(self) -> Callable[[int], None]:
        """For the second time."""

        def report(size: int) -> None:
            known = min(size, self._before)
            self._before -= known
            self._report(size - known)

        return report


class _Placer:
    """Writes pieces one behind the other where the file does not have them yet.

    In a thread of its own, so that unpacking need not wait for the disk.
    """

    def __init__(self, fd: int):
        self.end = 0
        self._fd = fd
        self._thread = ThreadPoolExecutor(1)
        self._waiting: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None or issubclass(kind, ArchiveError):
                self._settle()
        finally:
            self._thread.shutdown()

    def place(self, piece: bytes) -> None:
        self._settle()
        self._waiting = self._thread.submit(_put, self._fd, piece, self.end)
        self.end += len(piece)

    def _settle(self) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.result()


def _put(fd: int, piece: bytes, at: int) -> None:
    if os.pread(fd, len(piece), at) == piece:
        return
    left = memoryview(piece)
    try:
        while left:
            written = os.pwrite(fd, left, at)
            left, at = left[written:], at + written
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        path = os.readlink(f"/proc/self/fd/{fd}") if os.path.isdir("/proc/self/fd") else "scratch"
        raise OptionError(
            f"{path}: no space is left after {size_text(at)} ({os.strerror(error.errno)}); what is "
            "there is kept for the next run; free some space, or choose another directory with "
            "--scratch-dir"
        ) from error
