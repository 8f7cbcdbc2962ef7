"""A build of one dataset from its lock to its publication, and what stays when it fails."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imagenet_builders.errors import BusyError, ImagenetBuildersError, TargetError
from imagenet_builders.files.way import open_way
from imagenet_builders.options import BuildOptions
from imagenet_builders.publish import debris, exchange
from imagenet_builders.publish.access import Access
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.publish.known import Known
from imagenet_builders.publish.lock import BuildLock
from imagenet_builders.publish.target import Target
from imagenet_builders.run.progress import phase
from imagenet_builders.words import counted, logger
from imagenet_builders.write import durable

_LOG = logger(__name__)

_ATTEMPTS = 3


class BuildSession:
    """A build that holds the lock of its dataset; a context manager.

    Inside of the block, no other process builds the same. However the block ends, finished shards
    stay for the next build, and nothing else.

    Args:
        target: What is built.
        options: How to build.
        name: Full name of the dataset, for messages.
        place: What another process may be at work on, where that need not be this dataset.

    Attributes:
        incomplete: Where the dataset is put together.
        job_dir: Where this process and its workers on other machines exchange jobs.
    """

    def __init__(
        self, target: Target, options: BuildOptions, name: str, *, place: str | None = None
    ):
        self._target = target
        self._name = name
        self._access = Access.of(options)
        self._started = time.monotonic()
        self._is_published = False
        self._replaced: Known | None = None
        self._made: list[Path] = []
        self._lock = BuildLock(target, name=place or name, wait=options.wait, announce=_LOG.info)
        self.incomplete = IncompleteDir(target, self._lock.token)
        self.job_dir = target.job_dir(self._lock.token)

    @property
    def seconds(self) -> float:
        """How long it took so far, since the lock was taken."""
        return time.monotonic() - self._started

    @property
    def waited(self) -> bool:
        """Whether it had to wait for another build to end."""
        return self._lock.waited

    def __enter__(self) -> Self:
        for left in reversed(range(_ATTEMPTS)):
            made = self._access.make_parents(self._target.path.parent)
            self._made = made + [path for path in self._made if path not in made]
            try:
                self._hold_above()
                with phase(f"waiting for {self._name}"):
                    self._lock.__enter__()
                break
            except BaseException as error:
                # Another build that failed may have removed the directory that it had made.
                if left and isinstance(error, TargetError) and not self._parent_exists():
                    continue
                self._remove_parents()
                raise
        try:
            with (
                durable.reading(self._target.path.parent),
                phase(f"removing what builds of {self._name} left"),
            ):
                removed = debris.remove(self._held())
                self._replaced = Known.at(self._held().path)
            for sentence in removed:
                _LOG.info(sentence)
        except BaseException as error:
            self._lock.__exit__(type(error), error, error.__traceback__)
            self._let_above_go()
            raise
        self._started = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        told = self._as_told(error)
        try:
            if isinstance(told, TargetError):
                self._check_lost(told)
            if self._is_published or told is None:
                self.incomplete.remove()
            else:
                self._note_what_is_kept(told)
        finally:
            self._lock.__exit__(kind, error, traceback)
            self._remove_parents()
        if told is not None and told is not error:
            raise told from error

    def _as_told(self, error: BaseException | None) -> BaseException | None:
        """The error to raise: of the system's errors with files of this build, one of ours."""
        if not isinstance(error, OSError) or isinstance(error, ImagenetBuildersError):
            return error
        for name in (error.filename, error.filename2):
            if isinstance(name, str | os.PathLike):
                path = durable.shown(Path(name)).absolute()
                if path.is_relative_to(self._target.path.parent.absolute()):
                    return durable.target_error(path, error)
        return error

    def _check_lost(self, error: TargetError) -> None:
        """Raises `BusyError` if files are not there because another process has the lock by now."""
        try:
            self._lock.check()
        except TargetError:
            pass  # Nobody knows; what failed first is what is told.
        except BusyError as lost:
            lost.add_note(f"this was noticed when {error}")
            raise lost from error

    def _note_what_is_kept(self, error: BaseException) -> None:
        """Leaves finished shards to the next build, and says where they are."""
        try:
            kept = self.incomplete.abandon()
        except (OSError, TargetError) as failure:
            error.add_note(
                f"the finished shards of {self._name} are left as they are in "
                f"{self.incomplete.shards}, which cannot be looked at now ({failure}); run the "
                "same command again to continue"
            )
            return
        if kept:
            error.add_note(
                f"kept {counted(kept, 'finished shard')} of {self._name} in "
                f"{self.incomplete.shards}; run the same command again to continue"
            )

    def check_lock(self) -> None:
        """Makes sure that this process still holds the lock.

        Raises:
            BusyError: Another process has taken it over.
        """
        self._lock.check()

    def open(self, description: Mapping[str, Any]) -> None:
        """Makes the incomplete directory ready, and tells what becomes of an earlier build's work.

        Args:
            description: What is built, as `plan.identity.describe` gives it.

        Raises:
            BusyError: Another process has taken over the lock.
            TargetError: The directory cannot be made.
        """
        # What is there must not be touched if it is another's by now.
        self._lock.check()
        with durable.writing(self.incomplete.shards):
            removed = self.incomplete.open(description)
        # Here, too, so that what is not allowed is known before the work is done.
        self.incomplete.give(self._access)
        if removed:
            _LOG.info(f"{self._name}: {removed}")

    def publish(self, *, replace: bool) -> None:
        """Gives the finished dataset its name.

        Args:
            replace: Whether to replace a dataset that is there.

        Raises:
            BusyError: Another process has taken over the lock.
            TargetError: It cannot be done.
        """
        self.incomplete.finish(self._access)
        self._lock.check()
        self.incomplete.remember()
        # By way of its descriptor, whatever has its name by now.
        exchange.publish(
            self.incomplete.place,
            self._held(),
            replace=replace and self._replaced is not None,
            replaced=self._replaced,
            last_check=self._lock.check,
            confirmed=self.incomplete.confirmed,
        )
        self._is_published = True

    def _hold_above(self) -> None:
        """Opens the directory that the dataset will be in.

        Whoever may write above that can rename it, and put a link in its place. What is built is
        made and published in the one that was looked at.
        """
        self._let_above_go()
        with durable.writing(self._target.path.parent):
            self.incomplete.above = open_way(self._target.path.parent)
        self._lock.use(self._held())

    def _held(self) -> Target:
        """What is built, by a path through the directory that is held."""
        return self._target.through(self.incomplete.above)

    def _let_above_go(self) -> None:
        above, self.incomplete.above = self.incomplete.above, None
        if above is not None:
            os.close(above)

    def _parent_exists(self) -> bool:
        return self._target.path.parent.exists()

    def _remove_parents(self) -> None:
        """Lets the directory above go, and removes directories that were made for nothing."""
        self._let_above_go()
        for path in self._made:
            try:
                path.rmdir()
            except OSError:
                return


def tidy(target: Target, name: str) -> None:
    """Removes what is left of a build that was killed right after it had published its dataset.

    Args:
        target: The dataset, which is there.
        name: Its full name, for messages.
    """
    # A process that holds the lock now will tidy up itself.
    with contextlib.suppress(BusyError, TargetError, OSError):
        above = open_way(target.path.parent)
        try:
            _tidy(target.through(above), name)
        finally:
            os.close(above)


def _tidy(target: Target, name: str) -> None:
    if not (debris.is_there(target) or debris.resumable(target)):
        return
    with BuildLock(target, name=name, wait=False, announce=_LOG.info):
        for sentence in debris.remove(target):
            _LOG.info(sentence)
        for path in debris.resumable(target):
            _LOG.info(
                f"finished shards of an interrupted build of {name} are kept in "
                f"{durable.shown(path)}; run its command again to go on with it, or remove them"
            )
