"""A directory of one's own under a known name, whoever else has taken that; and files in it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_builders.files.own_dir import enter_own, find_own_dir, open_ours, own_dir
from imagenet_builders.files.private_dir import NotOursError


def a_directory_for_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def a_directory_for_the_group(path: Path) -> None:
    path.mkdir()
    path.chmod(0o2770)


def a_file(path: Path) -> None:
    path.touch()


def a_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def a_link_to_a_private_directory(path: Path) -> None:
    (path.parent / "precious").mkdir(mode=0o700, exist_ok=True)
    path.symlink_to("precious")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


TAKEN = [
    a_directory_for_all,
    a_directory_for_the_group,
    a_file,
    a_fifo,
    a_link_to_a_private_directory,
    a_link_to_nothing,
]


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_it_is_made_for_nobody_else_and_found_again(tmp_path: Path, mask: int) -> None:
    assert find_own_dir(tmp_path / "own") is None
    before = os.umask(mask)
    try:
        with own_dir(tmp_path / "own") as made:
            assert made.path == tmp_path / "own"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o700
    with own_dir(tmp_path / "own") as again:
        assert again.path == tmp_path / "own"
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize("take", TAKEN)
def test_where_the_name_is_taken_another_one_is_made_once(
    tmp_path: Path, take: Callable[[Path], None]
) -> None:
    take(tmp_path / "own")
    there = set(tmp_path.iterdir())
    assert find_own_dir(tmp_path / "own") is None
    open_before = len(os.listdir("/proc/self/fd"))
    with own_dir(tmp_path / "own") as made, own_dir(tmp_path / "own") as again:
        assert made.path == again.path
    assert len(os.listdir("/proc/self/fd")) == open_before
    assert set(tmp_path.iterdir()) - there == {made.path}
    assert list(made.path.iterdir()) == []
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("take", TAKEN)
def test_what_has_a_name_of_its_kind_beside_it_is_not_it_either(
    tmp_path: Path, take: Callable[[Path], None]
) -> None:
    a_file(tmp_path / "own")
    take(tmp_path / f"own-{0:016x}")
    for name in ("own-1", f"own-{0:015x}", f"own-{0:016x}-", f"own2-{0:016x}"):
        (tmp_path / name).mkdir(mode=0o700)
    with own_dir(tmp_path / "own") as made:
        assert list(made.path.iterdir()) == []
    assert made.path.name not in ("own-1", f"own-{0:016x}", f"own-{0:015x}")


@pytest.mark.parametrize("take", TAKEN)
def test_another_process_does_not_enter_what_has_its_name_now(
    tmp_path: Path, take: Callable[[Path], None]
) -> None:
    with own_dir(tmp_path / "own") as made:
        made.path.rename(tmp_path / "away")
    take(tmp_path / "own")
    for make in (False, True):
        with pytest.raises(NotOursError, match=rf"own .*user {os.geteuid()}.* --scratch-dir, then"):
            enter_own(tmp_path / "own", make=make)


def test_what_is_not_there_is_made_only_where_that_is_meant(tmp_path: Path) -> None:
    with pytest.raises(NotOursError, match=r"own cannot be opened \(No such file or directory\)"):
        enter_own(tmp_path / "own")
    enter_own(tmp_path / "own", make=True).close()
    enter_own(tmp_path / "own").close()
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o700


# --- files -----------------------------------------------------------------------------------


def private(path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(b"secret")
    return path


def test_a_file_of_our_own_is_opened(tmp_path: Path) -> None:
    with os.fdopen(open_ours(private(tmp_path / "file"))) as file:
        assert file.read() == "secret"


def a_link_to_our_own(path: Path) -> None:
    private(path.with_name("private"))
    path.symlink_to("private")


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_file_for_the_group(path: Path) -> None:
    private(path).chmod(0o660)


def a_file_for_all(path: Path) -> None:
    private(path).chmod(0o602)


def a_directory(path: Path) -> None:
    path.mkdir(mode=0o700)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def nothing(path: Path) -> None:
    del path


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (a_link_to_our_own, r"cannot be opened \(it is a link\)"),
        (a_link_to_nothing, r"cannot be opened \(it is a link\)"),
        (a_link_to_a_device, r"cannot be opened \(it is a link\)"),
        (a_file_for_the_group, "belongs to user .*, mode 660"),
        (a_file_for_all, "belongs to user .*, mode 602"),
        (a_directory, r"cannot be opened \(it is a directory\)"),
        (a_fifo, r"cannot be opened \(it is a FIFO\)"),
        (a_socket, r"cannot be opened \(it is a socket\)"),
        (nothing, r"cannot be opened \(No such file or directory\)"),
    ],
)
def test_what_somebody_else_may_have_put_there_is_not_opened(
    tmp_path: Path, put: Callable[[Path], None], said: str
) -> None:
    put(tmp_path / "file")
    with pytest.raises(NotOursError, match=f"{said}, where a file of user .*--scratch-dir"):
        open_ours(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_is_another_users_is_not_opened(tmp_path: Path) -> None:
    os.chown(private(tmp_path / "file"), 12_345, -1)
    with pytest.raises(NotOursError, match="belongs to user 12345, mode 600, where"):
        open_ours(tmp_path / "file")
