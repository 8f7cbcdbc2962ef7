"""The forms that `imagenet-builders export --to` offers: a row for each."""

from __future__ import annotations

from imagenet_builders.export import webdataset
from imagenet_builders.export.form import Form

FORMS: tuple[Form, ...] = (webdataset.FORM,)
"""All forms, in the order in which help shows them."""


def names() -> tuple[str, ...]:
    """What `--to` takes."""
    return tuple(form.name for form in FORMS)


def get(name: str) -> Form:
    """The form of a name.

    Raises:
        KeyError: There is none.
    """
    return {form.name: form for form in FORMS}[name]
