"""What keeps a build of 13 million images small: memory a row, and bytes a shard's job ships.

`benchmarks/scale.py` measures the same at full size.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import resource
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builders.plan import index as index_lib
from imagenet_builders.plan.index import Index, IndexCache
from imagenet_builders.plan.plan import SplitPlan, plan_split
from imagenet_builders.sources.rows import Rows, SourceFile, SourceFiles

DIRECTORY = "/shared/datasets/vision/imagenet/imagenet21k/winter21_whole/tars"


def index_of(count: int, files: int) -> Index:
    """Rows that are spread over files, like those of as many class tars."""
    rows = Rows()
    for number in range(count):
        file = number * files // count
        rows.add(f"n{file:08}_{number}.JPEG", file, file, 100_000 * number, 90_000 + number % 7)
    sources = (SourceFile(f"{DIRECTORY}/n{n:08}.tar", 10**8 + n, 10**18 + n) for n in range(files))
    return Index(rows.table(), tuple(sources))


def planned(index: Index, shards: int = 1, *, ignore_duplicates: bool = False) -> SplitPlan:
    return plan_split(
        "train",
        index,
        count_shards=lambda size, examples: shards,
        example_sizes=index.table["size"].to_numpy(),
        ignore_duplicates=ignore_duplicates,
    )


def peak_of(work: Callable[[], object]) -> int:
    """The most that Python and NumPy held at a time, in bytes, while something was done."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_plan_needs_a_hundred_bytes_a_row():
    # Two sizes, because the strings of so many keys exist whatever the number of rows is.
    small, large = (index_of(count, 200) for count in (80_000, 160_000))
    planned(small)  # What is imported on the way is not a matter of rows.
    more = peak_of(lambda: planned(large)) - peak_of(lambda: planned(small))
    assert more < 100 * 80_000


def test_an_index_is_kept_without_another_copy_of_it(tmp_path: Path):
    index = index_of(200_000, 300)
    cache = IndexCache(tmp_path)
    assert peak_of(lambda: cache.save(tmp_path / "index", index)) < index.table.nbytes / 2
    kept = cache.load(tmp_path / "index")
    assert kept == index
    assert kept.table["key"].num_chunks == 1


def test_an_index_that_does_not_fit_on_the_disk_is_not_kept(tmp_path: Path):
    index = index_of(20_000, 300)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What a full disk does, one step later: the write fails after a part of it was done.
    resource.setrlimit(resource.RLIMIT_FSIZE, (index.table.nbytes // 2, hard))
    try:
        assert not IndexCache(tmp_path).save(tmp_path / "index", index)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_only_the_rows_of_a_slice_are_kept(tmp_path: Path):
    index = index_of(20_000, 300)
    part = Index(index.table.slice(5_000, 100), index.files)
    cache = IndexCache(tmp_path)
    assert cache.save(tmp_path / "index", part)
    assert cache.load(tmp_path / "index") == part
    assert len((tmp_path / "index").read_bytes()) < 60_000


def test_many_rows_are_ordered_by_hash_and_the_first_of_equals_is_kept():
    rows = Rows()
    for number in range(40_000):
        rows.add(f"key {number % 30_000}", number, 0, 0, 1)
    plan = planned(Index(rows.table(), ()), ignore_duplicates=True)
    hashes = [hashlib.md5(f"trainkey {number}".encode()).digest() for number in range(30_000)]
    expected = sorted(range(30_000), key=hashes.__getitem__)
    assert plan.rows["label"].to_pylist() == expected


def test_the_job_of_a_shard_of_thousands_of_files_is_small():
    """As many rows, and files, as one of the 2,048 shards of all of ImageNet-21k."""
    plan = planned(index_of(6_422 * 3, 19_167), shards=3)
    rows, files = plan.shard(1)
    assert len(files) > 5_000
    shipped = pickle.dumps((index_lib.to_bytes(rows), files))
    assert len(shipped) < 80 * rows.num_rows
    stream, arrived = pickle.loads(shipped)
    table = index_lib.from_bytes(stream)
    assert (table, arrived) == (rows, files)
    # Each row's file is its class's, as its name says.
    paths = [arrived[file].path for file in table["file"].to_pylist()]
    names = [key.partition("_")[0] for key in table["key"].to_pylist()]
    assert [os.path.basename(path) for path in paths] == [f"{name}.tar" for name in names]


PATHS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
) | st.binary().map(lambda path: os.fsdecode(path.replace(b"\0", b"")))
SOURCE_FILES = st.builds(
    SourceFile, PATHS.map("/".__add__), st.integers(0, 2**63 - 1), st.integers(-(2**63), 2**64)
)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@given(files=st.lists(SOURCE_FILES, max_size=9))
def test_source_files_are_pickled_unchanged(protocol, files):
    arrived = pickle.loads(pickle.dumps(SourceFiles(files), protocol))
    assert isinstance(arrived, SourceFiles)
    assert arrived == tuple(files)


def test_sizes_of_serialized_examples_do_not_depend_on_their_neighbours():
    """The largest number says how many bytes are looked at, of all numbers."""
    from imagenet_builders.formats.tfrecord.example import bytes_value_sizes, int_value_sizes

    numbers = np.array([0, 1, 127, 128, 16_383, 16_384, 2**21 - 1, 2**21, 2**31, 2**62])
    for sizes_of in (bytes_value_sizes, int_value_sizes):
        alone = np.concatenate([sizes_of(numbers[i : i + 1]) for i in range(len(numbers))])
        assert sizes_of(numbers).tolist() == alone.tolist()


def test_sizes_of_examples_are_the_same_when_computed_in_parts(monkeypatch):
    from imagenet_builders.datasets.ilsvrc2012 import examples

    index = index_of(1_000, 30)
    at_once = examples.example_sizes(index)
    monkeypatch.setattr(examples, "_ROWS_AT_A_TIME", 7)
    assert examples.example_sizes(index).tolist() == at_once.tolist()
