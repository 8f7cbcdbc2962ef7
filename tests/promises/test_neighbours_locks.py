"""What a member of the group forges beside a dataset and in it: locks, metadata, shards.

A steward, who is a user or root, goes through all of them in one process, because to start one
takes longer than all that it does; what each call said, and how it ended, is looked at here.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.neighbours import MEMBER, STEWARDS, World, world
from support.paths import DUMMY_DATA
from support.private_home import SECRET

from imagenet_builders.publish.holder import Holder

HOME = Path("imagenet2012")
DATASET = HOME / "5.1.0"
LOCK = HOME / ".5.1.0.lock"

# Calls the command line, or `tfds.load`, for each line of standard input; a call that takes five
# minutes hangs.
_CALLS = r"""
import contextlib, io, json, signal, sys, traceback, warnings
warnings.simplefilter("always")
import tensorflow
import tensorflow_datasets as tfds
from imagenet_builders import cli

def load(data_dir):
    dataset = tfds.load("imagenet2012", data_dir=data_dir, split="validation", download=False)
    print(sum(1 for _ in dataset), "examples")

def hangs(*_):
    raise BaseException("it hangs")

signal.signal(signal.SIGALRM, hangs)
for line in sys.stdin:
    key, argv = json.loads(line)
    out = io.StringIO()
    signal.alarm(300)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            status = load(*argv[1:]) if argv[0] == "load" else cli.main(argv)
        except SystemExit as end:
            status = end.code
        except BaseException as error:
            status = " ".join(each.__name__ for each in type(error).__mro__)
            traceback.print_exc()
    signal.alarm(0)
    print(json.dumps([key, status, out.getvalue()]), flush=True)
"""


@dataclasses.dataclass(frozen=True)
class Called:
    """How a call ended, and what it said."""

    status: int | str | None
    said: str

    @property
    def error(self) -> str:
        """The one sentence of the error."""
        lines = [each for each in self.said.splitlines() if "error: " in each]
        assert len(lines) == 1, self.said
        return lines[0]


def calls(space: World, requests: list[tuple[str, list[str]]]) -> dict[str, Called]:
    """Has the steward call everything; makes sure that nothing of theirs was changed or shown."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    path = space.root / "requests"
    path.write_text(lines)
    command = ["sh", "-c", f'exec "$@" < {path}', "sh", sys.executable, "-c", _CALLS]
    # What libraries write into a home directory goes elsewhere.
    kept = {name: str(space.home / ".cache") for name in ("KERAS_HOME", "MPLCONFIGDIR")}
    done = space.run_command(command, timeout=1800, env=kept)
    assert done.status == 0, done.err
    found = {}
    for line in done.out.splitlines():
        key, status, said = json.loads(line)
        found[key] = Called(status, said)
        shown = said.replace("\n", "").replace("\r", "").replace("\x1b[A", "").replace("\t", "")
        assert shown.isprintable(), (key, ascii(said))
        assert SECRET not in said, (key, said)
        assert "it hangs" not in said, (key, said)
    assert list(found) == [key for key, _ in requests], done.err
    space.check()
    return found


# --- locks -----------------------------------------------------------------------------------


def lock_text(**changes: Any) -> bytes:
    """A lock as another machine's builder would have made it, but for something."""
    there = {"host": "node17", "boot": "0-0", "pid": 4711, "token": "0123456789abcdef"}
    return json.dumps(dataclasses.asdict(Holder.me()) | there | changes).encode()


FORGED: dict[str, bytes] = {
    "an empty lock": b"",
    "not JSON": b"\x00\xff" * 100,
    "ten megabytes": b'{"host": "' + b"x" * 10_000_000,
    "deep nesting": b"[" * 4000,
    "a token with a path": lock_text(token="../../../home/private.txt"),
    "a token with NUL": lock_text(token="0123456789abcde\0"),
    "a token of 300 characters": lock_text(token="f" * 300),
    "a token that is a number": lock_text(token=1),
    "a host with escapes": lock_text(host="\x1b]0;owned\x07\x1b[2J"),
    "a host with a path": lock_text(host="../../../../home/work"),
    "a host with a new line": lock_text(host="node17\nimagenet-builders: error: send money"),
    "a date with escapes": lock_text(since="\x1b[31mnow"),
    "a date of many words": lock_text(since="2026-01-01T00:00:00Z, but run `rm -rf ~` first"),
    "a boot that is a list": lock_text(boot=["x"]),
    "a namespace with escapes": lock_text(namespace="\x9b31m"),
    "no process": lock_text(pid=0),
    "a negative process": lock_text(pid=-1),
    "a process that is true": lock_text(pid=True),
    "a process of 400 digits": lock_text().replace(b"4711", b"1" * 400),
    "one field more": lock_text(more=1),
    "one field less": json.dumps({"token": "0123456789abcdef"}).encode(),
}

PLACED: dict[str, tuple[Callable[[Path, World], object], str]] = {
    "a FIFO": (lambda path, _: os.mkfifo(path), "a FIFO"),
    "a link to a private file": (
        lambda path, space: path.symlink_to(space.home / "private.txt"),
        "a link",
    ),
    "a link to zeros": (lambda path, _: path.symlink_to("/dev/zero"), "a link"),
    "a link to nothing": (lambda path, space: path.symlink_to(space.home / "new"), "a link"),
    "a directory": (lambda path, _: path.mkdir(), "a directory"),
    "a socket": (lambda path, _: bind(path), "a socket"),
}


def bind(path: Path) -> None:
    """Makes a socket, whose path may be longer than sockets' may; in the member's own process.

    It does not go back to where it was: the member may not be allowed to go there.
    """
    os.chdir(path.parent)
    socket.socket(socket.AF_UNIX).bind(path.name)


def file_of_the_member(path: Path, content: bytes, age: float = 0) -> None:
    path.write_bytes(content)
    status = path.stat()
    os.utime(path, (status.st_atime, status.st_mtime - age))


def group_dir(path: Path, space: World) -> Path:
    """A directory of the steward's in which the group may write."""
    for each in (*reversed(path.parents), path):
        if each.is_relative_to(space.data_dir) and not each.exists():
            each.mkdir()
            os.chown(each, space.steward, space.data_dir.stat().st_gid)
            each.chmod(0o2775)
    return path


def build_of(data_dir: Path) -> list[str]:
    staged = ["--manual-dir", str(DUMMY_DATA / "imagenet2012"), "--workers", "1"]
    return ["build", "imagenet2012", *staged, "--data-dir", str(data_dir), "--no-wait"]


LOCKS = [*FORGED, *PLACED, "a device", "a date in the future"]
STALE = [name for name in FORGED if name != "ten megabytes"]
OTHERS = ["claims", "files of other builders", "a claim from the future"]


@pytest.fixture(scope="module", params=STEWARDS, ids=["user", "root"])
def with_locks(request: pytest.FixtureRequest) -> Iterator[dict[str, Called]]:
    with world(request.param) as space:
        requests = []
        for name in LOCKS:
            home = group_dir(space.data_dir / name / HOME, space)
            make_lock(home / LOCK.name, name, space)
            requests.append((name, build_of(space.data_dir / name)))
        for name in STALE:
            home = group_dir(space.data_dir / f"old {name}" / HOME, space)
            space.member(partial(file_of_the_member, home / LOCK.name, FORGED[name], 500))
            requests.append((f"old {name}", build_of(space.data_dir / f"old {name}")))
        for name in OTHERS:
            home = group_dir(space.data_dir / name / HOME, space)
            make_others(home, name, space)
            requests.append((name, build_of(space.data_dir / name)))
        found = calls(space, requests)
        for name in (*LOCKS, *STALE, *OTHERS):
            assert not list((space.data_dir / name).rglob("RUN"))
        for name in LOCKS:
            assert os.path.lexists(space.data_dir / name / LOCK), f"{name}: it was removed"
            assert not (space.data_dir / name / DATASET).exists()
        yield found


def make_lock(path: Path, name: str, space: World) -> None:
    if name == "a device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    elif name in PLACED:
        space.member(lambda: PLACED[name][0](path, space))
    elif name == "a date in the future":
        space.member(lambda: file_of_the_member(path, lock_text(), -(10**9)))
    else:
        space.member(lambda: file_of_the_member(path, FORGED[name]))


def make_others(home: Path, name: str, space: World) -> None:
    """A lock whose holder is gone, or none, and what the member has put beside it."""
    lock, claim = home / LOCK.name, home / f"{LOCK.name}.over-0123456789abcdef"
    if name == "files of other builders":
        for number, make in enumerate(each for each, _ in PLACED.values()):
            path = home / f"{LOCK.name}.node17-{number}-{number:016}"
            space.member(partial(make, path, space))
        return
    space.member(lambda: file_of_the_member(lock, lock_text(), 500))
    if name == "claims":
        space.member(lambda: claim.symlink_to(space.home / "private.txt"))
    else:
        space.member(lambda: file_of_the_member(claim, lock_text(), -(10**6)))


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_lock_is_respected_and_not_shown(name: str, with_locks: dict[str, Called]) -> None:
    called = with_locks[name]
    assert called.status == 1, called
    assert f"{LOCK}, a lock of user {MEMBER} that does not say whose it is" in called.error


@pytest.mark.parametrize("name", STALE)
def test_a_forged_lock_that_nobody_touches_is_taken_over(
    name: str, with_locks: dict[str, Called]
) -> None:
    assert with_locks[f"old {name}"].status == 0, with_locks[f"old {name}"]


@pytest.mark.parametrize("name", PLACED)
def test_what_is_no_file_in_the_place_of_a_lock_is_named(
    name: str, with_locks: dict[str, Called]
) -> None:
    called = with_locks[name]
    assert called.status == 1, called
    assert f"{LOCK} is {PLACED[name][1]} of user {MEMBER}, where a build" in called.error


def test_a_device_in_the_place_of_a_lock_is_named(with_locks: dict[str, Called]) -> None:
    assert f"{LOCK} is a device of user 0, where a build" in with_locks["a device"].error


def test_a_lock_from_the_future_is_one_that_is_held(with_locks: dict[str, Called]) -> None:
    assert "(process 4711 on node17, since " in with_locks["a date in the future"].error


def test_a_link_in_the_place_of_a_claim_is_not_followed(with_locks: dict[str, Called]) -> None:
    called = with_locks["claims"]
    assert called.status == 1, called
    assert ".lock.over-0123456789abcdef is a link of user" in called.error


def test_a_claim_from_the_future_hinders_nobody(with_locks: dict[str, Called]) -> None:
    assert with_locks["a claim from the future"].status == 0, with_locks["a claim from the future"]


def test_what_is_named_as_files_of_builders_is_not_followed(with_locks: dict[str, Called]) -> None:
    called = with_locks["files of other builders"]
    assert called.status == 0, called


# --- metadata and shards ---------------------------------------------------------------------

FILES = {
    "provenance.json": "provenance.json",
    "dataset_info.json": "dataset_info.json",
    "features.json": "features.json",
    "labels": "label.labels.txt",
    "a shard": "imagenet2012-validation.tfrecord-00000-of-00001",
}
CONTENTS: dict[str, bytes] = {
    "deep nesting": b'{"name": ' + b"[" * 200_000,
    "not JSON": b"\x00\xff\x1b[2J\x07" * 100,
    "40 MB": b'{"name": "' + b"x" * 40_000_000,
    "escapes": json.dumps({"name": "\x1b]0;owned\x07", "dataset": "\x1b[2J", "splits": 7}).encode(),
}
KINDS = [*PLACED, *CONTENTS]
CASES = [
    (file, kind)
    for file in FILES
    for kind in KINDS
    if not (kind == "escapes" and file in ("a shard", "labels"))
]


@pytest.fixture(scope="module", params=STEWARDS, ids=["user", "root"])
def with_metadata(request: pytest.FixtureRequest) -> Iterator[dict[str, Called]]:
    with world(request.param) as space:
        built = space.build("--workers", "1")
        assert built.status == 0, built.err
        sound = space.version_of()
        assert sound is not None
        requests = []
        for file, kind in CASES:
            data_dir = space.data_dir / f"{file}, {kind}"
            directory = group_dir(data_dir / DATASET, space)
            # Without the file in question.
            without = shutil.ignore_patterns(FILES[file])
            shutil.copytree(sound, directory, ignore=without, dirs_exist_ok=True)
            for path in directory.rglob("*"):
                os.chown(path, space.steward, -1)
            path = directory / FILES[file]
            if kind in PLACED:
                space.member(partial(PLACED[kind][0], path, space))
            else:
                space.member(partial(path.write_bytes, CONTENTS[kind]))
            for command in ("verify", "show"):
                requests.append((f"{command}: {file}, {kind}", [command, str(directory)]))
            requests.append((f"load: {file}, {kind}", ["load", str(data_dir)]))
            requests.append((f"build: {file}, {kind}", build_of(data_dir)))
        yield calls(space, requests)


@pytest.mark.parametrize(("file", "kind"), CASES)
def test_forged_files_of_a_dataset_are_found(
    file: str, kind: str, with_metadata: dict[str, Called]
) -> None:
    verified = with_metadata[f"verify: {file}, {kind}"]
    assert verified.status == 1, verified
    assert "WRONG" in verified.said
    assert FILES[file] in verified.said


@pytest.mark.parametrize("command", ["show", "build"])
@pytest.mark.parametrize(("file", "kind"), CASES)
def test_commands_end_in_a_sentence(
    file: str, kind: str, command: str, with_metadata: dict[str, Called]
) -> None:
    called = with_metadata[f"{command}: {file}, {kind}"]
    assert called.status in (0, 1), called
    assert "Traceback" not in called.said
    if called.status == 1:
        assert str(DATASET) in called.error


@pytest.mark.parametrize(("file", "kind"), CASES)
def test_a_reader_is_told_which_file_it_is(
    file: str, kind: str, with_metadata: dict[str, Called]
) -> None:
    called = with_metadata[f"load: {file}, {kind}"]
    if file == "provenance.json":
        # Readers need it only to know whether the dataset is whole.
        assert called.status is None, called
        assert "12 examples" in called.said
        if kind not in ("escapes",):
            assert "provenance.json is damaged, is no file, or may not be read" in called.said
    elif kind in PLACED and kind != "a link to a private file":
        assert "DatasetError" in str(called.status), called
        assert FILES[file] in called.said
    else:
        assert called.status is None or "Error" in str(called.status), called
