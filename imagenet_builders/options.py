"""The options of a build: one table, from which flags, variables and the docs' table are made.

A field of `BuildOptions` says what its option does, how its value is written, and which values it
may have. Flag and environment variable follow from its name: `workers` is `--workers` and
`IMAGENET_BUILDERS_WORKERS`. A switch that is on by default has those that turn it off: `--no-wait`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.errors import OptionError
from imagenet_builders.files.addresses import place_problem
from imagenet_builders.sources import kinds

_MAX_WORKERS = 1024
_MAX_GROUP = 2**32 - 2
_TRUTHS = {"0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """How people give a field of `BuildOptions`.

    Attributes:
        name: Name of the field.
        default: Value of the field where nobody gives one. True or False makes it a switch, whose
            flag takes no value.
        section: Part of `build --help` that shows it: `what`, `where` or `how`.
        help: What it does; `{choices}` stands for these.
        metavar: What stands for its value in `--help`; None for a switch.
        choices: Gives the values it may have, where these are a few words.
        of_some: Whether only datasets that name it take it (`Dataset.options`).
        from_text: Makes its value from a text; raises ValueError for a text that it cannot read.
        problem: Says what is wrong with a value other than the default (`must be ..., not ...`),
            or returns None.
    """

    name: str
    default: Any
    section: str
    help: str
    metavar: str | None = None
    choices: Callable[[], tuple[str, ...]] | None = None
    of_some: bool = False
    from_text: Callable[[str], Any] = str
    problem: Callable[[Any], str | None]

    @property
    def is_switch(self) -> bool:
        """Whether its flag takes no value."""
        return isinstance(self.default, bool)

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return ("--no-" if self.default is True else "--") + self.name.replace("_", "-")

    @property
    def help_text(self) -> str:
        """What it does, with the values that it may have."""
        return self.help.format(choices=", ".join(self.choices())) if self.choices else self.help

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return "IMAGENET_BUILDERS_" + self.flag.lstrip("-").replace("-", "_").upper()

    def read(self, text: str, called: str) -> Any:
        """The value that a text stands for.

        Args:
            text: The text given with the flag, or in the variable.
            called: The flag or the variable, for messages.

        Returns:
            The value.

        Raises:
            OptionError: The text cannot be used.
        """
        if self.is_switch:
            truth = _TRUTHS.get(text.strip().lower())
            if truth is None:
                raise OptionError(f"{called} must be 1 or 0, not {text!r}")
            return truth is not self.default
        try:
            value = self.from_text(text)
        except ValueError:
            value = text
        self.check(value, called)
        return value

    def check(self, value: Any, called: str) -> None:
        """Makes sure that a value can be used.

        Args:
            value: The value.
            called: What the message calls the option: its flag, its variable, or its field.

        Raises:
            OptionError: The value cannot be used.
        """
        problem = None if value is self.default else self.problem(value)
        if problem is not None:
            raise OptionError(f"{called} {problem}")


def _option(default: Any, **facts: Any) -> Any:
    """A field whose metadata are the attributes of its `Option`."""
    return dataclasses.field(default=default, metadata=facts)


def _switch(default: bool, section: str, help: str) -> Any:
    def problem(value: Any) -> str | None:
        return None if isinstance(value, bool) else f"must be True or False, not {value!r}"

    return _option(default, section=section, help=help, problem=problem)


def _choice(default: str | None, choices: Callable[[], tuple[str, ...]], **facts: Any) -> Any:
    def problem(value: Any) -> str | None:
        allowed = choices()
        return None if value in allowed else f"must be one of {', '.join(allowed)}, not {value!r}"

    return _option(default, choices=choices, problem=problem, **facts)


def _number(largest: int, **facts: Any) -> Any:
    def problem(value: Any) -> str | None:
        if type(value) is int and 1 <= value <= largest:
            return None
        return f"must be a whole number from 1 to {largest}, not {value!r}"

    return _option(None, from_text=int, problem=problem, **facts)


def _scratch_dir_problem(value: Any) -> str | None:
    return place_problem("scratch_dir", value)


def _array_record_dir_problem(value: Any) -> str | None:
    return place_problem("data_dir", value)


def _mode_problem(value: Any) -> str | None:
    if type(value) is int and 0 <= value <= 0o7777 and value & 0o700 == 0o700:
        return None
    shown = f"{value:o}" if type(value) is int else repr(value)
    return f"must be an octal mode with all rights for the owner, such as 2775, not {shown}"


def _group_problem(value: Any) -> str | None:
    try:
        _group_id(value)
    except (KeyError, AttributeError, ValueError):
        return f"must be the name or number of a group here, not {value!r}"
    return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How a build is done; never what comes out of it, except for skipped images.

    `help` of each field says what it does; the docs list them all ("Options").

    Raises:
        OptionError: A value cannot be used; the message names the option, the value, and the
            values that can be used.
    """

    workers: int | None = _number(
        _MAX_WORKERS,
        section="how",
        metavar="N",
        help="write shards with this many processes (default: as many as CPUs you may use, by "
        "affinity and cgroup)",
    )
    scratch_dir: str | None = _option(
        None,
        section="where",
        metavar="DIR",
        help="keep the index between builds, and unpack or copy archives, in this directory "
        "(default: $SLURM_TMPDIR, then $TMPDIR, then .imagenet_builders-<your user number> beside "
        "the datasets)",
        problem=_scratch_dir_problem,
    )
    array_record_dir: str | None = _option(
        None,
        section="where",
        metavar="DIR",
        help="directory for the datasets as ArrayRecord, where both file formats are built in one "
        "pass; those as TFRecord go to --data-dir",
        problem=_array_record_dir_problem,
    )
    bad_images: str = _choice(
        "fail",
        lambda: ("fail", "skip"),
        section="how",
        metavar="POLICY",
        help="what to do with an image that is damaged and cannot be repaired: `fail` ends the "
        "build with its name, `skip` leaves it out and records that in provenance.json (default: "
        "fail)",
    )
    decode: bool = _switch(
        False,
        "how",
        "decode every pixel of every image, so that one with damage that its header does not show "
        "is bad too; 1 to 3 ms an image of ImageNet's size",
    )
    strict: bool = _switch(
        False,
        "how",
        "end with an error, not a warning, where classes or images are missing or something does "
        "not belong",
    )
    classes: str = _choice(
        "known",
        lambda: ("known", "archive"),
        section="what",
        metavar="LIST",
        help="class list of the dogs of ILSVRC2012: `known`, the list in this package, or "
        "`archive`, whatever classes the archive holds (default: known)",
    )
    jpeg_quality: int | None = _number(
        100,
        section="what",
        metavar="N",
        of_some=True,
        help="quality of JPEGs that are encoded anew, for resized images (default: 95)",
    )
    jpeg_subsampling: str | None = _choice(
        None,
        lambda: ("4:2:0", "4:4:4"),
        section="what",
        metavar="RATIO",
        of_some=True,
        help="resolution of their colours, half of it or all: {choices} (default: 4:2:0)",
    )
    wait: bool = _switch(
        True,
        "how",
        "end with an error, rather than wait, if another process builds the same dataset",
    )
    allow_fewer_splits: bool = _switch(
        False,
        "what",
        "let a dataset that is replaced lose splits that are not staged any more",
    )
    mode: int | None = _option(
        None,
        section="where",
        metavar="MODE",
        help="mode of the dataset's directories, such as 2775; files get the same without the "
        "right to execute (default: your umask decides)",
        from_text=lambda text: int(text, 8),
        problem=_mode_problem,
    )
    group: str | None = _option(
        None,
        section="where",
        metavar="GROUP",
        help="give the dataset to this group, by name or number (default: the group of the "
        "directory it goes to if that is setgid, else yours)",
        problem=_group_problem,
    )
    source: str | None = _choice(
        None,
        kinds.names,
        section="how",
        metavar="KIND",
        help="read this kind of source where a split is staged in more than one way: {choices} "
        "(default: archives before folders)",
    )
    stage: bool = _switch(
        False,
        "how",
        "copy the archives, not folders, to the scratch directory first; for file systems that "
        "are slow at random reads (`check --speed` measures that)",
    )

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            option.check(getattr(self, name), name)

    def group_id(self) -> int | None:
        """Number of the group, or None."""
        return None if self.group is None else _group_id(self.group)

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
        texts = {name: env.get(option.variable, "") for name, option in OPTIONS.items()}
        return cls(
            **{
                name: OPTIONS[name].read(text, OPTIONS[name].variable)
                for name, text in texts.items()
                if text.strip()
            }
        )

    def replace(self, **changes: Any) -> BuildOptions:
        """A copy with some values changed, checked again."""
        return dataclasses.replace(self, **changes)

    def scratch_for(self, data_dir: str | os.PathLike[str]) -> Path:
        """The directory for scratch files of a build into `data_dir`, as it should be called.

        It may not be there, or be somebody else's; `scratch.space` finds and makes the one that is
        used. Each user has another one: others may use the same directory above, and must neither
        be in the way nor be trusted.
        """
        chosen = self.scratch_choice()
        if chosen:
            return Path(os.path.expanduser(chosen[1])) / f"imagenet_builders-{os.geteuid()}"
        return default_scratch(data_dir)

    def scratch_choice(self) -> tuple[str, str] | None:
        """What chose the scratch directory (in words) and the directory; None where nothing did."""
        for name, value in (
            ("--scratch-dir", self.scratch_dir),
            ("$SLURM_TMPDIR", os.environ.get("SLURM_TMPDIR")),
            ("$TMPDIR", os.environ.get("TMPDIR")),
        ):
            if value:
                return name, value
        return None


OPTIONS = {
    field.name: Option(name=field.name, default=field.default, **field.metadata)
    for field in dataclasses.fields(BuildOptions)
}
"""The options by the names of their fields."""


def default_scratch(data_dir: str | os.PathLike[str]) -> Path:
    """The scratch directory of this user beside the datasets, as it should be called."""
    return Path(data_dir) / f".imagenet_builders-{os.geteuid()}"


def default_data_dir() -> Path:
    """The directory for datasets if nobody names one: that of TensorFlow Datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def require_local(
    name: str, path: str | os.PathLike[str] | None, *, called: str | None = None
) -> None:
    """Makes sure that a path is one of a file system, not an address such as `gs://bucket/x`.

    Images are read with `pread` and the kernel's read-ahead, shards are flushed and renamed, and
    a dataset is published by one rename; object stores have none of that.

    Args:
        name: Which path it is: `manual_dir`, `data_dir` or `scratch_dir`.
        path: The path, or None for the default.
        called: What the message calls it; `name` by default.

    Raises:
        OptionError: It is an address, or empty.
    """
    problem = None if path is None else place_problem(name, path)
    if problem is not None:
        raise OptionError(f"{called or name} {problem}")


def _group_id(group: str) -> int:
    """The number of a group; raises KeyError or ValueError where there is none."""
    import grp

    if not (group.isascii() and group.isdigit()):
        return grp.getgrnam(group).gr_gid
    if int(group) > _MAX_GROUP:
        raise ValueError(group)
    return int(group)
