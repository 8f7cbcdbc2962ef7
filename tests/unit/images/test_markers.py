"""A marker among compressed data is found wherever it is, and nothing else is."""

from __future__ import annotations

import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from imagenet_builders.images import markers
from imagenet_builders.images.markers import holds_marker

MARKER = re.compile(rb"\xff[^\x00]", re.DOTALL)


def compressed(rng: random.Random, size: int) -> bytearray:
    """Bytes as they are in a scan: 00 behind each FF."""
    made = bytearray(rng.choice((0, 1, 0x7F, 0x80, 0xFE, rng.randrange(255))) for _ in range(size))
    for _ in range(size // 20):
        at = rng.randrange(size - 1)
        made[at : at + 2] = b"\xff\0"
    return bytearray(bytes(made).replace(b"\xff\xff", b"\xff\0"))


def test_is_what_a_regular_expression_says() -> None:
    rng = random.Random(4)
    found = 0
    for _ in range(3000):
        data = compressed(rng, rng.randrange(2, 200))
        if rng.random() < 0.5:
            for _ in range(9):
                data[rng.randrange(len(data))] = rng.choice((0xFF, 0xD9, 1))
        start, stop = sorted(rng.choices(range(len(data) + 1), k=2))
        expected = MARKER.search(data, start, stop) is not None
        for each in (bytes(data), memoryview(data)):
            assert holds_marker(each, start, stop) == expected
        found += expected
    assert 300 < found < 2700


@pytest.mark.parametrize("size", [0, 1, 2, 3, 65, 4099, markers._KEPT_BYTES - 1])
@pytest.mark.parametrize("more", [0, 1, 2, 3])
def test_at_either_end_of_images_of_any_size(size: int, more: int) -> None:
    size += more
    data = b"\xff\x01" + bytes(size) + b"\xff\x01"
    assert not holds_marker(data, 1, len(data) - 1)
    assert holds_marker(data, 0, len(data) - 1)
    assert holds_marker(data, 1, len(data))
    # What an image before has left is of no account.
    assert not holds_marker(bytes(size), 0, size)


def test_threads_do_not_see_what_others_compare() -> None:
    sound = bytes(70_000)
    bad = sound[:-2] + b"\xff\xd8"
    with ThreadPoolExecutor(4) as threads:
        asked = [sound, bad] * 400
        found = list(threads.map(lambda data: holds_marker(data, 0, len(data)), asked))
    assert found == [False, True] * 400
