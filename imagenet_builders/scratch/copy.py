"""Copies staged archives to scratch space, in order and in big reads; continues begun copies.

A copied file gets its name when it is whole and flushed and has the size and the time of the
original. Until then it is a partial file, which a later run on the same machine (not restarted
since) continues. An original that changes meanwhile is an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from imagenet_builders.errors import OptionError, SourceError
from imagenet_builders.files.own_dir import open_ours
from imagenet_builders.files.private_dir import NotOursError, PrivateDir
from imagenet_builders.files.regular import open_regular
from imagenet_builders.scratch import copy_dirs, space
from imagenet_builders.scratch.locks import LockedDir
from imagenet_builders.scratch.to_copy import ToCopy
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.words import counted, size_text

# One request of this size keeps many going, so that the kernel reads ahead enough. Asking it for
# more (POSIX_FADV_WILLNEED), and copying inside of it (copy_file_range), took no less time.
_READ_BYTES = 8 << 20
_PARTIAL = ".partial"


class _ChangedError(SourceError):
    """A file changed while it was copied."""


@dataclasses.dataclass(frozen=True)
class ScratchCopy:
    """Copies of staged archives, which a build reads in their place; or none.

    A context manager: with the block ends the lock of the copies, which stay unless they were
    removed.

    Attributes:
        files: Absolute path of each original to that of its copy.
        size: Bytes of the copies.
        scratch: The scratch directory; None where there are none.
        locked: The directory of the copies and what belongs to them, which a lock keeps others
            from; None where there are none.
    """

    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    size: int = 0
    scratch: Path | None = None
    locked: LockedDir | None = None

    @property
    def directory(self) -> Path | None:
        """The path of the directory of the copies; None where there are none."""
        return None if self.locked is None else self.locked.directory.path

    def remove(self) -> None:
        """Removes the copies; to be called before the block ends."""
        if self.scratch is not None and self.locked is not None:
            copy_dirs.remove_all(self.scratch, self.locked.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Lets other builds use the copy; adds to an error that it is kept."""
        if error is not None and self.directory is not None and self.directory.exists():
            error.add_note(
                f"the copies of {size_text(self.size)} that were read are kept in "
                f"{self.directory}; run the same command again to build from them, or remove them "
                "if the originals are sound"
            )
        self.close()

    def close(self) -> None:
        """Lets other builds use the copy."""
        if self.locked is not None:
            self.locked.close()


@dataclasses.dataclass(frozen=True)
class CopyReport:
    """Functions that are told of progress.

    Attributes:
        begins: Told in words what will be copied, and the bytes in all.
        copied: Told the bytes done since the last call, and first those of an earlier run.
    """

    begins: Callable[[str, int], None] = lambda text, size: None
    copied: Callable[[int], None] = lambda size: None


def copy_to_scratch(
    manual_dir: Path, to_copy: ToCopy, scratch: Path, name: str, report: CopyReport | None = None
) -> ScratchCopy:
    """Copies archives to scratch space, unless they are there from an earlier run.

    Args:
        manual_dir: Where they are staged.
        to_copy: Which of them.
        scratch: The scratch directory of the build.
        name: Name of the dataset, with its configuration; each has a copy of its own.
        report: Told of progress.

    Returns:
        The copies, locked; none where there is nothing to copy.

    Raises:
        OptionError: There is too little space, or it may not be written to.
        SourceError: A file changed while it was copied or cannot be read, or another build is using
            the copy.
    """
    if not to_copy.files:
        return ScratchCopy()
    report = report or CopyReport()
    locked = copy_dirs.lock(scratch, copy_dirs.name_of(name, manual_dir))
    directory = locked.directory
    copy_dirs.remove_left(scratch)
    try:
        copies = {path: path.relative_to(manual_dir) for path in to_copy.files}
        size = _copy_all(manual_dir, copies, directory, report)
        # Workers open them by their paths.
        root = os.path.abspath(directory.path / copy_dirs.FILES)
        files = {os.path.abspath(path): os.path.join(root, copy) for path, copy in copies.items()}
        return ScratchCopy(files, size, scratch, locked)
    except BaseException:
        if not copy_dirs.holds_anything(directory):
            copy_dirs.remove_all(scratch, directory)
        locked.close()
        raise


def _copy_all(
    manual_dir: Path, copies: Mapping[Path, Path], directory: PrivateDir, report: CopyReport
) -> int:
    """Copies files to paths below the directory of a copy; returns the bytes of all."""
    files = {path: _status(path) for path in copies}
    partials = {path: partial_name(file) for path, file in files.items()}
    copy_dirs.remove_others(directory, {*copies.values()}, {*partials.values()})
    targets = {path: directory.place_of(copy_dirs.FILES) / copy for path, copy in copies.items()}
    todo = [path for path, file in files.items() if not is_copy(targets[path], file)]
    for path in todo:
        if os.path.lexists(targets[path]):  # Of another state of the original.
            copy_dirs.remove(targets[path])
    size = sum(file.size for file in files.values())
    done = size - sum(files[path].size for path in todo)
    kept = sum(_size_of(directory.place_of(partials[path])) for path in todo)
    free = space.check_room(
        directory,
        size - done - kept,
        f"to copy {counted(len(todo), 'file')} of {manual_dir} there (--stage)",
    )
    there = f" ({size_text(done + kept)} are there already)" if done + kept else ""
    same = os.fstat(directory.fd).st_dev == os.stat(manual_dir).st_dev
    report.begins(
        f"copying {counted(len(files), 'file')} of {manual_dir}, {size_text(size)}{there} to "
        f"{directory.path} ({size_text(free)} are free), where they stay until the dataset is built"
        + ("; both are on one file system, so that this may gain nothing" if same else ""),
        size,
    )
    report.copied(done)
    for path in todo:
        targets[path].parent.mkdir(parents=True, exist_ok=True)
        _copy(files[path], targets[path], directory, partials[path], report.copied)
    for each in {path.parent for path in targets.values()}:
        _flush_directory(each)
    return size


def _copy(
    file: SourceFile,
    target: Path,
    directory: PrivateDir,
    partial: str,
    copied: Callable[[int], None],
) -> None:
    """Copies a file, from where its partial copy ends."""
    try:
        source = open_regular(file.path, follow=True)
    except OSError as error:
        raise _unreadable(file, 0, error) from error
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, source)
        _check_same(file, os.fstat(source))
        out = directory.open_kept(partial)
        stack.callback(os.close, out)
        done = os.lseek(out, 0, os.SEEK_END)
        copied(done)
        try:
            for data in _pieces(file, source, done):
                _write(out, data, directory)
                copied(len(data))
            _check_same(file, os.fstat(source))
        except _ChangedError:
            # Some programs set the time back when they have written.
            directory.unlink(partial)
            raise
        with _no_room(out, directory):
            os.fsync(out)
        os.utime(out, ns=(file.mtime_ns, file.mtime_ns))
        directory.place_of(partial).replace(target)


def _pieces(file: SourceFile, source: int, done: int) -> Iterator[memoryview]:
    """What is in a file from a byte on; each piece is good until the next is asked for."""
    buffer = memoryview(bytearray(_READ_BYTES))
    _advise(source, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    while done < file.size:
        try:
            count = os.preadv(source, [buffer[: file.size - done]], done)
        except OSError as error:
            raise _unreadable(file, done, error) from error
        if not count:
            _check_same(file, os.fstat(source))
            raise SourceError(
                f"{file.path}: expected {file.size:,} bytes, but reading ends at byte {done:,}; "
                "check that its file system is healthy"
            )
        yield buffer[:count]
        # The build reads the copy, and the memory is of more use for that.
        _advise(source, done, count, os.POSIX_FADV_DONTNEED)
        done += count


def _write(out: int, data: memoryview, directory: PrivateDir) -> None:
    with _no_room(out, directory):
        while data:
            data = data[os.write(out, data) :]


@contextlib.contextmanager
def _no_room(out: int, directory: PrivateDir) -> Iterator[None]:
    """Says what an error in writing means."""
    try:
        yield
    except OSError as error:
        raise OptionError(
            f"scratch directory {directory.path} cannot be written to any more, after "
            f"{size_text(os.fstat(out).st_size)} of a file: {error.strerror}; what is there is "
            "kept for the next run; free some space, or choose another with --scratch-dir"
        ) from error


def _check_same(file: SourceFile, status: os.stat_result) -> None:
    if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
        raise _ChangedError(
            f"{file.path}: the file changed while it was copied to scratch ({file.size:,} bytes "
            f"before, {status.st_size:,} now); wait until nobody writes to it, then run the same "
            "command again"
        )


def _unreadable(file: SourceFile, at: int, error: OSError) -> SourceError:
    what = "you may not read it" if error.errno == errno.EACCES else error.strerror
    return SourceError(
        f"{file.path} cannot be copied, at byte {at:,}: {what}; see whether its file system is "
        "well, and whether you may read it"
    )


def _status(path: Path) -> SourceFile:
    try:
        return SourceFile.of(path)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be copied: {error.strerror}; see whether it is still there"
        ) from error


def is_copy(target: Path, file: SourceFile) -> bool:
    """Whether a whole copy of a file is there; only whole copies have their name.

    Args:
        target: Where it would be.
        file: The original, as it is now.
    """
    try:
        fd = open_ours(target)
    except NotOursError:
        return False
    status = os.fstat(fd)
    os.close(fd)
    # Some file systems keep whole seconds only.
    kept = file.mtime_ns if status.st_mtime_ns % 10**9 else file.mtime_ns // 10**9 * 10**9
    return (status.st_size, status.st_mtime_ns) == (file.size, kept)


def partial_name(file: SourceFile) -> str:
    """A name for the partial copy of a file in one state.

    Another state of the file has another name, and so has the same state after a restart: what was
    written before a crash of the machine may not be on the disk, whatever its length.
    """
    identity = json.dumps([*file.identity, space.boot()])
    return hashlib.sha256(identity.encode()).hexdigest()[:24] + _PARTIAL


def _advise(fd: int, offset: int, length: int, advice: int) -> None:
    with contextlib.suppress(OSError):
        os.posix_fadvise(fd, offset, length, advice)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _flush_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Some network file systems cannot flush a directory, and need not.
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)
