"""The mode and the group that a dataset was asked to have (`--mode`, `--group`)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from imagenet_builders.options import BuildOptions
from imagenet_builders.write import durable


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

    def give(self, paths: Iterable[Path]) -> None:
        """Gives directories and files the mode and the group, as far as any were asked for.

        Raises:
            TargetError: That is not allowed.
        """
        if self == Access():
            return
        for path in paths:
            with durable.writing(path):
                if self.group is not None:
                    os.chown(path, -1, self.group)
                if self.mode is not None:
                    os.chmod(path, self.mode if path.is_dir() else self.mode & 0o666)

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

        Args:
            directory: The directory.

        Returns:
            The directories that were made, the innermost first.

        Raises:
            TargetError: One cannot be made.
        """
        missing = []
        for path in (directory, *directory.parents):
            if path.is_dir():
                break
            missing.append(path)
        for path in reversed(missing):
            with durable.writing(path):
                with contextlib.suppress(FileExistsError):
                    path.mkdir()
                self.give([path])
        return missing
