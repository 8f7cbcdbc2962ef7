"""A private directory: made, never taken over, and never another one of the same name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagenet_builders.errors import TargetError
from imagenet_builders.files.private_dir import NotOursError, PrivateDir


@pytest.fixture
def made(tmp_path: Path) -> Iterator[PrivateDir]:
    with PrivateDir.make(tmp_path / "private") as made:
        yield made


def test_it_is_for_its_owner_only_whatever_the_directory_above_grants(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o2775)
    before = os.umask(0)
    try:
        with PrivateDir.make(tmp_path / "private") as made, made.make_inner("inner") as inner:
            inner.write("file", b"content")
    finally:
        os.umask(before)
    assert os.stat(made.path).st_mode & 0o777 == 0o700
    assert os.stat(inner.path).st_mode & 0o777 == 0o700
    assert os.stat(inner.path / "file").st_mode & 0o777 == 0o600


def a_directory(path: Path) -> None:
    path.mkdir()


def a_file(path: Path) -> None:
    path.touch()


def a_link(path: Path) -> None:
    (path.parent / "theirs").mkdir()
    path.symlink_to(path.parent / "theirs")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


@pytest.mark.parametrize("put", [a_directory, a_file, a_link, a_link_to_nothing])
def test_what_has_its_name_already_is_not_taken_over(
    put: Callable[[Path], None], made: PrivateDir
) -> None:
    put(made.path / "inner")
    with pytest.raises(TargetError, match="inner is there already, made by somebody else"):
        made.make_inner("inner")
    with pytest.raises(TargetError, match="inner is there already, made by somebody else"):
        PrivateDir.make(made.path / "inner")


@pytest.mark.parametrize("put", [a_directory, a_file, a_link, a_link_to_nothing])
def test_another_directory_of_its_name_is_not_it(
    put: Callable[[Path], None], made: PrivateDir, tmp_path: Path
) -> None:
    made.write("file", b"ours")
    made.path.rename(tmp_path / "away")
    put(made.path)
    if made.path.is_dir():
        (made.path / "file").write_bytes(b"theirs")
    with pytest.raises(TargetError, match="another directory has its name now"):
        made.names()
    assert made.read("file") == b"ours"
    made.remove()
    assert os.path.lexists(made.path)
    assert not made.path.is_dir() or (made.path / "file").read_bytes() == b"theirs"
    assert list((tmp_path / "away").iterdir()) == []


def test_a_file_is_written_as_a_whole_and_read_back(made: PrivateDir) -> None:
    for content in (b"one", b"another"):
        made.write("file", content, flush=True)
        assert made.read("file") == content
        assert made.names() == ["file"]
    assert made.has("file")
    assert not made.has("other")


@pytest.mark.parametrize("target", ["private.txt", "nothing"])
def test_a_link_is_neither_read_nor_written_through(
    target: str, made: PrivateDir, tmp_path: Path
) -> None:
    (tmp_path / "private.txt").write_bytes(b"secret")
    (made.path / "file").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match="file"):
        made.read("file")
    made.write("file", b"ours")
    assert made.read("file") == b"ours"
    assert (tmp_path / "private.txt").read_bytes() == b"secret"
    assert not (tmp_path / "nothing").exists()


def test_a_fifo_is_not_waited_for(made: PrivateDir) -> None:
    os.mkfifo(made.path / "file")
    with pytest.raises(OSError, match="it is a FIFO"):
        made.read("file")


def test_a_write_that_fails_leaves_nothing(made: PrivateDir) -> None:
    (made.path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        made.write("file", b"content")
    assert made.names() == ["file"]


def test_it_is_removed_with_all_that_is_in_it_and_nothing_that_links_lead_to(
    made: PrivateDir, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    with made.make_inner("inner") as inner:
        inner.write("file", b"")
    made.write("file", b"")
    (made.path / "link").symlink_to(tmp_path / "theirs")
    (made.path / "inner" / "link").symlink_to(tmp_path / "theirs")
    made.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]
    assert (tmp_path / "theirs" / "file").exists()
    made.remove()


def test_another_process_enters_a_directory_but_no_link(made: PrivateDir, tmp_path: Path) -> None:
    made.write("file", b"content")
    with PrivateDir.enter(made.path) as entered:
        assert entered.read("file") == b"content"
    (tmp_path / "link").symlink_to(made.path)
    with pytest.raises(OSError, match="link"):
        PrivateDir.enter(tmp_path / "link")
    with pytest.raises(FileNotFoundError):
        PrivateDir.enter(tmp_path / "nothing")


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_that_others_may_write_is_not_entered(mode: int, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours").chmod(mode)
    with pytest.raises(NotOursError, match=f"mode {mode:o}, but what is read there must be"):
        PrivateDir.enter(tmp_path / "ours")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes directories of others")
def test_a_directory_of_another_user_is_not_entered(made: PrivateDir) -> None:
    (made.path / "theirs").mkdir(0o700)
    os.chown(made.path / "theirs", 12_345, -1)
    with pytest.raises(NotOursError, match="belongs to user 12345"):
        made.enter_inner("theirs")


def test_a_new_file_is_new(made: PrivateDir, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_bytes(b"secret")
    (made.path / "link").symlink_to(tmp_path / "private.txt")
    (made.path / "dangling").symlink_to(tmp_path / "nothing")
    made.write("there", b"")
    for name in ("link", "dangling", "there"):
        with pytest.raises(FileExistsError):
            made.open_new(name)
    os.close(made.open_new("new"))
    assert (tmp_path / "private.txt").read_bytes() == b"secret"
    assert not (tmp_path / "nothing").exists()


def test_a_place_in_it_stays_the_same_when_another_directory_takes_its_name(
    made: PrivateDir, tmp_path: Path
) -> None:
    made.path.rename(tmp_path / "away")
    (tmp_path / "private").mkdir()
    made.place_of("file").write_bytes(b"content")
    assert (tmp_path / "away" / "file").read_bytes() == b"content"
    assert list((tmp_path / "private").iterdir()) == []


# --- what an interrupted run may have left ---------------------------------------------------


def a_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def a_file_for_the_group(path: Path) -> None:
    path.write_bytes(b"theirs")
    path.chmod(0o660)


def a_full_directory(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


def a_link_to_a_file(path: Path) -> None:
    (path.parent / "theirs").write_bytes(b"theirs")
    path.symlink_to("theirs")


PUT = [a_fifo, a_file_for_the_group, a_full_directory, a_link_to_a_file, a_link_to_nothing]


def test_a_file_that_was_left_is_opened_with_what_is_in_it(made: PrivateDir) -> None:
    for expected in (b"", b"left"):
        fd = made.open_kept("file")
        assert os.read(fd, 10) == expected
        os.write(fd, b"left")
        os.close(fd)
    assert os.stat(made.path / "file").st_mode & 0o777 == 0o600
    with os.fdopen(made.open_ours("file"), "rb") as file:
        assert file.read() == b"leftleft"


@pytest.mark.parametrize("put", PUT)
def test_anything_else_of_its_name_is_replaced(
    put: Callable[[Path], None], made: PrivateDir
) -> None:
    put(made.path / "file")
    with pytest.raises(OSError, match="file"):
        made.open_ours("file")
    with os.fdopen(made.open_kept("file"), "r+b") as file:
        assert file.read() == b""
        file.write(b"ours")
    assert made.read("file") == b"ours"
    if made.has("theirs"):
        assert made.read("theirs") == b"theirs"
    assert not made.has("nothing")


@pytest.mark.parametrize("put", [a_directory, a_file, *PUT])
def test_whatever_it_is_is_discarded(put: Callable[[Path], None], made: PrivateDir) -> None:
    put(made.path / "file")
    there = set(made.names()) - {"file"}
    made.discard("file")
    made.discard("file")
    assert set(made.names()) == there


def test_a_file_without_a_name_leaves_none(made: PrivateDir) -> None:
    with os.fdopen(made.open_anonymous(), "r+b") as file:
        assert made.names() == []
        file.write(b"content")
        file.seek(0)
        assert file.read() == b"content"


def test_an_inner_directory_is_made_or_entered(made: PrivateDir) -> None:
    for _ in range(2):
        made.inner("inner").close()
    assert os.stat(made.path / "inner").st_mode & 0o777 == 0o700
    (made.path / "inner").chmod(0o770)
    with pytest.raises(NotOursError, match="inner belongs to user"):
        made.inner("inner")
