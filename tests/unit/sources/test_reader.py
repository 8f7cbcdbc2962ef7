"""Reading rows from more files than may be open at a time."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from support.processes import run_python

from imagenet_builders.errors import SourceError
from imagenet_builders.sources import reader as reader_lib
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import Rows, SourceFile


@pytest.fixture
def files(tmp_path: Path) -> list[SourceFile]:
    for number in range(40):
        (tmp_path / f"{number}.tar").write_bytes(b"%03d" % number * 100)
    return [SourceFile.of(tmp_path / f"{number}.tar") for number in range(40)]


@pytest.fixture
def low_limit() -> Iterator[None]:
    """A limit on open files that allows 20 of ours."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_no_more_files_are_open_than_a_third_of_the_limit(
    files: list[SourceFile], low_limit: None, monkeypatch: pytest.MonkeyPatch
):
    before = open_files()
    with Reader(files) as reader:
        for number in [*range(40), *range(0, 40, 3), 39, 0]:
            assert reader.read(number, 3, 3) == b"%03d" % number
        assert open_files() - before == 20
    assert open_files() == before


def test_a_file_in_use_is_not_the_one_that_is_closed(files: list[SourceFile], low_limit: None):
    with Reader(files) as reader:
        first = reader.open(0)
        for number in range(1, 40):
            reader.open(number)
            assert reader.open(0) == first


def test_a_file_that_changed_is_an_error_when_it_is_first_read(files: list[SourceFile]):
    os.utime(files[1].path, ns=(1, 1))
    with Reader(files) as reader:
        reader.read(0, 0, 3)
        with pytest.raises(SourceError, match=r"1\.tar: the file changed after it was indexed"):
            reader.read(1, 0, 3)


def test_a_file_that_was_replaced_is_noticed_when_it_is_opened_again(
    files: list[SourceFile], low_limit: None
):
    with Reader(files) as reader:
        for number in range(40):
            reader.read(number, 0, 3)
        Path(files[0].path).write_bytes(b"another")
        with pytest.raises(SourceError, match=r"0\.tar: the file changed"):
            reader.read(0, 0, 3)


def test_files_stay_open_between_readers_on_request(
    files: list[SourceFile], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reader_lib, "_kept", reader_lib._Kept())
    with Reader(files) as reader:
        opened = [reader.open(number) for number in range(40)]
    with Reader(files[::-1]) as reader:
        assert [reader.open(number) for number in range(40)] == opened[::-1]
        # Each reader checks what it reads, though the file is open already.
    os.utime(files[0].path, ns=(1, 1))
    with Reader(files) as reader, pytest.raises(SourceError, match="changed"):
        reader.open(0)
    assert reader_lib._kept is not None
    reader_lib._kept.descriptors.close()


def test_a_worker_raises_its_limit_to_the_maximum():
    said = run_python(
        "import resource\n"
        "from imagenet_builders.sources.reader import keep_files_open\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "hard = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))\n"
        "keep_files_open()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard)\n"
    )
    assert said.strip() == "True"


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Places of files that are not in memory; to read them must wait."""
    missing: set[int] = set()

    def preadv(fd: int, buffers: object, offset: int, flags: int = 0) -> int:
        assert flags == os.RWF_NOWAIT
        if offset in missing:
            raise BlockingIOError
        return 1

    monkeypatch.setattr(os, "preadv", preadv)
    return missing


def rows_of(files: list[SourceFile], sizes: list[int]) -> pa.Table:
    rows = Rows()
    for number, size in enumerate(sizes):
        rows.add(str(number), 0, number % len(files), 1000 - number, size)
    return rows.table()


def test_storage_is_not_asked_for_what_is_in_memory(
    files: list[SourceFile], in_memory: set[int]
) -> None:
    rows = rows_of(files, [7] * 1000)
    expected = sorted((number % 40, 1000 - number, 7) for number in range(1000))
    with Reader(files) as reader:
        assert not len(reader.ranges(rows))
        in_memory.add(1006)  # Where the first image ends.
        assert list(map(tuple, reader.ranges(rows).tolist())) == expected
        in_memory.clear()
        in_memory.update(range(40, 80))
        assert list(map(tuple, reader.ranges(rows).tolist())) == expected
        assert not len(reader.ranges(rows.slice(0, 0)))


def test_storage_is_asked_where_nobody_says_what_is_in_memory(
    files: list[SourceFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(files, [3, 0])
    expected = [(0, 1000, 3), (1, 999, 0)]
    unsupported = OSError(errno.EOPNOTSUPP, "Operation not supported")
    # As Python says it where the C library is older than the kernel's headers.
    unavailable = NotImplementedError("preadv2: flags unavailable on this platform")
    errors = iter([unsupported, unavailable])

    def preadv(*arguments: object) -> int:
        raise next(errors)

    with Reader(files) as reader:
        monkeypatch.setattr(os, "preadv", preadv)
        for _ in range(2):
            assert list(map(tuple, reader.ranges(rows).tolist())) == expected
        monkeypatch.delattr(os, "RWF_NOWAIT")
        assert list(map(tuple, reader.ranges(rows).tolist())) == expected
