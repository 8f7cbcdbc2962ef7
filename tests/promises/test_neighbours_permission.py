"""A dataset's directory that is another user's: `check` and `build` name its owner."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.neighbours import GROUP, MEMBER, STEWARD, World, world
from support.paths import DUMMY_DATA

pytestmark = pytest.mark.slow


@pytest.fixture
def space() -> Iterator[World]:
    with world(STEWARD) as made:
        yield made


def arguments_of(space: World, name: str) -> list[str | Path]:
    return [DUMMY_DATA / name.partition("/")[0], name, "--data-dir", space.data_dir]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("imagenet2012", "imagenet2012"),
        ("imagenet2012_downsampled/8x8", "imagenet2012_downsampled"),
        ("imagenet2012_downsampled/8x8", "imagenet2012_downsampled/8x8"),
    ],
)
@pytest.mark.parametrize(
    ("group", "mode", "ask"),
    [
        (GROUP, 0o2755, "ask them for `chmod g+w`"),
        (GROUP, 0o2700, "ask them for `chmod g+wx`"),
        (0, 0o775, "ask them for the permission"),
    ],
)
def test_the_owner_of_a_directory_in_the_way_is_named(
    group: int, mode: int, ask: str, name: str, taken: str, space: World
) -> None:
    directory = space.data_dir / taken
    directory.mkdir(parents=True)
    for path in (directory, directory.parent):
        if path != space.data_dir:
            os.chown(path, MEMBER, group)
            path.chmod(mode if path == directory else 0o2775)
    whose = f"{directory} belongs to user {MEMBER}, mode {mode:o}"
    built = space.build(name=name)
    assert built.error.partition("error: ")[2] == (
        f"{whose}, so you may not write there; {ask}, or choose another directory, then run the "
        "same command again"
    )
    checked = space.run("check", *arguments_of(space, name), "--json")
    assert checked.status == 1, checked.out
    errors = [one for one in json.loads(checked.out)["problems"] if one["severity"] == "error"]
    [problem] = errors
    assert problem["path"] == str(directory)
    assert problem["found"] == whose
    assert problem["action"] == f"{ask}, or choose another with --data-dir"


def test_what_is_there_already_needs_no_permission(space: World) -> None:
    assert space.build().status == 0
    directory = space.data_dir / "imagenet2012"
    os.chown(directory, MEMBER, GROUP)
    directory.chmod(0o2755)
    assert space.run("check", *arguments_of(space, "imagenet2012")).status == 0
    assert space.build().status == 0
