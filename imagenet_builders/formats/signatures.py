"""What a file is by its first bytes, whatever its name says.

Sources: libmagic's database (`file`), and the specifications of Apache Parquet, LMDB (`mdb.c`),
MXNet RecordIO (`dmlc/recordio.h`) and Git LFS.

What others put among the sources may be a link to a private file of whoever builds, and messages
and `provenance.json` are read by many. So a message repeats nothing of data that no known program
has written; `described` says what they are.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

_CONTROLS = bytes(sorted({*range(32), 127} - {*b"\t\n\f\r\x1b"}))

BYTES = 512
"""So many bytes of a file are enough."""


class Signature(NamedTuple):
    """A format of files.

    Attributes:
        magic: The bytes by which it is known.
        name: What such a file is, in words.
        action: What to do with it where another was expected, in words.
        offset: Where these bytes are.
    """

    magic: bytes
    name: str
    action: str
    offset: int = 0


LOOK = "check that this is the right file"
"""What to do with a file that is sound, and another one."""
GZIP = Signature(b"\x1f\x8b", "gzip-compressed data", "decompress it with gunzip")
TAR = Signature(b"ustar", "a tar archive", LOOK, 257)
ZIP = Signature(b"PK\x03\x04", "a zip archive", "see what is in it (unzip -l), and unpack it")
SQUASHFS = Signature(b"hsqs", "a SquashFS image", LOOK)
PARQUET = Signature(b"PAR1", "a Parquet file", LOOK)
NUMPY = Signature(b"\x93NUMPY", "an array of NumPy", LOOK)
LMDB = Signature(b"\xde\xc0\xef\xbe", "an LMDB database", LOOK, 16)
RECORD_IO = Signature(b"\x0a\x23\xd7\xce", "a RecordIO file of MXNet", LOOK)
PICKLE = Signature(b"\x80", "a pickle of Python", "it is not read, because that could run any code")
GIT_LFS = Signature(
    b"version https://git-lfs",
    "a Git LFS pointer",
    "fetch what it stands for: git lfs pull",
)
HTML = Signature(
    b"<", "a web page, perhaps an error page saved as the archive", "download the archive again"
)
_ALL = (
    GZIP,
    Signature(b"BZh", "bzip2-compressed data", "decompress it with bunzip2"),
    Signature(b"\xfd7zXZ\0", "xz-compressed data", "decompress it with unxz"),
    Signature(b"\x28\xb5\x2f\xfd", "zstd-compressed data", "decompress it with unzstd"),
    Signature(b"\x04\x22\x4d\x18", "lz4-compressed data", "decompress it with lz4 -d"),
    ZIP,
    Signature(b"PK\x05\x06", "an empty zip archive", LOOK),
    Signature(b"PK\x07\x08", "the first part of a zip archive in several", "join them: zip -s 0"),
    Signature(b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it with 7z x"),
    Signature(b"Rar!\x1a\x07", "a RAR archive", "unpack it with unrar x"),
    SQUASHFS,
    PARQUET,
    RECORD_IO,
    NUMPY,
    Signature(b"\x89HDF\r\n", "an HDF5 file", LOOK),
    Signature(b"\xff\xd8\xff", "a JPEG image", LOOK),
    Signature(b"\x89PNG", "a PNG image", LOOK),
    GIT_LFS,
    LMDB,
    TAR,
)


def foreign(block: bytes, expected: Signature) -> Signature | None:
    """What a file is where it must not be that; None where nothing is known, or it is as expected.

    Args:
        block: As for `recognise`.
        expected: The format that it should have.
    """
    found = recognise(block)
    return None if found == expected else found


def recognise(block: bytes) -> Signature | None:
    """The format of a file, or None where it is not known.

    Args:
        block: Its first bytes, `BYTES` of them unless it has fewer.
    """
    for signature in _ALL:
        if block.startswith(signature.magic, signature.offset):
            return signature
    if block[:1] == PICKLE.magic and block[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return PICKLE
    # A web page, after white space and a mark of its encoding.
    return HTML if block.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(HTML.magic) else None


def described(block: bytes, size: int | None = None) -> str:
    r"""What data are, in words that repeat none of them.

    Args:
        block: Their first bytes, as for `recognise`.
        size: Their number of bytes; None if it is not to be told.

    >>> described(b"password: 1234", 14), described(b"PK\3\4..."), described(b"\xe9t", 1_234)
    ('text of 14 bytes', 'a zip archive', 'unknown data of 1,234 bytes')
    """
    known = recognise(block)
    if known is not None:
        return known.name
    if not block:
        return "no bytes at all"
    what = "text" if is_text(block) else "unknown data" if any(block) else "zeros"
    return what if size is None else f"{what} of {size:,} byte{'' if size == 1 else 's'}"


def is_text(head: bytes) -> bool:
    """Whether data begin as text does that is UTF-8; a character may be cut at the end."""
    if head.translate(None, _CONTROLS) != head:
        return False
    try:
        # Not `bytes.decode`: the head may end in the middle of a character.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
