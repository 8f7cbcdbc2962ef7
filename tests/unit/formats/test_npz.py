"""Arrays in npz files are read as NumPy reads them; nothing is unpickled or trusted."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import npz

DATA = np.arange(60, dtype=np.uint8).reshape(5, 12)
LABELS = np.arange(1, 6)


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def header(text: str, body: bytes = b"", length: int | None = None) -> bytes:
    """An npy file with any text for its header."""
    size = len(text) if length is None else length
    return b"\x93NUMPY\1\0" + struct.pack("<H", size) + text.encode() + body


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path / "batch.npz", "w", method) as made:
        for name, data in members.items():
            made.writestr(f"{name}.npy", data)
    return path / "batch.npz"


def load(path: Path, *names: str) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        found = npz.find_arrays(file.fileno(), str(path), names)
        return {
            name: npz.read_array(file.fileno(), str(path), array) for name, array in found.items()
        }


def refused(path: Path, data: bytes, method: int = zipfile.ZIP_STORED) -> str:
    with pytest.raises(ArchiveError) as caught:
        load(archive(path, {"data": data}, method), "data")
    assert "data.npy" in str(caught.value)
    return caught.value.problem


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "array",
    [
        DATA,
        LABELS,
        LABELS.astype(">i2"),
        LABELS.astype("<u8"),
        np.linspace(0, 1, 7),
        np.linspace(0, 1, 7, dtype=np.float16),
        np.array([True, False]),
        np.zeros((0, 12), np.uint8),
        np.array(7),
        np.asfortranarray(np.arange(5)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_are_those_numpy_reads(tmp_path: Path, save, array: np.ndarray):
    path = tmp_path / "saved.npz"
    save(path, other=LABELS, data=array)
    [found] = load(path, "data").values()
    with np.load(path, allow_pickle=False) as expected:
        np.testing.assert_array_equal(found, expected["data"])
        assert found.dtype == expected["data"].dtype


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format_are_read(tmp_path: Path, version: tuple[int, int]):
    path = archive(tmp_path, {"data": npy(DATA, version)})
    np.testing.assert_array_equal(load(path, "data")["data"], DATA)


def test_a_stored_array_is_a_range_of_bytes_of_the_file(tmp_path: Path):
    path = archive(tmp_path, {"labels": npy(LABELS), "data": npy(DATA)})
    with open(path, "rb") as file:
        array = npz.find_arrays(file.fileno(), str(path), ["data"])["data"]
        assert array.is_stored
        assert os.pread(file.fileno(), array.size, array.offset) == DATA.tobytes()


def test_a_header_as_python_2_wrote_it_is_read(tmp_path: Path):
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (5L, 12L), }"
    path = archive(tmp_path, {"data": header(text, DATA.tobytes())})
    np.testing.assert_array_equal(load(path, "data")["data"], DATA)


def test_a_missing_array_is_named(tmp_path: Path):
    path = archive(tmp_path, {"data": npy(DATA)})
    with pytest.raises(ArchiveError, match=r"expected an array 'labels', found data\.npy"):
        load(path, "labels")


class Harmful:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (os.putenv, ("UNPICKLED", "1"))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_pickled_object_is_refused_and_not_loaded(
    tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pickle, "loads", lambda *_: pytest.fail("unpickled"))
    monkeypatch.setattr(pickle, "load", lambda *_: pytest.fail("unpickled"))
    data = npy(np.array([Harmful()], dtype=object))
    assert "pickled Python objects" in refused(tmp_path, data, method)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(2, dtype=[("r", "u1"), ("g", "u1")]),
        np.array(["a", "b"]),
        np.array([b"a"]),
        np.array([1j]),
        np.array(["2017-07-27"], dtype="datetime64[D]"),
        np.zeros(2, dtype="V3"),
    ],
    ids=lambda array: array.dtype.str,
)
def test_arrays_of_other_types_than_numbers_are_refused(tmp_path: Path, array: np.ndarray):
    assert "expected numbers, found an array (dtype" in refused(tmp_path, npy(array))


def test_fortran_order_is_refused(tmp_path: Path):
    assert "numpy.ascontiguousarray" in refused(tmp_path, npy(np.asfortranarray(DATA)))


@pytest.mark.parametrize(
    "shape", ["(5, 13)", "(4, 12)", "(1000000000, 12288)", "(9999999999999999999, 9999999999)"]
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_header_that_claims_another_size_is_refused_without_memory(
    tmp_path: Path, shape: str, method: int
):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    tracemalloc.start()
    problem = refused(tmp_path, header(text, DATA.tobytes()), method)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "bytes, but 60 bytes are there" in problem
    assert peak < 4 << 20


@pytest.mark.parametrize(
    "data",
    {
        "nothing": b"",
        "text": b"not an array",
        "another version": b"\x93NUMPY\x09\0" + bytes(100),
        "no length": b"\x93NUMPY\1\0",
        "a length beyond the end": header("{}", length=5000),
        "a length beyond all reason": b"\x93NUMPY\2\0" + b"\xff\xff\xff\x7f" + bytes(100),
        "no dictionary": header("data"),
        "an expression": header("{'descr': '|u1', 'fortran_order': False, 'shape': (2**70,), }"),
        "a negative length": header("{'descr': '|u1', 'fortran_order': False, 'shape': (-5, 12)}"),
        "no number": header("{'descr': '|u1', 'fortran_order': False, 'shape': (,,), }"),
        "too many dimensions": header(
            "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1," * 70 + "), }", b"0"
        ),
        "deep nesting": header("(" * 9000),
        "a tower of signs": header("{'descr': '|u1', 'shape': " + "-" * 9000 + "1}"),
        "a sum without end": header("{'descr': '|u1', 'shape': " + "1+" * 4900 + "1}"),
        "a number for a type": header("{'descr': 5, 'fortran_order': False, 'shape': (2,), }"),
        "a type as large as it says": header(
            "{'descr': '(999999999,)u1', 'fortran_order': False, 'shape': (2,), }"
        ),
        "digits": header("{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1" * 9000),
        "an unknown width": header("{'descr': '<i3', 'fortran_order': False, 'shape': (2,), }"),
        "a wide boolean": header("{'descr': '|b2', 'fortran_order': False, 'shape': (2,), }"),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_anything_but_a_plain_array_is_refused(tmp_path: Path, data: tuple[str, bytes]):
    assert "expected" in refused(tmp_path, data[1])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_changed_byte_of_an_array_is_found(tmp_path: Path, method: int):
    path = archive(tmp_path, {"data": npy(np.arange(1000, dtype=np.uint8))}, method)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"data\.npy"):
        load(path, "data")


def saved(save) -> bytes:
    stream = io.BytesIO()
    save(stream, data=DATA, labels=LABELS)
    return stream.getvalue()


KINDS = {"stored": saved(np.savez), "deflated": saved(np.savez_compressed)}


@settings(
    max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    flips=st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), max_size=3),
    cut=st.one_of(st.none(), st.integers(0, 5000)),
)
def test_damage_is_found_or_does_not_matter(tmp_path: Path, kind: str, flips, cut):
    whole = KINDS[kind]
    data = bytearray(whole[: None if cut is None else cut % (len(whole) + 1)])
    for where, change in flips:
        if data:
            data[where % len(data)] ^= change
    path = tmp_path / "batch.npz"
    path.write_bytes(data)
    with contextlib.suppress(ArchiveError):
        found = load(path, "data", "labels")
        np.testing.assert_array_equal(found["data"], DATA)
        np.testing.assert_array_equal(found["labels"], LABELS)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    descr=st.sampled_from(["'|u1'", "'<u2'", "'u1'", "'<i1'", "'>i2'", "'|b1'", "'|O'", "u1", ""]),
    order=st.sampled_from(["False", "True", "0", ""]),
    shape=st.text(st.sampled_from("(0123 ,)L-\n"), max_size=9),
    space=st.sampled_from(["", " ", "\n", "  \n"]),
)
def test_a_header_is_refused_or_read_as_numpy_reads_it(
    tmp_path: Path, descr: str, order: str, shape: str, space: str
):
    text = (
        f"{{'descr':{space}{descr}, 'fortran_order': {order}, 'shape': ({shape}),{space}}}{space}"
    )
    data = header(text, b"\1\0\1\0\1\0")
    try:
        found = load(archive(tmp_path, {"data": data}), "data")["data"]
    except ArchiveError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of what Python 2 wrote.
        expected = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
