"""JPEGs with damage among their compressed data: what passes is what TensorFlow decodes."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from imagenet_builders import images
from imagenet_builders.images import checking, inspect, inspect_and_repair
from imagenet_builders.images.repairs import MAX_SCANS

WIDTH, HEIGHT = 130, 90


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 17, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((WIDTH, HEIGHT))


def encoded(seed: int = 0, grey: bool = False, **options: Any) -> bytes:
    stream = io.BytesIO()
    (picture(seed).convert("L") if grey else picture(seed)).save(stream, "JPEG", **options)
    return stream.getvalue()


KINDS: list[dict[str, Any]] = [
    {},
    {"quality": 95, "subsampling": 0},
    {"optimize": True, "subsampling": 1},
    {"grey": True},
    {"restart_marker_blocks": 4},
    {"progressive": True},
    {"progressive": True, "restart_marker_rows": 1},
    {"progressive": True, "grey": True},
]
JPEGS = [encoded(seed, **kind) for seed in range(3) for kind in KINDS]
PLAIN = encoded(7)


def scan_of(data: bytes | bytearray) -> int:
    """Where the compressed data of the first scan begin."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4])


def decodes(data: bytes) -> bool:
    try:
        tf.io.decode_jpeg(data)
    except tf.errors.InvalidArgumentError:
        return False
    return True


MARKERS = (0xC0, 0xC4, 0xCC, 0xD0, 0xD4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xFE, 0xFF, 0x01, 0x44)
Damage = Callable[[bytearray, int, random.Random, bytes], bytes | bytearray]


def replaced(data: bytearray, at: int, rng: random.Random, other: bytes) -> bytearray:
    data[at : at + 2] = bytes([0xFF, rng.randrange(256)])
    return data


def inserted(data: bytearray, at: int, rng: random.Random, other: bytes) -> bytearray:
    data[at:at] = bytes([0xFF, rng.choice(MARKERS)]) + rng.randbytes(rng.choice((0, 2)))
    return data


def zeroed(data: bytearray, at: int, rng: random.Random, other: bytes) -> bytearray:
    end = min(at + rng.randrange(1, 200), len(data) - 2)
    data[at:end] = bytes(end - at)
    return data


def noise(data: bytearray, at: int, rng: random.Random, other: bytes) -> bytearray:
    data[at:at] = rng.randbytes(rng.randrange(1, 60))
    return data


def flipped(data: bytearray, at: int, rng: random.Random, other: bytes) -> bytearray:
    data[at] ^= 1 << rng.randrange(8)
    return data


def in_header(data: bytearray, at: int, rng: random.Random, other: bytes) -> bytearray:
    end = scan_of(data)
    for _ in range(rng.choice((1, 1, 2))):
        data[rng.randrange(2, end)] = rng.randrange(256)
    return data


DAMAGE: dict[str, Damage] = {
    "a marker in place of data": replaced,
    "a marker more": inserted,
    "another image behind a part": lambda data, at, rng, other: data[:at] + other,
    "another scan behind a part": lambda d, at, rng, o: d[:at] + o[o.index(b"\xff\xda") :],
    "zeros": zeroed,
    "a part less": lambda data, at, rng, other: data[:at] + data[at + rng.randrange(1, 100) :],
    "noise": noise,
    "a flipped bit": flipped,
    "a part with an end": lambda data, at, rng, other: data[:at] + b"\xff\xd9",
    "bytes of the header": in_header,
}


def damaged(kind: str, count: int) -> Iterator[bytes]:
    rng = random.Random(kind)
    for _ in range(count):
        data = bytearray(rng.choice(JPEGS))
        at = rng.randrange(scan_of(data), len(data) - 2)
        yield bytes(DAMAGE[kind](data, at, rng, rng.choice(JPEGS)))


@pytest.mark.parametrize("kind", DAMAGE)
def test_images_pass_exactly_if_tensorflow_decodes_them(kind: str):
    """Of thousands of images. What is refused is what it does not decode, but for a few."""
    outcomes: Counter[tuple[str, bool, bool]] = Counter()
    for data in damaged(kind, 500):
        facts = inspect(data)
        if facts.problem is None and facts.components == 4:
            continue
        right = decodes(data)
        taken = inspect_and_repair(data).problem is None
        outcomes["build", taken, right] += 1
        decoded = facts.problem is None and images.decode(data, facts).problem is None
        outcomes["decode", decoded, right] += 1
    for by in ("build", "decode"):
        assert not outcomes[by, True, False]
        assert outcomes[by, False, True] <= 2


@pytest.mark.parametrize("data", JPEGS, ids=range(len(JPEGS)))
def test_a_sound_image_is_not_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "decode", lambda *_: pytest.fail("decoded"))
    for whole in (data, data[:-2] + b"\xff" + data[-2:], data + b"behind \xff\x44 it"):
        assert inspect(whole).stray_marker is None
        assert inspect_and_repair(whole).problem is None
        assert decodes(whole)


MIDDLE = (scan_of(PLAIN) + len(PLAIN)) // 2
GIVEN_UP = {
    "a stray marker": (PLAIN[:MIDDLE] + b"\xff\x44" + PLAIN[MIDDLE + 2 :], "Unsupported marker"),
    "a part, then all of it": (PLAIN[:MIDDLE] + PLAIN, "two SOI markers"),
    "two scans": (PLAIN[:MIDDLE] + PLAIN[PLAIN.index(b"\xff\xda") :], "more than one scan"),
    "a frame": (PLAIN[:MIDDLE] + PLAIN[PLAIN.index(b"\xff\xc0") :], "two SOF markers"),
}


@pytest.mark.parametrize("case", GIVEN_UP)
def test_a_marker_that_tensorflow_gives_up_on_is_a_problem(case: str):
    data, problem = GIVEN_UP[case]
    assert not decodes(data)
    assert inspect(data).stray_marker == MIDDLE
    found = inspect_and_repair(data).problem
    assert found is not None
    assert found.startswith("damaged JPEG: it cannot be decoded (")
    assert problem in found


def test_a_marker_that_libjpeg_passes_over_is_none():
    data = PLAIN[:MIDDLE] + b"\xff\xd3" + PLAIN[MIDDLE:]
    assert inspect(data).stray_marker == MIDDLE
    assert decodes(data)
    assert inspect_and_repair(data) == images.InspectedImage(data, None, None, WIDTH, HEIGHT)
    assert images.decode(data, inspect(data)).lost is not None


def test_lost_pixels_are_a_problem_only_where_all_images_are_decoded():
    data = PLAIN[:MIDDLE] + b"\xff\xd9"
    assert decodes(data)
    assert inspect_and_repair(data).problem is None
    found = inspect_and_repair(data, decode_all=True).problem
    assert found is not None
    assert found.startswith("damaged JPEG: pixels are lost (Corrupt JPEG data")


def test_a_warning_of_libjpeg_does_not_hide_an_error():
    """Simplejpeg tells of the last one only, and none after one in the header."""
    at = PLAIN.index(b"JFIF\0") + 5
    odd = PLAIN[:at] + b"\x09" + PLAIN[at + 1 :]
    assert decodes(odd)
    assert images.decode(odd, inspect(odd)) == images.Decoded()
    broken = odd[:MIDDLE] + b"\xff\x44" + odd[MIDDLE:]
    assert not decodes(broken)
    assert images.decode(broken, inspect(broken)).problem is not None


def test_a_large_image_with_a_stray_marker_is_not_decoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "decode", lambda *_: pytest.fail("decoded"))
    at = PLAIN.index(b"\xff\xc0") + 5
    large = (10_000).to_bytes(2) * 2
    data = PLAIN[:at] + large + PLAIN[at + 4 : MIDDLE] + b"\xff\x44" + PLAIN[MIDDLE:]
    assert "10000 x 10000 pixels too large" in (inspect_and_repair(data).problem or "")


def with_scans(data: bytes, more: int) -> bytes:
    """A progressive JPEG with its last scan so many times more."""
    at = data.rindex(b"\xff\xda")
    return data[:-2] + data[at:-2] * more + data[-2:]


def cmyk(**options: Any) -> bytes:
    stream = io.BytesIO()
    picture(3).convert("CMYK").save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize(("scans", "is_decoded"), [(MAX_SCANS, True), (MAX_SCANS + 1, False)])
def test_images_of_many_scans_are_not_decoded(scans: int, is_decoded: bool) -> None:
    """Each scan goes over all pixels: 400 kB could keep a processor for half a minute."""
    for plain in (cmyk(progressive=True), encoded(3, progressive=True)):
        data = with_scans(plain, scans - inspect(plain).scans)
        assert inspect(data).scans == scans
        problem = inspect_and_repair(data, decode_all=True).problem or ""
        assert (not problem) == is_decoded
        assert is_decoded or f"a JPEG of {scans} scans; no more than 100 are decoded" in problem


def test_images_of_many_scans_pass_a_build_that_does_not_decode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checking, "decode", lambda *_: pytest.fail("decoded"))
    data = with_scans(encoded(3, progressive=True), MAX_SCANS)
    assert inspect_and_repair(data) == (data, None, None, WIDTH, HEIGHT)


def test_the_scans_of_a_jpeg_are_counted() -> None:
    assert inspect(PLAIN).scans == 1
    for options in ({}, {"restart_marker_blocks": 4}, {"progressive": True}):
        data = encoded(1, **options)
        assert inspect(data).scans == data.count(b"\xff\xda")
