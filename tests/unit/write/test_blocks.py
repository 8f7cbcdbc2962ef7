"""Memory that is used again: never what was taken last, nor what was not given back."""

from __future__ import annotations

import random

import numpy as np
import pytest

from imagenet_builders.write import blocks
from imagenet_builders.write.blocks import Blocks


@pytest.mark.parametrize("seed", range(20))
def test_what_is_in_use_keeps_its_content(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 1000)
    rng, memory = random.Random(seed), Blocks()
    used: list[tuple[np.ndarray, bytes]] = []
    for _ in range(500):
        place = memory.take(rng.choice((0, 1, 10, 400, 999, 1000, 1001, 3000)))
        content = rng.randbytes(len(place))
        place.data[:] = content
        used.append((place, content))
        assert all(each.tobytes() == expected for each, expected in used)
        if rng.random() < 0.1:
            memory.give_back()
            used = used[-1:]


def test_it_is_used_again() -> None:
    memory, places = Blocks(), set[int]()
    for _ in range(100):
        for _ in range(30):
            places.add(memory.take(1 << 18).ctypes.data)
        memory.give_back()
    assert len(places) <= 4 * 9
