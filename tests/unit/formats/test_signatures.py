"""Formats are known by their first bytes: those that real tools write."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from imagenet_builders.formats import signatures


def _tar() -> bytes:
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a"))
        return stream.getvalue()


def _zip() -> bytes:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("a", b"b")
        return stream.getvalue()


def _parquet() -> bytes:
    with io.BytesIO() as stream:
        pa.parquet.write_table(pa.table({"a": [1]}), stream)
        return stream.getvalue()


def _npy() -> bytes:
    with io.BytesIO() as stream:
        np.save(stream, np.zeros(3))
        return stream.getvalue()


def _jpeg() -> bytes:
    with io.BytesIO() as stream:
        Image.new("RGB", (8, 8)).save(stream, "JPEG")
        return stream.getvalue()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: gzip.compress(b"a"), "gzip-compressed data"),
        (lambda: bz2.compress(b"a"), "bzip2-compressed data"),
        (lambda: lzma.compress(b"a"), "xz-compressed data"),
        (lambda: pa.compress(b"a" * 99, "zstd", asbytes=True), "zstd-compressed data"),
        (_tar, "a tar archive"),
        (_zip, "a zip archive"),
        (_parquet, "a Parquet file"),
        (_npy, "an array of NumPy"),
        (_jpeg, "a JPEG image"),
        (lambda: pickle.dumps({"a": 1}), "a pickle of Python"),
        (lambda: b"\n<!doctype html>", "a web page, perhaps an error page saved as the archive"),
        (lambda: b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    ],
)
def test_a_format_is_known_by_its_first_bytes(make: Callable[[], bytes], name: str) -> None:
    found = signatures.recognise(make()[: signatures.BYTES])
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("data", [b"", b"ImageNet", bytes(512), b"\x80\xff", b"ustar"])
def test_what_is_not_known_has_no_name(data: bytes) -> None:
    assert signatures.recognise(data) is None
