"""Numbers in Arrow columns as NumPy has them, and the other way, without a copy.

PyArrow's own functions for that import pandas wherever it is installed, which takes half a second;
and what needs `pyarrow.compute` waits until that has made a Python function of each of its 280.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}


def number_array(numbers: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Numbers as an Arrow array.

    Args:
        numbers: One-dimensional, of the same width as `kind`.
        kind: The Arrow type.

    Returns:
        The array, which shares their memory.
    """
    import pyarrow as pa

    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def text_array(texts: Sequence[str]) -> pa.Array:
    """Texts as an Arrow array."""
    import numpy as np
    import pyarrow as pa

    encoded = [text.encode() for text in texts]
    ends = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum([len(text) for text in encoded], out=ends[1:])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def list_array(lists: Sequence[Sequence[float]], kind: pa.ListType) -> pa.ListArray:
    """Lists of numbers as an Arrow array."""
    import numpy as np
    import pyarrow as pa

    ends = np.zeros(len(lists) + 1, dtype=np.int32)
    np.cumsum([len(each) for each in lists], out=ends[1:])
    flat = np.fromiter(itertools.chain.from_iterable(lists), _dtype(kind.value_type), ends[-1])
    numbers = number_array(flat, kind.value_type)
    return pa.ListArray.from_arrays(number_array(ends, pa.int32()), numbers)


def numbers_in(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The numbers of a column in which none is missing.

    Args:
        column: Integers or floating-point numbers.

    Returns:
        One-dimensional, of the same type, and not to be written to.
    """
    import numpy as np

    parts = [_numbers(each) for each in getattr(column, "chunks", [column])]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([*parts, np.empty(0, _dtype(column.type))], dtype=_dtype(column.type))


def texts_in(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The texts of a column in which none is missing.

    Args:
        column: Strings.

    Returns:
        The UTF-8 of all of them, one after the other, uint8; and how many bytes each has, int64.
    """
    import numpy as np
    import pyarrow as pa

    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    assert array.null_count == 0
    assert array.type == pa.string()
    _, ends, data = array.buffers()
    if not len(array) or data is None:
        return np.empty(0, np.uint8), np.zeros(len(array), np.int64)
    places = np.frombuffer(ends, np.int32, len(array) + 1, 4 * array.offset).astype(np.int64)
    texts = np.frombuffer(data, np.uint8, places[-1] - places[0], places[0])
    return texts, np.diff(places)


def text_sizes(column: pa.ChunkedArray) -> np.ndarray:
    """How many bytes each text of a column has in which none is missing, int64."""
    import numpy as np

    parts = [np.empty(0, np.int64)]
    for array in column.chunks:
        assert array.null_count == 0
        assert str(array.type) == "string"
        ends = array.buffers()[1]
        if len(array):
            places = np.frombuffer(ends, np.int32, len(array) + 1, 4 * array.offset)
            parts.append((places[1:] - places[:-1]).astype(np.int64))
    return np.concatenate(parts)


def rows_at(table: pa.Table, places: np.ndarray) -> pa.Table:
    """Rows of a table, as `Table.take` gives them.

    Args:
        table: The table.
        places: Their places in it, in the order wanted, int64.
    """
    import pyarrow as pa
    from pyarrow import _compute  # Without `pyarrow.compute`, which takes 30 ms to import.

    taken: pa.Table = _compute.call_function("take", [table, number_array(places, pa.int64())])
    return taken


def _numbers(array: pa.Array) -> np.ndarray:
    import numpy as np

    assert array.null_count == 0
    dtype = _dtype(array.type)
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)


def _dtype(kind: pa.DataType) -> np.dtype:
    import numpy as np

    return np.dtype(_NAMES.get(str(kind), str(kind)))
