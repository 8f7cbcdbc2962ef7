"""Parses tar headers: fields, checksum, and the bodies of long-name and pax headers.

Nothing here reads a file or remembers the headers before; `tar` does.

Sources: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Interchange Format"; GNU tar's
manual, "Basic Tar Format" and "Storing Sparse Files"; CPython's `tarfile`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import zlib

from imagenet_builders.formats import signatures

BLOCK = 512
GNU_MAGIC = b"ustar  \0"

MAX_PADDING = 1 << 20
"""The zeros that may end any archive: more than tar programs pad with unless they are told to, and
less than a copy into a preallocated file usually leaves when it breaks off."""
_RECORDS = tuple(mebibytes << 20 for mebibytes in (2, 4, 8, 10, 16, 20, 32, 40, 64))
"""Larger records that archives are written in, for tapes and network storage (`tar -b 4096`)."""

NO_END = (
    "compare its size or hash with the original's: if they differ, copy it anew; if not, pack it "
    "anew with tar"
)
"""What to do about an archive that has no end."""
TOO_MANY_ZEROS = (
    "either a copy into a file that was made at its full size first broke off or is not done yet, "
    "or the archive was written in records of an unusual size"
)
"""What more zeros at the end than `is_padding` allows may mean."""
IF_TOO_MANY_ZEROS = (
    "compare its hash with the original's: if they differ, finish the copy; if not, pack it anew "
    "without tar's option -b"
)
"""What to do about them."""

_ASCII = bytes(range(128))
_CHECKSUM = re.compile(rb"[0-7]{6}\0 ")
_PAX_LENGTH = re.compile(rb"([0-9]{1,8}) ")
_PAX_SIZE = re.compile(r"[0-9]{1,20}")
_EXPECTED_RECORDS = "expected a pax header of records like '30 mtime=1350553049.123456789'"


def plain_file_size(block: bytes) -> int | None:
    """The size in a sound header of a regular file as GNU tar and Python write it; else None."""
    if (
        len(block) != BLOCK
        or block[156] != 0x30  # typeflag "0"
        or block[99] != 0  # the name fills its field
        or (block[345] != 0 and block[257:265] != GNU_MAGIC)  # the name has a prefix
        or block[135] not in b"\0 "
        or not block.isascii()
    ):
        return None
    digits = block[124:135]
    if _sum_of_ascii(block) != _sum_with(block[148:156]) or not digits.isdigit():
        return None
    try:
        return int(digits, 8)
    except ValueError:  # An 8 or a 9.
        return None


def plain_file(name: str, size: int) -> bytes:
    """The header of a regular file, as GNU tar and Python write it.

    Args:
        name: ASCII of at most 99 characters.
        size: Its bytes, less than 8 GiB.

    >>> plain_file_size(plain_file("n01440764_1.JPEG", 109_527))
    109527
    """
    block = bytearray(BLOCK)
    block[: len(name)] = name.encode("ascii")
    block[100:136] = b"0000644\x000000000\x000000000\0%011o\0" % size
    block[136:156] = b"00000000000\0        "
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(size: int) -> int:
    """Bytes that a body of `size` bytes takes, in whole blocks."""
    return size + BLOCK - 1 & -BLOCK


def is_padding(size: int, zeros: int) -> bool:
    """Whether the zeros at the end of an archive can be those that fill its last record.

    Args:
        size: Bytes of the archive.
        zeros: Bytes from the end of its last member on.
    """
    fills = (size % record == 0 and zeros < record + 2 * BLOCK for record in _RECORDS)
    return zeros <= MAX_PADDING or any(fills)


def text(field: bytes) -> str:
    """A field up to its first NUL; undecodable bytes become surrogate escapes, as in `tarfile`."""
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def number(field: bytes) -> int | None:
    """A number in octal or, as GNU and star write what is too large for that, in base 256.

    None if the field is neither. NULs and spaces may stand around the digits.
    """
    if field[0] & 0x80:
        negative = field[0] & 0x40
        return int.from_bytes(
            field if negative else bytes([field[0] & 0x3F]) + field[1:], signed=True
        )
    digits = field.lstrip(b"\0 ").partition(b"\0")[0].strip()
    if digits.translate(None, b"01234567"):
        return None
    return int(digits or b"0", 8)


def has_right_checksum(block: bytes) -> bool:
    """Whether a header's checksum field is the sum of its bytes, that field's taken as spaces."""
    recorded = number(block[148:156])
    fixed = 256 - sum(block[148:156])
    if block.isascii():
        return recorded == _sum_of_ascii(block) + fixed
    unsigned = sum(block) + fixed
    # Some old tars added the bytes as signed numbers.
    high = len(block.translate(None, _ASCII)) - len(block[148:156].translate(None, _ASCII))
    return recorded in (unsigned, unsigned - 256 * high)


def _sum_of_ascii(block: bytes) -> int:
    """The sum of 512 bytes below 128, in a tenth of the time of `sum`.

    Adler-32 begun at 0 holds the sum modulo 65,521 in its lower half; this sum is 65,024 at most.
    """
    return zlib.adler32(block, 0) & 0xFFFF


# An archive has some hundred different checksums: its headers differ in a few digits.
@functools.lru_cache(maxsize=4096)
def _sum_with(field: bytes) -> int | None:
    """The sum of all bytes of a header that a checksum field as GNU tar writes it is right for."""
    if not _CHECKSUM.fullmatch(field):
        return None
    return int(field[:6], 8) - 256 + sum(field)


@dataclasses.dataclass(slots=True)
class Extension:
    """The content of the long-name and pax headers in front of a member; the first value counts.

    Attributes:
        header_offset: Of the first of these headers; None as long as there is none.
        name: The member's name, without the slash at its end if it is from a pax header.
        ends_in_slash: Whether the name had one.
        size: Bytes of the body.
        sparse: Whether the body is not the file itself but its parts without the holes.
    """

    header_offset: int | None = None
    name: str | None = None
    ends_in_slash: bool = False
    size: int | None = None
    sparse: bool = False

    def add_long(self, data: bytes, *, is_name: bool) -> None:
        """Takes the body of a GNU long-name header; that of a long link must only be whole.

        Raises:
            ValueError: The body is malformed; the message says what was expected and found.
        """
        found = data.partition(b"\0")[0]
        if not found or len(found) < len(data) - 1:
            raise ValueError(
                f"expected a long name of {len(data):,} bytes with the zero that ends it, found "
                f"{len(found):,} bytes"
            )
        if is_name and self.name is None:
            self.name = text(found)
            self.ends_in_slash = found.endswith(b"/")

    def add_pax(self, data: bytes) -> None:
        """Takes the body of a pax header.

        Raises:
            ValueError: The body is malformed; the message says what was expected and found.
        """
        records = _pax_records(data)
        path = records.get("GNU.sparse.name", records.get("path"))
        size = records.get("size")
        if size is not None and not _PAX_SIZE.fullmatch(size):
            raise ValueError(f"expected a size in a pax header, found {size[:40]!r}")
        if path is not None and self.name is None:
            self.name = path.rstrip("/")
            self.ends_in_slash = path.endswith("/")
        if size is not None and self.size is None:
            self.size = int(size)
        self.sparse = self.sparse or _says_sparse(records)


def global_path(data: bytes, before: str | None) -> str | None:
    """The name that a global pax header gives to all members, which is odd but allowed.

    Raises:
        ValueError: The body is malformed; the message says what was expected and found.
    """
    records = _pax_records(data)
    if "size" in records or _says_sparse(records):
        raise ValueError("expected a global pax header, found a size in it that is to hold for all")
    path = records.get("path")
    return before if path is None else path.rstrip("/")


def _says_sparse(records: dict[str, str]) -> bool:
    return any(keyword.startswith("GNU.sparse.") for keyword in records)


def _pax_records(data: bytes) -> dict[str, str]:
    """The records of a pax header by keyword; the last of a keyword counts."""
    records = {}
    position = 0
    while position < len(data):
        length = _PAX_LENGTH.match(data, position)
        if length is None:
            found = f"{data[position : position + 20]!r} in place of a record's length"
            raise ValueError(f"{_EXPECTED_RECORDS}, found {found}")
        stop = position + int(length[1])
        if not length.end() < stop <= len(data) or data[stop - 1 : stop] != b"\n":
            found = f"a record whose length, {int(length[1]):,}, is wrong"
            raise ValueError(f"{_EXPECTED_RECORDS}, found {found}")
        keyword, equals, value = data[length.end() : stop - 1].partition(b"=")
        if not keyword or not equals:
            raise ValueError(f"{_EXPECTED_RECORDS}, found one without '=', {keyword[:40]!r}")
        if keyword == b"path" and b"\0" in value:
            raise ValueError(f"{_EXPECTED_RECORDS}, found a path with a zero byte in it")
        name = keyword.decode("utf-8", "surrogateescape")
        records[name] = value.decode("utf-8", "surrogateescape")
        position = stop
    return records


def describe_foreign(block: bytes) -> str:
    """Names the problem of an archive whose first block is not a header."""
    if not block:
        return "expected a tar archive, found no bytes at all; copy the archive again"
    other = signatures.recognise(block)
    if other is not None:
        return f"expected a tar archive, found {other.name}; {other.action}"
    if len(block) < BLOCK:
        return f"expected a tar archive, found only {len(block)} bytes; copy the archive again"
    return (
        f"expected a tar archive, found {signatures.described(block)}; this is not a tar archive, "
        "or its beginning is damaged: compare it with the original"
    )
