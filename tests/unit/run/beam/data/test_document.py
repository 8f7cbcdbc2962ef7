"""Documents: what was written is read, and what is no document is refused without a trace."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builders.run.beam.data.document import MOST_DEFLATED, DocumentError, Reader, Writer

MAGIC = Writer().finish(None)[:8]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(structure=JSON, parts=st.lists(st.binary()))
def test_what_is_written_is_read(structure: object, parts: list[bytes]) -> None:
    out = Writer()
    sizes = [out.add(part) for part in parts]
    read = Reader(out.finish([structure, sizes]))
    assert read.structure == [structure, sizes]
    assert [bytes(read.take(size)) for size in sizes] == parts
    read.finish()


def test_names_of_files_that_are_no_text_are_read_as_they_were() -> None:
    name = "a\udcff\udc80\U0001f600"
    assert Reader(Writer().finish(name)).structure == name


def test_repetitive_structures_are_small_and_the_most_repetitive_are_stored_as_they_are() -> None:
    names = [f"/data/imagenet21k_winter21/n{number:08}.tar" for number in range(5000)]
    assert len(Writer().finish(names)) < 20 * len(names)
    zeros = [0] * 500_000
    assert len(Writer().finish(zeros)) > 1_000_000 / MOST_DEFLATED
    assert Reader(Writer().finish(zeros)).structure == zeros


@given(data=st.binary(), cut=st.integers(0, 200))
def test_damaged_documents_are_refused(data: bytes, cut: int) -> None:
    whole = Writer().finish({"numbers": list(range(20))})
    for each in (data, MAGIC + data, whole[: min(cut, len(whole) - 1)]):
        with pytest.raises(DocumentError):
            Reader(each).finish()


def stored(text: bytes, plain: int, length: int | None = None) -> bytes:
    return MAGIC + struct.pack("<QQ", len(text) if length is None else length, plain) + text


BOMB = zlib.compress(b" " * (64 << 20), 9)

HOSTILE = {
    "a bomb with its true length": stored(BOMB, 64 << 20),
    "a bomb that says less": stored(BOMB, 40 * len(BOMB)),
    "more than there is": stored(b"[]", 2, 1 << 62),
    "less JSON than stored": stored(b"[1]", 2),
    "deep": stored(b"[" * 100_000, 100_000),
    "a number of ten thousand digits": stored(b"1" * 10_000, 10_000),
    "no JSON": stored(b"{,}", 3),
    "no text": stored(b'"\xff"', 3),
    "no deflated data": stored(b"abc", 9),
    "deflated data and more": stored(zlib.compress(b"[" + b"1," * 50 + b"1]") + b"?", 103),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_refused_and_take_no_memory(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError):
            Reader(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 100 * len(HOSTILE[name]) + (1 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [-1, 4, 1 << 80, True, 1.0, "1", None])
def test_bytes_that_are_not_there_are_not_taken(size: object) -> None:
    out = Writer()
    out.add(b"abc")
    with pytest.raises(DocumentError, match="more bytes than it has"):
        Reader(out.finish(None)).take(size)


def test_bytes_that_are_left_are_an_error() -> None:
    with pytest.raises(DocumentError, match="does not count"):
        Reader(Writer().finish(None) + b"x").finish()


@pytest.mark.parametrize("number", [0, -1, 5, True, "0"])
def test_a_value_that_is_not_in_it_is_not_recalled(number: object) -> None:
    with pytest.raises(DocumentError, match="not in it"):
        Reader(Writer().finish(json.loads("[]"))).recall(number)
