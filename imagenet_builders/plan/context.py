"""What a dataset is given to index its splits with: options, workers, scratch space."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from pathlib import Path

from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.index import IndexCache
from imagenet_builders.run.jobs import Workers


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a file in scratch space was unpacked from.

    Attributes:
        archive: The staged archive.
        name: How messages name the file.
    """

    archive: str
    name: str


@dataclasses.dataclass(frozen=True)
class BuildContext:
    """The means of a build.

    Attributes:
        scratch: Directory for what must be unpacked before it can be indexed. It may not exist yet.
            A dataset finds there what an earlier build of it unpacked.
        options: How to build.
        workers: Who does the work.
        unpacked: Path of each file that was unpacked to scratch space, to its origin. A dataset
            adds the files that it unpacks.
        at_end: Is closed when the build has ended, with or without success: here a dataset gives up
            its locks.
        when_built: Is closed, before `at_end`, when the dataset is published: here a dataset
            removes what it has unpacked, which another attempt would need.
    """

    scratch: Path
    options: BuildOptions
    workers: Workers
    unpacked: dict[str, Origin] = dataclasses.field(default_factory=dict)
    at_end: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)
    when_built: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)

    @functools.cached_property
    def cache(self) -> IndexCache:
        """The indexes that are kept between builds."""
        return IndexCache(self.scratch)
