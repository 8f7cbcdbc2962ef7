r"""Finds the arrays in an npz file, which is a zip of npy files, and never unpickles anything.

Only plain arrays of numbers are read. What the header of an array claims is compared with the bytes
that are there before anything is allocated. An array that is stored uncompressed is a range of
bytes of the file on disk, and can be used where it lies.

Source: the docstring of `numpy/lib/_format_impl.py`.

>>> import tempfile
>>> import numpy as np
>>> with tempfile.TemporaryFile() as file:
...     np.savez(file, data=np.arange(6, dtype=np.uint8).reshape(2, 3), labels=[1, 2])
...     file.flush()
...     found = find_arrays(file.fileno(), "batch.npz", ["data", "labels"])
...     array = found["data"]
...     array.shape, str(array.dtype), os.pread(file.fileno(), array.size, array.offset)
...     read_array(file.fileno(), "batch.npz", found["labels"])
((2, 3), 'uint8', b'\x00\x01\x02\x03\x04\x05')
array([1, 2])
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import signatures, zip_members
from imagenet_builders.formats.zip_members import ZipMember

if TYPE_CHECKING:
    import numpy as np

MAX_HEADER_BYTES = 10_000
"""Bound on the header of an array, NumPy's own; that of a plain array has 128 bytes."""

_PREFIX_BYTES = 12  # Magic, version, and the longer of the two forms of the header's length.
_MOST_DIMENSIONS = 8
_MOST_BYTES_A_NUMBER = 8


class Array(NamedTuple):
    """An array in an npz file.

    Attributes:
        dtype: Type of its elements: booleans, integers or floats.
        shape: Its shape; the elements are in C order.
        start: Where the first element is, from the beginning of the member; see `offset`.
        size: Bytes of the elements.
        member: The npy file that it is in.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    size: int
    member: ZipMember

    @property
    def is_stored(self) -> bool:
        """Whether the elements lie uncompressed in the file on disk."""
        return self.member.method == "stored"

    @property
    def offset(self) -> int:
        """Where the first element of a stored array is, from the beginning of the file on disk."""
        return self.member.offset + self.start


def find_arrays(
    fd: int,
    archive: str,
    names: Iterable[str],
    *,
    start: int = 0,
    end: int | None = None,
    inner: str | None = None,
) -> dict[str, Array]:
    """Finds arrays in an npz file; others in it are not looked at.

    Args:
        fd: Open descriptor of the file on disk.
        archive: Path of that file, for messages.
        names: The arrays' names.
        start: Where the npz file begins in the file on disk.
        end: Where it ends; the end of the file if None.
        inner: Name of the npz file when it is inside another archive, for messages.

    Returns:
        The arrays by name.

    Raises:
        ArchiveError: The npz file is damaged or has no such array, or one that is not a plain array
            of numbers in C order, or one whose header claims another size than is there.
    """
    listed = zip_members.list_members(fd, archive, start=start, end=end, inner=inner)
    members = {member.name: member for member in listed}
    found = {}
    for name in names:
        member = members.get(f"{name}.npy")
        if member is None:
            has = ", ".join(sorted(members)[:10]) or "nothing"
            problem = f"expected an array {name!r}, found {has}; is this the right file?"
            raise ArchiveError(archive, problem, member=inner)
        found[name] = _find_array(fd, archive, member, inner)
    return found


def read_array(fd: int, archive: str, array: Array, *, inner: str | None = None) -> np.ndarray:
    """An array in memory; its bytes are checked against the archive's CRC-32.

    Args:
        fd: Open descriptor of the file on disk.
        archive: Path of that file, for messages.
        array: One of its arrays, whose size the caller has found to be reasonable.
        inner: Name of the npz file when it is inside another archive, for messages.

    Returns:
        The array, read-only.

    Raises:
        ArchiveError: It is damaged.
    """
    import numpy as np

    member = array.member
    data = zip_members.read(fd, archive, member, limit=member.size, inner=inner)
    return np.frombuffer(data, array.dtype, offset=array.start).reshape(array.shape)


def _find_array(fd: int, archive: str, member: ZipMember, inner: str | None) -> Array:
    try:
        start, shape, dtype = _header(_beginning(fd, archive, member, inner))
        # Python's integers do not overflow, whatever the header claims.
        size = math.prod(shape) * dtype.itemsize
        if start + size != member.size:
            raise ValueError(
                f"the header claims an array of shape {shape} and type {dtype}, which is {size:,} "
                f"bytes, but {member.size - start:,} bytes are there"
            )
    except ValueError as error:
        name = member.name if inner is None else f"{inner}/{member.name}"
        raise ArchiveError(archive, str(error), member=name, offset=member.offset) from None
    return Array(dtype, shape, start, size, member)


def _beginning(fd: int, archive: str, member: ZipMember, inner: str | None) -> bytes:
    """The first bytes of a member, as many as a header may have."""
    wanted = _PREFIX_BYTES + MAX_HEADER_BYTES
    if member.method == "stored":
        return os.pread(fd, min(wanted, member.size), member.offset)
    begun = b""
    with contextlib.closing(zip_members.chunks(fd, archive, member, inner=inner)) as chunks:
        for chunk in chunks:
            begun += chunk[: wanted - len(begun)]
            if len(begun) == wanted:
                break
    return begun


def _header(beginning: bytes) -> tuple[int, tuple[int, ...], np.dtype]:
    """Where the elements begin, their array's shape and their type.

    Raises:
        ValueError: This is not the beginning of an npy file of a plain array of numbers.
    """
    from numpy.lib import format as npy

    stream = io.BytesIO(beginning)
    # Version 3 differs in the encoding of names of fields, which a plain array has not.
    readers = {
        (1, 0): npy.read_array_header_1_0,
        (2, 0): npy.read_array_header_2_0,
        (3, 0): npy.read_array_header_2_0,
    }
    try:
        with warnings.catch_warnings(action="ignore"):  # Of what Python 2 wrote.
            read = readers[npy.read_magic(stream)]
            shape, is_fortran, dtype = read(stream, max_header_size=MAX_HEADER_BYTES)
    except Exception as error:  # Nearly any: what stands there is read as a Python literal.
        found = signatures.described(beginning[: signatures.BYTES])
        if found == signatures.NUMPY.name:
            reason = str(error).partition("\n")[0][:100]
            found = f"one with a header that cannot be read ({reason})"
        raise ValueError(f"expected an npy file, found {found}") from None
    if dtype.kind not in "biuf" or dtype.itemsize > _MOST_BYTES_A_NUMBER:
        pickled = " of pickled Python objects, which could run any code" * dtype.hasobject
        raise ValueError(
            f"expected numbers, found an array{pickled} (dtype {str(dtype)[:40]}); such an array "
            "is not read"
        )
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise ValueError(f"expected the shape of an array, found {str(shape)[:80]}")
    if is_fortran and len(shape) > 1:
        raise ValueError(
            "expected an array in C order, found one in Fortran order; save it again with "
            "numpy.ascontiguousarray"
        )
    return stream.tell(), shape, dtype
