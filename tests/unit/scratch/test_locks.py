"""Locks on directories in scratch space: shared or not, and never on another one of the name."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagenet_builders.errors import OptionError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.scratch.locks import LOCK, lock_directory, open_inner


@pytest.fixture
def root(tmp_path: Path) -> Iterator[PrivateDir]:
    with PrivateDir.make(tmp_path / "scratch") as made:
        yield made


def test_a_locked_directory_keeps_others_away_until_it_is_closed(root: PrivateDir) -> None:
    locked = lock_directory(root, ("above", "name"))
    for shared in (False, True):
        if not shared:
            with pytest.raises(BlockingIOError):
                lock_directory(root, ("above", "name"))
        lock_directory(root, ("above", "other"), shared=shared).close()
    locked.close()
    lock_directory(root, ("above", "name")).close()


def test_only_the_last_of_those_that_share_one_removes_it(root: PrivateDir) -> None:
    tidied: list[Path] = []
    first = lock_directory(root, ("name",), shared=True, tidy=lambda d: tidied.append(d.path))
    second = lock_directory(root, ("name",), shared=True, tidy=lambda d: tidied.append(d.path))
    assert len(tidied) == 1
    first.remove_unless_shared()
    first.close()
    assert root.has("name")
    second.remove_unless_shared()
    second.close()
    assert not root.has("name")


def for_the_group(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()
    path.chmod(0o770)


def a_file(path: Path) -> None:
    path.touch()


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    (path.parent / "elsewhere" / "file").touch()
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("put", [for_the_group, a_file, a_link])
def test_what_others_may_have_made_is_replaced(
    put: Callable[[Path], None], root: PrivateDir
) -> None:
    put(root.path / "name")
    with open_inner(root, ("name",)) as entered:
        assert entered.names() == []
    assert root.has("elsewhere") == (put is a_link)
    if put is a_link:
        assert (root.path / "elsewhere" / "file").exists()


@pytest.mark.parametrize("kind", ["link", "FIFO"])
def test_a_lock_is_a_file_of_our_own(root: PrivateDir, kind: str) -> None:
    (root.path / "name").mkdir(mode=0o700)
    (root.path / "private").touch(mode=0o600)
    if kind == "link":
        (root.path / "name" / LOCK).symlink_to(root.path / "private")
    else:
        os.mkfifo(root.path / "name" / LOCK, 0o600)
    lock_directory(root, ("name",)).close()
    assert (root.path / "name" / LOCK).is_file()
    assert not (root.path / "name" / LOCK).is_symlink()


def test_a_directory_that_something_removes_all_the_time_is_an_error(root: PrivateDir) -> None:
    def tidy(directory: PrivateDir) -> None:
        directory.unlink(LOCK)

    with pytest.raises(OptionError, match="is gone whenever it was made"):
        lock_directory(root, ("name",), tidy=tidy)


def test_a_directory_that_another_build_removes_meanwhile_is_made_anew(root: PrivateDir) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(100):
                locked = lock_directory(root, ("name",), shared=True)
                assert (root.path / "name" / LOCK).is_file()
                locked.remove_unless_shared()
                locked.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
