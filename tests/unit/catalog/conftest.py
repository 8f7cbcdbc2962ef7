"""Datasets that the tests of the catalog describe, each built once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES, build
from support.paths import DUMMY_DATA

from imagenet_builders.catalog import entry as entry_lib
from imagenet_builders.catalog import survey
from imagenet_builders.catalog.croissant import Files
from imagenet_builders.catalog.model import Entry
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.datasets.imagenet2012_localization import (
    imagenet2012_localization_dataset_builder as localization,
)
from imagenet_builders.export import forms
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.options import BuildOptions


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of `imagenet2012`, in three shards for each split."""
    return build(Builder, DUMMY_ARCHIVES, tmp_path_factory.mktemp("tfds"), num_shards=3)


@pytest.fixture(scope="session")
def array_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as ArrayRecord."""
    return build(
        Builder,
        DUMMY_ARCHIVES,
        tmp_path_factory.mktemp("array_record"),
        file_format="array_record",
        num_shards=3,
    )


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of `imagenet2012_localization`."""
    archives = DUMMY_DATA / "imagenet2012_localization"
    return build(localization.Builder, archives, tmp_path_factory.mktemp("boxes"))


@pytest.fixture(scope="session")
def described(built: Path) -> tuple[Entry, Files]:
    """What a page says of `imagenet2012`, and its files."""
    read = entry_lib.read(built, being_built=False)
    [surveyed] = survey.survey([read.described], 1)
    return entry_lib.entry_of(read, "imagenet2012-5.1.0", surveyed, None)


@pytest.fixture(scope="session")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of an export of `imagenet2012` in some form, made once."""

    @functools.cache
    def exported(form: str) -> Path:
        name, _, switch = form.partition(" ")
        out = tmp_path_factory.mktemp("exports") / "out"
        chosen = forms.get(name)
        if switch:
            chosen = chosen.switches[switch](chosen, "")
        source = BuiltSource(str(built), built.parents[1])
        export(source, chosen, out, BuildOptions(workers=1))
        return out

    return exported
