"""What a member of the group can do where a dataset is built: nothing but end the build.

The directory of the datasets is the group's. Each attack is tried before the build, at a step of
it, or again and again while it runs; the steward is a user, and root.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.built_datasets import files_in
from support.neighbours import GROUP, MEMBER, STEWARDS, World, home_of, world
from support.paths import DUMMY_DATA
from support.private_home import SECRET, expected_home, snapshot

HOME, VERSION = "imagenet2012", "5.1.0"
TOKEN = "0123456789abcdef"
MODE = ("--mode", "2775", "--group", str(GROUP))
IN_PROCESSES = "from imagenet_builders.build import steps; steps._SMALL_BYTES = 0"
BEFORE_PUBLISHING = "publish.exchange:flush_all"
BEFORE_WRITING = "build.destination:check_space"


@pytest.fixture(params=STEWARDS, ids=["user", "root"])
def space(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param) as made:
        yield made


def building(space: World) -> Path:
    [path] = (space.data_dir / HOME).glob(f".{VERSION}.building-*")
    return path


def forged_dataset(path: Path) -> None:
    """A directory of the member's that looks like a finished dataset."""
    path.mkdir()
    for name in ("train", "validation", "test"):
        (path / f"imagenet2012-{name}.tfrecord-00000-of-00001").write_bytes(b"forged")
    (path / "dataset_info.json").write_text("{}")


def forged_building(path: Path) -> None:
    """A build directory of the member's."""
    path.mkdir()
    forged_dataset(path / "shards")
    (path / "marks").mkdir()
    for shard in (path / "shards").iterdir():
        (path / "marks" / f"{shard.name}.done").write_bytes(b"forged")
    token = path.name.rpartition("-")[2]
    (path / "build.json").write_text(json.dumps({"description": {"x": 1}, "token": token}))


# --- parents ---------------------------------------------------------------------------------


@pytest.mark.parametrize("leads_to", [".ssh", ".ssh/id", "new", "work/notes", ""])
def test_a_link_in_the_place_of_a_parent_is_not_followed(space: World, leads_to: str) -> None:
    """It was: the steward's key became 0664 of the group."""
    space.member(lambda: (space.data_dir / HOME).symlink_to(space.home / leads_to))
    done = space.build(*MODE)
    assert "imagenet2012" in done.error
    if leads_to in (".ssh", ""):
        assert f"is a link that user {MEMBER} has made" in done.error
    space.check()
    assert (space.data_dir / HOME).is_symlink()


@pytest.mark.parametrize("kind", ["file", "fifo", "socket"])
def test_something_else_in_the_place_of_a_parent_is_left_alone(space: World, kind: str) -> None:
    path = space.data_dir / HOME
    make = {"file": path.touch, "fifo": lambda: os.mkfifo(path), "socket": lambda: _socket(path)}
    space.member(make[kind])
    before = path.lstat()
    done = space.build(*MODE)
    assert str(path) in done.error
    assert (path.lstat().st_mode, path.lstat().st_gid) == (before.st_mode, before.st_gid)
    space.check()


def _socket(path: Path) -> None:
    import socket

    with contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
        os.chdir(path.parent)
        made.bind(path.name)


def test_a_members_directory_in_the_place_of_a_parent_keeps_its_mode(space: World) -> None:
    """It is not ours to change; the dataset in it is the steward's."""
    path = space.data_dir / HOME

    def make() -> None:
        path.mkdir()
        path.chmod(0o2777)

    space.member(make)
    done = space.build("--mode", "2770", "--group", str(GROUP))
    assert done.status == 0, done.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o2777
    space.check()


def test_a_link_of_the_stewards_own_is_followed(space: World) -> None:
    elsewhere = space.root / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, space.steward, GROUP)
    (space.data_dir / HOME).symlink_to(elsewhere)
    os.lchown(space.data_dir / HOME, space.steward, GROUP)
    done = space.build()
    assert done.status == 0, done.err
    assert (elsewhere / VERSION / "dataset_info.json").exists()
    space.check()


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_link_in_the_place_of_the_version(space: World, overwrite: tuple[str, ...]) -> None:
    home = home_of(space)
    space.member(lambda: (home / VERSION).symlink_to(space.home / ".ssh"))
    done = space.build(*overwrite, *MODE)
    if overwrite:
        assert done.status == 0, done.err
        assert not (home / VERSION).is_symlink()
    else:
        assert "is there, but is no dataset" in done.error
    space.check()


# --- names that builds use -------------------------------------------------------------------


def test_what_has_the_names_of_our_debris_is_neither_followed_nor_published(space: World) -> None:
    """All at once: links, FIFOs and directories under each name that a build removes."""
    home = home_of(space)
    names = [f".{VERSION}.{what}-{TOKEN[:-1]}" for what in ("building", "exchange")]

    def plant() -> None:
        for name in names:
            (home / f"{name}1").symlink_to(space.home)
            (home / f"{name}2").symlink_to(space.home / "private.txt")
            os.mkfifo(home / f"{name}3")
            (home / f"{name}4").touch()
            forged_building(home / f"{name}5")
            (home / f"{name}6").mkdir()
            (home / f"{name}6" / "shards").symlink_to(space.home)
            (home / f"{name}6" / "marks").symlink_to(space.home)
            (home / f"{name}6" / "build.json").symlink_to(space.home / "private.txt")
            (home / f"{name}7").mkdir(mode=0o700)
            forged_building(home / f"{name}8")
            os.remove(home / f"{name}8" / "build.json")
            os.mkfifo(home / f"{name}8" / "build.json")
        (home / "incomplete.AAAAAA_5.1.0").symlink_to(space.home)
        os.mkfifo(home / "incomplete.BBBBBB_5.1.0")

    space.member(plant)
    done = space.build(*MODE)
    assert done.status == 0, done.err
    assert SECRET not in done.err
    space.check()
    assert space.version_of() is not None


@pytest.mark.parametrize("what", ["building", "exchange", "incomplete"])
def test_a_dataset_that_was_renamed_to_our_debris_is_not_removed(space: World, what: str) -> None:
    """A member may rename the steward's older version, and may not remove what is in it."""
    home = home_of(space)
    older = home / "5.0.0"
    older.mkdir(mode=0o755)
    files = [older / "dataset_info.json", older / "imagenet2012-train.tfrecord-00000-of-00001"]
    for path in files:
        path.write_text("the steward's")
    for path in (*files, older):
        os.chown(path, space.steward, GROUP)
        os.utime(path, (1, 1))
    name = "incomplete.ABCDEF_5.1.0" if what == "incomplete" else f".{VERSION}.{what}-{TOKEN}"
    space.member(lambda: older.rename(home / name))
    done = space.build()
    assert done.status == 0, done.err
    assert [(home / name / path.name).read_text() for path in files] == ["the steward's"] * 2
    if what == "building":
        assert "has the name of a build directory" in done.err
    space.check()


# --- the build directory ---------------------------------------------------------------------


@pytest.mark.parametrize("before", [BEFORE_WRITING, BEFORE_PUBLISHING])
def test_nobody_else_may_enter_the_build_directory(space: World, before: str) -> None:
    with space.standing_still(*space.build_arguments(*MODE), before=before) as still:
        path = building(space)
        assert stat.S_IMODE(path.stat().st_mode) & 0o777 == 0o700

        def enter() -> None:
            for attempt in (
                lambda: os.listdir(path),
                lambda: os.listdir(path / "shards"),
                lambda: (path / "shards" / "x").touch(),
                lambda: (path / "build.json").read_bytes(),
                lambda: path.chmod(0o777),
                lambda: (path / "x").symlink_to("/etc/passwd"),
            ):
                with contextlib.suppress(PermissionError):
                    attempt()
                    raise AssertionError("the member is in")

        space.member(enter)
    assert still.done.status == 0, still.done.err
    version = space.version_of()
    assert version is not None
    assert stat.S_IMODE(version.stat().st_mode) == 0o2775
    assert {stat.S_IMODE(path.stat().st_mode) for path in files_in(version)} == {0o664}
    assert {path.stat().st_gid for path in (version, *version.rglob("*"))} == {GROUP}
    space.check()


def put_forged(path: Path) -> None:
    forged_building(path)


def put_link_to_home(path: Path, home: Path) -> None:
    path.symlink_to(home)


@pytest.mark.parametrize("put", ["forged", "home", "file", "fifo", "links", "nothing"])
@pytest.mark.parametrize("before", [BEFORE_WRITING, BEFORE_PUBLISHING])
def test_another_directory_in_place_of_the_build_directory(
    space: World, put: str, before: str
) -> None:
    """Renamed away at a step, with something of the member's in its place."""
    arguments = space.build_arguments(*MODE, "--workers", "2")
    with space.standing_still(*arguments, before=before, first=IN_PROCESSES) as still:
        path = building(space)
        away = path.with_name("away")

        def swap() -> None:
            path.rename(away)
            match put:
                case "forged":
                    forged_building(path)
                case "home":
                    path.symlink_to(space.home)
                case "file":
                    path.touch()
                case "fifo":
                    os.mkfifo(path)
                case "links":
                    path.mkdir()
                    (path / "shards").symlink_to(space.home / ".ssh")
                    (path / "marks").symlink_to(away / "marks")
                    (path / "build.json").symlink_to(away / "build.json")

        space.member(swap)
    if before == BEFORE_PUBLISHING:
        # What was written is published, wherever it lies.
        assert still.done.status == 0, still.done.err
        assert space.version_of() is not None
    else:
        assert str(path) in still.done.error
        assert space.version_of() is None
    assert SECRET not in still.done.err
    space.check()


def test_two_build_directories_of_the_stewards_are_not_confused(space: World) -> None:
    """A member exchanges their names: both are the steward's, and private."""
    arguments = space.build_arguments("--workers", "2")
    other = space.build_arguments("--workers", "2", name="tiny_imagenet")
    with (
        space.standing_still(*other, before=BEFORE_WRITING, first=IN_PROCESSES) as second,
        space.standing_still(*arguments, before=BEFORE_WRITING, first=IN_PROCESSES) as first,
    ):
        one = building(space)
        [two] = (space.data_dir / "tiny_imagenet").glob(".*.building-*")

        def exchange() -> None:
            # Only within one directory: to move one elsewhere is to write to it.
            one.rename(one.with_name("one"))

        space.member(exchange)
        os.rename(two, one)  # As somebody who may.
    assert str(one) in first.done.error
    assert "that of another build now" in first.done.error
    assert str(two) in second.done.error
    space.check()
    space.check("tiny_imagenet")


def test_directories_that_change_places_all_the_time(space: World) -> None:
    """The member renames, links and plants for as long as the build runs."""
    home = home_of(space)

    def swap() -> None:
        for path in home.glob(f".{VERSION}.building-*"):
            away = home / "away"
            path.rename(away)
            try:
                path.symlink_to(space.home)
                path.unlink()
                forged_building(path)
            finally:
                shutil.rmtree(path, ignore_errors=True)
                away.rename(path)

    for _ in range(2):
        with space.racing(swap):
            done = space.build(*MODE)
        assert done.status == 0 or done.error
        assert SECRET not in done.err
        space.check()
    for path in home.glob("away"):
        shutil.rmtree(path)
    done = space.build(*MODE)
    assert done.status == 0, done.err
    assert space.version_of() is not None
    space.check()


def test_a_build_directory_that_is_there_first(space: World) -> None:
    """Its name has the token that the lock's file shows before."""
    home = home_of(space)

    def plant() -> None:
        for path in home.glob(f".{VERSION}.lock.*-*"):
            name = f".{VERSION}.building-{path.name.rpartition('-')[2]}"
            with contextlib.suppress(FileExistsError):
                forged_building(home / name)

    with space.racing(plant):
        done = space.build(*MODE)
    if done.status:
        assert "is there already, made by somebody else" in done.error
    space.check()


@pytest.mark.parametrize("put", ["home", "forged"])
@pytest.mark.parametrize("before", [BEFORE_WRITING, BEFORE_PUBLISHING])
def test_another_directory_in_place_of_the_one_above(space: World, put: str, before: str) -> None:
    """What is built is published where it was begun, or not at all."""
    home = space.data_dir / HOME
    away = home.with_name("away")
    with space.standing_still(*space.build_arguments(*MODE), before=before) as still:

        def swap() -> None:
            home.rename(away)
            if put == "home":
                home.symlink_to(space.home)
            else:
                home.mkdir()
                for path in away.glob(f".{VERSION}.lock*"):
                    (home / path.name).write_bytes(path.read_bytes())

        space.member(swap)
    assert SECRET not in still.done.err
    assert put == "forged" or still.done.error
    assert not (home / VERSION).exists()
    space.check()


# --- resuming --------------------------------------------------------------------------------


def killed(space: World, *options: str) -> Path:
    """A build of the steward's that was killed with finished shards; where it has left them."""
    arguments = space.build_arguments(*options)
    with (
        contextlib.suppress(AssertionError),
        space.standing_still(*arguments, before=BEFORE_PUBLISHING) as still,
    ):
        os.killpg(still.process.pid, signal.SIGKILL)
        still.process.wait()
    return building(space)


def test_finished_shards_are_used_again(space: World) -> None:
    killed(space)
    done = space.build()
    assert done.status == 0, done.err
    assert "already finished: 3 of 3 shards" in done.err
    space.check()


def open_as_before(left: Path) -> None:
    for path in (left, left / "shards", left / "marks"):
        path.chmod(0o2775)


def plant_link(left: Path, space: World) -> None:
    (left / "shards" / "x1").symlink_to(space.home / "private.txt")


def plant_fifo(left: Path, space: World) -> None:
    os.mkfifo(left / "shards" / "x2")


def replace_by_link(left: Path, space: World) -> None:
    shard = next((left / "shards").iterdir())
    shard.unlink()
    shard.symlink_to(space.home / "private.txt")


def replace_mark(left: Path, space: World) -> None:
    mark = next((left / "marks").glob("*.done"))
    mark.unlink()
    os.mkfifo(mark)


def replace_description(left: Path, space: World) -> None:
    (left / "build.json").unlink()
    os.mkfifo(left / "build.json")


def replace_shards(left: Path, space: World) -> None:
    (left / "shards").rename(left / ".shards.away")
    (left / "shards").symlink_to(space.home / ".ssh")


@pytest.mark.parametrize(
    "plant",
    [
        plant_link,
        plant_fifo,
        replace_by_link,
        replace_mark,
        replace_description,
        replace_shards,
    ],
)
def test_a_build_directory_that_others_could_enter_is_not_used(
    space: World, plant: Callable[[Path, World], None]
) -> None:
    """As version 0.3.0 made them, or because somebody has opened it."""
    left = killed(space)
    open_as_before(left)
    space.member(lambda: plant(left, space))
    done = space.build(*MODE)
    assert done.status == 0, done.err
    assert "already finished" not in done.err
    if plant in (plant_link, plant_fifo, replace_by_link):
        assert ", of no use because others could enter it" in done.err
    assert not left.exists()
    space.check()


def test_another_users_private_build_is_left_alone(space: World) -> None:
    home = home_of(space)
    path = home / f".{VERSION}.building-{TOKEN}"

    def make() -> None:
        forged_building(path)
        path.chmod(0o700)

    space.member(make)
    done = space.build()
    assert done.status == 0, done.err
    assert space.version_of() is not None
    space.check()
    if space.steward != 0:
        # The stewards of these tests may read everything, so its shards can be counted.
        assert f"4 finished shards of another user in {path} cannot be used here" in done.err
        assert path.exists()


# --- the default configuration ---------------------------------------------------------------

CONFIGURED = "imagenet2012_downsampled/8x8"


def config_is_a_link(directory: Path, space: World) -> None:
    (directory / ".config").symlink_to(space.home / ".ssh")


def config_is_a_file(directory: Path, space: World) -> None:
    (directory / ".config").touch()


def file_is_a_link(directory: Path, space: World) -> None:
    (directory / ".config").mkdir()
    (directory / ".config" / "metadata.json").symlink_to(space.home / "private.txt")


def file_is_a_fifo(directory: Path, space: World) -> None:
    (directory / ".config").mkdir()
    os.mkfifo(directory / ".config" / "metadata.json")


@pytest.mark.parametrize(
    "plant", [config_is_a_link, config_is_a_file, file_is_a_link, file_is_a_fifo]
)
def test_nothing_is_written_through_what_names_the_default(
    space: World, plant: Callable[[Path, World], None]
) -> None:
    directory = space.data_dir / "imagenet2012_downsampled"

    def make() -> None:
        directory.mkdir()
        plant(directory, space)

    space.member(make)
    done = space.build(*MODE, name=CONFIGURED)
    assert SECRET not in done.err
    if plant in (file_is_a_link, file_is_a_fifo):
        assert done.status == 0, done.err
        path = directory / ".config" / "metadata.json"
        assert path.is_file()
        assert not path.is_symlink()
        assert path.stat().st_uid == space.steward
    else:
        assert ".config" in done.error
    space.check(CONFIGURED)


# --- splits that are added -------------------------------------------------------------------


def kept_is_a_link(version: Path, shard: Path, space: World) -> None:
    shard.unlink()
    shard.symlink_to(space.home / "private.txt")


def kept_is_a_fifo(version: Path, shard: Path, space: World) -> None:
    shard.unlink()
    os.mkfifo(shard)


def kept_is_a_directory(version: Path, shard: Path, space: World) -> None:
    shard.unlink()
    shard.mkdir()


def kept_is_another(version: Path, shard: Path, space: World) -> None:
    shard.unlink()
    shard.write_bytes(b"forged")


def kept_is_changed(version: Path, shard: Path, space: World) -> None:
    shard.write_bytes(b"forged")


@pytest.mark.parametrize(
    "plant",
    [kept_is_a_link, kept_is_a_fifo, kept_is_a_directory, kept_is_another, kept_is_changed],
)
def test_a_shard_to_keep_that_is_not_what_it_was(
    space: World, plant: Callable[[Path, Path, World], None]
) -> None:
    """With mode 2775, the group may write to what is published, and splits are added to it."""
    staged = space.root / "staged"
    staged.mkdir()
    archives = sorted((DUMMY_DATA / HOME).iterdir())
    for archive in archives:
        if "test" not in archive.name:
            (staged / archive.name).symlink_to(archive)
    where = ("--manual-dir", staged, "--data-dir", space.data_dir)
    assert space.run("build", HOME, *where, *MODE).status == 0
    version = space.version_of()
    assert version is not None
    shard = next(version.glob("*train*"))
    space.member(lambda: plant(version, shard, space))
    for archive in archives:
        if "test" in archive.name:
            (staged / archive.name).symlink_to(archive)
    done = space.run("build", HOME, *where, *MODE)
    if plant in (kept_is_a_fifo, kept_is_a_directory):
        assert f"{shard} cannot be read: it is a " in done.error
    else:
        assert f"{shard} is to be kept, but " in done.error
    assert SECRET not in done.err
    assert not list(version.glob("*test*"))
    assert snapshot(space.home) == expected_home(space.steward)
