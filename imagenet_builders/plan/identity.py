"""The identity of a build: tells whether shards of another build are of use to it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from imagenet_builders.plan import index as index_lib
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.sources.rows import SourceFile

_DIGEST_ROWS = 100_000


def describe(
    plans: Sequence[SplitPlan],
    also_read: Sequence[Sequence[SourceFile]],
    *,
    dataset: str,
    file_format: str,
    mark_format: int,
    version: str,
) -> dict[str, Any]:
    """Describes what a build makes, so that another can tell whether its shards are of use.

    Args:
        plans: The plans of the splits.
        also_read: The files that each plan was made from besides those that its rows point into.
        dataset: Full name of the dataset.
        file_format: Name of the file format.
        mark_format: Format of the marks that say which shards are finished.
        version: Version of this package.

    Returns:
        A JSON document.
    """
    splits: dict[str, dict[str, Any]] = {}
    for plan, files in zip(plans, also_read, strict=True):
        digest, sources = plan_digest(plan, files)
        splits[plan.split] = {
            "examples": plan.rows.num_rows,
            "shards": plan.shard_count,
            "sources": sources,
            "plan": digest,
        }
        if plan.made_with:
            splits[plan.split]["made with"] = dict(plan.made_with)
    return {
        "dataset": dataset,
        "imagenet-builders": version,
        "file format": file_format,
        "mark format": mark_format,
        "splits": splits,
    }


def plan_digest(plan: SplitPlan, also_read: Sequence[SourceFile]) -> tuple[str, str]:
    """Digests of all that decides the shards of a split, and of its source files alone.

    Sources count by name, size and time, wherever they lie: copied to another node's disk, they are
    the same.

    Args:
        plan: The plan.
        also_read: See `describe`.

    Returns:
        Two hexadecimal digests.
    """
    files = [
        # Name and time of an unpacked file tell of its unpacking; its archive is also read.
        [file.size] if file.is_unpacked else [os.path.basename(file.path), file.size, file.mtime_ns]
        for file in (*plan.files, *also_read)
    ]
    sources = hashlib.blake2b(json.dumps(files).encode(), digest_size=16)
    digest = sources.copy()
    digest.update(json.dumps([plan.split, plan.ends, str(plan.rows.schema)]).encode())
    if plan.made_with:
        digest.update(json.dumps(dict(plan.made_with), sort_keys=True).encode())
    # An Arrow stream, because the layout of the same rows in memory can differ.
    for start in range(0, plan.rows.num_rows, _DIGEST_ROWS):
        digest.update(index_lib.to_bytes(plan.rows.slice(start, _DIGEST_ROWS)))
    return digest.hexdigest(), sources.hexdigest()


def difference(before: Any, now: Mapping[str, Any]) -> str:
    """The first difference between two descriptions, in words."""
    unknown = "it is not known what it was"
    if not isinstance(before, Mapping):
        return unknown
    for name in ("dataset", "imagenet-builders", "file format"):
        if before.get(name) != now.get(name):
            return f"its {name} was {before.get(name)!r} and is {now.get(name)!r}"
    if before.get("kept") != now.get("kept"):
        return "the dataset that its splits were to be added to has changed"
    if before.get("mark format") != now.get("mark format"):
        return "another version of this package wrote down what is in them"
    old, new = before.get("splits"), now.get("splits", {})
    if not isinstance(old, Mapping):
        return unknown
    if list(old) != list(new):
        return f"its splits were {', '.join(old)} and are {', '.join(new)}"
    for split, of_split in new.items():
        was = old[split] if isinstance(old[split], Mapping) else {}
        for name in ("examples", "shards"):
            if was.get(name) != of_split[name]:
                return (
                    f"the number of {name} of {split} was {was.get(name)} and is {of_split[name]}"
                )
        if was.get("made with") != of_split.get("made with"):
            then, now_with = (made_with_text(each.get("made with")) for each in (was, of_split))
            return f"split {split} was made with {then} and is made with {now_with}"
        if was.get("sources") != of_split["sources"]:
            return f"the files that split {split} is built from have changed"
        if was.get("plan") != of_split["plan"]:
            return f"what is in the files that split {split} is built from has changed"
    return unknown


def made_with_text(made_with: Any) -> str:
    """What decides the bytes of images that are made anew, in words; see `SplitRecipe.made_with`.

    >>> made_with_text({"jpeg_quality": 95, "jpeg_subsampling": "4:2:0"})
    'jpeg_quality 95, jpeg_subsampling 4:2:0'
    """
    if not isinstance(made_with, Mapping) or not made_with:
        return "nothing of that kind"
    return ", ".join(f"{name} {value}" for name, value in made_with.items())
