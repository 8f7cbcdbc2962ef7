"""The place of each record in its file, packed in twelve bytes for each."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np

# A record's offset and size, as 64-bit and 32-bit numbers, little-endian.
_FIELDS = [("offset", "<i8"), ("size", "<u4")]
_ITEM_BYTES = 12


@dataclasses.dataclass(frozen=True)
class RecordOffsets:
    """Offset and size of every record of a file, in the order of the records.

    The bytes from the offset on, as many as the size says, are the record itself, without whatever
    frame the file format puts around it.

    Args:
        packed: Twelve bytes for each record.

    >>> import numpy as np
    >>> offsets = RecordOffsets.of(np.array([12, 43]), np.array([15, 7]))
    >>> offsets.offsets.tolist(), offsets.sizes.tolist(), len(offsets)
    ([12, 43], [15, 7], 2)
    """

    packed: bytes

    @classmethod
    def of(cls, offsets: np.ndarray, sizes: np.ndarray) -> Self:
        """From two arrays.

        Args:
            offsets: First byte of each record, integers of shape (records,).
            sizes: Bytes of each record, integers below 2**32 of shape (records,).
        """
        import numpy as np

        table = np.empty(len(offsets), dtype=_FIELDS)
        table["offset"], table["size"] = offsets, sizes
        return cls(table.tobytes())

    def __len__(self) -> int:
        return len(self.packed) // _ITEM_BYTES

    @property
    def offsets(self) -> np.ndarray:
        """First byte of each record, int64 of shape (records,)."""
        return self._table()["offset"]

    @property
    def sizes(self) -> np.ndarray:
        """Bytes of each record, uint32 of shape (records,)."""
        return self._table()["size"]

    def fit(self, records: int, file_bytes: int) -> bool:
        """Whether they can be those of a file: one for each record, in order, none overlapping.

        Args:
            records: Number of records of the file.
            file_bytes: Bytes of the file.
        """
        if len(self.packed) != records * _ITEM_BYTES:
            return False
        if not records:
            return True
        starts, ends = self.offsets, self.offsets + self.sizes
        # Compared one by one, because a difference of two such numbers may be too large for one.
        return bool(
            starts[0] >= 0
            and (starts <= file_bytes).all()
            and (ends <= file_bytes).all()
            and (starts[1:] >= ends[:-1]).all()
        )

    def _table(self) -> np.ndarray:
        import numpy as np

        return np.frombuffer(self.packed, dtype=_FIELDS)
