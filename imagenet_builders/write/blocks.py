"""Memory that images are read to until they are written, and that is used again for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_BLOCK_BYTES = 1 << 20


class Blocks:
    """Blocks of memory, each for some images; a larger image has memory of its own."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []
        self._full: list[np.ndarray] = []
        self._block: np.ndarray | None = None
        self._taken = 0

    def take(self, size: int) -> np.ndarray:
        """Memory for an image, uint8 of shape (size,)."""
        import numpy as np

        if size > _BLOCK_BYTES:
            return np.empty(size, np.uint8)
        if self._block is None or self._taken + size > _BLOCK_BYTES:
            if self._block is not None:
                self._full.append(self._block)
            self._block = self._free.pop() if self._free else np.empty(_BLOCK_BYTES, np.uint8)
            self._taken = 0
        start = self._taken
        self._taken += size
        return self._block[start : start + size]

    def give_back(self) -> None:
        """Gives back all that was taken but the last; nobody looks at it any more."""
        self._free += self._full
        self._full = []
