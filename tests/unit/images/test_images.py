"""Real decoders are the oracle: TensorFlow's, and TFDS's own functions for the repairs."""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorflow_datasets.core.utils import image_utils

from imagenet_builders.images import (
    MAX_GUNZIPPED_BYTES,
    ImageProblemError,
    inspect,
    inspect_and_repair,
    repair,
    repairs,
    to_rgb_jpeg,
)

WIDTH, HEIGHT = 131, 97


@functools.cache
def pixels(channels: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    bands = np.stack([x * 2, y * 3, x + y, x * y % 200], -1)
    noisy = bands + rng.integers(-20, 20, bands.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)[..., :channels]


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RGB = Image.fromarray(pixels(3))
RGBA = Image.fromarray(pixels(4))
CMYK = Image.frombytes("CMYK", (WIDTH, HEIGHT), pixels(4).tobytes())
JPEG = encoded(RGB, "JPEG", quality=80)
PROGRESSIVE = encoded(RGB, "JPEG", quality=80, progressive=True)
PNG = encoded(RGB, "PNG")
GIF = encoded(RGB.quantize(64), "GIF")
BMP = encoded(RGB, "BMP")


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def inserted(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at:]


def with_exif(data: bytes) -> bytes:
    thumbnail = encoded(RGB.resize((40, 30)), "JPEG")
    return inserted(data, 2, segment(0xE1, b"Exif\0\0II*\0" + bytes(8) + thumbnail + bytes(9)))


def tensorflow_decodes(data: bytes) -> bool:
    try:
        tf.io.decode_jpeg(data)
    except tf.errors.OpError:
        return False
    return True


def with_tensorflow(data: bytes) -> bytes:
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return tf.io.encode_jpeg(image, "rgb", quality=100).numpy()


# ----------------------------------------------------------------------------------------- accepted

FRAME = JPEG.index(b"\xff\xc0")
SCAN = JPEG.index(b"\xff\xda")

WHOLE = {
    "baseline": JPEG,
    "progressive": PROGRESSIVE,
    "restart intervals": encoded(RGB, "JPEG", restart_marker_blocks=3),
    "optimised": encoded(RGB, "JPEG", optimize=True),
    "greyscale": encoded(RGB.convert("L"), "JPEG"),
    "greyscale progressive": encoded(RGB.convert("L"), "JPEG", progressive=True),
    "4:4:4": encoded(RGB, "JPEG", subsampling=0),
    "4:2:2": encoded(RGB, "JPEG", subsampling=1),
    "RGB with an Adobe marker": encoded(RGB, "JPEG", keep_rgb=True),
    "1 x 1": encoded(RGB.crop((0, 0, 1, 1)), "JPEG"),
    "1 x 97": encoded(RGB.crop((0, 0, 1, HEIGHT)), "JPEG"),
    "extended sequential": patched(JPEG, FRAME + 1, b"\xc1"),
    "arithmetic": patched(JPEG, FRAME + 1, b"\xc9"),
    "arithmetic progressive": patched(PROGRESSIVE, PROGRESSIVE.index(b"\xff\xc2") + 1, b"\xca"),
    "EXIF with a thumbnail": with_exif(JPEG),
    "corrupt EXIF": inserted(JPEG, 2, segment(0xE1, b"Exif\0\0MM\xff\xff\xff\xd9\xff\xd8\xff")),
    "Photoshop APP13": inserted(JPEG, 2, segment(0xED, b"Photoshop 3.0\x008BIM" + bytes(50))),
    "large ICC profile": inserted(JPEG, 2, segment(0xE2, b"ICC_PROFILE\0" + bytes(65_000)) * 12),
    "short Adobe marker": inserted(JPEG, 2, segment(0xEE, b"Adobe")),
    "comment": inserted(JPEG, FRAME, segment(0xFE, b"\xff\xd9 \xff\xda")),
    "garbage between segments": inserted(JPEG, FRAME, b"\0\1hello"),
    "FF 00 between segments": inserted(JPEG, FRAME, b"\xff\0zz\xff\0"),
    "fill bytes": inserted(JPEG, FRAME, b"\xff" * 50),
    "fill bytes first": inserted(JPEG, 2, b"\xff" * 2),
    "application segment of length 0": inserted(JPEG, FRAME, b"\xff\xe5\0\0"),
    "application segment of length 1": inserted(JPEG, FRAME, b"\xff\xe5\0\1"),
    "comment of length 0": inserted(JPEG, FRAME, b"\xff\xfe\0\0"),
    "stand-alone markers": inserted(JPEG, FRAME, b"\xff\xd0\xff\xd7\xff\1"),
    "DNL": inserted(JPEG, FRAME, segment(0xDC, b"\0\x10")),
    "DAC": inserted(JPEG, FRAME, segment(0xCC, b"\0\x10")),
    "empty table segments": inserted(JPEG, FRAME, segment(0xDB, b"") + segment(0xC4, b"")),
    "standard Huffman tables left out": JPEG.replace(b"\xff\xc4", b"\xff\xe6"),
    "sampling 3x1": patched(JPEG, FRAME + 11, b"\x31"),
    "widest": patched(JPEG, FRAME + 7, struct.pack(">H", 65_500)),
    "no pixels in its scan": JPEG[: SCAN + 14] + b"\xff\xd9",
    "damaged pixels": patched(JPEG, SCAN + 900, bytes(200)),
    "odd spectral selection": patched(JPEG, SCAN + 11, b"\1"),
    "text after the end": JPEG + b"junk" * 10,
    "zeros after the end": JPEG + bytes(1000),
    "multi-picture": JPEG + with_exif(JPEG),
}


@pytest.mark.parametrize("name", WHOLE)
def test_images_that_tensorflow_decodes_are_stored_unchanged(name):
    assert tensorflow_decodes(WHOLE[name])
    result = inspect_and_repair(WHOLE[name])
    assert result.problem is None
    assert result.repair is None
    assert result.data is WHOLE[name]


@pytest.mark.parametrize("name", WHOLE)
def test_the_size_equals_the_decoders(name):
    height, width, channels = tf.io.decode_jpeg(WHOLE[name]).shape
    facts = inspect(WHOLE[name])
    assert (facts.width, facts.height, facts.components) == (width, height, channels)
    assert (facts.format, facts.bits) == ("jpeg", 8)


def test_a_jpegs_facts_are_those_of_its_header():
    assert inspect(PROGRESSIVE).progressive
    assert not inspect(JPEG).progressive
    assert inspect(JPEG).adobe_transform is None
    assert inspect(encoded(RGB, "JPEG", keep_rgb=True)).adobe_transform == 0
    assert inspect(WHOLE["text after the end"]).trailing == 40
    assert inspect(JPEG).trailing == 0


def test_a_jpeg_that_is_too_large_for_tensorflow_is_refused():
    data = patched(JPEG, FRAME + 5, struct.pack(">HH", 50_000, 50_000))
    result = inspect_and_repair(data)
    assert result.problem == "a JPEG of 50000 x 50000 pixels, more than TensorFlow decodes"
    assert not tensorflow_decodes(data)


# ----------------------------------------------------------------------------------------- rejected


def scan_header(content: bytes) -> bytes:
    return JPEG[:SCAN] + segment(0xDA, content) + JPEG[SCAN + 14 :]


def frame_marker(marker: int) -> bytes:
    return patched(JPEG, FRAME + 1, bytes([marker]))


CUT = "JPEG cut off: it ends before its image data begins"
BROKEN_JPEGS = {
    "header only": (JPEG[:SCAN], CUT),
    "in the frame header": (JPEG[: FRAME + 6], CUT),
    "start only": (JPEG[:3], CUT),
    "in the scan header": (JPEG[: SCAN + 5] + b"\xff\xd9", CUT),
    "in the EXIF thumbnail": (
        with_exif(JPEG)[: with_exif(JPEG).index(b"\xff\xd9") + 2],
        CUT,
    ),
    "no pixels": (JPEG[: SCAN + 14], "JPEG cut off: no end marker (FF D9) in its 623 bytes"),
    "half": (JPEG[:2000], "JPEG cut off: no end marker (FF D9) in its 2,000 bytes"),
    # Pillow loads some of these; TensorFlow does not, though every pixel is there.
    "only its end marker is missing": (JPEG[:-2], "JPEG cut off: no end marker"),
    "text for its end": (JPEG[:-2] + b"some text", "JPEG cut off: no end marker"),
    "zeros for its tail": (
        JPEG[:-300] + bytes(300),
        f"no end marker (FF D9) in its {len(JPEG):,} bytes, and its last 300 bytes are zero",
    ),
    "lossless": (frame_marker(0xC3), "a lossless JPEG, which TensorFlow cannot decode"),
    "hierarchical": (frame_marker(0xC5), "a hierarchical JPEG, which TensorFlow cannot decode"),
    "hierarchical progressive": (frame_marker(0xC6), "a hierarchical progressive JPEG"),
    "lossless arithmetic": (frame_marker(0xCB), "a lossless arithmetic JPEG"),
    "JPEG-LS": (frame_marker(0xF7), "a JPEG-LS JPEG, which TensorFlow cannot decode"),
    "12 bits": (patched(JPEG, FRAME + 4, b"\x0c"), "a JPEG of 12 bits per channel"),
    "no height": (patched(JPEG, FRAME + 5, b"\0\0"), "damaged JPEG: its size is 131 x 0"),
    "no width": (patched(JPEG, FRAME + 7, b"\0\0"), "damaged JPEG: its size is 0 x 97"),
    "too wide": (patched(JPEG, FRAME + 7, b"\xff\xff"), "no side may be more than 65,500"),
    "2 channels": (
        JPEG[:FRAME]
        + segment(0xC0, JPEG[FRAME + 4 : FRAME + 9] + b"\2\1\x11\0\2\x11\1")
        + JPEG[FRAME + 19 :],
        "a JPEG of 2 channels, which TensorFlow cannot decode",
    ),
    "frame header too long": (patched(JPEG, FRAME + 3, b"\x12"), "frame header has a wrong length"),
    "two frame headers": (inserted(JPEG, FRAME, JPEG[FRAME : FRAME + 19]), "two frame headers"),
    "no frame header": (JPEG[:FRAME] + JPEG[SCAN:], "begins before any frame header"),
    "sampling 0": (patched(JPEG, FRAME + 11, b"\2"), "sampling factors are not 1 to 4"),
    "sampling 5": (patched(JPEG, FRAME + 11, b"\x51"), "sampling factors are not 1 to 4"),
    "sampling 4x4": (patched(JPEG, FRAME + 11, b"\x44"), "sampling factors are too large"),
    "no quantisation tables": (
        JPEG.replace(b"\xff\xdb", b"\xff\xe6"),
        "a quantisation table is missing",
    ),
    "short quantisation table": (
        inserted(JPEG, FRAME, segment(0xDB, bytes(64))),
        "quantisation tables are not whole",
    ),
    "quantisation table 4": (
        inserted(JPEG, FRAME, segment(0xDB, b"\4" + bytes(64))),
        "quantisation tables are not whole",
    ),
    "short Huffman table": (
        inserted(JPEG, FRAME, segment(0xC4, b"\0")),
        "Huffman tables are not whole",
    ),
    "full Huffman table": (
        inserted(JPEG, FRAME, segment(0xC4, b"\0" + b"\xff" * 16 + bytes(4080))),
        "Huffman tables are not whole",
    ),
    "restart interval of 1 byte": (
        inserted(JPEG, FRAME, segment(0xDD, b"\0")),
        "damaged JPEG: wrong length of segment FF DD",
    ),
    "arithmetic conditioning of 3 bytes": (
        inserted(JPEG, FRAME, segment(0xCC, b"\0\x10\1")),
        "damaged JPEG: wrong length of segment FF CC",
    ),
    "unknown marker": (
        inserted(JPEG, FRAME, segment(2, b"abc")),
        "damaged JPEG: unknown marker FF 02 at byte 158",
    ),
    "start in its header": (inserted(JPEG, FRAME, b"\xff\xd8"), "a second start (FF D8)"),
    "end in its header": (inserted(JPEG, FRAME, b"\xff\xd9"), "it ends (FF D9) before any image"),
    "scan of no channels": (scan_header(b"\0\0\x3f\0"), "scan header has a wrong length"),
    "scan header too long": (
        scan_header(JPEG[SCAN + 4 : SCAN + 14] + b"\0"),
        "scan header has a wrong length",
    ),
    "scan of another channel": (
        patched(JPEG, SCAN + 5, b"\x09"),
        "its scan names channels that its frame does not have",
    ),
    "scan of one channel twice": (
        patched(JPEG, SCAN + 7, JPEG[SCAN + 5 : SCAN + 6]),
        "its scan names channels that its frame does not have",
    ),
    "baseline scan of a progressive frame": (
        frame_marker(0xC2),
        "the parameters of a scan are not progressive",
    ),
}


@pytest.mark.parametrize("name", BROKEN_JPEGS)
def test_a_jpeg_that_tensorflow_cannot_decode_is_a_problem(name):
    data, message = BROKEN_JPEGS[name]
    assert not tensorflow_decodes(data)
    result = inspect_and_repair(data)
    assert result.problem is not None
    assert message in result.problem
    assert result.data is data
    assert result.repair is None


def test_endless_headers_are_given_up():
    assert "more than 100,000 segments" in str(
        inspect_and_repair(b"\xff\xd8" + b"\xff\x01" * 200_000).problem
    )
    assert inspect_and_repair(b"\xff\xd8" + b"\xff" * 1_000_000).problem == CUT


NOT_IMAGES = {
    "empty": (b"", "empty", "empty (0 bytes)"),
    "zeros": (
        bytes(1234),
        "empty",
        "all of its 1,234 bytes are zero (a hole left by a failed copy)",
    ),
    "html": (
        b"\xef\xbb\xbf \n<!DOCTYPE html><html><title>404</title>",
        "html",
        "an HTML page, not an image (probably a download error)",
    ),
    "html after a comment": (
        b"<!-- x --><HTML><body>gone</body>",
        "html",
        "an HTML page, not an image (probably a download error)",
    ),
    "xml": (b"<?xml version='1.0'?><Error/>", "text", "text of 29 bytes, not an image"),
    "text": (b"Not\n Found", "text", "text of 10 bytes, not an image"),
    "utf-8": ("Fehler: größer".encode() * 200, "text", "text of 3,200 bytes, not an image"),
    "webp": (encoded(RGB, "WEBP"), "webp", "a WebP image, not a JPEG"),
    "tiff": (encoded(RGB, "TIFF"), "tiff", "a TIFF image, not a JPEG"),
    "gif": (GIF, "gif", "a GIF image, not a JPEG"),
    "bmp": (BMP, "bmp", "a BMP image, not a JPEG"),
    "newline before a JPEG": (b"\n" + JPEG, "unknown", "unknown data of "),
    "latin-1": (b"\xe9t\xe9", "unknown", "unknown data of 3 bytes, no known kind of image"),
}


@pytest.mark.parametrize("name", NOT_IMAGES)
def test_another_file_type_is_named(name):
    data, kind, message = NOT_IMAGES[name]
    assert inspect(data).format == kind
    assert str(inspect_and_repair(data).problem).startswith(message)


# ---------------------------------------------------------------------------------------- repaired


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


# Of each pass: first column, first row, step across, step down.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
ADAM7.append((0, 1, 1, 2))


def made_png(
    colour: int, bits: int, *, interlaced=False, chunks=b"", size=(37, 23), idat=None
) -> bytes:
    """A PNG of any kind, as Pillow cannot write it."""
    rng = np.random.default_rng(colour * 100 + bits)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows = []
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    for left, top, across, down in passes if idat is None else ():
        columns = len(range(left, size[0], across))
        for _ in range(top, size[1] if columns else 0, down):
            rows.append(b"\0" + rng.bytes((columns * bits * channels + 7) // 8))
    palette = chunk(b"PLTE", rng.bytes(3 << bits)) if colour == 3 else b""
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, interlaced)
    packed = zlib.compress(b"".join(rows)) if idat is None else idat
    parts = [chunk(b"IHDR", header), palette, chunks, chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


KINDS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
TRANSPARENT = {0: b"\0\1", 2: b"\0\1\0\1\0\1", 3: b"\0\x80"}

PNGS = {
    **{
        f"colour type {colour}, {bits} bits{', interlaced' * interlaced}": made_png(
            colour, bits, interlaced=interlaced
        )
        for colour, depths in KINDS.items()
        for bits, interlaced in itertools.product(depths, (False, True))
    },
    **{
        f"colour type {colour}, {bits} bits, tRNS": made_png(
            colour, bits, chunks=chunk(b"tRNS", TRANSPARENT[colour])
        )
        for colour in TRANSPARENT
        for bits in KINDS[colour]
    },
    "RGB": PNG,
    "RGBA": encoded(RGBA, "PNG"),
    "LA": encoded(RGBA.convert("LA"), "PNG"),
    "palette": encoded(RGB.quantize(200), "PNG"),
    "palette of 2": encoded(RGB.quantize(2), "PNG"),
    "palette with alpha": encoded(RGB.quantize(200), "PNG", transparency=bytes(range(200))),
    "palette with a transparent colour": encoded(RGB.quantize(99), "PNG", transparency=3),
    "dpi and colour profile": encoded(RGB, "PNG", dpi=(72, 72), icc_profile=b"profile" * 10),
    "gamma": made_png(2, 8, chunks=chunk(b"gAMA", struct.pack(">I", 45_455))),
    "significant bits": made_png(2, 8, chunks=chunk(b"sBIT", b"\5\5\5")),
    "background": made_png(6, 8, chunks=chunk(b"bKGD", b"\0\5\0\5\0\5")),
    "animated": encoded(RGB, "PNG", save_all=True, append_images=[RGB.rotate(90)]),
    "animated without its first image": encoded(
        RGB, "PNG", save_all=True, append_images=[RGB.rotate(90)] * 2, default_image=True
    ),
    "1 x 1": encoded(RGB.crop((0, 0, 1, 1)), "PNG"),
    "bytes after the end": PNG + b"junk",
    # These Pillow refuses and libpng does not: TFDS's own function is asked.
    "damaged text": made_png(2, 8, chunks=chunk(b"tEXt", b"a\0b")[:-1] + b"?"),
    "damaged gamma": made_png(2, 8, chunks=chunk(b"gAMA", b"?")),
    "text bomb": made_png(2, 8, chunks=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5_000_000)))),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_becomes_the_jpeg_that_tfds_makes(name):
    result = inspect_and_repair(PNGS[name])
    assert result.problem is None
    assert result.repair == "PNG re-encoded as JPEG"
    assert result.data == image_utils.png_to_jpeg(PNGS[name])
    assert (result.width, result.height) == inspect(result.data)[1:3]


CMYK_JPEG = encoded(CMYK, "JPEG")
ADOBE = CMYK_JPEG.index(b"\xff\xee")
CMYK_FRAME = CMYK_JPEG.index(b"\xff\xc0")
YCCK_JPEG = patched(CMYK_JPEG, ADOBE + 15, b"\2")


def resampled(data: bytes, factors: bytes) -> bytes:
    for index, factor in enumerate(factors):
        data = patched(data, CMYK_FRAME + 11 + 3 * index, bytes([factor]))
    return data


CMYKS = {
    "CMYK": CMYK_JPEG,
    "YCCK": YCCK_JPEG,
    "no Adobe marker": CMYK_JPEG[:ADOBE] + CMYK_JPEG[ADOBE + 16 :],
    "progressive": encoded(CMYK, "JPEG", progressive=True),
    "restart markers": encoded(CMYK, "JPEG", restart_marker_blocks=2),
    "quality 20": encoded(CMYK, "JPEG", quality=20),
    "quality 100": encoded(CMYK, "JPEG", quality=100),
    "1 x 1": encoded(CMYK.crop((0, 0, 1, 1)), "JPEG"),
    "17 x 3": encoded(CMYK.crop((0, 0, 17, 3)), "JPEG"),
    "bytes after the end": CMYK_JPEG + b"junk",
    "damaged": patched(CMYK_JPEG, 2000, bytes(100)),
    "YCCK 4:2:0": resampled(YCCK_JPEG, b"\x22\x11\x11\x22"),
    "YCCK 4:2:2": resampled(YCCK_JPEG, b"\x21\x11\x11\x21"),
    "CMYK 4:2:0": resampled(CMYK_JPEG, b"\x22\x11\x11\x22"),
    # These simplejpeg refuses: TFDS's own function is asked.
    "unusual sampling": resampled(YCCK_JPEG, b"\x22\x11\x11\x11"),
    "unknown transform": patched(CMYK_JPEG, ADOBE + 15, b"\1"),
}


@pytest.mark.parametrize("name", CMYKS)
def test_a_cmyk_jpeg_becomes_the_rgb_jpeg_that_tfds_makes(name):
    result = inspect_and_repair(CMYKS[name])
    assert result.problem is None
    assert result.repair in ("CMYK JPEG re-encoded as RGB", "YCCK JPEG re-encoded as RGB")
    assert result.data == image_utils.jpeg_cmyk_to_rgb(CMYKS[name])
    assert inspect(result.data).components == 3


def test_a_large_cmyk_jpeg_is_converted_in_bands():
    rng = np.random.default_rng(0)
    image = Image.frombytes("CMYK", (1500, 1501), rng.bytes(1500 * 1501 * 4))
    data = encoded(image, "JPEG", quality=50)
    assert inspect_and_repair(data).data == image_utils.jpeg_cmyk_to_rgb(data)


def test_cmyk_and_ycck_are_distinguished():
    assert inspect_and_repair(CMYK_JPEG).repair == "CMYK JPEG re-encoded as RGB"
    assert inspect_and_repair(YCCK_JPEG).repair == "YCCK JPEG re-encoded as RGB"


def test_the_usual_repairs_do_not_ask_tensorflow(monkeypatch):
    monkeypatch.setattr(repairs, "_with_tensorflow", None)
    for data in (CMYK_JPEG, YCCK_JPEG, CMYKS["progressive"], PNG, PNGS["RGBA"], PNGS["palette"]):
        assert inspect_and_repair(data).problem is None
    for data in (GIF, BMP):
        assert inspect_and_repair(data, also_repair=frozenset({"gif", "bmp"})).problem is None


GIFS_AND_BMPS = {
    "GIF": GIF,
    "GIF, greyscale": encoded(RGB.convert("L"), "GIF"),
    "GIF, black and white": encoded(RGB.convert("1"), "GIF"),
    "GIF, interlaced": encoded(RGB.quantize(64), "GIF", interlace=1),
    "GIF with a comment": encoded(RGB.quantize(64), "GIF", comment=b"hello"),
    "GIF with a transparent colour": encoded(RGB.quantize(64), "GIF", transparency=3),
    "GIF, animated": encoded(
        RGB.quantize(64), "GIF", save_all=True, append_images=[RGB.rotate(90).quantize(9)]
    ),
    "GIF that does not fill its canvas": patched(GIF, 6, bytes([WIDTH + 10])),
    "GIF without its last byte": GIF[:-1],
    "BMP": BMP,
    "BMP, greyscale": encoded(RGB.convert("L"), "BMP"),
    "BMP with alpha": encoded(RGBA, "BMP"),
    "BMP, top row first": patched(BMP, 22, struct.pack("<i", -HEIGHT)),
}


@pytest.mark.parametrize("name", GIFS_AND_BMPS)
def test_gif_and_bmp_are_repaired_on_request_as_tensorflow_does(name):
    data = GIFS_AND_BMPS[name]
    kind = name[:3]
    assert inspect_and_repair(data).problem == f"a {kind} image, not a JPEG"
    result = inspect_and_repair(data, also_repair=frozenset({kind.lower()}))
    assert result.problem is None
    assert result.repair == f"{kind} re-encoded as JPEG"
    assert result.data == with_tensorflow(data)
    assert to_rgb_jpeg(data, inspect(data)) == result.data


def test_a_bmp_keeps_the_colours_of_its_palette():
    image = RGB.quantize(40)
    result = inspect_and_repair(encoded(image, "BMP"), also_repair=frozenset({"bmp"}))
    stored = np.asarray(Image.open(io.BytesIO(result.data))).astype(int)
    assert np.abs(stored - np.asarray(image.convert("RGB"))).mean() < 10
    assert result.data != with_tensorflow(encoded(image, "BMP"))


@pytest.mark.parametrize(
    ("data", "result", "how"),
    [
        (JPEG, JPEG, "gunzipped"),
        (CMYK_JPEG, inspect_and_repair(CMYK_JPEG).data, "gunzipped; CMYK JPEG re-encoded as RGB"),
        (PNG, inspect_and_repair(PNG).data, "gunzipped; PNG re-encoded as JPEG"),
    ],
    ids=["JPEG", "CMYK", "PNG"],
)
def test_a_gzip_wrapped_image_is_unpacked(data, result, how):
    wrapped = inspect_and_repair(gzip.compress(data))
    assert (wrapped.data, wrapped.repair, wrapped.problem) == (result, how, None)
    assert (wrapped.width, wrapped.height) == (WIDTH, HEIGHT)


def test_gzip_members_are_joined_and_trailing_bytes_dropped():
    members = gzip.compress(JPEG[:1000]) + gzip.compress(JPEG[1000:])
    assert inspect_and_repair(members + bytes(512)).data == JPEG


BROKEN_REPAIRS = {
    "gzip cut off": (gzip.compress(JPEG)[:-20], "gzip-wrapped and cut off"),
    "gzip cut in its checksum": (gzip.compress(JPEG)[:-3], "gzip-wrapped and cut off"),
    "gzip with two bytes": (b"\x1f\x8b", "gzip-wrapped and cut off"),
    "gzip with a wrong checksum": (
        gzip.compress(JPEG)[:-8] + bytes(8),
        "gzip-wrapped and damaged (Error -3 while decompressing data: incorrect data check)",
    ),
    "gzip of a cut JPEG": (gzip.compress(JPEG[:-9]), "gzip-wrapped: JPEG cut off: no end marker"),
    "gzip of nothing": (gzip.compress(b""), "gzip-wrapped: empty (0 bytes)"),
    "gzip of a gzip": (gzip.compress(gzip.compress(JPEG)), "gzip-wrapped: a gzip file"),
    "gzip of many members": (
        gzip.compress(b"") * 10_000,
        "gzip-wrapped, in more than 100 members",
    ),
    "gzip bomb": (
        gzip.compress(bytes(MAX_GUNZIPPED_BYTES + 1)),
        "gzip-wrapped, and unpacks to more than 67,108,864 bytes",
    ),
    "PNG cut off": (PNG[:-200], "PNG cut off: no end chunk (IEND) in its"),
    "PNG without its end chunk": (PNG[:-12], "PNG cut off: no end chunk (IEND) in its"),
    "PNG signature": (PNG[:8], "PNG cut off: no end chunk (IEND) in its 8 bytes"),
    "PNG with a flipped byte": (
        patched(PNG, 3000, bytes([PNG[3000] ^ 1])),
        "damaged PNG: wrong checksum of a chunk 'IDAT'",
    ),
    "PNG without data": (
        PNG[:33] + chunk(b"IEND", b""),
        "damaged PNG: its data cannot hold 131 x 97 pixels",
    ),
    "PNG without header": (
        PNG[:8] + PNG[33:],
        "damaged PNG: it does not begin with a header",
    ),
    "PNG of no size": (made_png(2, 8, size=(0, 5)), "damaged PNG: its size is 0 x 5"),
    "PNG of 3 bits": (made_png(0, 3), "damaged PNG: its header names an unknown kind of PNG"),
    "PNG without a palette": (
        made_png(3, 8).replace(b"PLTE", b"pLTE"),
        "damaged PNG: its palette is missing",
    ),
    "PNG with garbage for data": (
        made_png(2, 8, idat=b"garbage" * 100),
        "PNG cannot be decoded",
    ),
    "PNG with short data": (
        made_png(2, 8, idat=zlib.compress(bytes(100))),
        "PNG cannot be decoded: image file is truncated",
    ),
    "PNG that lies": (
        made_png(2, 8, size=(60_000, 60_000), idat=zlib.compress(bytes(999))),
        "damaged PNG: its data cannot hold 60000 x 60000 pixels",
    ),
    "huge PNG": (
        encoded(Image.new("1", (9000, 9000)), "PNG"),
        "a PNG of 9000 x 9000 pixels; no more than 64,000,000 are decoded for a repair",
    ),
    "huge CMYK": (
        patched(CMYK_JPEG, CMYK_FRAME + 5, struct.pack(">HH", 50_000, 50_000)),
        "a JPEG of 50000 x 50000 pixels; no more than 64,000,000 are decoded for a repair",
    ),
    "CMYK cut off": (CMYK_JPEG[:-100], "JPEG cut off: no end marker"),
    "GIF cut off": (GIF[:-500], "GIF cannot be decoded: its end is missing"),
    "GIF header": (GIF[:13], "GIF cannot be decoded"),
    "BMP cut off": (BMP[:-500], "BMP cannot be decoded: image file is truncated"),
    "BMP header": (BMP[:40], "BMP cannot be decoded"),
}


@pytest.mark.parametrize("name", BROKEN_REPAIRS)
def test_a_repair_that_fails_is_a_problem(name):
    data, message = BROKEN_REPAIRS[name]
    result = inspect_and_repair(data, also_repair=frozenset({"gif", "bmp"}))
    assert result.problem is not None
    assert result.problem.startswith(message)
    assert result.data is data
    assert result.repair is None


def test_a_bomb_takes_little_memory():
    data = gzip.compress(bytes(4 * MAX_GUNZIPPED_BYTES))
    lies = patched(CMYK_JPEG, CMYK_FRAME + 5, struct.pack(">HH", 65_500, 65_500))
    tracemalloc.start()
    try:
        assert inspect_and_repair(data).problem
        assert inspect_and_repair(lies).problem
        assert inspect_and_repair(made_png(2, 8, size=(2**31 - 1, 0))).problem
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_GUNZIPPED_BYTES
    finally:
        tracemalloc.stop()


def test_repair_raises_what_checked_returns():
    with pytest.raises(ImageProblemError, match="JPEG cut off") as caught:
        repair(JPEG[:900], inspect(JPEG[:900]))
    assert caught.value.reason == inspect_and_repair(JPEG[:900]).problem
    with pytest.raises(ValueError, match="needs no repair"):
        repair(JPEG, inspect(JPEG))
    with pytest.raises(ImageProblemError, match="a GIF image, not a JPEG"):
        repair(GIF, inspect(GIF), also_repair=frozenset({"bmp", "webp"}))


# --------------------------------------------------------------------------------------- properties

SMALL = [
    with_exif(encoded(RGB.crop((0, 0, 40, 30)), "JPEG")),
    encoded(RGB.crop((0, 0, 40, 30)), "JPEG", progressive=True),
    encoded(RGB.convert("L").crop((0, 0, 40, 30)), "JPEG", restart_marker_blocks=1),
    encoded(CMYK.crop((0, 0, 40, 30)), "JPEG"),
    encoded(RGBA.crop((0, 0, 20, 20)), "PNG"),
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SMALL), st.data())
def test_a_cut_image_is_a_problem_or_tensorflow_decodes_it(data, draw):
    cut = data[: draw.draw(st.integers(0, len(data) - 1))]
    assert inspect_and_repair(cut).problem is not None or tensorflow_decodes(cut)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SMALL), st.data())
def test_a_flipped_byte_never_raises(data, draw):
    at = draw.draw(st.integers(0, len(data) - 1))
    flipped = patched(data, at, bytes([draw.draw(st.integers(0, 255))]))
    result = inspect_and_repair(flipped, also_repair=frozenset({"gif", "bmp"}))
    assert (result.problem is None) or result.data is flipped


@settings(max_examples=300, deadline=None)
@given(st.integers(2, SCAN + 30), st.binary(max_size=12))
def test_nothing_that_tensorflow_decodes_is_a_problem(at, garbage):
    data = inserted(JPEG, at, garbage)
    if tensorflow_decodes(data):
        assert inspect_and_repair(data).problem is None


MAGICS = [b"", b"\xff\xd8\xff", PNG[:8], PNG[:33], b"\x1f\x8b\x08\0", b"GIF89a", b"BM", b"RIFF"]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(MAGICS), st.binary(max_size=80))
def test_random_bytes_never_raise(magic, rest):
    result = inspect_and_repair(magic + rest, also_repair=frozenset({"gif", "bmp"}))
    assert result.problem is not None or tensorflow_decodes(result.data)


def test_no_decoder_is_imported_before_it_is_needed():
    code = (
        "import sys; from imagenet_builders.images import inspect_and_repair\n"
        "inspect_and_repair(sys.stdin.buffer.read())\n"
        "print([m for m in ('PIL', 'simplejpeg', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=JPEG, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
