"""A build that has begun, and what it has written: values that its steps hand on."""

from __future__ import annotations

import dataclasses

from imagenet_builders.build.adding import Addition
from imagenet_builders.publish.addition import KeptSplit
from imagenet_builders.publish.published import Request, Task
from imagenet_builders.publish.session import BuildSession
from imagenet_builders.write.results import SplitResult


@dataclasses.dataclass(frozen=True)
class Running:
    """A build that has begun.

    Attributes:
        session: Holds the lock.
        request: What was asked for.
        task: What there is to do: to build, to replace, or to add.
        added: What is added, for `Task.ADD`.
    """

    session: BuildSession
    request: Request
    task: Task
    added: Addition | None = None

    @property
    def kept(self) -> list[KeptSplit]:
        """The splits that are kept of the dataset that is there."""
        return list(self.added.kept.splits.values()) if self.added else []


@dataclasses.dataclass(frozen=True)
class Built:
    """What a build wrote.

    Attributes:
        results: The splits.
        plans: Split to the digest of its plan.
        added: What was added, with what is recorded now of the splits that are kept.
    """

    results: list[SplitResult]
    plans: dict[str, str]
    added: Addition | None
