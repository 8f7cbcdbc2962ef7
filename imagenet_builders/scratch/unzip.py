"""Unpacks compressed members of zip archives to scratch space, once, and checks the others.

A row of an array can be read in place if its file is not compressed. So a compressed npz in a zip
becomes an npz in scratch space, and a compressed array an npy there. Files get their names when
they are whole and checked, so the next run can use them. When the dataset is built, they are
removed.

No file is flushed to the disk, which may take as long as all the rest: files are read at once, from
memory, and may be gone before the system writes them. Then only a crash of the machine can leave a
damaged file, so no file from before a reboot is used.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagenet_builders.errors import OptionError
from imagenet_builders.files.own_dir import enter_own
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.formats import zip_members
from imagenet_builders.formats.zip_members import ZipMember
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.scratch import space
from imagenet_builders.scratch.locks import LOCK, LockedDir, lock_directory
from imagenet_builders.sources.rows import SourceFile, opened
from imagenet_builders.words import logger, size_text

_LOG = logger(__name__)

# To start a process takes as long as to unpack this much.
_SMALL_BYTES = 64 << 20
_PARTIAL = ".partial"


@dataclasses.dataclass(frozen=True)
class Job:
    """A member of a zip archive to be read to its end, and perhaps written to a file.

    Attributes:
        file: The file on disk.
        member: The member.
        inner: Name of the archive inside that file that it is a member of, or None.
        target: Path of the file in scratch space that it is written to; None only checks it.
    """

    file: SourceFile
    member: ZipMember
    inner: str | None
    target: str | None = None


def work(job: Job, report: object) -> None:
    """Does a job; see `run.jobs.Function`.

    Raises:
        ArchiveError: The member is damaged.
        OptionError: There is no space left.
        OSError: The file cannot be read or written.
    """
    del report
    with opened(job.file) as fd:
        data = zip_members.chunks(fd, job.file.path, job.member, inner=job.inner)
        if job.target is not None:
            _write(Path(job.target), data)
        else:
            for _ in data:
                pass


def check(jobs: Sequence[Job], context: BuildContext) -> None:
    """Compares members with their CRC-32, all workers at once.

    Args:
        jobs: The members.
        context: Who does it.

    Raises:
        ArchiveError: One of them is damaged.
    """
    small = sum(job.member.size for job in jobs) < _SMALL_BYTES
    for _ in context.workers.run(work, jobs, in_process=small):
        pass


class Unpacked:
    """The unpacked files of one dataset and configuration.

    A shared lock keeps other builds that use the same files from removing them, until the build has
    ended. When the dataset is published, the files are removed.

    Args:
        name: The dataset and its configuration, for messages.
        context: Who unpacks, and where.
    """

    def __init__(self, name: str, context: BuildContext):
        self._name = name
        self._what = f"the compressed arrays of {name}"
        self._context = context
        self._directory_name = f"{name.replace('/', '-')}.unpacked"
        self._locked: LockedDir | None = None
        context.at_end.callback(self.close)
        context.when_built.callback(self.remove)
        # From the name of an unpacked file to its archive and the names inside of that.
        self._origins: dict[str, tuple[str, tuple[str, ...]]] = {}

    def unpack(
        self, members: Sequence[tuple[SourceFile, ZipMember, str | None]]
    ) -> list[SourceFile]:
        """Unpacks members to a file each, all workers at once; those that are there are kept.

        Args:
            members: The file on disk, the member, and the archive inside the file that it is a
                member of, or None.

        Returns:
            The files.

        Raises:
            ArchiveError: A member is damaged.
            OptionError: There is too little space.
            OSError: A file cannot be read or written.
        """
        if not members:
            return []
        needed = sum(member.size for _, member, _ in members)
        self._context.require_room_to_unpack(self._what, needed)
        directory = self._directory()
        path = os.path.abspath(directory.path)
        jobs, targets = [], []
        for file, member, inner in members:
            targets.append(_target_name(file, member))
            if not _is_there(directory, targets[-1], member.size):
                jobs.append(Job(file, member, inner, os.path.join(path, targets[-1])))
        if jobs:
            self._announce(jobs, directory)
            check(jobs, self._context)
        files = []
        for (file, member, inner), target in zip(members, targets, strict=True):
            # An array can be in a file that was itself unpacked.
            archive, parts = self._origins.get(file.path, (file.path, ()))
            parts = (*parts, *filter(None, (inner, member.name)))
            name = f"{archive} ({'/'.join(parts)}, unpacked)"
            self._origins[name] = archive, parts
            files.append(self._context.add_unpacked(directory, target, archive, name))
        return files

    def remove(self) -> None:
        """Removes the files, unless another build uses them."""
        if self._locked is not None:
            self._locked.remove_unless_shared()

    def close(self) -> None:
        """Gives up the lock; the files stay for the next run."""
        if self._locked is not None:
            self._locked.close()
            self._locked = None

    def _directory(self) -> PrivateDir:
        """The directory, made and locked; partial files of interrupted runs are removed."""
        if self._locked is None:
            with space.enter_scratch(self._context.scratch, "to unpack archives") as root:
                self._locked = lock_directory(
                    root, (self._directory_name,), shared=True, tidy=_remove_unusable
                )
        return self._locked.directory

    def _announce(self, jobs: Sequence[Job], directory: PrivateDir) -> None:
        """Says how much space unpacking needs; raises OptionError if there is too little."""
        needed = sum(job.member.size for job in jobs)
        free = space.check_room(directory, needed, f"to unpack {self._what}")
        _LOG.info(
            f"{self._name}: unpacking {size_text(needed)} of compressed arrays to "
            f"{directory.path} ({size_text(free)} are free), where they stay until the dataset is "
            "built"
        )


def _target_name(file: SourceFile, member: ZipMember) -> str:
    """A name for a member of a source in one state; a changed source gives another name."""
    identity = json.dumps([file.identity, member])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return f"{space.boot()[:8]}-{digest}-{member.file_name}"


def _remove_unusable(directory: PrivateDir) -> None:
    for name in directory.names_in("."):
        if name != LOCK and not _is_usable(name):
            directory.discard(name)


def _is_usable(name: str) -> bool:
    return name.startswith(f"{space.boot()[:8]}-") and not name.endswith(_PARTIAL)


def _is_there(directory: PrivateDir, name: str, size: int) -> bool:
    try:
        with os.fdopen(directory.open_ours(name)) as file:
            return os.fstat(file.fileno()).st_size == size
    except OSError:
        return False


def _write(target: Path, data: Iterator[bytes]) -> None:
    """Writes a file, which gets its name when it is whole."""
    partial = f"{target.name}.{secrets.token_hex(8)}{_PARTIAL}"
    with enter_own(target.parent) as directory:
        try:
            with os.fdopen(directory.open_new(partial), "wb", buffering=0) as out:
                for chunk in data:
                    left = memoryview(chunk)
                    while left:
                        left = left[out.write(left) :]
            directory.replace(partial, target.name)
        except BaseException as error:
            directory.unlink(partial)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OptionError(
                    f"{target}: no space is left ({os.strerror(error.errno)}); free some, or "
                    "choose another directory with --scratch-dir"
                ) from error
            raise
