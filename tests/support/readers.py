"""What tests of readers share: the types of their fixtures, and an example as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
"""Runs a reader in a process of its own, with arguments; gives the JSON value of its last line."""

Examples = dict[str, list[Any]]
"""The examples of each split, as `shown` has them."""

Exported = Callable[[str], Path]
"""Gives the directory of an export in a form."""

SHOWN = """
import hashlib, json, sys

def shown(example):
    image = example["image"]
    if getattr(image, "ndim", 3) == 2:  # So has TFDS's own data source a grey image.
        image = image[..., None].repeat(3, axis=2)
    data = image if isinstance(image, bytes) else image.tobytes()
    return [example["file_name"].decode(), int(example["label"]), hashlib.md5(data).hexdigest()]
"""
"""For a reader: an example as a JSON value, with all that there is in it."""
