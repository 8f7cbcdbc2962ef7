"""Numbers that Arrow and NumPy share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import DUMMY_DATA
from support.processes import run_python

from imagenet_builders.sources.columns import (
    list_array,
    number_array,
    numbers_in,
    rows_at,
    text_array,
    text_sizes,
)

KINDS = [pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_numbers_of_every_kind_come_back(kind: pa.DataType) -> None:
    for column in (
        pa.array([1, 2, 3, 100], kind),
        pa.array([9, 9, 1, 2, 3, 100, 9], kind)[2:6],
        pa.chunked_array([pa.array([9, 1, 2], kind)[1:], pa.array([3, 100], kind)]),
        pa.chunked_array([pa.array([1, 2, 3, 100], kind)]),
    ):
        found = numbers_in(column)
        assert found.tolist() == [1, 2, 3, 100]
        assert found.dtype == column.to_numpy().dtype
        assert number_array(found, kind).equals(pa.array([1, 2, 3, 100], kind))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_there_may_be_none(kind: pa.DataType) -> None:
    columns = (pa.array([], kind), pa.chunked_array([], kind), pa.chunked_array([[], []], kind))
    for column in columns:
        found = numbers_in(column)
        assert found.shape == (0,)
        assert number_array(found, kind).equals(pa.array([], kind))


def test_memory_is_shared() -> None:
    numbers = np.arange(1000)
    array = number_array(numbers, pa.int64())
    numbers[5] = 77
    assert array[5].as_py() == 77
    assert np.shares_memory(numbers_in(array), numbers)


def test_pandas_is_not_imported() -> None:
    """It is of no use here, and takes longer than all else that a worker imports."""
    said = run_python(
        "import sys, numpy as np, pyarrow as pa\n"
        "from imagenet_builders.sources.columns import number_array, numbers_in\n"
        "column = pa.chunked_array([number_array(np.arange(3), pa.int64())])\n"
        "print(numbers_in(column).tolist(), 'pandas' in sys.modules)"
    )
    assert said.split("\n")[0] == "[0, 1, 2] False"


def test_a_build_of_images_does_not_wait_for_the_functions_of_arrow(tmp_path: Path) -> None:
    said = run_python(
        "import sys\n"
        "from imagenet_builders.cli import main\n"
        f"status = main(['build', 'imagenet2012', '--manual-dir', '{DUMMY_DATA / 'imagenet2012'}',"
        f" '--data-dir', '{tmp_path}', '--workers', '1'])\n"
        "print(status, 'pyarrow.compute' in sys.modules)"
    )
    assert said.splitlines()[-1] == "0 False"


def test_texts_become_strings_and_lists_lists_of_numbers() -> None:
    assert text_array(["", "é", "n01440764"]).to_pylist() == ["", "é", "n01440764"]
    floats, none = pa.list_(pa.float32()), pa.list_(pa.int32())
    assert list_array([[0.5, 1], [], [2]], floats).equals(pa.array([[0.5, 1], [], [2]], floats))
    assert list_array([[], []], none).equals(pa.array([[], []], none))
    assert list_array([], none).equals(pa.array([], none))


TEXTS = st.lists(st.text(max_size=5), max_size=20)


@given(st.lists(TEXTS, max_size=3), st.integers(0, 5))
def test_sizes_of_texts_are_those_that_arrow_gives(parts: list[list[str]], start: int) -> None:
    for column in (
        pa.chunked_array([pa.array(part, pa.string()) for part in parts], pa.string()),
        pa.chunked_array([pa.array(part, pa.string())[start:] for part in parts], pa.string()),
    ):
        sizes = text_sizes(column)
        assert sizes.dtype == np.int64
        assert sizes.tolist() == pc.binary_length(column).to_pylist()


@given(TEXTS.filter(bool), st.data())
def test_rows_are_those_that_arrow_takes(texts: list[str], data: st.DataObject) -> None:
    numbers = range(len(texts))
    table = pa.table(
        {
            "text": texts,
            "number": pa.array(numbers, pa.int32()),
            "list": [[1.5] * number for number in numbers],
        }
    )
    where = data.draw(st.lists(st.integers(0, len(texts) - 1)))
    places = np.array(where, np.int64)
    for one in (table, pa.concat_tables([table.slice(0, 1), table.slice(1)])):
        taken = rows_at(one, places)
        assert taken.equals(one.take(where) if where else one.slice(0, 0))
        assert taken.schema == one.schema
    with pytest.raises(pa.ArrowIndexError):
        rows_at(table, np.array([len(texts)]))


@pytest.mark.parametrize(
    "dataset",
    [
        "imagenet2012",
        "imagenet2012_dogs",
        "imagenet2012_downsampled/8x8",
        "imagenet2012_localization",
        "imagenet21k_winter21/whole",
        "tiny_imagenet",
    ],
)
def test_builds_do_not_import_it_either(tmp_path: Path, dataset: str) -> None:
    manual_dir = DUMMY_DATA / dataset.partition("/")[0]
    said = run_python(
        "import sys\n"
        "from imagenet_builders.cli import main\n"
        f"status = main(['build', '{dataset}', '--manual-dir', '{manual_dir}', '--workers', '1',"
        f" '--data-dir', '{tmp_path}'])\n"
        "print(status, 'pandas' in sys.modules)"
    )
    assert said.splitlines()[-1] == "0 False"
