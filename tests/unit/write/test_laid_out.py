"""Files that are put together in a buffer have the bytes and the checksum of those that are not."""

from __future__ import annotations

import random
from pathlib import Path

import google_crc32c
import pytest

from imagenet_builders.write import laid_out
from imagenet_builders.write.laid_out import LaidOutFile


@pytest.mark.parametrize("seed", range(30))
def test_the_bytes_are_those_that_were_added_and_written_in_order(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laid_out, "_BUFFER_BYTES", 1000)
    monkeypatch.setattr(laid_out, "_kept", laid_out._Kept())
    rng = random.Random(seed)
    for name in ("first", "second"):  # With the same buffer.
        expected = bytearray()
        with LaidOutFile(tmp_path / name) as file:
            for _ in range(rng.randrange(40)):
                data = rng.randbytes(rng.choice((0, 1, 10, 300, 999, 1000, 1001, 5000)))
                if rng.random() < 0.3:
                    half = rng.randrange(len(data) + 1)
                    file.write([data[:half], data[half:]], len(data))
                else:
                    room = file.room(len(data) + rng.choice((0, 0, 50)))
                    room[: len(data)] = data
                    assert file.crc_of(0, len(data)) == google_crc32c.value(data)
                    if rng.random() < 0.2:
                        continue  # It is not added, and others take its place.
                    file.add(len(data))
                expected += data
        assert (tmp_path / name).read_bytes() == expected
        assert (file.size, file.crc32c) == (
            len(expected),
            f"{google_crc32c.value(bytes(expected)):08x}",
        )
