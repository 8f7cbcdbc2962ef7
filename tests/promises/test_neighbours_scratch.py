"""What a member of the steward's group can do to scratch space: nothing but end a build.

What is kept there counts as our own work: indexes, unpacked archives, copies. Whatever the member
puts there, or puts in its place while a build runs, is neither read nor written to.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.killing.forks import Server
from support.neighbours import GROUP, MEMBER, STEWARDS, Done
from support.neighbours_in_forks import ForkedWorld, forked_world
from support.paths import DUMMY_DATA
from support.private_home import SECRET

from imagenet_builders.locate.hash_cache import cache_directory
from imagenet_builders.plan.index import Index, IndexCache

pytestmark = pytest.mark.slow

IMAGES = "imagenet2012"
WINTER21 = "imagenet21k_winter21/whole"
PIXELS = "imagenet2012_downsampled/8x8"
BOXES = "imagenet2012_localization"
ARCHIVE = DUMMY_DATA / "imagenet21k_winter21" / "winter21_whole.tar.gz"


@pytest.fixture(params=STEWARDS, ids=["user", "root"])
def space(request: pytest.FixtureRequest, forks: Server) -> Iterator[ForkedWorld]:
    with forked_world(request.param, forks) as made:
        yield made


@pytest.fixture
def shared(space: ForkedWorld) -> Path:
    """A directory such as `/tmp`."""
    path = space.root / "tmp"
    path.mkdir()
    path.chmod(0o1777)
    return path


def default_of(space: ForkedWorld) -> Path:
    return space.data_dir / f".imagenet_builders-{space.steward}"


def chosen_of(space: ForkedWorld) -> Path:
    return space.root / "tmp" / f"imagenet_builders-{space.steward}"


def own_of(named: Path) -> list[Path]:
    """The scratch directories beside a name that are not the member's."""
    found = [named, *named.parent.glob(f"{named.name}-*")]
    return [
        path
        for path in found
        if path.is_dir() and not path.is_symlink() and path.stat().st_uid != MEMBER
    ]


def sound(space: ForkedWorld, done: Done, name: str = IMAGES) -> None:
    """The build published what it would have published without the member."""
    assert done.status == 0, done.err
    assert space.version_of(name) is not None
    space.check(name)


def harmless(space: ForkedWorld, done: Done, name: str = IMAGES) -> None:
    """The build published that, or nothing, and said why in one sentence."""
    if done.status:
        assert done.error
        assert space.version_of(name) is None
    assert SECRET not in done.out + done.err
    space.check(name)


# --- what is put in the place of the scratch directory before a build ------------------------


def a_file(path: Path, space: ForkedWorld) -> None:
    path.write_text("not a directory")


def a_fifo(path: Path, space: ForkedWorld) -> None:
    os.mkfifo(path)


def a_socket(path: Path, space: ForkedWorld) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)
        made.bind(path.name)


def a_link_to_the_home(path: Path, space: ForkedWorld) -> None:
    path.symlink_to(space.home)


def a_link_to_a_private_directory(path: Path, space: ForkedWorld) -> None:
    path.symlink_to(space.home / "work")


def a_link_to_nothing_in_the_home(path: Path, space: ForkedWorld) -> None:
    path.symlink_to(space.home / "new")


def a_link_to_a_device(path: Path, space: ForkedWorld) -> None:
    path.symlink_to("/dev/zero")


def a_link_to_itself(path: Path, space: ForkedWorld) -> None:
    path.symlink_to(path.name)


def a_directory_of_the_members(path: Path, space: ForkedWorld) -> None:
    path.mkdir(mode=0o755)


def a_directory_for_all(path: Path, space: ForkedWorld) -> None:
    path.mkdir()
    path.chmod(0o777)


def a_directory_that_only_the_member_reads(path: Path, space: ForkedWorld) -> None:
    path.mkdir(mode=0o700)


TAKEN = [
    a_file,
    a_fifo,
    a_socket,
    a_link_to_the_home,
    a_link_to_a_private_directory,
    a_link_to_nothing_in_the_home,
    a_link_to_a_device,
    a_link_to_itself,
    a_directory_of_the_members,
    a_directory_for_all,
    a_directory_that_only_the_member_reads,
]


@pytest.mark.parametrize("take", TAKEN)
def test_a_build_goes_on_elsewhere_where_the_name_of_the_default_is_taken(
    space: ForkedWorld, take: Callable[[Path, ForkedWorld], None]
) -> None:
    named = default_of(space)
    space.member(lambda: take(named, space))
    done = space.build(name=WINTER21)
    sound(space, done, WINTER21)
    [used] = own_of(named)
    assert used != named
    assert used.stat().st_mode & 0o777 == 0o700
    assert f"the scratch directory is {used}" in done.err


# The rule is the same function for all; tests/unit/scratch/test_space.py tries it alone.
SOME = [a_fifo, a_link_to_the_home, a_directory_for_all]


@pytest.mark.parametrize("take", SOME)
@pytest.mark.parametrize("chosen", ["--scratch-dir", "TMPDIR"])
def test_a_build_goes_on_elsewhere_where_the_name_in_a_chosen_directory_is_taken(
    space: ForkedWorld, shared: Path, take: Callable[[Path, ForkedWorld], None], chosen: str
) -> None:
    named = chosen_of(space)
    space.member(lambda: take(named, space))
    if chosen == "TMPDIR":
        done = space.build("--stage", env={"TMPDIR": str(shared)})
    else:
        done = space.build("--stage", f"--scratch-dir={shared}")
    sound(space, done)
    [used] = own_of(named)
    assert used != named


@pytest.mark.parametrize("take", SOME)
def test_a_deep_check_goes_on_elsewhere_too(
    space: ForkedWorld, shared: Path, take: Callable[[Path, ForkedWorld], None]
) -> None:
    named = chosen_of(space)
    space.member(lambda: take(named, space))
    staged = str(DUMMY_DATA / IMAGES)
    done = space.run("check", staged, IMAGES, "--deep", "--stage", env={"TMPDIR": str(shared)})
    assert done.status == 0, done.out + done.err
    space.check()
    [used] = own_of(named)
    assert used != named
    assert len(list(used.glob("*.index.arrow"))) == 3


def test_a_deep_check_and_a_build_in_a_directory_for_all_use_one_of_our_own(
    space: ForkedWorld, shared: Path
) -> None:
    staged = str(DUMMY_DATA / IMAGES)
    assert space.run("check", staged, IMAGES, "--deep", env={"TMPDIR": str(shared)}).status == 0
    sound(space, space.build(env={"TMPDIR": str(shared)}))
    [used] = own_of(chosen_of(space))
    assert used.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in used.iterdir()} == {0o600}


def test_siblings_of_the_members_are_not_used(space: ForkedWorld) -> None:
    named = default_of(space)

    def attack() -> None:
        for number, take in enumerate(TAKEN):
            take(named.with_name(f"{named.name}-{number:016x}"), space)
        a_directory_for_all(named, space)

    space.member(attack)
    sound(space, space.build(name=WINTER21), WINTER21)
    sound(space, space.build())
    assert len(own_of(named)) == 1


# --- forged content --------------------------------------------------------------------------


@functools.cache
def forged_unpacked() -> tuple[str, dict[str, bytes]]:
    """The directory of an unpacked archive with another picture in it, and its files."""
    content = bytearray(gzip.decompress(ARCHIVE.read_bytes()))
    at = content.index(b"\xff\xda") + 200  # In the pixels of the first picture.
    content[at : at + 8] = bytes(8)
    status = ARCHIVE.stat()
    state = {
        "source": [str(ARCHIVE), status.st_size, status.st_mtime_ns],
        "size": len(content),
    }
    name = hashlib.sha256(json.dumps([str(ARCHIVE)]).encode()).hexdigest()[:16]
    return f"unpacked-{name}", {
        "winter21_whole.tar": bytes(content),
        "winter21_whole.tar.partial": bytes(content),
        "winter21_whole.tar.json": json.dumps(state).encode(),
    }


@pytest.fixture(scope="module", autouse=True)
def _forged_beforehand() -> None:
    """The member may not be allowed to read the archive, wherever this checkout is."""
    forged_unpacked()


def write_forged(scratch: Path, mode: int = 0o755) -> None:
    name, files = forged_unpacked()
    # In every place where any version has looked.
    for directory in (name, "imagenet21k_winter21-whole-unpacked"):
        (scratch / directory).mkdir(parents=True)
        for file, content in files.items():
            (scratch / directory / file).write_bytes(content)
        (scratch / directory).chmod(mode)
    scratch.chmod(mode)


def test_the_forged_files_are_those_that_a_build_would_use(space: ForkedWorld) -> None:
    """Else the tests that follow would prove nothing: the steward's own are used."""
    scratch = default_of(space)
    before = os.umask(0o077)
    write_forged(scratch, 0o700)
    os.umask(before)
    for path in (scratch, *scratch.rglob("*")):
        os.chown(path, space.steward, GROUP)
    assert space.build(name=WINTER21).status == 0
    with pytest.raises(AssertionError):
        space.check(WINTER21)


@pytest.mark.parametrize("mode", [0o755, 0o777])
@pytest.mark.parametrize("name", [".imagenet_builders-UID", ".imagenet_builders", "sibling"])
def test_a_forged_unpacked_archive_is_not_used(space: ForkedWorld, name: str, mode: int) -> None:
    path = default_of(space)
    if name == ".imagenet_builders":
        path = path.with_name(name)
    elif name == "sibling":
        path = path.with_name(f"{path.name}-{0:016x}")
        space.member(lambda: a_fifo(default_of(space), space))
    space.member(lambda: write_forged(path, mode))
    sound(space, space.build(name=WINTER21), WINTER21)


def test_a_forged_unpacked_archive_that_is_linked_to_is_not_used(space: ForkedWorld) -> None:
    space.member(lambda: write_forged(space.data_dir / "mine"))
    space.member(lambda: default_of(space).symlink_to("mine"))
    sound(space, space.build(name=WINTER21), WINTER21)


def test_files_that_others_may_write_to_are_not_used(space: ForkedWorld) -> None:
    """In a directory of the steward's own, as a umask of 002 or a mistake may have left them."""
    scratch = default_of(space)
    write_forged(scratch)
    for path in (scratch, *scratch.rglob("*")):
        os.chown(path, space.steward, GROUP)
        path.chmod(0o700 if path.is_dir() else 0o664)
    sound(space, space.build(name=WINTER21), WINTER21)


def test_directories_that_others_may_write_to_are_not_used(space: ForkedWorld) -> None:
    scratch = default_of(space)
    write_forged(scratch)
    for path in (scratch, *scratch.rglob("*")):
        os.chown(path, space.steward, GROUP)
        path.chmod(0o2770 if path.is_dir() else 0o600)
    scratch.chmod(0o755)
    sound(space, space.build(name=WINTER21), WINTER21)


def test_a_forged_index_is_not_used(space: ForkedWorld) -> None:
    """One that lacks pictures, in a directory of the member's with the very name."""
    with forked_world(space.steward, space.server) as other:
        assert other.build().status == 0
        [scratch] = own_of(default_of(other))
        forged = other.root / "forged"
        forged.mkdir(mode=0o700)
        for path in scratch.glob("*.index.arrow"):
            index = IndexCache(scratch).load(path) if other.steward == 0 else _load(path, forged)
            assert index is not None
            smaller = Index(index.table.slice(1), index.files)
            assert IndexCache(forged).save(forged / path.name, smaller)
        contents = {path.name: path.read_bytes() for path in forged.glob("*.index.arrow")}
    assert len(contents) == 3

    def attack() -> None:
        default_of(space).mkdir()
        for name, content in contents.items():
            (default_of(space) / name).write_bytes(content)

    space.member(attack)
    sound(space, space.build())


def _load(path: Path, forged: Path) -> Index | None:
    (forged / path.name).touch(mode=0o600)
    (forged / path.name).write_bytes(path.read_bytes())
    return IndexCache(forged).load(forged / path.name)


@pytest.mark.parametrize("kind", ["link", "FIFO", "device"])
def test_links_fifos_and_devices_in_a_scratch_directory_are_replaced(
    space: ForkedWorld, kind: str
) -> None:
    """As somebody may have left there while it was open to all, if it is the steward's own now."""
    scratch = default_of(space)
    with forked_world(space.steward, space.server) as other:
        assert other.build(name=WINTER21).status == 0
        assert other.build().status == 0
        [used] = own_of(default_of(other))
        indexes = [path.name for path in used.glob("*.index.arrow")]
    name, files = forged_unpacked()
    names = [*indexes, *(f"{name}/{file}" for file in [*files, "lock"])]
    for each in names:
        path = scratch / each
        path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
        if kind == "link":
            path.symlink_to(space.home / ("private.txt" if len(each) % 2 else "new"))
        elif kind == "FIFO":
            os.mkfifo(path, 0o600)
        else:
            path.symlink_to("/dev/zero")
    for path in (scratch, scratch / name):
        os.chown(path, space.steward, GROUP)
        path.chmod(0o700)
    for each in names:
        os.chown(scratch / each, space.steward, GROUP, follow_symlinks=False)
    sound(space, space.build(name=WINTER21), WINTER21)
    sound(space, space.build())
    for path in scratch.glob("*.index.arrow"):
        assert path.is_file()
        assert not path.is_symlink()


# --- what is exchanged while a build runs ----------------------------------------------------

UNPACKED = "imagenet_builders.scratch.means:ScratchMeans.unpack"
MADE = "imagenet_builders.build.builder:make_scratch"
COPIED = "imagenet_builders.scratch.copy_first:copy_to_scratch"
ARRAYS = "imagenet_builders.scratch.unzip:Unpacked.unpack"
LOCKED = "imagenet_builders.scratch.means:ScratchMeans._locked"
MOMENTS = {
    "before unpacking": (LOCKED, WINTER21, ()),
    "after unpacking": (UNPACKED, WINTER21, ()),
    "when it is made": (MADE, IMAGES, ()),
    "when it is made, for copies": (MADE, IMAGES, ("--stage",)),
    "when it is made, for archives": (MADE, WINTER21, ()),
    "when it is made, for arrays": (MADE, PIXELS, ()),
    "when it is made, for boxes": (MADE, BOXES, ()),
    "after copying": (COPIED, IMAGES, ("--stage",)),
    "after arrays": (ARRAYS, PIXELS, ()),
}


def away(scratch: Path) -> Path:
    """Moves the steward's directory away, as whoever may write in the one above can."""
    moved = scratch.with_name("away")
    scratch.rename(moved)
    return moved


def nothing_instead(scratch: Path, space: ForkedWorld) -> None:
    away(scratch)


def a_directory_instead(scratch: Path, space: ForkedWorld) -> None:
    away(scratch)
    scratch.mkdir(mode=0o755)


def a_writable_directory_instead(scratch: Path, space: ForkedWorld) -> None:
    away(scratch)
    a_directory_for_all(scratch, space)


def forged_instead(scratch: Path, space: ForkedWorld) -> None:
    away(scratch)
    write_forged(scratch)


def a_link_to_the_home_instead(scratch: Path, space: ForkedWorld) -> None:
    away(scratch)
    scratch.symlink_to(space.home)


def a_link_to_where_it_went(scratch: Path, space: ForkedWorld) -> None:
    scratch.symlink_to(away(scratch).name)


def a_link_to_forged_instead(scratch: Path, space: ForkedWorld) -> None:
    away(scratch)
    write_forged(scratch.with_name("forged"))
    scratch.symlink_to("forged")


def a_fifo_instead(scratch: Path, space: ForkedWorld) -> None:
    away(scratch)
    os.mkfifo(scratch)


_TRIED = (forged_instead, a_link_to_the_home_instead)
EXCHANGES = [
    nothing_instead,
    a_directory_instead,
    a_writable_directory_instead,
    forged_instead,
    a_link_to_the_home_instead,
    a_link_to_where_it_went,
    a_link_to_forged_instead,
    a_fifo_instead,
]


@pytest.mark.parametrize(
    ("moment", "exchange"),
    [
        *((moment, a_link_to_the_home_instead) for moment in MOMENTS),
        *((moment, forged_instead) for moment in MOMENTS if "unpacking" in moment),
        *(("after unpacking", each) for each in EXCHANGES if each not in _TRIED),
        ("after copying", a_writable_directory_instead),
        ("after arrays", a_link_to_where_it_went),
    ],
)
def test_a_scratch_directory_that_is_exchanged_harms_nobody(
    space: ForkedWorld, moment: str, exchange: Callable[[Path, ForkedWorld], None]
) -> None:
    where, name, more = MOMENTS[moment]
    scratch = default_of(space)
    done = space.held(where, lambda: exchange(scratch, space), *more, name=name)
    harmless(space, done, name)
    if done.status == 0:
        return
    assert "--scratch-dir" in done.error or "run the same command again" in done.error, done.err


@pytest.mark.parametrize("name", [WINTER21, PIXELS, BOXES, f"{IMAGES} --stage"])
def test_a_member_who_exchanges_it_all_the_time_harms_nobody(space: ForkedWorld, name: str) -> None:
    name, *more = name.split()
    scratch = default_of(space)
    space.member(lambda: write_forged(space.data_dir / "forged"))

    def exchange() -> None:
        with contextlib.suppress(OSError):
            scratch.rename(scratch.with_name("away"))
        with contextlib.suppress(OSError):
            scratch.symlink_to(space.home)
        with contextlib.suppress(OSError):
            scratch.unlink()
        with contextlib.suppress(OSError):
            scratch.symlink_to("forged")
        with contextlib.suppress(OSError):
            scratch.unlink()
        with contextlib.suppress(OSError):
            scratch.with_name("away").rename(scratch)

    for _ in range(3):
        with space.racing(exchange):
            done = space.build(*more, name=name)
        harmless(space, done, name)
        if done.status == 0:
            break


# --- other users, and what goes on as before -------------------------------------------------


@contextlib.contextmanager
def as_member(space: ForkedWorld) -> Iterator[ForkedWorld]:
    """The member as a second steward of the same data directory."""
    home = space.root / "home of the member"
    home.mkdir(mode=0o700)
    os.chown(home, MEMBER, GROUP)
    yield dataclasses.replace(space, steward=MEMBER, home=home)
    shutil.rmtree(home)


DATASETS = [
    "imagenet2012",
    "imagenet2012_localization",
    "imagenet2012_dogs",
    "imagenet2012_downsampled/8x8",
    "tiny_imagenet",
    "imagenet21k_winter21/whole",
    "imagenet21k_winter21/p",
    "imagenet12k",
]


def test_two_users_of_a_data_directory_build_every_dataset(space: ForkedWorld) -> None:
    """What compressed archives unpack to is each user's own, though both keep it for a while."""
    with as_member(space) as second:
        for name in DATASETS:
            done = space.build("--stage", name=name)
            assert done.status == 0, (name, done.err)
            version = space.version_of(name)
            assert version is not None
            first = {path.name: path.read_bytes() for path in version.glob("*-of-*")}
            done = second.build("--stage", "--overwrite", name=name)
            assert done.status == 0, (name, done.err)
            assert {path.name: path.read_bytes() for path in version.glob("*-of-*")} == first
            assert {path.stat().st_uid for path in version.iterdir()} == {MEMBER}
    own = default_of(second)
    assert sorted(path.name for path in space.data_dir.glob(".imagenet_builders*")) == sorted(
        [default_of(space).name, own.name]
    )


def test_an_interrupted_unpacking_goes_on_where_the_name_was_taken(space: ForkedWorld) -> None:
    """In the directory beside it: what is there is found again, and gone when it is built."""
    space.member(lambda: a_directory_for_all(default_of(space), space))
    space.killed(UNPACKED, name=WINTER21)
    [used] = own_of(default_of(space))
    [plain] = used.rglob("winter21_whole.tar")
    done = space.build(name=WINTER21)
    sound(space, done, WINTER21)
    assert "unpacking" not in done.err
    assert own_of(default_of(space)) == [used]
    assert not plain.exists()


# --- the cache of hashes ---------------------------------------------------------------------


@pytest.mark.parametrize("take", SOME)
def test_a_cache_of_hashes_in_a_shared_directory_is_ones_own(
    space: ForkedWorld, shared: Path, take: Callable[[Path, ForkedWorld], None]
) -> None:
    named = shared / cache_directory().name
    space.member(lambda: take(named, space))
    staged = str(DUMMY_DATA / IMAGES)
    for _ in range(2):
        done = space.run("check", staged, IMAGES, "--hash", env={"XDG_CACHE_HOME": str(shared)})
        assert "Traceback" not in done.err
        space.check()
    [used] = own_of(named)
    assert used != named
    assert (used / "hashes.json").is_file()
