"""Recognises what a file is by its bytes, and whether it holds a whole image."""

from __future__ import annotations

import struct
import zlib

from imagenet_builders.formats import signatures
from imagenet_builders.images.facts import ImageFacts
from imagenet_builders.images.jpeg import START as _JPEG_START
from imagenet_builders.images.jpeg import inspect_jpeg
from imagenet_builders.words import counted

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_HEADER = struct.Struct(">IIBBBBB")
# Source: PNG specification, table 11.1: colour type -> (channels, allowed bit depths).
_PNG_COLOURS = {
    0: (1, (1, 2, 4, 8, 16)),
    2: (3, (8, 16)),
    3: (3, (1, 2, 4, 8)),
    4: (2, (8, 16)),
    6: (4, (8, 16)),
}
_DEFLATE_RATIO = 1032  # at most so many bytes come out of one (zlib, "Technical Details")

# The sizes of the headers that hold width, height and depth at the same place.
_BMP_HEADERS = {size.to_bytes(4, "little") for size in (40, 52, 56, 64, 108, 124)}

_HTML_TAGS = (b"<html", b"<!doctype html", b"<head", b"<body", b"<title", b"<script", b"<meta")


def inspect(data: bytes) -> ImageFacts:
    """Recognises an image by its content, without decoding any pixel.

    Never raises: what is wrong is in the result's `problem`.
    """
    if data.startswith(_JPEG_START):
        return inspect_jpeg(data)
    if data.startswith(_PNG_START):
        return _inspect_png(data)
    if data.startswith(b"\x1f\x8b"):
        return ImageFacts("gzip")
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 13:
        width, height = struct.unpack_from("<HH", data, 6)
        return ImageFacts("gif", width, height, 3, 8)
    if data.startswith(b"BM") and len(data) >= 30 and data[14:18] in _BMP_HEADERS:
        width, height, _, depth = struct.unpack_from("<iiHH", data, 18)
        components = {8: 1, 24: 3, 32: 4}.get(depth, 0)
        return ImageFacts("bmp", max(width, 0), abs(height), components, 8 if components else 0)
    return _inspect_other(data)


def _inspect_png(data: bytes) -> ImageFacts:
    facts = ImageFacts("png")
    position = len(_PNG_START)
    size = len(data)
    view = memoryview(data)
    bits = compressed = 0
    palette = False
    while position + 12 <= size:
        length, kind = _PNG_CHUNK.unpack_from(data, position)
        after = position + 12 + length
        if after > size:
            break
        # An ancillary chunk (a lower-case letter first) may be damaged: libpng warns and drops it.
        if not kind[0] & 0x20:
            stored = int.from_bytes(view[after - 4 : after])
            if zlib.crc32(view[position + 4 : after - 4]) != stored:
                where = kind.decode("ascii", "replace")
                return facts._replace(problem=f"damaged PNG: wrong checksum of a chunk {where!a}")
        if not bits:
            if kind != b"IHDR" or length != 13:
                return facts._replace(problem="damaged PNG: it does not begin with a header")
            facts = _png_header(data, position + 8)
            if facts.problem:
                return facts
            bits = facts.components * facts.bits if data[position + 17] != 3 else facts.bits
            palette = data[position + 17] != 3
        elif kind == b"PLTE":
            palette = True
        elif kind == b"IDAT":
            compressed += length
        elif kind == b"IEND":
            # Decoders take memory for the size that the header claims; a lie is found before.
            if compressed * _DEFLATE_RATIO < facts.width * facts.height * bits // 8:
                problem = f"its data cannot hold {facts.width} x {facts.height} pixels"
                return facts._replace(problem=f"damaged PNG: {problem}")
            if not palette:
                return facts._replace(problem="damaged PNG: its palette is missing")
            return facts._replace(trailing=size - after)
        position = after
    return facts._replace(problem=f"PNG cut off: no end chunk (IEND) in its {size:,} bytes")


def _png_header(data: bytes, position: int) -> ImageFacts:
    width, height, bits, colour, *methods, interlace = _PNG_HEADER.unpack_from(data, position)
    channels, depths = _PNG_COLOURS.get(colour, (0, ()))
    facts = ImageFacts("png", width, height, channels, bits)
    if not 0 < width < 1 << 31 or not 0 < height < 1 << 31:
        return facts._replace(problem=f"damaged PNG: its size is {width} x {height}")
    if bits not in depths or any(methods) or interlace > 1:
        return facts._replace(problem="damaged PNG: its header names an unknown kind of PNG")
    return facts


def _inspect_other(data: bytes) -> ImageFacts:
    """Names what cannot be an image of the datasets, for a message that helps.

    Nothing of it is repeated: it may be a private file that somebody made a link to, and the
    message goes to logs and to `provenance.json`.
    """
    if not data:
        return ImageFacts("empty", problem="empty (0 bytes)")
    if data[0] == 0 and not data.strip(b"\0"):
        problem = f"all of its {len(data):,} bytes are zero (a hole left by a failed copy)"
        return ImageFacts("empty", problem=problem)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ImageFacts("webp", problem="a WebP image, not a JPEG")
    if data.startswith((b"II*\0", b"MM\0*")):
        return ImageFacts("tiff", problem="a TIFF image, not a JPEG")
    head = data[:1024]
    if signatures.is_text(head):
        lower = head.lower()
        if lower.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and any(
            tag in lower for tag in _HTML_TAGS
        ):
            problem = "an HTML page, not an image (probably a download error)"
            return ImageFacts("html", problem=problem)
        known = signatures.recognise(head)
        told = known.name if known == signatures.GIT_LFS else f"text of {_bytes(data)}"
        return ImageFacts("text", problem=f"{told}, not an image")
    told = signatures.described(head[: signatures.BYTES], len(data))
    return ImageFacts("unknown", problem=f"{told}, no known kind of image")


def _bytes(data: bytes) -> str:
    return counted(len(data), "byte")
