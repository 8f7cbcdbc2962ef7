"""What storage is asked for before a shard's rows are read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imagenet_builders.sources.reader import RANGES
from imagenet_builders.sources.rows import SourceFile, row_schema
from imagenet_builders.write import shard

GAP = 64 << 10


def asked(
    monkeypatch: pytest.MonkeyPatch, directory: Path, ranges: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """The file, offset and length of each call, for rows in any order."""
    files = []
    for number in range(2):
        path = directory / f"{number}.tar"
        path.write_bytes(b"")
        files.append(SourceFile.of(path))
    shuffled = [ranges[row] for row in np.random.default_rng(0).permutation(len(ranges))]
    file, offset, size = (list(column) for column in zip(*shuffled, strict=True))
    columns = {
        "key": [str(each) for each in shuffled],
        "label": [0] * len(ranges),
        "file": file,
        "offset": offset,
        "size": size,
    }
    calls = []

    def advise(fd: int, start: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        calls.append((int(Path(os.readlink(f"/proc/self/fd/{fd}")).stem), start, length))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    shard.ask_for(pa.table(columns, schema=row_schema()), files, RANGES)
    return calls


def test_ranges_are_asked_for_in_the_order_of_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ranges = [(0, 0, 10), (0, 10 << 20, 500), (0, 90 << 30, 7), (1, 0, 8), (1, 1 << 20, 9)]
    assert asked(monkeypatch, tmp_path, ranges) == ranges


def test_ranges_over_small_gaps_are_asked_for_as_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ranges = [
        (0, 100, 50),
        (0, 120, 30),
        (0, 150 + GAP, 30),
        (0, 181 + 2 * GAP, 5),
        (1, 181 + 2 * GAP, 6),
    ]
    assert asked(monkeypatch, tmp_path, ranges) == [
        (0, 100, 80 + GAP),
        (0, 181 + 2 * GAP, 5),
        (1, 181 + 2 * GAP, 6),
    ]
