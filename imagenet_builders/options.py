"""The knobs of a build: one frozen value, checked when it is made.

The command line fills it from its flags; under plain `tfds build` and the Python API it comes from
the environment (`IMAGENET_BUILDERS_WORKERS`, `IMAGENET_BUILDERS_SCRATCH_DIR`,
`IMAGENET_BUILDERS_BAD_IMAGES`, `IMAGENET_BUILDERS_STRICT`, `IMAGENET_BUILDERS_CLASSES`,
`IMAGENET_BUILDERS_SOURCE`, `IMAGENET_BUILDERS_STAGE`).
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.errors import OptionError
from imagenet_builders.locate.found import KINDS
from imagenet_builders.run.cpus import usable_cpus

BAD_IMAGE_POLICIES = ("fail", "skip")
CLASS_LISTS = ("known", "archive")

_MAX_WORKERS = 1024
# Of two slashes, pathlib leaves one.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_INSTEAD = {
    "manual_dir": "copy the archives to a file system, or mount them",
    "data_dir": "build into a directory, then copy the finished dataset there",
    "scratch_dir": "choose one on a local disk",
}
_TRUTHS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How a build is done; never what comes out of it, except for skipped images.

    Attributes:
        workers: Processes that write shards. None: as many as CPUs this process may use.
        scratch_dir: Directory for the cached index, for what is compressed and must be unpacked,
            and for staged copies. None: `$SLURM_TMPDIR`, else `$TMPDIR`, else a hidden directory
            beside the built datasets.
        bad_images: What to do with an image that is neither whole nor repairable: `fail` ends the
            build with the image's name, `skip` leaves it out and records it in `provenance.json`.
        strict: Classes of the dataset that are missing from what is staged are an error, where
            otherwise they are named in a warning.
        classes: Where the class list of `imagenet2012_dogs` comes from: `known`, the list in this
            package, or `archive`, whatever classes the archive holds.
        wait: Wait when another process builds the same dataset; otherwise that is an error.
        allow_fewer_splits: A dataset that is replaced may have splits that the new one has not.
        mode: Mode of the directories of the dataset, such as 0o2775; files get the same without the
            right to execute. None leaves it to the umask.
        group: Name or number of the group that the dataset is given to. None leaves it to the
            system.
        source: Kind of source to read where a split is staged in more than one way, one of
            `staging.found.KINDS`. None: the preferred one, archives before folders.
        stage: Copy the archives that are read to the scratch directory first; folders are read in
            place.

    Raises:
        OptionError: A value cannot be used; the message names the option, the value, and what
            would do.
    """

    workers: int | None = None
    scratch_dir: str | None = None
    bad_images: str = "fail"
    strict: bool = False
    classes: str = "known"
    wait: bool = True
    allow_fewer_splits: bool = False
    mode: int | None = None
    group: str | None = None
    source: str | None = None
    stage: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and not (
            isinstance(self.workers, int) and 1 <= self.workers <= _MAX_WORKERS
        ):
            raise OptionError(
                f"workers must be a whole number from 1 to {_MAX_WORKERS}, not {self.workers!r}"
            )
        if self.bad_images not in BAD_IMAGE_POLICIES:
            raise OptionError(
                f"bad_images must be one of {', '.join(BAD_IMAGE_POLICIES)}, "
                f"not {self.bad_images!r}"
            )
        if self.classes not in CLASS_LISTS:
            raise OptionError(
                f"classes must be one of {', '.join(CLASS_LISTS)}, not {self.classes!r}"
            )
        if self.source is not None and self.source not in KINDS:
            raise OptionError(f"source must be one of {', '.join(KINDS)}, not {self.source!r}")
        require_local("scratch_dir", self.scratch_dir)
        if self.mode is not None and (self.mode & 0o700 != 0o700 or self.mode > 0o7777):
            raise OptionError(
                f"mode must let its owner read, write and enter, such as 2775, not {self.mode:o}"
            )
        self.group_id()  # So that it is found out now whether there is such a group.

    @property
    def worker_count(self) -> int:
        """Number of worker processes, with the default filled in."""
        return self.workers or usable_cpus()

    def group_id(self) -> int | None:
        """Number of the group, or None.

        Raises:
            OptionError: There is no such group.
        """
        import grp

        if self.group is None:
            return None
        try:
            if self.group.isdigit():
                return int(self.group)
            return grp.getgrnam(self.group).gr_gid
        except KeyError:
            raise OptionError(f"group must be one of this system, not {self.group!r}") from None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> BuildOptions:
        """Reads the options from environment variables; unset or empty ones keep their defaults.

        Args:
            environment: Variables to read; `os.environ` by default.

        Returns:
            The options.

        Raises:
            OptionError: A variable holds a value that cannot be used.
        """
        env = os.environ if environment is None else environment
        text = env.get("IMAGENET_BUILDERS_WORKERS", "").strip()
        try:
            workers = int(text) if text else None
        except ValueError:
            raise OptionError(
                f"IMAGENET_BUILDERS_WORKERS must be a whole number, not {text!r}"
            ) from None
        for name, allowed in (
            ("BAD_IMAGES", BAD_IMAGE_POLICIES),
            ("CLASSES", CLASS_LISTS),
            ("SOURCE", KINDS),
        ):
            value = env.get(f"IMAGENET_BUILDERS_{name}")
            if value and value not in allowed:
                raise OptionError(
                    f"IMAGENET_BUILDERS_{name} must be one of {', '.join(allowed)}, not {value!r}"
                )
        return cls(
            workers=workers,
            scratch_dir=env.get("IMAGENET_BUILDERS_SCRATCH_DIR") or None,
            bad_images=env.get("IMAGENET_BUILDERS_BAD_IMAGES") or "fail",
            strict=_truth("IMAGENET_BUILDERS_STRICT", env),
            classes=env.get("IMAGENET_BUILDERS_CLASSES") or "known",
            wait=not _truth("IMAGENET_BUILDERS_NO_WAIT", env),
            allow_fewer_splits=_truth("IMAGENET_BUILDERS_ALLOW_FEWER_SPLITS", env),
            mode=_mode(env),
            group=env.get("IMAGENET_BUILDERS_GROUP") or None,
            source=env.get("IMAGENET_BUILDERS_SOURCE") or None,
            stage=_truth("IMAGENET_BUILDERS_STAGE", env),
        )

    def replace(self, **changes: Any) -> BuildOptions:
        """A copy with some values changed, checked again."""
        return dataclasses.replace(self, **changes)

    def scratch_for(self, data_dir: str | os.PathLike[str]) -> Path:
        """The directory for scratch files of a build into `data_dir` (which it does not create)."""
        chosen = self.scratch_choice()
        if chosen:
            # Others may use the same directory, and must neither be in the way nor be trusted.
            return Path(os.path.expanduser(chosen[1])) / f"imagenet_builders-{os.getuid()}"
        return Path(data_dir) / ".imagenet_builders"

    def scratch_choice(self) -> tuple[str, str] | None:
        """Who chose the scratch directory (in words) and what; None where nobody did."""
        for name, value in (
            ("--scratch-dir", self.scratch_dir),
            ("$SLURM_TMPDIR", os.environ.get("SLURM_TMPDIR")),
            ("$TMPDIR", os.environ.get("TMPDIR")),
        ):
            if value:
                return name, value
        return None


def require_local(name: str, path: str | os.PathLike[str] | None) -> None:
    """Makes sure that a path is one of a file system, not an address such as `gs://bucket/x`.

    Images are read with `pread` and the kernel's read-ahead, shards are flushed and renamed, and
    a dataset is published by one rename; object stores have none of that.

    Args:
        name: Name of the option, for messages; one of `manual_dir`, `data_dir`, `scratch_dir`.
        path: The path, or None for the default.

    Raises:
        OptionError: It is an address, or empty.
    """
    text = "" if path is None else os.fspath(path)
    if path is not None and not text:
        raise OptionError(f"{name} must name a directory, not be empty")
    if not _ADDRESS.match(text):
        return
    scheme, _, rest = text.partition(":/")
    instead = f"write /{rest.lstrip('/')}" if scheme.lower() == "file" else _INSTEAD[name]
    raise OptionError(f"{name} must be a directory in a file system, not {text}; {instead}")


def _truth(name: str, env: Mapping[str, str]) -> bool:
    text = env.get(name, "").strip().lower()
    if text not in _TRUTHS:
        raise OptionError(f"{name} must be 1 or 0, not {text!r}")
    return _TRUTHS[text]


def _mode(env: Mapping[str, str]) -> int | None:
    text = env.get("IMAGENET_BUILDERS_MODE", "").strip()
    try:
        return int(text, 8) if text else None
    except ValueError:
        raise OptionError(
            f"IMAGENET_BUILDERS_MODE must be a mode such as 2775, not {text!r}"
        ) from None
