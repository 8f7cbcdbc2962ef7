"""Files are read ahead in order, each once; an error is raised at the file's turn."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imagenet_builders.errors import SourceError
from imagenet_builders.sources import whole_files
from imagenet_builders.sources.whole_files import fill_ahead, read_ahead


def files_in(directory: Path, count: int, size: int = 100) -> list[tuple[str, int]]:
    found = []
    for number in range(count):
        path = directory / f"{number}.JPEG"
        path.write_bytes(bytes([number % 256]) * (size + number))
        found.append((str(path), size + number))
    return found


def read_into_buffers(files: list[tuple[str, int]]) -> Iterator[bytes]:
    fill = fill_ahead(files)
    for _, size in files:
        buffer = bytearray(size)
        assert fill(memoryview(buffer))
        yield bytes(buffer)


both_ways = pytest.mark.parametrize("read_all", [read_ahead, read_into_buffers])
by_threads_or_not = pytest.mark.parametrize("slow_files", [0, whole_files._SLOW_FILES])
Read = Callable[[list[tuple[str, int]]], Iterator[bytes]]


@both_ways
@by_threads_or_not
def test_files_come_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_all: Read, slow_files: int
):
    monkeypatch.setattr(whole_files, "_SLOW_FILES", slow_files)
    files = files_in(tmp_path, 150)
    assert list(read_all(files)) == [Path(path).read_bytes() for path, _ in files]
    assert list(read_all([])) == []


def test_a_buffer_of_another_size_is_not_filled(tmp_path: Path):
    files = files_in(tmp_path, 3)
    fill = fill_ahead(files)
    assert not fill(memoryview(bytearray(files[0][1] - 1)))
    assert not fill(memoryview(bytearray(files[1][1] + 1)))
    buffer = bytearray(files[2][1])
    assert fill(memoryview(buffer))
    assert buffer == Path(files[2][0]).read_bytes()


@both_ways
def test_files_before_a_vanished_one_are_given(tmp_path: Path, read_all: Read):
    files = files_in(tmp_path, 100)
    Path(files[61][0]).unlink()
    read = read_all(files)
    assert len([next(read) for _ in range(61)]) == 61
    with pytest.raises(SourceError, match=r"61\.JPEG' cannot be read: No such file"):
        next(read)


@both_ways
@pytest.mark.parametrize(("change", "said"), [(b"longer", "more than 100"), (None, "has 99 now")])
def test_a_file_of_another_size_is_an_error(
    tmp_path: Path, change: bytes | None, said: str, read_all: Read
):
    [(path, size)] = files_in(tmp_path, 1)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data + change if change else data[:-1])
    with pytest.raises(SourceError, match=said):
        list(read_all([(path, size)]))


@both_ways
def test_slow_files_are_read_by_threads_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_all: Read
):
    files = files_in(tmp_path, 60)
    read_by: list[str] = []
    really_open = os.open

    def slow(path: str, *arguments: Any, **named: Any) -> int:
        read_by.append(threading.current_thread().name)
        time.sleep(0.002)
        return really_open(path, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", slow)
        found = list(read_all(files))
    assert found == [Path(path).read_bytes() for path, _ in files]
    assert len(read_by) == len(files)
    assert len(set(read_by)) > 2


def test_little_is_read_ahead_and_nothing_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = files_in(tmp_path, 20, size=3 << 20)
    opened: list[str] = []
    really_open = os.open

    def counted(path: str, *arguments: Any, **named: Any) -> int:
        opened.append(path)
        return really_open(path, *arguments, **named)

    monkeypatch.setattr(os, "open", counted)
    monkeypatch.setattr(whole_files, "_SLOW_FILES", 0)  # As if they were slow from the first on.
    read = read_ahead(files)
    next(read)
    next(read)
    read.close()
    assert len(opened) <= 16, "45 MB and a share"
    assert not [each for each in threading.enumerate() if "ThreadPool" in each.name]
