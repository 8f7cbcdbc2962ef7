"""The headers of many members of tar archives at once, where all of them are plain files.

`tar` reads archives header by header; this is for who has many headers in memory already, and
leaves to `tar` those that are unusual in any way, or wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagenet_builders.formats.tar_header import BLOCK, GNU_MAGIC

if TYPE_CHECKING:
    import numpy as np

_PLAIN = 0x30  # The type flag "0", and the digit 0.
_SIZE = slice(124, 135)
_CHECKSUM = slice(148, 154)


def plain_file_sizes(blocks: np.ndarray) -> np.ndarray:
    """The sizes in headers; see `tar_header.plain_file_size`.

    Args:
        blocks: A header in each row, uint8.

    Returns:
        int64; -1 where the header is not a sound one of a plain file.
    """
    import numpy as np

    assert blocks.shape[1:] == (BLOCK,)
    sizes, are_sizes = _octal(blocks[:, _SIZE])
    sums, are_sums = _octal(blocks[:, _CHECKSUM])
    recorded = sums - 8 * 0x20 + blocks[:, 148:156].sum(axis=1, dtype=np.int64)
    has_no_prefix = blocks[:, 345] == 0
    is_gnu = (blocks[:, 257:265] == np.frombuffer(GNU_MAGIC, np.uint8)).all(axis=1)
    ends = blocks[:, 135]
    sound = (
        are_sizes
        & are_sums
        & (blocks[:, 154] == 0)
        & (blocks[:, 155] == 0x20)
        & (blocks.sum(axis=1, dtype=np.uint32) == recorded)
        & (blocks.max(axis=1) < 0x80)
        & (blocks[:, 156] == _PLAIN)
        & (blocks[:, 99] == 0)
        & ((ends == 0) | (ends == 0x20))
        & (has_no_prefix | is_gnu)
    )
    return np.where(sound, sizes, -1)


def _octal(fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in octal, and whether they are such."""
    import numpy as np

    digits = fields - np.uint8(_PLAIN)
    powers = 8 ** np.arange(fields.shape[1] - 1, -1, -1, dtype=np.int64)
    return digits.astype(np.int64) @ powers, digits.max(axis=1) < 8
