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
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from imagenet_builders.errors import ArchiveError, OptionError, SourceError
from imagenet_builders.formats.gzip_stream import StreamError
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.run.progress import Progress
from imagenet_builders.scratch.locks import remove_unless_shared
from imagenet_builders.sources.rows import SourceFile, opened
from imagenet_builders.sources.unpacking import Packed, packed_tar, unpacked_bytes
from imagenet_builders.words import logger, size_text, sizes_apart

_LOG = logger(__name__)

# No archive of images unpacks to more than this; a decompression bomb does, up to a thousandfold.
_MAX_GROWTH = 3
_ALWAYS_ALLOWED = 1 << 30


def gunzipped(
    archive: Path,
    directory: Path,
    *,
    announce: Callable[[str], None] = lambda text: None,
    report: Callable[[int], None] = lambda size: None,
) -> Path:
    """The content of a compressed file as a plain file, unpacked now unless it was before.

    Args:
        archive: The compressed file, of one or several members.
        directory: Where the plain file goes; made if need be.
        announce: Told, before unpacking begins, how much space it needs.
        report: Told of progress, in bytes of `archive` read since the last call.

    Returns:
        Path of the plain file: the name of the archive without its last suffix, in `directory`.

    Raises:
        ArchiveError: The archive is damaged or cut off; the message has the offset in it. What was
            unpacked stays for the next run.
        OptionError: There is not enough space in `directory`.
        SourceError: Another process is unpacking to the same place.
        OSError: The archive cannot be read, or the plain file not written for another reason.
    """
    return unpack_to(packed_tar(SourceFile.of(archive)), directory, announce, report)


def unpack_to(
    packed: Packed,
    directory: Path,
    announce: Callable[[str], None] = lambda text: None,
    report: Callable[[int], None] = lambda size: None,
) -> Path:
    """As `gunzipped`, of anything that unpacks to a file.

    Args:
        packed: What to unpack.
        directory: Where the plain file goes, under the name `Packed.name`.
        announce: As there, like `report`.
        report: Told of progress.
    """
    source = packed.file
    plain = directory / packed.name
    if is_unpacked(packed, directory):
        return plain
    directory.mkdir(parents=True, exist_ok=True)
    partial = plain.with_name(f"{plain.name}.partial")
    _state_of(plain).unlink(missing_ok=True)
    if plain.exists():  # Of another state of the archive; what is the same need not be written.
        plain.replace(partial)
    with _opened_alone(partial) as out, opened(source) as fd:
        announce(_check_space(packed, directory))
        size = _unpack(packed, fd, out, report)
        source.check_unchanged(fd)
        os.ftruncate(out, size)
        os.fsync(out)
        partial.replace(plain)
    known = {"source": _identity_of(packed), "size": size}
    _state_of(plain).write_text(json.dumps(known) + "\n")
    return plain


def unpacked(archive: Path, directory: Path, name: str, context: BuildContext) -> SourceFile:
    """Unpacks a gzip file for a build, which keeps the content until the dataset is published.

    Args:
        archive: The gzip file.
        directory: Where its content goes, and nothing else.
        name: What is built, for messages.
        context: The build.

    Returns:
        The plain file, which messages call by the archive's name.

    Raises:
        ArchiveError: As `gunzipped`, like what follows.
        OptionError: As there.
        SourceError: As there.
        OSError: As there.
    """
    size = archive.stat().st_size
    with Progress(f"unpacking {archive.name}", images=0, size=size) as progress:
        plain = gunzipped(
            archive,
            directory,
            announce=lambda text: _LOG.info(f"{name}: {text}"),
            report=lambda done: progress.update(0, done),
        )
    keep(plain, context)
    archive = archive.absolute()
    return context.add_unpacked(plain, str(archive), f"{archive} (unpacked to {plain})")


def keep(plain: Path, context: BuildContext) -> None:
    """Keeps a plain file until the build has ended, and removes its directory once it is published.

    Other builds that read the file meanwhile keep it, too. Where the file system has no locks, they
    cannot.

    Args:
        plain: The file.
        context: The build that reads it.

    Raises:
        OSError: It is not there, or cannot be opened.
    """
    fd = os.open(plain, os.O_RDONLY | os.O_CLOEXEC)
    context.at_end.callback(os.close, fd)
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_SH)
    context.when_built.callback(remove_unless_shared, plain.parent, fd)


def is_unpacked(packed: Packed, directory: Path) -> bool:
    """Whether the whole content is in a directory, as `unpack_to` leaves it there."""
    plain = directory / packed.name
    try:
        known = json.loads(_state_of(plain).read_text())
        return bool(
            known["source"] == _identity_of(packed) and known["size"] == plain.stat().st_size
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def kept_bytes(packed: Packed, directory: Path) -> int:
    """Bytes on the disk of what an interrupted run has unpacked."""
    try:
        return (directory / f"{packed.name}.partial").stat().st_blocks * 512
    except OSError:
        return 0


def _state_of(plain: Path) -> Path:
    return plain.with_name(f"{plain.name}.json")


def _identity_of(packed: Packed) -> list[object]:
    part = [packed.start, packed.end] if packed.inner is not None else []
    return [*packed.file.identity, *part]


@contextlib.contextmanager
def _opened_alone(partial: Path) -> Iterator[int]:
    """Opens the file to write to, locked against other processes where the file system can."""
    fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SourceError(
                f"{partial}: another build is unpacking to this file at this moment; wait until it "
                "has ended, or choose another directory with --scratch-dir"
            ) from None
        except OSError:
            pass  # The file system has no locks.
        yield fd
    finally:
        os.close(fd)


def _check_space(packed: Packed, directory: Path) -> str:
    """Says how much space unpacking needs; raises OptionError where there is too little."""
    archive = packed.file.path
    needed = unpacked_bytes(packed.size)
    there = kept_bytes(packed, directory)
    free = shutil.disk_usage(directory).free
    kept = f" beside {size_text(there)} kept from a run before" if there else ""
    if needed - there > free:
        has, needs = sizes_apart(free, needed)
        raise OptionError(
            f"scratch directory {directory} has {has} free{kept}, but unpacking {archive} needs "
            f"about {needs}, the size of the archive plus 10 %; choose another with "
            "--scratch-dir, or unpack the archive yourself and stage the result"
        )
    return (
        f"unpacking {archive} to {directory} first, which needs about {size_text(needed)} there "
        f"({size_text(free)} are free{kept}) until the dataset is built; the dataset itself takes "
        "about as much again"
    )


def _unpack(packed: Packed, fd: int, out: int, report: Callable[[int], None]) -> int:
    """Unpacks all that is in the archive; returns how many bytes it was."""
    with contextlib.suppress(OSError):
        os.posix_fadvise(fd, packed.start, packed.size, os.POSIX_FADV_SEQUENTIAL)
    with _Placer(out) as placer:
        try:
            for piece in packed.content(packed, fd, report):
                if placer.end > _ALWAYS_ALLOWED + _MAX_GROWTH * packed.size:
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
