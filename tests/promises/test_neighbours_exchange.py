"""What a member of the group can do where a dataset is replaced and what builds left is removed.

As in `test_neighbours_target`: the directory of the versions is the group's, what is in a version
is the steward's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.neighbours import GROUP, STEWARDS, World, expected_home, snapshot, world

HOME, VERSION = "imagenet2012", "5.1.0"


@pytest.fixture(params=STEWARDS, ids=["user", "root"])
def space(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param) as made:
        yield made


def home_of(space: World) -> Path:
    """The directory of the versions, made by the steward as a build makes it."""
    path = space.data_dir / HOME
    path.mkdir()
    os.chown(path, space.steward, GROUP)
    path.chmod(0o2775)
    return path


def test_no_mode_is_changed_through_a_link_in_the_place_of_a_version(space: World) -> None:
    """The mode of a directory of the steward's own became that of the member's."""
    home = home_of(space)
    assert space.build().status == 0
    version = home / VERSION

    def read_only() -> None:
        version.rename(home / "away")
        version.mkdir()
        version.chmod(0o577)

    def link() -> None:
        version.rename(home / "x")
        version.symlink_to(space.home / ".ssh")

    space.member(read_only)
    looked = (
        "import os, pathlib\n"
        "import imagenet_builders.publish.exchange as exchange\n"
        "exchange.looked = lambda: None\n"
        "for of, name in ((pathlib.Path, 'chmod'), (os, 'fchmod')):\n"
        "    def first(*given, then=getattr(of, name), **named):\n"
        "        exchange.looked()\n"
        "        return then(*given, **named)\n"
        "    setattr(of, name, first)\n"
    )
    arguments = space.build_arguments("--overwrite")
    step = "publish.exchange:_make_movable"
    with space.standing_still(*arguments, before=step, first=looked):
        space.member(link)
    # Whether or not the dataset was replaced.
    assert snapshot(space.home) == expected_home(space.steward)
