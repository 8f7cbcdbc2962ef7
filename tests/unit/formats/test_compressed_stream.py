"""Streams of every compression: whole, in parts, cut off, flipped."""

from __future__ import annotations

import io
import random

import pytest
from support.corpora.layouts import packed

from imagenet_builders.formats import compressed_stream
from imagenet_builders.formats.compressed_stream import format_of, pieces
from imagenet_builders.formats.gzip_stream import StreamError

FORMS = ["gzip", "bzip2", "xz", "zstd"]
CONTENT = random.Random(0).randbytes(300_000) + bytes(200_000)


def unpacked(data: bytes) -> bytes:
    form = format_of(data)
    assert form is not None
    return b"".join(pieces(io.BytesIO(data).read, form))


@pytest.mark.parametrize("form", FORMS)
def test_content_comes_back_in_bounded_pieces(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed_stream, "READ_BYTES", 1000)
    monkeypatch.setattr(compressed_stream, "PIECE_BYTES", 4096)
    data = packed(CONTENT, form)
    assert format_of(data[:8]) == form
    assert unpacked(data) == CONTENT
    if form != "gzip":  # Which has its own bounds, and its own tests.
        assert max(map(len, pieces(io.BytesIO(data).read, form))) <= 4096


@pytest.mark.parametrize("form", FORMS)
def test_several_streams_are_one_and_what_is_empty_is_nothing(form: str) -> None:
    parts = [CONTENT[:1000], b"", CONTENT[1000:]]
    assert unpacked(b"".join(packed(part, form) for part in parts)) == CONTENT
    assert unpacked(packed(b"", form)) == b""


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
def test_zeros_behind_a_stream_are_padding(form: str) -> None:
    assert unpacked(packed(CONTENT, form) + bytes(10_000)) == CONTENT


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("left", [20, 1000, -1, -20])
def test_a_stream_that_is_cut_off_is_an_error(form: str, left: int) -> None:
    with pytest.raises(StreamError, match="cut off"):
        unpacked(packed(CONTENT, form)[:left])


@pytest.mark.parametrize("form", FORMS)
def test_other_data_behind_a_stream_are_an_error(form: str) -> None:
    with pytest.raises(StreamError):
        unpacked(packed(CONTENT, form) + b"something else that was appended")


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_byte_is_an_error(form: str, seed: int) -> None:
    data = bytearray(packed(CONTENT, form))
    rng = random.Random(seed)
    data[rng.randrange(12, len(data))] ^= 1 << rng.randrange(8)
    with pytest.raises(StreamError):
        unpacked(bytes(data))


def test_what_is_not_compressed_has_no_format() -> None:
    assert format_of(b"") is None
    assert format_of(b"PK\3\4") is None
    assert format_of(bytes(512)) is None
