"""Whether parts of files are in memory, as some of them tell."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from imagenet_builders.sources.in_memory import are_in_memory, some_of


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_some_are_few_and_from_all_over(count: int):
    some = some_of(range(count))
    assert min(count, 64) <= len(some) < 128
    assert list(some)[:1] == list(range(count))[:1]
    assert count - (some[-1] if some else -1) <= max(1, count // 64)
    assert some_of(np.arange(count)).tolist() == list(some)


def test_all_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    missing = {7}
    preadv = os.preadv

    def read(fd: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        if offset in missing:
            raise BlockingIOError
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", read)
    with open(path, "rb") as file:
        fd = file.fileno()
        assert are_in_memory((fd, offset) for offset in (0, 6, 9))
        assert not are_in_memory((fd, offset) for offset in (0, 7, 9))
        assert not are_in_memory([(fd, 10)])  # There is nothing.
    assert are_in_memory([])


@pytest.mark.parametrize(
    "error", [OSError(errno.EOPNOTSUPP, "not supported"), NotImplementedError("preadv2")]
)
def test_they_are_not_where_nobody_says_so(error: Exception, monkeypatch: pytest.MonkeyPatch):
    def read(*arguments: object) -> int:
        raise error

    monkeypatch.setattr(os, "preadv", read)
    assert not are_in_memory([(0, 0)])
    monkeypatch.delattr(os, "RWF_NOWAIT")
    monkeypatch.setattr(os, "preadv", lambda *arguments: 1)
    assert not are_in_memory([(0, 0)])
