"""The frame of a build: one builder at a time, what is there already, what stays when it fails."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imagenet_builders.errors import BusyError, OptionError, TargetError
from imagenet_builders.options import BuildOptions
from imagenet_builders.publish import exchange, incomplete, lock, provenance
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.write import durable

_ATTEMPTS = 3


class BuildSession:
    """A build of one dataset from its lock to its publication; a context manager.

    Inside of the block, nobody else builds the same. However the block ends, what is finished
    stays for the next build, and nothing else.

    Args:
        target: The directory of the version.
        options: How to build.
        name: Full name of the dataset, for messages.
        overwrite: Replace a dataset that is there.

    Attributes:
        incomplete: Directory in which the dataset is put together.
        job_dir: Where workers on other machines may exchange what they need.
        options: As given.
    """

    def __init__(self, target: Path, options: BuildOptions, name: str, *, overwrite: bool):
        self.target = target
        self.options = options
        self._name = name
        self._overwrite = overwrite
        self._started = time.monotonic()
        self._replaces = False
        self._published = False
        self._made: list[Path] = []
        self._there_before = _publication(target)
        self._lock_path = target.with_name(f".{target.name}.lock")
        self._lock = lock.BuildLock(self._lock_path, what=name, wait=options.wait, announce=_say)
        self.incomplete = IncompleteDir(target, self._lock.token)
        self.job_dir = incomplete.exchange_of(target, self._lock.token)

    @property
    def seconds(self) -> float:
        """How long it took so far."""
        return time.monotonic() - self._started

    def is_there(self, max_examples_per_split: int | None) -> bool:
        """Whether there is nothing to do.

        A dataset that is only a part of the splits, built to try things out, counts for nothing
        when all or another part is wanted: it will be replaced.

        Args:
            max_examples_per_split: How much is wanted.
        """
        self._replaces = self._overwrite and os.path.lexists(self.target)
        if self._overwrite:
            return False
        if not (self.target / "dataset_info.json").exists():
            _check_not_in_the_way(self.target)
            return False
        if (self.target / provenance.FILE_NAME).exists():
            provenance.check_readable(self.target)
        part = provenance.part_of_splits(self.target)
        self._replaces = part is not None and part != max_examples_per_split
        return not self._replaces

    def is_built_meanwhile(
        self, description: Mapping[str, Any], max_examples_per_split: int | None
    ) -> bool:
        """Whether another process has published the same since this one has begun; says so.

        It did so while this one waited for the lock. Of builders that all are to replace a dataset,
        the first then does it for all of them, unless they were asked for different things.

        Args:
            description: What this build would make, as `plan.identity.describe` gives it.
            max_examples_per_split: How much of it.

        Raises:
            BusyError: Another process has taken over the lock.
        """
        self._lock.check()
        if _publication(self.target) in (None, self._there_before):
            return False
        options = self.options
        if not self._has_access_wanted() or not provenance.is_of(
            self.target,
            description,
            bad_images=options.bad_images,
            max_examples_per_split=max_examples_per_split,
        ):
            return False
        _say(
            f"{self._name} was built meanwhile by another process, from the same sources and with "
            "the same options; it is not built again"
        )
        return True

    def _has_access_wanted(self) -> bool:
        """Whether what is published has the mode and the group that were asked for."""
        with durable.writing(self.target):
            status = os.stat(self.target)
        mode, group = self.options.mode, self.options.group_id()
        return mode in (None, stat.S_IMODE(status.st_mode)) and group in (None, status.st_gid)

    def tidy(self) -> None:
        """Removes what a build left that was killed right after it had published the dataset."""
        if incomplete.is_debris_there(self.target) or incomplete.resumable(self.target):
            # Whoever holds the lock now will tidy up itself.
            with (
                contextlib.suppress(BusyError, TargetError, OSError),
                lock.BuildLock(self._lock_path, what=self._name, wait=False, announce=_say),
            ):
                incomplete.remove_debris(self.target, self._lock_path)
                for place in incomplete.resumable(self.target):
                    _say(
                        f"finished shards of an interrupted build to replace {self._name} are kept "
                        f"in {place}; build with --overwrite to go on with it, or remove them"
                    )

    def __enter__(self) -> Self:
        options = self.options
        for left in reversed(range(_ATTEMPTS)):
            made = exchange.make_parents(self.target.parent, options.mode, options.group_id())
            self._made = made + [path for path in self._made if path not in made]
            try:
                self._lock.__enter__()
                break
            except BaseException as error:
                # Another build that failed may have removed the directory that it had made.
                if left and isinstance(error, TargetError) and not self.target.parent.exists():
                    continue
                self._remove_parents()
                raise
        try:
            for sentence in incomplete.remove_debris(self.target, self._lock_path):
                _say(sentence)
        except BaseException as error:
            self._lock.__exit__(type(error), error, error.__traceback__)
            raise
        self._started = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, TargetError):
                self._lock.check()
            if self._published or error is None:
                self.incomplete.close()
            else:
                kept = self.incomplete.abandon()
                if kept:
                    error.add_note(
                        f"{kept:,} finished shards of {self._name} are kept in "
                        f"{self.incomplete.directory}; run the same command again to continue"
                    )
        finally:
            self._lock.__exit__(kind, error, traceback)
            self._remove_parents()

    def check_splits(self, splits: Iterable[str]) -> None:
        """Makes sure that a dataset that is replaced loses no split by mistake.

        Raises:
            OptionError: It would.
        """
        if not self._replaces or self.options.allow_fewer_splits:
            return
        document = provenance.read_info(self.target)
        before = {split["name"] for split in document.get("splits", [])}
        lost = sorted(before - set(splits))
        if lost:
            raise OptionError(
                f"{self.target} has the splits {', '.join(sorted(before))}, but what is staged now "
                f"is without {', '.join(lost)}; stage that too, or build with "
                "--allow-fewer-splits if it is to go"
            )

    def open(self, description: Mapping[str, Any]) -> None:
        """Makes the incomplete directory ready; says what becomes of an earlier build's work."""
        # What is there must not be touched if it is another's by now.
        self._lock.check()
        with durable.writing(self.incomplete.directory):
            said = self.incomplete.open(description)
        # Here, too, so that what is not allowed is known before the work is done.
        self._set_access([self.incomplete.directory])
        if said:
            _say(f"{self._name}: {said}")

    def publish(self) -> None:
        """Gives the finished dataset its name.

        Raises:
            BusyError: Another process has taken over the lock.
            TargetError: It cannot be done.
        """
        directory = self.incomplete.directory
        if self.options.mode is None:
            # TensorFlow writes some files with modes of its own; an interrupted build's umask may
            # have been another.
            mode = self.incomplete.file_mode
            for path in directory.iterdir():
                if stat.S_IMODE(path.stat().st_mode) != mode:
                    exchange.set_access([path], mode, None)
        self._set_access([directory, *directory.iterdir()])
        self._lock.check()
        exchange.publish(
            directory, self.target, replace=self._replaces, last_check=self._lock.check
        )
        self._published = True

    def _set_access(self, paths: Iterable[Path]) -> None:
        """Gives paths the mode and the group that were asked for, if any were."""
        if self.options.mode is not None or self.options.group is not None:
            exchange.set_access(paths, self.options.mode, self.options.group_id())

    def _remove_parents(self) -> None:
        """Removes the directories that were made for nothing."""
        for path in self._made:
            try:
                path.rmdir()
            except OSError:
                return


def _publication(target: Path) -> tuple[int, int] | None:
    """Tells what is published now from what is published later; None where there is nothing."""
    try:
        status = os.stat(target / provenance.FILE_NAME)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _check_not_in_the_way(target: Path) -> None:
    """Makes sure that nothing is there that a dataset could not replace in the end."""
    with durable.writing(target):
        if not os.path.lexists(target) or (
            target.is_dir() and not target.is_symlink() and not any(target.iterdir())
        ):
            return
    raise TargetError(
        f"{target} is there, but is no dataset: there is no dataset_info.json in it; look at it, "
        "then remove it or run the same command with --overwrite"
    )


def _say(text: str) -> None:
    print(f"imagenet-builders: {text}", file=sys.stderr, flush=True)
