"""Whether parts of files are in memory, where to read them takes no waiting."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

    _Parts = TypeVar("_Parts", Sequence[Any], np.ndarray)

# So many tell of all, or a few more.
_PROBED = 64


def some_of(parts: _Parts) -> _Parts:
    """Some parts, from all over, which tell whether all are in memory; all of them if few."""
    return parts[:: max(1, len(parts) // _PROBED)]


def are_in_memory(places: Iterable[tuple[int, int]]) -> bool:
    """Whether bytes can be read without waiting for storage; False if nobody tells.

    Args:
        places: The descriptor of a file, and an offset in it, of each byte.
    """
    if not hasattr(os, "RWF_NOWAIT"):
        return False
    byte = (bytearray(1),)
    try:
        return all(os.preadv(fd, byte, offset, os.RWF_NOWAIT) for fd, offset in places)
    except (OSError, NotImplementedError):
        # It is not, or file system or C library do not say; or cannot be read at all.
        return False
