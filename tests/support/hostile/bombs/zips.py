"""Zips and npz files that claim more than they hold, or inflate to more than anybody has."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from makers.imagenet2012_downsampled import make_downsampled, write_zip
from makers.tiny_imagenet import ARCHIVE, ROOT, make_tiny_imagenet

from support.hostile.bombs.registry import BOMBS, MB, bomb

_TINY_IMAGE = f"{ROOT}/train/n01443537/images/n01443537_1.JPEG"


# --- zips ---------------------------------------------------------------------------------------


def _tiny(directory: Path, replace: dict[str, bytes | None]) -> Path:
    return make_tiny_imagenet(directory, compression="deflated", replace=replace).path


@bomb("tiny_imagenet", "zip bomb|deceive")
def image_that_inflates_a_thousandfold(directory: Path) -> None:
    _tiny(directory, {_TINY_IMAGE: bytes(300 * MB)})


@bomb("tiny_imagenet", "expected at most|deceive")
def text_that_inflates_a_thousandfold(directory: Path) -> None:
    _tiny(directory, {f"{ROOT}/wnids.txt": b"n01443537\n" * (30 * MB)})


def _patch_sizes(path: Path, name: str, size: int) -> None:
    """Lets both headers of a member claim another size."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        begin = archive.start_dir
        info = archive.getinfo(name)
    central = data.index(name.encode(), begin) - 46
    struct.pack_into("<L", data, info.header_offset + 22, size)
    struct.pack_into("<L", data, central + 24, size)
    path.write_bytes(data)


@bomb("tiny_imagenet", "damaged")
def image_that_inflates_to_more_than_it_says(directory: Path) -> None:
    path = _tiny(directory, {_TINY_IMAGE: bytes(300 * MB)})
    _patch_sizes(path, _TINY_IMAGE, 10_000)


@bomb("tiny_imagenet", "cannot come out of")
def image_that_says_it_is_huge(directory: Path) -> None:
    _patch_sizes(_tiny(directory, {}), _TINY_IMAGE, 0xFFFFFFFE)


@bomb("tiny_imagenet", "expected the header of this member")
def members_that_share_their_data(directory: Path) -> None:
    """Every image is the same one of 60 MB, as in the bombs that overlap."""
    path = _tiny(directory, {})
    with zipfile.ZipFile(path) as archive:
        begin = archive.start_dir
        images = [info for info in archive.infolist() if "/images/n01443537" in info.filename]
    data = bytearray(path.read_bytes())
    for info in images[1:]:
        central = data.index(info.filename.encode(), begin) - 46
        struct.pack_into("<L", data, central + 42, images[0].header_offset)
    path.write_bytes(data)


def _zip_of_many(path: Path, name: Callable[[int], str], count: int) -> None:
    """A zip of so many empty members; it is made by hand because `zipfile` takes minutes."""
    local, central, offset = bytearray(), bytearray(), 0
    with open(path, "wb") as file:
        for number in range(count):
            raw = name(number).encode()
            head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, len(raw), 0) + raw
            central += struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", 0x314, 20, 0, 0, 0, 33, 0, 0, 0, len(raw), 0, 0, 0, 0,
                0o100644 << 16, offset
            ) + raw  # fmt: skip
            local += head
            offset += len(head)
            if len(local) > MB:
                file.write(local)
                local.clear()
        file.write(local)
        file.write(central)
        end64 = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(central), offset
        )
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, offset + len(central), 1)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, *[0xFFFFFFFF] * 2, 0)
        file.write(end64 + locator + end)


@bomb("tiny_imagenet", "there is no wnids.txt")
def zip_of_70000_members(directory: Path) -> None:
    directory.mkdir()
    _zip_of_many(directory / ARCHIVE, lambda n: f"{ROOT}/train/n01443537/images/{n}.JPEG", 70_000)


@bomb("tiny_imagenet", "expected a directory of at most", slow=True)
def zip_of_two_million_members(directory: Path) -> None:
    directory.mkdir()
    _zip_of_many(directory / ARCHIVE, lambda n: f"{n}", 2_000_000)


# --- npz ----------------------------------------------------------------------------------------


def _npy(descr: str, shape: str, body: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + body


def _stage_npz(directory: Path, members: dict[str, bytes], *, folder: bool = False) -> None:
    """Validation of 8x8 whose npz has these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    if folder:
        (directory / "Imagenet8_val_npz").mkdir(parents=True)
        (directory / "Imagenet8_val_npz" / "val_data.npz").write_bytes(buffer.getvalue())
    else:
        write_zip(directory / "Imagenet8_val_npz.zip", {"val_data.npz": buffer.getvalue()})


_LABELS = _npy("'<i8'", "(2,)", struct.pack("<2q", 1, 2))


def _header(name: str, descr: str, shape: str, sentence: str, body: bytes = b"\0" * 384) -> None:
    @bomb("imagenet2012_downsampled/8x8", sentence)
    def stage(directory: Path) -> None:
        _stage_npz(directory, {"data.npy": _npy(descr, shape, body), "labels.npy": _LABELS})

    BOMBS[name] = BOMBS.pop("stage")


_header("array that claims 8 EiB", "'|u1'", "(48038396025285290, 192)", "the header claims")
_header("array that claims more than 64 bits", "'|u1'", f"({10**18}, {10**18})", "header claims")
_header("array of wide elements", "'|V4294967295'", "(2, 192)", "not a valid dtype")
_header("array of pickled objects", "'|O'", "(2, 192)", "pickled", b"\x80\4cos\nsystem\n" * 20)
_header("array of records", "[('a', '|u1', (999999999,))]", "(2, 192)", "expected numbers")


@bomb("imagenet2012_downsampled/8x8", "expected an npy file, found")
def array_whose_header_claims_4_gb(directory: Path) -> None:
    data = b"\x93NUMPY\2\0" + struct.pack("<L", 0xFFFFFFF0) + b"{" * 1000
    _stage_npz(directory, {"data.npy": data, "labels.npy": _LABELS}, folder=True)


@bomb("imagenet2012_downsampled/8x8", "zip bomb|deceive")
def npz_that_inflates_a_thousandfold(directory: Path) -> None:
    make_downsampled(directory, 8, rows=0)
    path = directory / "Imagenet8_val_npz.zip"
    write_zip(path, {"val_data.npz": bytes(300 * MB)})


@bomb("imagenet2012_downsampled/8x8", "zip bomb|deceive")
def array_that_inflates_a_thousandfold(directory: Path) -> None:
    data = _npy("'|u1'", "(1048576, 192)", bytes(192 * MB))
    labels = _npy("'<i8'", "(1048576,)", bytes(8 * MB))
    _stage_npz(directory, {"data.npy": data, "labels.npy": labels}, folder=True)


@bomb("imagenet2012_downsampled/8x8", "more than the official", slow=True)
def npz_of_20_million_pictures(directory: Path) -> None:
    """Of holes, with checksums that are right."""
    count = 20_000_000
    directory.mkdir()
    (directory / "Imagenet8_val_npz").mkdir()
    path = directory / "Imagenet8_val_npz" / "val_data.npz"
    members = [
        ("data.npy", _npy("'|u1'", f"({count}, 192)"), 192 * count, b"\0"),
        ("labels.npy", _npy("'|u1'", f"({count},)"), count, b"\1"),
    ]
    central = bytearray()
    with open(path, "wb") as file:
        for name, head, size, byte in members:
            begin = file.tell()
            crc = zlib.crc32(head)
            piece = byte * (16 * MB)
            left = size
            while left:
                crc = zlib.crc32(piece[: min(left, len(piece))], crc)
                left -= min(left, len(piece))
            whole = len(head) + size
            raw = name.encode()
            file.write(
                struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 33, crc, whole, whole, len(raw), 0)
                + raw
                + head
            )
            if byte == b"\0":
                file.seek(size, os.SEEK_CUR)
            else:
                file.write(byte * size)
            central += (
                struct.pack(
                    "<4s6H3L5H2L",
                    *(b"PK\1\2", 0x314, 45, 0, 0, 0, 33, crc, whole, whole, len(raw), 0, 0, 0, 0),
                    *(0o100644 << 16, begin),
                )
                + raw
            )
        begin = file.tell()
        file.write(central)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(central), begin, 0))
