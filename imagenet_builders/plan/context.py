"""What a dataset is given to index its splits with: workers, scratch space, options."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.index import IndexCache
from imagenet_builders.run.jobs import Workers


@dataclasses.dataclass(frozen=True)
class BuildContext:
    """The means of a build.

    Attributes:
        scratch: Directory for what must be unpacked before it can be indexed. It may not exist yet.
            What a dataset leaves there is its own to find again, and to remove once it is built.
        options: How to build.
        workers: Who helps.
        unpacked: Path of what was unpacked to scratch space to what it is called in messages; a
            dataset adds to it what it unpacks.
    """

    scratch: Path
    options: BuildOptions
    workers: Workers
    unpacked: dict[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def cache(self) -> IndexCache:
        """Where indexes are kept between builds."""
        return IndexCache(self.scratch)
