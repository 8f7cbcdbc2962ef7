"""Numbers in the columns of rows, for NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """The numbers in a column without nulls; not copied where they are in one piece.

    Arrow's own `to_numpy` imports pandas, which takes a second.

    Args:
        column: Integers or floats.
    """
    import numpy as np
    import pyarrow as pa

    array = column.combine_chunks()
    kind = "f" if pa.types.is_floating(array.type) else "i"
    dtype = np.dtype(f"{kind}{array.type.bit_width // 8}")
    if not len(array):
        return np.empty(0, dtype)
    numbers = np.frombuffer(array.buffers()[1], dtype)
    return numbers[array.offset : array.offset + len(array)]
