"""The members of a zip archive with nothing unusual in it, all of them at once.

Of a hundred thousand small members, to look at each by itself takes longer than to read them. Here
the same is asked of all of them, column by column, as `zip_directory` and `zip_members` ask of
each. Whatever is not as nearly all archives have it is left to these, which say what is wrong, or
that nothing is.

Source: PKWARE's APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from imagenet_builders.formats.zip_directory import (
    ENCRYPTED,
    ENTRY,
    FULL32,
    MAX_MEMBERS,
    SIZES_FOLLOW,
    UTF8,
    Place,
    find_directory,
    reading,
)
from imagenet_builders.formats.zip_members import SUSPICIOUS_RATIO

if TYPE_CHECKING:
    import numpy as np

# 4.3.12 and 4.3.7. What `made` and `needed` say of systems is in their upper bytes.
_ENTRY = (
    "magic:S4 made:u2 needed:u2 flags:u2 method:u2 time:u4 crc:u4 compressed:u4 size:u4 "
    "name:u2 extra:u2 comment:u2 disk:u2 internal:u2 external:u4 header:u4"
)
_LOCAL = (
    "magic:S4 needed:u2 flags:u2 method:u2 time:u4 crc:u4 compressed:u4 size:u4 name:u2 extra:u2"
)
_ENTRY_BYTES, _LOCAL_BYTES = 46, 30
_LENGTHS, _LENGTHS_AT = struct.Struct("<3H"), 28  # Of an entry's name, extra field and comment.

# Up to which version `zipfile` reads an entry; deflate needs 2.0, ZIP64 4.5.
_MOST_NEEDED = 45
# Level of compression (bits 1 and 2), sizes that follow, names in UTF-8.
_USUAL_FLAGS = 0b110 | SIZES_FOLLOW | UTF8
_STORED, _DEFLATED = 0, 8
_SYMLINK, _FILE_TYPE = 0o120000, 0o170000
# Extra fields that change what an entry says: ZIP64's sizes, and another name.
_NOT_USUAL_EXTRA = (0x0001, 0x7075)

_NAME_CHARACTERS = bytes(sorted({*range(0x20, 0x7F)} - set(b"\\:")))

_WINDOW = 1 << 20


class ZipColumns(NamedTuple):
    """Members of a zip archive that are files, in the order of their data; see `ZipMember`.

    Attributes:
        names: With `/` between directories.
        header_offsets: int64, as all columns.
        offsets: Of the first byte of the data of each.
        compressed_sizes: Bytes of its data.
        sizes: Bytes of the member itself.
        crcs: CRC-32 of the member itself.
        deflated: Whether its data are deflated, else stored.
    """

    names: list[str]
    header_offsets: np.ndarray
    offsets: np.ndarray
    compressed_sizes: np.ndarray
    sizes: np.ndarray
    crcs: np.ndarray
    deflated: np.ndarray


def usual_members(fd: int, archive: str) -> ZipColumns | None:
    """The files in an archive that `zip_members.list_members` would list.

    Args:
        fd: Open descriptor of the file.
        archive: Its path, for messages.

    Returns:
        The files; None where an archive has anything unusual, or is damaged.

    Raises:
        ArchiveError: It is not one whole zip archive.
    """
    import numpy as np

    with reading(archive, None):
        place = Place(fd, archive, 0, None, None)
        directory, size, count = find_directory(place)
        data = place.read(directory, size)
        if data.count(ENTRY) > MAX_MEMBERS:  # In whatever place: `zip_directory` counts so.
            return None
        ends = _ends(data, count) if len(data) == size else None
        if ends is None:
            return None
        begins = np.array([0, *ends[:-1]], np.int64)
        entries = _records(data, begins, _ENTRY)
        if not _are_usual(np.frombuffer(data, np.uint8), begins, entries):
            return None
        order = np.argsort(entries["header"], kind="stable")
        entries, first = entries[order], begins[order] + _ENTRY_BYTES
        last = first + entries["name"]
        names = [data[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        texts = _texts(names)
        if texts is None:
            return None
        headers = _headers(place, entries["header"].tolist(), names)
    return None if headers is None else _agreed(entries, headers, texts, directory)


def _ends(data: bytes, count: int) -> list[int] | None:
    """Where each entry of a directory ends; None if they do not fill it."""
    ends = []
    end, size = 0, len(data)
    for _ in range(count):
        if end + _ENTRY_BYTES > size:
            return None
        name, extra, comment = _LENGTHS.unpack_from(data, end + _LENGTHS_AT)
        end += _ENTRY_BYTES + name + extra + comment
        ends.append(end)
    return ends if ends and end == size else None


def _records(data: bytes, begins: np.ndarray, fields: str) -> np.ndarray:
    """The fixed parts of records that begin at these offsets."""
    import numpy as np

    named = [each.split(":") for each in fields.split()]
    dtype = np.dtype([(name, "<" + kind if kind != "S4" else kind) for name, kind in named])
    found = np.frombuffer(data, np.uint8)[begins[:, None] + np.arange(dtype.itemsize)]
    return found.view(dtype)[:, 0]


def _are_usual(data: np.ndarray, begins: np.ndarray, entries: np.ndarray) -> bool:
    """Whether there is nothing unusual in any entry of a directory, but for its name."""
    import numpy as np

    deflated = entries["method"] == _DEFLATED
    compressed, size = (entries[name].astype(np.int64) for name in ("compressed", "size"))
    usual = (
        (entries["magic"] == ENTRY)
        & (entries["needed"] & 0xFF <= _MOST_NEEDED)
        & (entries["flags"] & ~np.uint16(_USUAL_FLAGS) == 0)
        & (deflated | (entries["method"] == _STORED))
        & (entries["disk"] == 0)
        & (entries["external"] >> 16 & _FILE_TYPE != _SYMLINK)
        & (entries["header"] != FULL32)
        & (np.maximum(size, compressed) < FULL32)
        & np.where(deflated, size <= SUSPICIOUS_RATIO * compressed, size == compressed)
    )
    if not usual.all():
        return False
    at = begins + _ENTRY_BYTES + entries["name"]
    left = entries["extra"].astype(np.int64)
    while (more := left >= 4).any():
        at, left = at[more], left[more]
        kind, length = (data[at + n] | data[at + n + 1].astype(np.int64) << 8 for n in (0, 2))
        if (length + 4 > left).any() or np.isin(kind, _NOT_USUAL_EXTRA).any():
            return False
        at, left = at + 4 + length, left - 4 - length
    return True


def _texts(names: list[bytes]) -> list[str] | None:
    """The names as text; None if there is one that is not plain, or one twice."""
    joined = b"\n".join(names)
    if joined.translate(None, _NAME_CHARACTERS) != b"\n" * (len(names) - 1):
        return None
    lines = f"\n{joined.decode()}\n"
    if "\n/" in lines or "\n\n" in lines or ".." in lines:
        return None
    texts = lines[1:-1].split("\n")
    return texts if len(set(texts)) == len(texts) else None


def _headers(place: Place, offsets: list[int], names: list[bytes]) -> np.ndarray | None:
    """The headers in front of members; None if one has another name, or the file ends before."""
    import numpy as np

    heads: list[bytes] = []
    begin = end = 0
    data = b""
    for at, name in zip(offsets, names, strict=True):
        stop = at + _LOCAL_BYTES + len(name)
        if stop > end:
            data = place.read(at, _WINDOW)
            begin, end = at, at + len(data)
        middle = at - begin + _LOCAL_BYTES
        if stop > end or data[middle : stop - begin] != name:
            return None
        heads.append(data[middle - _LOCAL_BYTES : middle])
    begins = np.arange(len(heads)) * _LOCAL_BYTES
    return _records(b"".join(heads), begins, _LOCAL)


def _agreed(
    entries: np.ndarray, headers: np.ndarray, names: list[str], directory: int
) -> ZipColumns | None:
    """The files, if headers say the same as the directory, and members lie apart."""
    import numpy as np

    follow = headers["flags"] & SIZES_FOLLOW
    same = (
        (headers["magic"] == b"PK\3\4")
        & (headers["name"] == entries["name"])
        & (headers["method"] == entries["method"])
        & (headers["flags"] & (ENCRYPTED | SIZES_FOLLOW) == entries["flags"] & SIZES_FOLLOW)
    )
    for number in ("crc", "compressed", "size"):
        same &= (follow != 0) | (headers[number] == entries[number])
    begins, compressed, sizes, crcs = (
        entries[name].astype(np.int64) for name in ("header", "compressed", "size", "crc")
    )
    offsets = begins + _LOCAL_BYTES + headers["name"] + headers["extra"]
    ends = offsets + compressed
    if not same.all() or (ends > np.append(begins[1:], directory)).any():
        return None
    deflated = entries["method"] == _DEFLATED
    is_file = np.array([not name.endswith("/") for name in names])
    if not is_file.all():
        if sizes[~is_file].any():
            return None
        names = [name for name in names if not name.endswith("/")]
    columns = (begins, offsets, compressed, sizes, crcs, deflated)
    return ZipColumns(names, *(column[is_file] for column in columns))
