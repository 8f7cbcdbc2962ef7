"""The forms that `imagenet-builders export --to` offers, one row a form.

A row says in which module the form is, and what it is and who reads it, for help. Modules are
loaded when they are asked for, so that to know the names of the forms costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from imagenet_builders.export.form import Form


class Switch(NamedTuple):
    """An option of the command line that only one form has; `Form.switches` says what it does.

    Attributes:
        flag: The option, such as `--parquet`.
        help: What it does.
        values: What it takes; nothing where it is only said or not.
    """

    flag: str
    help: str
    values: tuple[str, ...] = ()


class _Row(NamedTuple):
    """Where a form is, a module with a `FORM`, and what it is."""

    module: str
    summary: str
    switches: tuple[Switch, ...] = ()


_ROWS = {
    "webdataset": _Row(
        "webdataset",
        "tars of samples as timm/imagenet-1k-wds, for timm, open_clip, WebDataset and DALI",
    ),
    "imagefolder": _Row(
        "imagefolder",
        "a file for each image in directories of classes, for torchvision",
    ),
    "squashfs": _Row(
        "squashfs",
        "the same as one file, which is mounted, made by the program sqfstar",
        (
            Switch(
                "--compression",
                "how images are compressed once more (default: none; they hardly shrink)",
                ("none", "zstd"),
            ),
        ),
    ),
    "huggingface": _Row(
        "huggingface",
        "Arrow files that Hugging Face's `datasets` maps (`load_from_disk`)",
        (
            Switch(
                "--parquet",
                "also write Parquet files and a card, for `load_dataset(streaming=True)`; this "
                "takes as much space again",
            ),
        ),
    ),
    "slim": _Row("slim", "TFRecords as TensorFlow's slim makes them, for MLPerf and DALI"),
    "dali-index": _Row(
        "dali_index", "indexes of the TFRecord shards of a dataset that was built, for DALI"
    ),
}


def names() -> tuple[str, ...]:
    """What `--to` takes, in the order in which help shows it."""
    return tuple(_ROWS)


def summary(name: str) -> str:
    """What a form is, and who reads it."""
    return _ROWS[name].summary


def switches(name: str) -> tuple[Switch, ...]:
    """The options of the command line that only a form has."""
    return _ROWS[name].switches


def get(name: str) -> Form:
    """The form of a name.

    Raises:
        KeyError: There is none.
    """
    form: Form = importlib.import_module(f"{__package__}.{_ROWS[name].module}").FORM
    return form
