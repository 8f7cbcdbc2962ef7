"""The fast way to look at a JPEG says nothing that the careful way does not say."""

from __future__ import annotations

import io
import random
import struct
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from imagenet_builders.images.checking import InspectedImage, inspect_and_repair, inspect_with_care
from imagenet_builders.images.jpeg import huffman_tables
from imagenet_builders.images.plain_jpeg import plain_size

WIDTH, HEIGHT = 40, 24


def encoded(seed: int = 0, mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments behind its start."""
    return data[:2] + b"".join(segments) + data[2:]


def joined(data: bytes) -> bytes:
    """A JPEG whose tables of a kind are in one segment."""
    at, tables, others = 2, {0xDB: b"", 0xC4: b""}, []
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] in tables:
            tables[data[at + 1]] += data[at + 4 : end]
        else:
            others.append(data[at:end])
        at = end
    start, frame = others
    return b"".join(
        [
            data[:2],
            start,
            segment(0xDB, tables[0xDB]),
            frame,
            segment(0xC4, tables[0xC4]),
            data[at:],
        ]
    )


PLAIN = encoded()
COMMON = {
    "libjpeg's": PLAIN,
    "another quality": encoded(1, quality=97),
    "all colours": encoded(2, subsampling=0),
    "half of them": encoded(3, subsampling=1),
    "joined tables": joined(PLAIN),
    "tables of its own": encoded(optimize=True),
    "a comment": with_segments(PLAIN, segment(0xFE, b"n01440764_10026")),
    "EXIF and a profile": with_segments(
        PLAIN, segment(0xE1, b"Exif\0\0" + bytes(9)), segment(0xE2, b"ICC_PROFILE\0" + bytes(40))
    ),
    "without JFIF": PLAIN[:2] + PLAIN[20:],
    "no pixels": PLAIN[: PLAIN.index(b"\xff\xda") + 14] + b"\xff\xd9",
}
OTHERS = {
    "grey": encoded(mode="L"),
    "CMYK": encoded(mode="CMYK"),
    "progressive": encoded(progressive=True),
    "restarts": encoded(restart_marker_blocks=2),
    "a restart interval of zero": with_segments(PLAIN, segment(0xDD, b"\0\0")),
    "garbage between segments": with_segments(PLAIN, b"\0\0"),
    "a fill byte": with_segments(PLAIN, b"\xff"),
    "bytes behind its end": PLAIN + b"\0",
    "cut off": PLAIN[:-9],
    "a stray marker": PLAIN[:-40] + b"\xff\xd8" + PLAIN[-38:],
    "nothing": b"",
    "a start": b"\xff\xd8",
    "an end": b"\xff\xd9",
    "a PNG": b"\x89PNG\r\n\x1a\n",
    "too many segments": with_segments(PLAIN, *[segment(0xFE, b"")] * 64),
    "a segment too short": with_segments(PLAIN, b"\xff\xfe\0\1"),
    "no width": PLAIN.replace(struct.pack(">HH", HEIGHT, WIDTH), struct.pack(">HH", HEIGHT, 0), 1),
    "too wide": PLAIN.replace(
        struct.pack(">HH", HEIGHT, WIDTH), struct.pack(">HH", HEIGHT, 65_501), 1
    ),
    "too many pixels": PLAIN.replace(
        struct.pack(">HH", HEIGHT, WIDTH), struct.pack(">HH", 14_000, 14_000), 1
    ),
}


@pytest.mark.parametrize("data", COMMON.values(), ids=COMMON)
def test_the_common_shape_is_known(data: bytes) -> None:
    assert plain_size(data) == (WIDTH, HEIGHT)
    assert plain_size(memoryview(data)) == (WIDTH, HEIGHT)
    assert inspect_with_care(data, frozenset()) == inspect_and_repair(data)


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_all_else_is_looked_at_with_care(data: bytes) -> None:
    assert plain_size(data) is None
    assert plain_size(memoryview(data)) is None


def test_a_huffman_table_is_bogus_if_its_last_code_has_ones_only() -> None:
    """Against the definition, code by code."""
    rng = random.Random(3)
    seen: Counter[bool] = Counter()
    for _ in range(3000):
        counts = [0] * 16
        for _ in range(rng.randrange(1, 9)):
            counts[rng.randrange(16)] += rng.choice((1, 1, 2, 3, 9))
        code, is_bogus = 0, False
        for length, count in enumerate(counts, 1):
            code = 2 * code + count
            is_bogus |= count > 0 and code >= 1 << length
        content = bytes([0x10, *counts]) + bytes(sum(counts))
        assert huffman_tables(content) == (1 << 4, is_bogus << 4)
        seen[is_bogus] += 1
    assert min(seen[True], seen[False]) > 500


def changed(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 2))):
        data[rng.randrange(len(data))] = rng.choice((0, 0xFF, 0xD9, 0xDA, rng.randrange(256)))
    return data


def inserted(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(2, len(data))
    data[at:at] = rng.choice((b"\xff", b"\xff\0", b"\0", segment(rng.randrange(192, 255), b"ab")))
    return data


def removed(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 19, 69))]
    return data


def sized(data: bytearray, rng: random.Random) -> bytearray:
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(
        ">HH", *(rng.choice((0, 1, 13_377, 13_378, 65_500, 65_501, 65_535)) for _ in range(2))
    )
    return data


def swapped(data: bytearray, rng: random.Random) -> bytearray:
    """Two segments of the header in each other's place."""
    at, parts = 2, []
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        parts.append(data[at:end])
        at = end
    one, two = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[one], parts[two] = parts[two], parts[one]
    return data[:2] + b"".join(parts) + data[at:]


def cut(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data))] + b"\xff\xd9"


DAMAGE: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    *(changed, changed, changed),
    *(inserted, removed, sized, swapped, cut),
)


def test_both_ways_agree_on_damaged_headers() -> None:
    rng = random.Random(15)
    # Short scans, so that most of the damage is in the header.
    whole = [data[:700] + data[-40:] for data in COMMON.values()]
    seen: Counter[str] = Counter()
    for _ in range(100_000):
        damage = rng.choice(DAMAGE)
        data = bytes(damage(bytearray(rng.choice(whole)), rng))
        size = plain_size(data)
        seen[f"{damage.__name__}: {'plain' if size else 'other'}"] += 1
        if size is not None:
            assert inspect_with_care(data, frozenset()) == InspectedImage(data, None, None, *size)
    assert all(seen[f"{damage.__name__}: plain"] > 500 for damage in (*DAMAGE, changed)), seen
    assert all(seen[f"{damage.__name__}: other"] > 500 for damage in DAMAGE), seen


def test_what_has_changed_since_the_last_time_is_looked_at_again() -> None:
    buffer = bytearray(PLAIN)
    view = memoryview(buffer)
    assert plain_size(view) == (WIDTH, HEIGHT)
    buffer[-1] = 0
    assert plain_size(view) is None
    assert plain_size(PLAIN) == plain_size(PLAIN) == (WIDTH, HEIGHT)
    assert plain_size(bytes(buffer)) is None
