"""Class tars of imagenet21k_winter21 with real headers and bodies of nothing, made fast.

A header takes a block of the file system, 4 KiB as a rule, which would be 54 GB for 13 million of
them. So members come in fours that share a block: three with a body of at most 512 bytes, then one
that is as large as four images and of which only the header is stored; the rest is a hole.
"""

from __future__ import annotations

import functools
import os
import tarfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

MEMBERS, CLASSES = 13_153_500, 19_167
MEAN_BYTES = 100_000
BYTES_ON_DISK = 1100
"""Of a member, with what the file system keeps to know where it is."""

_LARGEST_CLASS = 3047
_BLOCK, _TAR_BLOCK = 4096, 512
_IN_A_BLOCK = 4
# A large body ends where a block of the file system does, and begins behind seven blocks of tar.
_STORED = 7 * _TAR_BLOCK


def class_sizes(seed: int = 21) -> np.ndarray:
    """Images in each class: 1 to 3,047 and 13,153,500 together, as in the release."""
    rng = np.random.default_rng(seed)
    sizes = np.clip(rng.gamma(2.2, 320, CLASSES), 1, _LARGEST_CLASS).astype(np.int64)
    while missing := MEMBERS - int(sizes.sum()):
        some = rng.permutation(CLASSES)[: abs(missing)]
        sizes[some] = np.clip(sizes[some] + np.sign(missing), 1, _LARGEST_CLASS)
    return sizes


def make(directory: Path, wnids: Sequence[str], sizes: Iterable[int]) -> None:
    """Makes a tar for each class.

    Args:
        directory: An existing directory.
        wnids: The classes.
        sizes: Images in each.
    """
    with ProcessPoolExecutor() as pool:
        one = functools.partial(_make_one, str(directory))
        for _ in pool.map(one, wnids, map(int, sizes), chunksize=64):
            pass


def _make_one(directory: str, wnid: str, count: int) -> None:
    rng = np.random.default_rng(int(wnid[1:]))
    numbers = np.cumsum(rng.integers(1, 40, count))  # With gaps, as in the release.
    names = np.array([f"{wnid}_{number}.JPEG" for number in numbers.tolist()], dtype="S100")
    sizes = rng.integers(1, _TAR_BLOCK, count)
    large = slice(_IN_A_BLOCK - 1, None, _IN_A_BLOCK)
    blocks = rng.integers(10, 2 * _IN_A_BLOCK * MEAN_BYTES // _BLOCK - 10, len(sizes[large]))
    sizes[large] += blocks * _BLOCK
    starts = np.concatenate(([0], np.cumsum((blocks + 1) * _BLOCK)))
    stored = _in_blocks(_headers(names, sizes))
    with open(os.path.join(directory, f"{wnid}.tar"), "wb", buffering=0) as file:
        fd = file.fileno()
        for start, block in zip(starts.tolist(), stored, strict=False):
            os.pwrite(fd, block, start)
        end = int(starts[-1]) + 2 * _TAR_BLOCK * (count % _IN_A_BLOCK)
        # The two blocks of zeros, and as many more as make it a multiple of 10,240 bytes.
        os.ftruncate(fd, -(-(end + 2 * _TAR_BLOCK) // 10240) * 10240)


def _headers(names: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """A GNU header for each member, shape (members, 512)."""
    template = tarfile.TarInfo("n").tobuf(tarfile.GNU_FORMAT)
    headers = np.tile(np.frombuffer(template, np.uint8), (len(names), 1))
    headers[:, :100] = names.view(np.uint8).reshape(len(names), 100)
    headers[:, 124:135] = _octal(sizes, 11)
    headers[:, 148:156] = ord(" ")
    headers[:, 148:154] = _octal(headers.sum(axis=1, dtype=np.int64), 6)
    headers[:, 154] = 0
    return headers


def _octal(numbers: np.ndarray, digits: int) -> np.ndarray:
    shifts = 3 * np.arange(digits - 1, -1, -1)
    return ((numbers[:, None] >> shifts) & 7) + ord("0")


def _in_blocks(headers: np.ndarray) -> list[bytes]:
    """What is stored of each four members: their headers, and zeros for the small bodies."""
    fours = -(-len(headers) // _IN_A_BLOCK)
    stored = np.zeros((fours * _IN_A_BLOCK, 2 * _TAR_BLOCK), np.uint8)
    stored[: len(headers), :_TAR_BLOCK] = headers
    return [block[:_STORED].tobytes() for block in stored.reshape(fours, _BLOCK)]
