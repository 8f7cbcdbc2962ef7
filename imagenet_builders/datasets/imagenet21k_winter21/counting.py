"""Counts what is staged of the dataset for `check`, by names and by the rules of a build."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from imagenet_builders.datasets.imagenet21k_winter21 import layouts, shards
from imagenet_builders.datasets.imagenet21k_winter21.classes import classes_of, why_unknown
from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import list_folders
from imagenet_builders.sources import folder_counts, kinds, tar_counts
from imagenet_builders.sources.inspection import Counted, Inspection, Problem, refused
from imagenet_builders.sources.kind import Expected
from imagenet_builders.sources.rows import SourceFile


def naming_of(config: str) -> Naming:
    """The rule for the names of images of a configuration, of all splits."""
    ids = {wnid: label for label, wnid in enumerate(classes_of(config).wnids)}
    return Naming("train", ids, lambda wnid: why_unknown(config, wnid))


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts images or classes; see `Dataset.count`."""
    path, naming = found.paths[0], expected.naming
    what = next(what for what, (kind, _) in layouts.KINDS.items() if kind == found.kind)
    assert naming is not None
    if what == layouts.SHARDS:
        return shards.SHARDS.count(found, inspected, expected)
    if what == layouts.FOLDERS:
        inside = (path / name for name in expected.folders)
        root = next(filter(os.path.isdir, inside), path)
        counted = folder_counts.in_folders(root, list_folders(root)[0], naming)
        return counted, folder_counts.problems(counted, ())
    if what == layouts.CLASS_TARS:
        return kinds.kind(found.kind).count(found, inspected, expected)
    if what == layouts.TAR and not expected.folders:
        try:
            _, counted = tar_counts.class_tars(SourceFile.of(path), naming)
        except SourceError as error:
            return Counted(), [refused(error, path)]
        return counted, []
    return Counted(unread=f"the names in {path}"), []
