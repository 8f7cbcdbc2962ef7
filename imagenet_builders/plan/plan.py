"""The plan of a split: its rows in TensorFlow Datasets' order, cut into its shards.

It is a pure function of the index, made without reading an image. TensorFlow Datasets sorts records
by the MD5 of split name and key (`core/hashing.py`, `core/shuffle.py`) and derives the number of
shards from the records' total size and count (`core/utils/shard_utils.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from imagenet_builders.errors import SourceError
from imagenet_builders.plan.index import Index
from imagenet_builders.sources import duplicates
from imagenet_builders.sources.columns import number_array, numbers_in, rows_at
from imagenet_builders.sources.reader import Access
from imagenet_builders.sources.rows import SourceFile, SourceFiles
from imagenet_builders.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

ShardCounter = Callable[[int, int], int]
"""From the total size of the serialized examples in bytes, and their number, to a shard count."""

# The number of keys that are Python strings at a time; 13 million would take a gigabyte.
_KEYS_AT_A_TIME = 1 << 14


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """The rows of a split, and their cut into shards.

    Attributes:
        split: Name of the split.
        rows: All rows, in the order of the records.
        files: The files that the rows point into.
        ends: For each shard, the number of rows up to its end.
        access: How the rows are read.
        made_with: As in the split's recipe.
    """

    split: str
    rows: pa.Table
    files: tuple[SourceFile, ...]
    ends: tuple[int, ...]
    access: Access
    made_with: Mapping[str, str | int] = dataclasses.field(default_factory=dict)

    @property
    def shard_count(self) -> int:
        """Number of shards."""
        return len(self.ends)

    def shard_sizes(self) -> list[int]:
        """Bytes of the staged images of each shard."""
        total = np.concatenate(([0], np.cumsum(numbers_in(self.rows["size"]), dtype=np.int64)))
        sizes: list[int] = np.diff(total[[0, *self.ends]]).tolist()
        return sizes

    def shard(self, number: int) -> tuple[pa.Table, SourceFiles]:
        """The rows of one shard and the files that these point into.

        Args:
            number: The shard, counted from 0.

        Returns:
            The rows, whose column `file` counts the returned files.
        """
        import pyarrow as pa

        start = self.ends[number - 1] if number else 0
        rows = self.rows.slice(start, self.ends[number] - start)
        used, file = np.unique(numbers_in(rows["file"]), return_inverse=True)
        column = number_array(file.astype(np.int32), pa.int32())
        rows = rows.set_column(
            rows.schema.get_field_index("file"), rows.schema.field("file"), column
        )
        return rows, SourceFiles(self.files[which] for which in used.tolist())


def plan_split(
    split: str,
    index: Index,
    *,
    count_shards: ShardCounter,
    example_sizes: np.ndarray,
    max_examples: int | None = None,
    ignore_duplicates: bool = False,
    made_with: Mapping[str, str | int] | None = None,
) -> SplitPlan:
    """Puts the rows of an index in order and cuts them into shards.

    Args:
        split: Name of the split; it salts the hash.
        index: The rows, in the order of the source.
        count_shards: Gives the number of shards.
        example_sizes: Bytes of each serialized example, by row of the index, shape (rows,).
        max_examples: Number of rows to take from the front of the index; None takes all.
        ignore_duplicates: Keep the first of rows with the same key; otherwise they are an error.
        made_with: As in the split's recipe.

    Returns:
        The plan.

    Raises:
        SourceError: Two rows have the same key, or there are no rows.
    """
    table = index.table
    if max_examples is not None:
        table = table.slice(0, max_examples)
        example_sizes = example_sizes[:max_examples]
    if table.num_rows == 0:
        paths = ", ".join(file.path for file in index.files)
        raise SourceError(f"{paths}: there is no image of split {split!r} in it; see what is in it")
    order, same = _hash_order(split, table["key"])
    if same.any():
        if not ignore_duplicates:
            raise _duplicate(index, order, same)
        # The order is stable, so the first of equal keys is the first in the source.
        order = order[np.concatenate(([True], ~same))]
    count = count_shards(int(example_sizes[order].sum()), len(order))
    rows = rows_at(table, order)
    ends = shard_ends(len(order), count)
    return SplitPlan(split, rows, index.files, ends, index.access, made_with or {})


def check_once(split: str, index: Index) -> None:
    """Refuses an index with an image that is there twice, which no plan is made of.

    Raises:
        SourceError: Two rows have the same key.
    """
    order, same = _hash_order(split, index.table["key"])
    if same.any():
        raise _duplicate(index, order, same)


def _duplicate(index: Index, order: np.ndarray, same: np.ndarray) -> SourceError:
    """The error of the first image that is there twice; see `_hash_order`."""
    position = int(np.flatnonzero(same)[0])
    first, second = sorted(order[position : position + 2].tolist())
    key = index.table["key"][first].as_py()
    return duplicates.error(key, index.where(first), index.where(second))


def shard_ends(examples: int, shards: int) -> tuple[int, ...]:
    """Number of examples up to the end of each shard, as TensorFlow Datasets cuts them.

    Source: `get_shard_boundaries` in TensorFlow Datasets' `core/utils/shard_utils.py`.

    Args:
        examples: Number of examples.
        shards: Number of shards; not more than there are examples.

    Returns:
        A number for each shard; the last is `examples`.

    Raises:
        SourceError: There are more shards than examples.

    >>> shard_ends(10, 4)
    (2, 5, 8, 10)
    """
    if shards > examples:
        raise SourceError(
            f"{counted(examples, 'example')} cannot be cut into {counted(shards, 'shard')}; "
            "ask for fewer shards"
        )
    return tuple(round(examples * shard / shards) for shard in range(1, shards + 1))


def _hash_order(salt: str, keys: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the keys in the order of their hashes, and which of them equal the one before.

    Args:
        salt: Goes before each key.
        keys: Strings.

    Returns:
        The positions, shape (keys,), equal hashes in the order of the keys; and a boolean, shape
        (keys - 1,): whether the hash at the next place is the same.
    """
    high, low = _hash_keys(salt, keys)
    # First into buckets of about a thousand by the first bits, then each of them: that takes time
    # in proportion to the rows, where sorting millions at once misses the CPU's caches.
    bits = min(16, max(1, len(keys).bit_length() - 10))
    bucket = (high >> np.uint64(64 - bits)).astype(np.uint16)
    order = np.argsort(bucket, kind="stable")
    high, low = high[order], low[order]
    ends = np.cumsum(np.bincount(bucket, minlength=1 << bits)).tolist()
    for start, end in itertools.pairwise([0, *ends]):
        within = np.lexsort((low[start:end], high[start:end]))
        for column in (order, high, low):
            column[start:end] = column[start:end][within]
    return order, (high[1:] == high[:-1]) & (low[1:] == low[:-1])


def _hash_keys(salt: str, keys: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The upper and lower half of each key's hash."""
    salted = hashlib.md5(salt.encode(), usedforsecurity=False)
    halves = np.empty((2, len(keys)), dtype=np.uint64)
    for start in range(0, len(keys), _KEYS_AT_A_TIME):
        digests = []
        for key in keys.slice(start, _KEYS_AT_A_TIME).to_pylist():
            digest = salted.copy()
            digest.update(key.encode())
            digests.append(digest.digest())
        some = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 2)
        halves[:, start : start + len(some)] = some.T
    return halves[0], halves[1]
