"""Examples are read quickly where nothing is wrong: to what the careful way says, whatever lies."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from imagenet_builders.formats.tfrecord.example_values import Kind
from imagenet_builders.formats.tfrecord.example_window import Features, Window
from imagenet_builders.formats.tfrecord.wire import DamageError, encode_varint

WANTED = {
    b"image/filename": Kind.TEXT,
    b"image/encoded": Kind.PLACE,
    b"image/class/label": Kind.INTS,
    b"image/class/synset": Kind.TEXT,
    b"image/object/bbox/xmin": Kind.FLOATS,
}
REPEATING = frozenset((b"image/class/label", b"image/class/synset"))


def field(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + encode_varint(len(content)) + content


def feature(rng: random.Random, name: bytes, kind: Kind | None) -> bytes:
    """A map entry as writers have it; now and then as none does, or wrong."""
    kind = kind or rng.choice(list(Kind))
    if kind is Kind.PLACE:
        value = field(0x0A, field(0x0A, rng.randbytes(rng.choice([3, 90, 130, 5000, 20_000]))))
    elif kind is Kind.TEXT:
        size = rng.choice([0, 1, 9, 20, 20, 20, 150])
        value = field(0x0A, field(0x0A, bytes(rng.choices(b"n01234_.JPEG", k=size))))
    elif kind is Kind.INTS:
        numbers = [
            rng.choice([0, 5, 127, 128, 999, -1]) for _ in range(rng.choice([0, 1, 1, 1, 3]))
        ]
        packed = b"".join(map(encode_varint, numbers))
        value = field(0x1A, field(0x0A, packed) if rng.random() < 0.9 else b"\x08" + packed)
    else:
        count = rng.choice([0, 0, 1, 2, 30, 40])
        packed = struct.pack(f"<{count}f", *(rng.random() for _ in range(count)))
        value = field(0x12, field(0x0A, packed) if rng.random() < 0.9 else b"\x0d" + packed)
    parts = [field(0x0A, name), field(0x12, value)]
    if rng.random() < 0.02:
        parts.reverse()
    if rng.random() < 0.02:
        parts.append(rng.choice(parts))
    return field(0x0A, b"".join(parts))


def example(rng: random.Random) -> bytes:
    names = [*WANTED, b"image/height", b"image/text", b"x" * rng.choice([1, 100, 140])]
    rng.shuffle(names)
    if rng.random() < 0.1:
        names.append(rng.choice(names))
    of = {name: None if rng.random() < 0.03 else kind for name, kind in WANTED.items()}
    data = b"".join(feature(rng, name, of.get(name)) for name in names)
    return field(0x0A, data)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The same in most cases; else with a byte or two changed, or cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        near = rng.choice([len(changed), 200, 60])
        changed[rng.randrange(min(near, len(changed)))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.05:
        del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


def outcome(read: Callable, window: Window, begin: int, end: int) -> object:
    try:
        return list(read(window, begin, end).items())
    except DamageError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(4))
def test_the_quick_and_the_careful_way_say_the_same(tmp_path, seed):
    rng = random.Random(seed)
    examples = [damaged(rng, example(rng)) for _ in range(700)]
    # Next to each other in a file, as records are, so that a window has parts of several.
    path = tmp_path / "examples"
    path.write_bytes(b"".join(examples))
    warm = Features(WANTED, REPEATING)
    sound = wrong = 0
    with path.open("rb") as file:
        fd, size, at = file.fileno(), path.stat().st_size, 0
        window = Window(fd, size)
        for data in examples:
            end = at + len(data)
            careful = outcome(Features(WANTED, REPEATING).read_carefully, Window(fd, size), at, end)
            assert outcome(warm.read, window, at, end) == careful
            assert outcome(warm.read, Window(fd, size), at, end) == careful
            assert outcome(warm.read, Window.over(data), 0, len(data)) == outcome(
                Features(WANTED, REPEATING).read_carefully, Window.over(data), 0, len(data)
            )
            sound += isinstance(careful, list)
            wrong += isinstance(careful, str)
            at = end
    assert min(sound, wrong) > 100


def test_examples_as_writers_have_them_are_not_read_twice(monkeypatch):
    rng = random.Random(5)
    features = Features(WANTED, REPEATING)
    monkeypatch.delattr(Features, "read_carefully")
    names = [*WANTED, b"image/height"]
    for number in range(50):
        rng.shuffle(names)
        values = {
            b"image/filename": field(0x0A, field(0x0A, b"n01440764_%d.JPEG" % number)),
            b"image/encoded": field(0x0A, field(0x0A, bytes(20_000 + number))),
            b"image/class/label": field(0x1A, field(0x0A, encode_varint(number * 7))),
            b"image/class/synset": field(0x0A, field(0x0A, b"n01440764")),
            b"image/object/bbox/xmin": field(0x12, field(0x0A, struct.pack("<2f", 0, number))),
            b"image/height": field(0x1A, field(0x0A, encode_varint(300 + number))),
        }
        data = field(
            0x0A,
            b"".join(field(0x0A, field(0x0A, name) + field(0x12, values[name])) for name in names),
        )
        found = features.read(Window.over(data), 0, len(data))
        assert found[b"image/filename"] == b"n01440764_%d.JPEG" % number
        assert found[b"image/class/label"] == (number * 7,)
        assert found[b"image/class/synset"] == b"n01440764"
        assert found[b"image/object/bbox/xmin"] == (0, number)
        assert found[b"image/height"] is None
        place = found[b"image/encoded"]
        assert data[place.offset : place.offset + place.size] == bytes(20_000 + number)
