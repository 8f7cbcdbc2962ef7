"""Only regular files are opened, and nothing is waited for."""

from __future__ import annotations

import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_builders.files.regular import NotAFileError, open_regular, read_regular


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "it is a FIFO"),
        (os.mkdir, "it is a directory"),
        (a_socket, "it is a socket"),
        (lambda path: os.symlink("/etc/passwd", path), "it is a link"),
        (lambda path: os.symlink("/dev/zero", path), "it is a link"),
    ],
)
def test_what_is_no_file_is_said(make: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    make(tmp_path / "name")
    with pytest.raises(NotAFileError, match=words):
        open_regular(tmp_path / "name")


def test_a_link_that_may_be_followed_leads_to_files_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 100, follow=True) == b"content"
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(NotAFileError, match="it is a device"):
        read_regular(tmp_path / "device", 100, follow=True)


def test_no_more_is_read_than_is_sensible(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    assert read_regular(tmp_path / "file", 100) == bytes(100)
    with pytest.raises(NotAFileError, match="it has more than 99 bytes"):
        read_regular(tmp_path / "file", 99)


def test_what_is_missing_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")


def test_no_more_memory_is_taken_than_a_file_has(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    tracemalloc.start()
    assert read_regular(tmp_path / "file", 1 << 40) == bytes(100)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
