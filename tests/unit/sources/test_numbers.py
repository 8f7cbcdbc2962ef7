"""Numbers of columns: whatever their pieces, and without pandas."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from support.processes import run_python

from imagenet_builders.sources.numbers import numbers_of


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float32()], ids=str)
@pytest.mark.parametrize("pieces", [[], [[]], [[1, 2, 3]], [[1], [], [2, 3]]], ids=str)
def test_they_are_those_of_arrow(kind: pa.DataType, pieces: list) -> None:
    column = pa.chunked_array([pa.array(piece, kind) for piece in pieces], kind)
    for part in (column, column.slice(1, 1)):
        found = numbers_of(part)
        assert found.dtype == kind.to_pandas_dtype()
        np.testing.assert_array_equal(found, part.to_numpy())


def test_pandas_is_not_imported() -> None:
    code = (
        "import sys, numpy, pyarrow as pa\n"
        "from imagenet_builders.sources.numbers import numbers_of\n"
        "buffer = pa.py_buffer(numpy.arange(3))\n"
        "array = pa.Array.from_buffers(pa.int64(), 3, [None, buffer])\n"
        "print(numbers_of(pa.chunked_array([array])).tolist(), 'pandas' in sys.modules)"
    )
    assert run_python(code) == "[0, 1, 2] False\n"
