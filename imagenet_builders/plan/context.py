"""What a dataset is given to index its splits with: options, workers, scratch space."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path

from imagenet_builders.errors import OptionError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.index import IndexCache
from imagenet_builders.run.jobs import Workers
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.words import size_text


@dataclasses.dataclass(frozen=True)
class BuildContext:
    """The means of a build.

    Attributes:
        scratch: Directory for what must be unpacked before it can be indexed. It may not exist yet.
            A dataset finds there what an earlier build of it unpacked.
        options: How to build.
        workers: Who does the work.
        copies: Absolute paths of staged files to the paths of their copies in scratch space, which
            the build reads in their place (`--stage`).
        unpacked: What messages call each file that was unpacked to scratch space, to the staged
            archive that it was unpacked from; see `add_unpacked`.
        kept: Splits of the dataset that is there which are kept without being staged, so that they
            need not be warned of.
        at_end: Is closed when the build has ended, with or without success: here a dataset gives up
            its locks.
        when_built: Is closed, before `at_end`, when the dataset is published: here a dataset
            removes what it has unpacked, which another attempt would need.
        locked: Names of directories in scratch space that the build keeps until it has ended, to
            these, open.
        may_unpack: Whether archives may be unpacked to scratch space, and not only indexes kept.
    """

    scratch: Path
    options: BuildOptions
    workers: Workers
    copies: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unpacked: dict[str, str] = dataclasses.field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    at_end: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)
    when_built: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)
    locked: dict[str, PrivateDir] = dataclasses.field(default_factory=dict)
    may_unpack: bool = True

    @functools.cached_property
    def cache(self) -> IndexCache:
        """The indexes that are kept between builds."""
        return IndexCache(self.scratch)

    def with_workers(self, workers: Workers) -> BuildContext:
        """The same with other workers, and with the same cache, which knows what it has given."""
        return dataclasses.replace(self, workers=workers).with_cache(self.cache)

    def with_cache(self, cache: IndexCache) -> BuildContext:
        """The same with another cache."""
        other = dataclasses.replace(self)
        vars(other)["cache"] = cache
        return other

    def source_file(self, path: str | os.PathLike[str]) -> SourceFile:
        """A staged file as it is now, read through its copy if there is one."""
        return SourceFile.of(path, self.copies)

    def require_room_to_unpack(self, what: str, needed: int) -> None:
        """Makes sure that archives may be unpacked, before anything of them is written.

        Args:
            what: What would be unpacked.
            needed: Bytes that it needs.

        Raises:
            OptionError: They may not.
        """
        if not self.may_unpack:
            raise OptionError(
                f"{what} would have to be unpacked, which needs about {size_text(needed)}, and no "
                "scratch directory is chosen; give options=BuildOptions(scratch_dir=DIR), or build "
                "the dataset"
            )

    def add_unpacked(
        self, directory: PrivateDir, file_name: str, archive: str, name: str
    ) -> SourceFile:
        """A file that was unpacked to scratch space, which messages call by what it is.

        Args:
            directory: Where the file is.
            file_name: Its name there.
            archive: The staged archive that it was unpacked from.
            name: What messages call it; it begins with the path of the archive.

        Raises:
            OSError: It is not there, or not this user's alone.
        """
        self.unpacked[name] = archive
        fd = directory.open_ours(file_name)
        try:
            status = os.fstat(fd)
        finally:
            os.close(fd)
        copy = os.path.abspath(directory.path / file_name)
        return SourceFile(name, status.st_size, status.st_mtime_ns, copy)
