"""The directory in which a dataset is put together before it is published.

Its name, `.5.1.0.building-TOKEN`, has the token of the lock's holder (see `target`). In it are:

* `shards/`: finished shards, under their own names, and those that are kept of the dataset that
  splits are added to; one rename publishes it;
* `marks/`: for each finished shard a mark, and the shards that are being written;
* `metadata/`, for a moment: what TensorFlow Datasets writes of the dataset;
* `build.json`: what is built, and whose directory it is.

A shard is finished when it has its name and its mark, and the length and checksum that the mark
says. A mark is written when the storage has confirmed the shard, and before the shard gets its
name.

Nobody else may enter the directory, so that nobody plants anything among the shards. What is in it
is reached through its descriptor (see `write.build_dir`), because whoever may write the directory
above can rename it. A build that continues the work of another makes a directory of its own and
moves those parts into it: a process that was suspended while its lock was taken over then finds its
files gone.

After an exchange with a published dataset, `shards/` is the old one. So before, `build.json` gets
the digest of the new one's `provenance.json`, which no other dataset has.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from imagenet_builders.errors import TargetError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.files.regular import kind_of, open_regular
from imagenet_builders.publish import exchange
from imagenet_builders.publish.access import Access
from imagenet_builders.publish.left import (
    METADATA,
    PARTS,
    description_in,
    digest,
    finished_in,
    look,
    remove,
)
from imagenet_builders.publish.target import Target
from imagenet_builders.write import build_dir, durable
from imagenet_builders.write.build_dir import BUILD, DONE, MARKS, SHARDS

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class IncompleteDir:
    """The incomplete dataset of the process that holds the lock.

    Args:
        target: What is built.
        token: The token of the lock's holder.

    Attributes:
        path: The directory; others may have renamed it.
        above: Descriptor of the directory above, in which it is made; None goes by the path.
        shards: The directory of the finished shards, which will be published, in it.
    """

    def __init__(self, target: Target, token: str):
        self._target = target
        self._token = token
        self.path = target.incomplete(token)
        self.above: int | None = None
        self.shards = self.path / SHARDS
        self._directory: PrivateDir | None = None
        self._metadata: frozenset[str] = frozenset()
        self._expected: set[str] = set()
        self._confirmed: set[str] = set()

    @property
    def directory(self) -> PrivateDir:
        """The directory, which is made when it is first asked for.

        Raises:
            TargetError: It cannot be made.
        """
        if self._directory is None:
            with durable.writing(self.path):
                self._directory = PrivateDir.make(self.path, above=self.above)
        return self._directory

    @property
    def place(self) -> Path:
        """The directory of the shards, for libraries; see `PrivateDir.place_of`."""
        return self.directory.place_of(SHARDS)

    def open(self, description: Mapping[str, Any]) -> str:
        """Makes the directories, or takes over those of an interrupted build of the same.

        Args:
            description: What is built, as JSON. Incomplete datasets of another description are
                removed.

        Returns:
            What was removed or left with finished shards in it, in words, or nothing.

        Raises:
            TargetError: The directories cannot be made.
        """
        said = []
        with durable.writing(self.path):
            self._describe(description)
        for path in self._target.through(self.above).incompletes():
            if path.name == self.path.name:
                continue
            with look(path) as left:
                if left.directory is not None and left.description == description != {}:
                    with durable.writing(self.shards):
                        self._take_over(left.directory)
                    remove(left.directory)
                else:
                    said += left.why_not(description)
                    left.remove()
        with durable.writing(self.shards):
            for part in PARTS:
                if not self.directory.has(part):
                    # With the mode that readers will see. Nobody else comes as far as here.
                    os.mkdir(part, dir_fd=self.directory.fd)
            self._remove_unfinished()
        return "; ".join(said)

    def _describe(self, description: Mapping[str, Any], published: str | None = None) -> None:
        content = {"description": description, "token": self._token, "published": published}
        # With the mode that files get here, which `file_mode` asks for.
        self.directory.write(BUILD, json.dumps(content).encode(), flush=True, mode=0o666)

    def _take_over(self, old: PrivateDir) -> None:
        """Moves the parts of another build here; one that is killed meanwhile loses nothing."""
        for part in PARTS:
            if not old.has(part):
                continue
            if not self.directory.has(part):
                try:
                    os.rename(part, part, src_dir_fd=old.fd, dst_dir_fd=self.directory.fd)
                    continue
                except OSError as error:
                    # A directory in the lower layer of overlayfs; its files can be renamed.
                    if error.errno != errno.EXDEV:
                        raise
                os.mkdir(part, dir_fd=self.directory.fd)
            for name in old.names_in(part):
                path = f"{part}/{name}"
                status = os.stat(path, dir_fd=old.fd, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):  # They are made anew.
                    os.rename(path, path, src_dir_fd=old.fd, dst_dir_fd=self.directory.fd)

    @property
    def file_mode(self) -> int:
        """The mode of files that are made here, by the umask or by an ACL."""
        status = os.stat(BUILD, dir_fd=self.directory.fd, follow_symlinks=False)
        return stat.S_IMODE(status.st_mode)

    def mark_of(self, shard: Path) -> Path:
        """The path of a shard's mark."""
        return self.path / build_dir.mark_name(shard.name)

    def marked(self) -> set[str]:
        """Names of the shards that have a mark.

        Raises:
            TargetError: They cannot be listed.
        """
        with durable.writing(self.path):
            return {name.removesuffix(DONE) for name in self.directory.names_in(MARKS)}

    def size_of(self, name: str) -> int:
        """Bytes of a shard.

        Raises:
            TargetError: It is not there, or is no file.
        """
        status = self._status_of(name)
        if not stat.S_ISREG(status.st_mode):
            raise self._foreign(name, status.st_mode)
        return status.st_size

    @contextlib.contextmanager
    def metadata(self) -> Iterator[Path]:
        """A private directory for files about the dataset; at the end, they lie among the shards.

        Raises:
            TargetError: They cannot be moved there, or are no files.
        """
        directory = self.directory.make_inner(METADATA)
        try:
            yield self.directory.place_of(METADATA)
            with durable.writing(self.shards):
                self._metadata = frozenset(directory.names_in("."))
                for name in self._metadata:
                    os.close(directory.open(name))
                    self.directory.replace(f"{METADATA}/{name}", build_dir.shard_name(name))
        finally:
            directory.close()
            with contextlib.suppress(OSError):
                os.rmdir(METADATA, dir_fd=self.directory.fd)

    def expect(self, names: Iterable[str], confirmed: Iterable[str] = ()) -> None:
        """Tells which files, besides those about the dataset, will lie among the shards.

        Args:
            names: Their names; those in a folder begin with its name and a slash.
            confirmed: Names of others, which the storage has confirmed, as the marks of the shards
                say that they are from.
        """
        self._expected, self._confirmed = set(names), set(confirmed)

    @property
    def confirmed(self) -> Set[str]:
        """The names of files that the storage has confirmed, and that were not changed since."""
        return self._confirmed

    def finish(self, access: Access) -> None:
        """Makes sure that nothing else lies among the shards, and gives all of it its mode.

        Args:
            access: Mode and group.

        Raises:
            TargetError: Something else is there, or a mode cannot be given.
        """
        known = (self._expected, self._confirmed, self._metadata)
        folders = {name.rpartition("/")[0] for names in known for name in names}
        for inner in [*folders]:
            folders.update(map(str, Path(inner).parents))
        self._finish_folder("", folders, access)
        self.give(access)

    def _finish_folder(self, folder: str, folders: Set[str], access: Access) -> None:
        natural = self.file_mode
        for each in self._names_in(folder):
            name = f"{folder}/{each}".lstrip("/")
            if name in folders and stat.S_ISDIR(self._status_of(name).st_mode):
                self._finish_folder(name, folders, access)
                self._give_directory(access, name)
            else:
                self._finish_file(name, access, natural)

    def _names_in(self, folder: str) -> list[str]:
        """Names of what lies among the shards, or in a folder there."""
        with durable.writing(self.shards / folder):
            return sorted(self.directory.names_in(build_dir.shard_name(folder).rstrip("/")))

    def _status_of(self, name: str) -> os.stat_result:
        try:
            path = build_dir.shard_name(name)
            return os.stat(path, dir_fd=self.directory.fd, follow_symlinks=False)
        except OSError as error:
            raise durable.target_error(self.shards / name, error) from error

    def _finish_file(self, name: str, access: Access, natural: int) -> None:
        status = self._status_of(name)
        if not stat.S_ISREG(status.st_mode) or not self._is_known(name):
            raise self._foreign(name, status.st_mode)
        # TensorFlow writes some files with modes of its own; an interrupted build's umask may have
        # been another. A shard that is kept is that of the dataset which is there, too.
        if stat.S_IMODE(status.st_mode) != natural and status.st_nlink == 1:
            access = Access(natural if access.mode is None else access.mode, access.group)
        if access == Access():
            return
        self._expected.add(name)
        self._confirmed.discard(name)
        with durable.writing(self.shards / name):
            fd = open_regular(build_dir.shard_name(name), dir_fd=self.directory.fd)
        try:
            access.give(fd, self.shards / name)
        finally:
            os.close(fd)

    def _is_known(self, name: str) -> bool:
        known = (self._expected, self._confirmed, self._metadata)
        return any(name in names for names in known) or not (self._expected or self._confirmed)

    def give(self, access: Access) -> None:
        """Gives the directory of the shards the mode and the group that were asked for.

        Raises:
            TargetError: That is not allowed.
        """
        self._give_directory(access, "")

    def _give_directory(self, access: Access, name: str) -> None:
        path = self.shards / name
        with durable.writing(path):
            inner = build_dir.shard_name(name).rstrip("/")
            fd = os.open(inner, _DIRECTORY, dir_fd=self.directory.fd)
        try:
            if access.mode is None:
                # An interrupted build, whose directory this is, may have had another umask.
                mode, now = self.file_mode, stat.S_IMODE(os.fstat(fd).st_mode)
                natural = mode | (mode & 0o444) >> 2 | now & 0o7000
                if natural != now:
                    with durable.writing(path):
                        os.fchmod(fd, natural)
            access.give(fd, path)
        finally:
            os.close(fd)

    def _foreign(self, name: str, mode: int) -> TargetError:
        return TargetError(
            f"{self.shards / name} is {kind_of(mode)} that this build did not put there; find out "
            "who did, move it elsewhere, then run the same command again"
        )

    def remember(self) -> None:
        """Writes down what will be published, so that nothing else is taken for it.

        Raises:
            TargetError: It cannot be written.
        """
        with durable.writing(self.path):
            said = build_dir.read_build(self.directory)
            self._describe(said.get("description") or {}, digest(self.directory) or "none")
            with contextlib.suppress(OSError):  # Some file systems need not.
                os.fsync(self.directory.fd)

    def abandon(self) -> int:
        """Leaves the finished shards to the next build and removes the rest.

        Returns:
            Number of finished shards; without any, nothing is left.
        """
        if self._directory is None:
            return 0
        # After an exchange with a published dataset, its shards are here, not those of this build.
        described = description_in(self._directory) is not None
        finished = len(finished_in(self._directory)) if described else 0
        if finished:
            with contextlib.suppress(OSError):  # What is full now may not be later.
                said = build_dir.read_build(self._directory)
                if said.get("published") is not None:
                    self._describe(said["description"])
                self._remove_unfinished()
            self._directory.close()
        else:
            self.remove()
        return finished

    def remove(self) -> None:
        """Removes the directory."""
        if self._directory is not None:
            remove(self._directory)

    def _remove_unfinished(self) -> None:
        finished = finished_in(self.directory)
        for part in PARTS:
            for name in self.directory.names_in(part):
                if name.removesuffix(DONE) not in finished:
                    exchange.remove(self.directory.place_of(f"{part}/{name}"))
        for name in self.directory.names_in("."):
            if name not in (*PARTS, BUILD):
                exchange.remove(self.directory.place_of(name))
