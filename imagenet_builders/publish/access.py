"""The mode and the group that a dataset was asked to have (`--mode`, `--group`)."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.files.ours import is_ours, owner_and_mode
from imagenet_builders.files.way import open_way
from imagenet_builders.options import BuildOptions
from imagenet_builders.write import durable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclasses.dataclass(frozen=True)
class Access:
    """Mode and group of a dataset.

    Attributes:
        mode: Mode of directories; files get the same without the right to execute. None leaves it
            to the umask.
        group: Number of the group; None leaves it to the system, which gives what is made in a
            directory with the setgid bit that directory's group.
    """

    mode: int | None = None
    group: int | None = None

    @classmethod
    def of(cls, options: BuildOptions) -> Access:
        """The mode and the group that options ask for."""
        return cls(options.mode, options.group_id())

    def give(self, fd: int, path: Path) -> None:
        """Gives what this process made the mode and the group, as far as any were asked for.

        Args:
            fd: Descriptor of the file or directory; by its name, another may be found by now.
            path: Its path, for messages.

        Raises:
            TargetError: That is not allowed.
        """
        with durable.writing(path):
            if self.group is not None:
                os.chown(fd, -1, self.group)
            if self.mode is not None:
                is_dir = stat.S_ISDIR(os.fstat(fd).st_mode)
                os.chmod(fd, self.mode if is_dir else self.mode & 0o666)

    def is_of(self, directory: Path) -> bool:
        """Whether a directory has the mode and the group.

        Raises:
            TargetError: The directory cannot be looked at.
        """
        with durable.writing(directory):
            status = os.stat(directory)
        return self.mode in (None, stat.S_IMODE(status.st_mode)) and self.group in (
            None,
            status.st_gid,
        )

    def make_parents(self, directory: Path) -> list[Path]:
        """Makes a directory, and the missing ones above it, with the mode and the group.

        What is there is left as it is, and no link of somebody else's is followed.

        Args:
            directory: The directory.

        Returns:
            The directories that were missing, the innermost first.

        Raises:
            TargetError: One cannot be made, or somebody else has put something in the way.
        """
        missing = []
        for path in (directory, *directory.parents):
            if path.is_dir():
                break
            missing.append(path)
        with durable.writing(directory):
            above = open_way(path)
        try:
            for path in reversed(missing):
                with durable.writing(path):
                    inner = self._make(path, above)
                os.close(above)
                above = inner
        finally:
            os.close(above)
        return missing

    def _make(self, path: Path, above: int) -> int:
        """Makes one directory in an open one; returns its descriptor."""
        try:
            os.mkdir(path.name, dir_fd=above)
        except FileExistsError:
            # Another build's, or somebody's: it is left as it is.
            return open_way(path)
        fd = os.open(path.name, _DIRECTORY, dir_fd=above)
        try:
            if self != Access():
                self._give_new(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _give_new(self, fd: int, path: Path) -> None:
        # Whoever may write above may have put another one in its place.
        if not is_ours(fd) or os.listdir(fd):
            raise TargetError(
                f"{path} was just made, and is another directory now ({owner_and_mode(fd)}); find "
                "out who renamed it, then run the same command again"
            )
        self.give(fd, path)
