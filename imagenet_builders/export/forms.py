"""The forms that `imagenet-builders export --to` offers, one row a form.

A row says in which module the form is, and what it is and who reads it, for help. Modules are
loaded when they are asked for, so that to know the names of the forms costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from imagenet_builders.export.form import Form


class _Row(NamedTuple):
    """Where a form is, a module with a `FORM`, and what it is."""

    module: str
    summary: str


_ROWS = {
    "webdataset": _Row(
        "webdataset",
        "tars of samples as timm/imagenet-1k-wds, for timm, open_clip, WebDataset and DALI",
    ),
}


def names() -> tuple[str, ...]:
    """What `--to` takes, in the order in which help shows it."""
    return tuple(_ROWS)


def summary(name: str) -> str:
    """What a form is, and who reads it."""
    return _ROWS[name].summary


def get(name: str) -> Form:
    """The form of a name.

    Raises:
        KeyError: There is none.
    """
    form: Form = importlib.import_module(f"{__package__}.{_ROWS[name].module}").FORM
    return form
