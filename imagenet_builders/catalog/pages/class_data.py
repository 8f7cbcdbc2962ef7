"""The classes of a dataset as a script, which the class browser searches.

A page that is opened from a disk may not fetch a file, but may load a script.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from imagenet_builders.catalog.model import Entry

FILE = "classes.js"
"""Its name beside the page."""

MOST_WITH_GLOSS = 5_000
"""Of more classes, the short explanations are left out: those of 19,167 are over a megabyte."""


def script(entry: Entry) -> bytes:
    """The script; what it assigns has a list for each column, with an item for each class.

    Numbers that a class does not have are -1. A column of ids that are the labels is named only.

    Args:
        entry: The dataset.
    """
    rows = entry.classes
    splits = [split.name for split in entry.splits]
    data = {
        "label": [row.label for row in rows],
        "wnid": [row.wnid for row in rows],
        "words": [row.words for row in rows],
        "gloss": [row.gloss for row in rows] if has_gloss(entry) else None,
        "ids": {
            name: None if all(row.ids.get(name) == row.label for row in rows) else column
            for name in spaces(entry)
            if (column := [row.ids.get(name, -1) for row in rows])
        },
        "counts": _columns(splits, [row.counts for row in rows]),
        "official": _columns(splits, [row.official for row in rows]),
        "sampled": [each.split for each in entry.statistics if each.sampled],
    }
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return f"window.catalogClasses = {text};\n".encode()


def _columns(splits: Sequence[str], rows: Sequence[Mapping[str, int]]) -> dict[str, list[int]]:
    return {
        split: [row.get(split, -1) for row in rows]
        for split in splits
        if any(split in row for row in rows)
    }


def has_gloss(entry: Entry) -> bool:
    """Whether the script has the short explanations of a dataset's classes."""
    return len(entry.classes) <= MOST_WITH_GLOSS and any(row.gloss for row in entry.classes)


def spaces(entry: Entry) -> list[str]:
    """The label spaces in which any class of a dataset has an id, in the order of their first."""
    return list(dict.fromkeys(name for row in entry.classes for name in row.ids))
