"""What a member of the group can do where a dataset is replaced and what builds left is removed.

As in `test_neighbours_target`: the directory of the versions is the group's, what is in a version
is the steward's.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.killing.moments import WITHOUT_EXCHANGE
from support.neighbours import GROUP, STEWARDS, World, home_of, world
from support.private_home import expected_home, snapshot

from imagenet_builders.publish.target import Target

HOME, VERSION = "imagenet2012", "5.1.0"


@pytest.fixture(params=STEWARDS, ids=["user", "root"])
def space(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param) as made:
        yield made


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


def older_version(space: World, home: Path) -> Path:
    """A version of the steward's, in which the member may not write."""
    older = home / "5.0.0"
    older.mkdir(mode=0o755)
    older.chmod(0o755)
    (older / "dataset_info.json").write_text("the steward's")
    for path in (older / "dataset_info.json", older):
        os.chown(path, space.steward, GROUP)
    return older


@pytest.mark.parametrize("what", ["removed", "old"])
def test_an_older_version_with_the_name_of_what_is_removed_stays(space: World, what: str) -> None:
    """It was removed, by a build and by one that finds the dataset there."""
    home = home_of(space)
    assert space.build().status == 0
    renamed = home / f".{VERSION}.{what}-00000000"
    older = older_version(space, home)
    space.member(lambda: older.rename(renamed))
    for options in ((), ("--overwrite",)):
        done = space.build(*options)
        assert done.status == 0, done.err
        assert f"{renamed} has the name of a dataset that was replaced" in done.err
        assert (renamed / "dataset_info.json").read_text() == "the steward's"
    space.check()


@pytest.mark.parametrize("first", ["", WITHOUT_EXCHANGE], ids=["exchange", "steps"])
def test_only_what_was_there_when_the_build_began_is_replaced(space: World, first: str) -> None:
    home = home_of(space)
    assert space.build("--mode", "755").status == 0
    version, older = home / VERSION, older_version(space, home)

    def rename() -> None:
        version.rename(home / "x")
        older.rename(version)

    arguments = space.build_arguments("--overwrite", "--mode", "755")
    step = "publish.exchange:_make_movable"
    with space.standing_still(*arguments, before=step, first=first) as still:
        space.member(rename)
    assert f"{version} is not the dataset any more that was there" in still.done.error
    assert (version / "dataset_info.json").read_text() == "the steward's"
    assert (home / "x" / "dataset_info.json").is_file()
    assert not list(home.glob(f".{VERSION}.old-*"))


def test_a_members_copy_does_not_get_the_name_of_what_was_moved_aside(space: World) -> None:
    home = home_of(space)
    copy = home / f".{VERSION}.old-00000000"

    def plant() -> None:
        copy.mkdir()
        (copy / "dataset_info.json").write_text("{}")

    space.member(plant)
    done = space.build()
    assert done.status == 0, done.err
    assert copy.is_dir()
    space.check()


def test_debris_is_looked_for_where_the_build_began(space: World) -> None:
    """Not where a link leads by now: unfinished builds of the steward's own were removed there."""
    home, private = home_of(space), space.home / "tfds"
    private.mkdir(mode=0o700)
    left = private / f".{VERSION}.building-0123456789abcdef"
    left.mkdir(mode=0o700)
    (left / "shards").mkdir()
    (left / "shards" / "imagenet2012-train").write_text("the steward's")
    for path in (private, *private.rglob("*")):
        os.chown(path, space.steward, GROUP)
    before = snapshot(private)

    def swap() -> None:
        home.rename(home.with_name("away"))
        home.symlink_to(private)

    with space.standing_still(*space.build_arguments(), before="publish.session:phase") as still:
        space.member(swap)
    assert still.done.status
    assert snapshot(private) == before


@pytest.mark.parametrize(
    "name", [f".{VERSION}.building-0123456789abcdef/shards", "incomplete.AAAAAA_5.1.0"]
)
def test_directories_nested_too_deep_are_left_and_named(space: World, name: str) -> None:
    """They ended a build in a traceback."""
    home = home_of(space)

    def plant() -> None:
        (home / name).mkdir(parents=True)
        os.chdir(home / name)
        for _ in range(3000):
            os.mkdir("d")
            os.chdir("d")

    space.member(plant)
    try:
        done = space.build()
    finally:
        subprocess.run(["rm", "-rf", home / Path(name).parts[0]], check=True)
    assert done.status == 0, done.err
    space.check()


def test_files_with_names_that_no_lock_has_are_not_opened(tmp_path: Path) -> None:
    """A hundred thousand of them held up a build."""
    target, token = Target(tmp_path / VERSION), "0123456789abcdef"
    ours = {
        target.lock_file("node-1.example", 4_194_304, token),
        target.lock_claim(token),
        target.lock_claim("1234-1700000000000000000"),
    }
    theirs = [f".{VERSION}.lock.{name}" for name in ("0", "forged-1", f"over-{token}x", "a-b-c")]
    for path in [*ours, target.lock(), *(tmp_path / name for name in theirs)]:
        path.touch()
    assert set(target.lock_files()) == ours
