"""Metadata in which anything may be anything: a row or a page, and never an error."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import command_line
from support.building import build
from support.paths import DUMMY_DATA

from imagenet_builders.datasets.imagenet2012_localization import (
    imagenet2012_localization_dataset_builder as localization,
)

_VALUES: list[Any] = [
    *(None, 0, -1, 1e308, 10**30, True, "", "x", "../x", "\x00\x1b", "\ud800", "<script>"),
    *([], {}, [None], {"a": []}, "http://[", "9" * 5000),
]
_DATASETS = 60


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archives = DUMMY_DATA / "imagenet2012_localization"
    return build(localization.Builder, archives, tmp_path_factory.mktemp("tfds"))


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = list(value) if isinstance(value, dict) else []
    for key in keys or range(len(value) if isinstance(value, list) else 0):
        yield (*place, key)
        yield from _places(value[key], (*place, key))


def mutated(document: Any, rng: random.Random) -> Any:
    """A document with a value, a name or an entry of it changed."""
    changed = copy.deepcopy(document)
    for *above, last in rng.choices(list(_places(document)), k=rng.choice([1, 1, 3])):
        inner = changed
        try:
            for key in above:
                inner = inner[key]
            if rng.random() < 0.2:
                del inner[last]
            else:
                inner[last] = rng.choice(_VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # It was in what was changed before.
    return changed


def test_any_metadata_give_a_row_or_a_page(sound: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    data_dir = tmp_path / "tfds"
    for number in range(_DATASETS):
        directory = data_dir / f"of_{number}" / "1.0.0"
        shutil.copytree(sound, directory)
        for name in ("dataset_info.json", "features.json", "provenance.json"):
            if rng.random() < 0.6:
                path = directory / name
                path.write_text(json.dumps(mutated(json.loads(path.read_text()), rng)))
    done = command_line.run(
        "catalog", f"--data-dir={data_dir}", f"--out={tmp_path / 'site'}", "--images=1"
    )
    assert done.status == 0, done.err
    rows = done.out.count("not in the catalog: ")
    pages = len(list((tmp_path / "site").glob("*/index.html")))
    assert rows + pages == _DATASETS
    assert rows > 5
    assert pages > 20
    assert all(line.isprintable() for line in (done.out + done.err).splitlines())
