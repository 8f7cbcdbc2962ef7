"""What is published under a target, and what a build that was asked for it has to do."""

from __future__ import annotations

import dataclasses
import enum
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.errors import OptionError, TargetError
from imagenet_builders.options import OPTIONS, BuildOptions
from imagenet_builders.publish import exchange, provenance, readable
from imagenet_builders.publish.access import Access
from imagenet_builders.words import counted, logger, printable
from imagenet_builders.write import durable

_LOG = logger(__name__)


class Task(enum.Enum):
    """What a build has to do."""

    NOTHING = "nothing"
    BUILD = "build"
    REPLACE = "replace"
    ADD = "add"


@dataclasses.dataclass(frozen=True)
class Request:
    """What a build was asked for.

    Attributes:
        path: Where it will be published.
        options: How to build.
        overwrite: Replace a dataset that is there.
        limit: The `max_examples_per_split` that makes it a part of the dataset, or None.
        there_before: Tells what was published when the request was made from what is published
            later.
    """

    path: Path
    options: BuildOptions
    overwrite: bool
    limit: int | None
    there_before: tuple[int, int] | None

    @classmethod
    def of(
        cls, path: Path, options: BuildOptions, *, overwrite: bool, limit: int | None
    ) -> Request:
        """A request that is made now."""
        return cls(path, options, overwrite, limit, _publication(path))

    def task(self) -> Task:
        """What there is to do.

        A dataset that is a part, built to try things out, is replaced when all or another part is
        wanted.

        Raises:
            TargetError: What is there is no dataset, or it is not known whether it is a part.
        """
        with durable.reading(self.path):
            if self.overwrite:
                return Task.REPLACE if os.path.lexists(self.path) else Task.BUILD
            if not readable.is_there(self.path):
                _check_not_in_the_way(self.path)
                return Task.BUILD
            readable.check(self.path)
            if os.path.lexists(self.path / provenance.FILE_NAME):
                _check_readable(self.path)
            part = limit_of(self.path)
            return Task.NOTHING if part in (None, self.limit) else Task.REPLACE

    def is_met_meanwhile(self, description: Mapping[str, Any]) -> bool:
        """Whether another process has published the same since the request was made.

        It did so while this one waited for the lock. Of builds that all are to replace a dataset,
        the first then does it for all of them, unless they were asked for different things.

        Args:
            description: What this build would make, as `plan.identity.describe` gives it.
        """
        return (
            _publication(self.path) not in (None, self.there_before)
            and Access.of(self.options).is_of(self.path)
            and _is_of(
                self.path,
                description,
                options=self.options,
                limit=self.limit,
            )
        )

    def compare(self, there: str, file_format: str | None) -> None:
        """Compares a dataset that is there already with what was asked for.

        Args:
            there: The format of its files.
            file_format: The format that was asked for; None for any.

        Raises:
            OptionError: It is there in another format, or made with other values of options that
                only some datasets have.
        """
        if file_format and file_format != there:
            raise OptionError(
                f"{self.path} is there already, as {there}; build it as {file_format} with "
                "--overwrite, or into another --data-dir"
            )
        document = provenance.read_provenance(self.path)
        made_with = provenance.made_with_of(document)
        for option in (each for each in OPTIONS.values() if each.of_some):
            wanted = getattr(self.options, option.name)
            if wanted is not None and made_with.get(option.name, wanted) != wanted:
                raise OptionError(
                    f"{self.path} is there already, with {option.flag} {made_with[option.name]}; "
                    f"build it with {option.flag} {wanted} and --overwrite, or into another "
                    "--data-dir"
                )
        if self.options.decode and not (document and document.get("decode") is True):
            _LOG.warning(
                f"{self.path} is there already, from a build without --decode; "
                "`imagenet-builders verify --decode` decodes its images"
            )

    def check_splits(self, splits: Iterable[str]) -> None:
        """Makes sure that a dataset that is replaced loses no split by mistake.

        Args:
            splits: The splits of the new one.

        Raises:
            OptionError: It would.
        """
        if self.options.allow_fewer_splits:
            return
        document = provenance.read_info(self.path)
        before = {split["name"] for split in document.get("splits", [])}
        lost = sorted(before - set(splits))
        if lost:
            raise OptionError(
                f"{self.path} has the splits {', '.join(sorted(before))}, but {', '.join(lost)} "
                "cannot be built from what is staged now; stage what is missing, or build with "
                "--allow-fewer-splits to drop it"
            )


def limit_of(path: Path) -> int | None:
    """The `max_examples_per_split` with which a published dataset was built, if it was."""
    document = provenance.read_provenance(path) or {}
    limit = document.get("max_examples_per_split")
    return limit if isinstance(limit, int) else None


def part_warning(path: Path) -> str | None:
    """What readers of a dataset must know that is or may be a part; None for others."""
    limit = limit_of(path)
    if limit is None:
        file = path / provenance.FILE_NAME
        if not os.path.lexists(file) or provenance.read_provenance(path) is not None:
            return None
        return (
            f"{file} is damaged, is no file, or may not be read, so it is not known whether this "
            "dataset is whole; `imagenet-builders verify` says more"
        )
    return (
        f"{path} is incomplete: it was built with max_examples_per_split={limit}, to try things "
        "out, so no split has more examples than that; a build without this limit replaces it"
    )


def warn_of_a_part(path: Path) -> None:
    """Warns readers of a dataset built with `max_examples_per_split` that it is incomplete."""
    sentence = part_warning(path)
    if sentence is not None:
        warnings.warn(printable(sentence), stacklevel=3)


def warn_of_lost_shards(path: Path, shards: Iterable[str]) -> None:
    """Warns where shards of a dataset are gone, as by a program that removes old files.

    Args:
        path: The dataset.
        shards: The names of all that it should have.

    Raises:
        TargetError: The dataset cannot be looked at.
    """
    with durable.reading(path):
        there = set(os.listdir(path))
    lost = [name for name in shards if name not in there]
    if lost:
        what = counted(len(lost), "shard is", "shards are")
        which = lost[0] + (" and others" if lost[1:] else "")
        _LOG.warning(
            f"{path} is there already, but {what} gone from it: {which}; see what "
            "`imagenet-builders verify` says, and build it anew with --overwrite"
        )


def _is_of(
    path: Path, description: Mapping[str, Any], *, options: BuildOptions, limit: int | None
) -> bool:
    """Whether sources, records, shards and file format are those of a build, and the versions."""
    document = provenance.read_provenance(path)
    try:
        return bool(
            document is not None
            and document["dataset"] == description["dataset"]
            and document["max_examples_per_split"] == limit
            and document["versions"] == provenance.versions()
            and provenance.read_info(path)["fileFormat"] == description["file format"]
            and {name: split["plan"] for name, split in document["splits"].items()}
            == {name: split["plan"] for name, split in description["splits"].items()}
            and (document["decode"] is True or not options.decode)
            and (
                options.bad_images == "skip"
                or not any(split["skipped"] for split in document["splits"].values())
            )
        )
    except (KeyError, TypeError, AttributeError):  # As somebody else wrote it.
        return False


def _publication(path: Path) -> tuple[int, int] | None:
    """Tells what is published now from what is published later; None where there is nothing."""
    try:
        status = os.stat(path / provenance.FILE_NAME)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _check_readable(path: Path) -> None:
    """Makes sure that a dataset can be told from a part of one."""
    if provenance.read_provenance(path) is None:
        raise TargetError(
            f"{path / provenance.FILE_NAME} is damaged or may not be read, so it is not known "
            "whether the dataset is whole; check it with `imagenet-builders verify`, or build it "
            "anew with --overwrite"
        )


def _check_not_in_the_way(path: Path) -> None:
    """Makes sure that nothing is there that a dataset could not replace in the end."""
    with durable.writing(path):
        if not os.path.lexists(path) or (
            path.is_dir()
            and not path.is_symlink()
            and (not any(path.iterdir()) or exchange.is_being_removed(path))
        ):
            return
    raise TargetError(
        f"{path} is there, but is no dataset: there is no dataset_info.json in it; look at it, "
        "then move it elsewhere or run the same command with --overwrite"
    )
