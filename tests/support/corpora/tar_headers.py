"""Makes tar archives by hand and lists them, for the tests of the header walk."""

from __future__ import annotations

import io
import tarfile
import tempfile

from imagenet_builders.formats import tar

END = bytes(1024)
PATH = "/staged/train.tar"


def walk(data: bytes, **options) -> list[tar.Member]:
    """What `tar.walk` yields for an archive of these bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return list(tar.walk(file.fileno(), PATH, **options))


def oracle(data: bytes) -> list[tar.Member]:
    """What `tarfile` finds in an archive of these bytes."""
    stream = io.BytesIO(data)
    with tarfile.open(fileobj=stream, encoding="utf-8", errors="surrogateescape") as archive:
        return [as_member(info) for info in archive.getmembers()]


def as_member(info: tarfile.TarInfo) -> tar.Member:
    has_body = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    if info.issparse():
        kind = "sparse"
    elif has_body:
        kind = "file"
    else:
        kinds = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink"}
        kind = kinds.get(info.type, "hardlink" if info.islnk() else "other")
    return tar.Member(info.name, kind, info.offset_data, info.size if has_body else 0, info.offset)


def header(
    name: bytes,
    size: int | bytes = 0,
    flag: bytes = b"0",
    *,
    magic: bytes = b"ustar\x0000",
    checksum: str = "%06o\0 ",
    prefix: bytes = b"",
    signed: bool = False,
) -> bytes:
    """A header made by hand, for what no program at hand writes."""
    field = b"%011o\0" % size if isinstance(size, int) else size
    block = bytearray(512)
    block[: len(name)] = name
    block[100:124] = b"0000644\0" * 3
    block[124:136] = field.ljust(12, b"\0")
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = flag
    block[257 : 257 + len(magic)] = magic
    block[345 : 345 + len(prefix)] = prefix
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in block)
    block[148:156] = (checksum % total).encode().ljust(8, b"\0")
    return bytes(block)


def padded(body: bytes) -> bytes:
    return body + bytes(-len(body) % 512)


def extended(flag: bytes, body: bytes) -> bytes:
    return header(b"././@Extended", len(body), flag) + padded(body)


def record(keyword: str, value: str) -> bytes:
    rest = f" {keyword}={value}\n".encode()
    length = len(rest) + 1
    while length != len(str(length)) + len(rest):
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def file_in(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """What a plain file in an archive holds, as Python's tarfile reads it."""
    file = archive.extractfile(member)
    assert file is not None, member
    return file.read()
