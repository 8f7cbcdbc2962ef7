"""tiny_imagenet: damage anywhere in the archive is found, or changes nothing."""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import tiny_imagenet as maker
from makers.tiny_imagenet import ARCHIVE, ROOT
from support.built_datasets import shards
from support.command_line import ERROR
from support.corpora.tiny_imagenet import (
    ANNOTATIONS,
    BOXES,
    IMAGE,
    assert_matches,
    build,
    files,
    refused,
)

from imagenet_builders.datasets.tiny_imagenet import examples, staged
from imagenet_builders.errors import SourceError
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources import zip_archives

BUILT = "tiny_imagenet/1.0.0"


def flip(archive: Path, name: str, at: int) -> int:
    """Turns over a bit of a member's data; returns where they begin."""
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo(name)
    data = bytearray(archive.read_bytes())
    start = info.header_offset + 30 + len(info.filename)
    assert 0 <= at < info.compress_size
    data[start + at] ^= 1
    archive.write_bytes(data)
    return start


@pytest.mark.parametrize(
    ("compression", "message"), [("stored", "expected the CRC-32"), ("deflated", "damaged")]
)
def test_a_flipped_bit_in_an_image_is_found_and_located(
    tmp_path: Path, compression: maker.Compression, message: str
):
    path = maker.make_tiny_imagenet(tmp_path / "staged", compression=compression).path
    start = flip(path, IMAGE, 1500)
    sentence = refused(path.parent, tmp_path / "data")
    assert_matches(sentence, f"{path}, member 'n01443537_1.JPEG', at byte {start:,}: .*{message}")
    outcome = build(path.parent, tmp_path / "data", "--bad-images", "skip")
    assert "(0 repaired, 1 skipped)" in outcome.summary["train"]


@pytest.mark.parametrize("name", [BOXES, ANNOTATIONS, f"{ROOT}/wnids.txt"])
def test_a_flipped_bit_in_a_text_is_found(tmp_path: Path, name: str):
    path = maker.make_tiny_imagenet(tmp_path / "staged", compression="stored").path
    flip(path, name, 20)
    assert_matches(refused(path.parent, tmp_path / "data"), f"member '{name}'.*CRC-32")


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("packed", "size"),
    [
        (deflated(b"x" * 10), 9),
        (deflated(b"x" * 10), 11),
        (deflated(b"x" * 10) + b"more", 10),
        (deflated(b"x" * 10)[:-1], 10),
        (deflated(bytes(50 << 20)), 10),
        (b"\xff" * 20, 10),
        (b"", 10),
    ],
)
def test_deflated_data_with_a_false_size_is_refused(packed: bytes, size: int):
    with pytest.raises(ValueError, match="damaged"):
        zip_archives.member_bytes(packed, size=size, crc=0, deflated=True)


# Damage anywhere. Whoever reads the message need not know the format, so that it is a message is
# all that is asked of it, and that what is built nevertheless is what would be built otherwise.


def small_archive() -> bytes:
    return maker.zip_bytes(
        {name: data for name, data in files().items() if "train" not in name or "n01443537" in name}
    )


def damaged(archive: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(0)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        directory = opened.start_dir
        headers = [info.header_offset for info in opened.infolist()]
    for _ in range(count):
        # Most bytes are pixels. What the archive says of itself is damaged as often as these.
        at = rng.choice(
            [
                rng.randrange(len(archive)),
                rng.randrange(directory, len(archive)),
                rng.choice(headers) + rng.randrange(60),
            ]
        )
        byte = archive[at] ^ rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
        yield f"byte {at} is {byte}", archive[:at] + bytes([byte]) + archive[at + 1 :]
    for _ in range(count // 5):
        length = rng.choice([rng.randrange(len(archive)), rng.randrange(directory, len(archive))])
        yield f"cut at {length}", archive[:length]
    for _ in range(count // 10):
        start, size = rng.randrange(len(archive)), rng.randrange(1, 5000)
        hole = archive[:start] + bytes(len(archive[start : start + size]))
        yield f"{size} zeros at {start}", hole + archive[len(hole) :]
        yield f"without {size} at {start}", archive[:start] + archive[start + size :]


def all_examples(directory: Path) -> list[Any]:
    """The examples of all splits, made as a worker makes them."""
    found: list[Any] = []
    with LocalWorkers(1) as workers:
        room = BuildContext(directory / "scratch", BuildOptions(), workers)
        recipes = staged.recipes(directory, room)
    for recipe in recipes:
        with recipe.index.reader() as reader:
            for key, made in examples.make_examples(recipe.index.table, reader, ImagePolicy(), []):
                box = np.asarray(made["bbox"]).tolist()
                found.append((recipe.split, key, {**made, "bbox": box}))
    return found


def test_a_damaged_archive_gives_an_error_or_the_same_examples(tmp_path: Path):
    archive = small_archive()
    (tmp_path / ARCHIVE).write_bytes(archive)
    sound = all_examples(tmp_path)
    refusals = []
    for number, (what, data) in enumerate(damaged(archive, 600)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / ARCHIVE).write_bytes(data)
        try:
            found = all_examples(tmp_path / str(number))
        except SourceError as error:
            refusals.append(str(error))
        else:
            assert found == sound, what
    assert len(refusals) > 300
    assert all(ARCHIVE in sentence and sentence.isprintable() for sentence in refusals)


def test_a_damaged_archive_gives_one_sentence_or_the_same_dataset(tmp_path: Path):
    archive = small_archive()
    (tmp_path / ARCHIVE).write_bytes(archive)
    assert build(tmp_path, tmp_path / "data").status == 0
    shards_of = {path.name: path.read_bytes() for path in shards(tmp_path / "data" / BUILT)}
    for number, (what, data) in enumerate(damaged(archive, 40)):
        case = tmp_path / str(number)
        case.mkdir()
        (case / ARCHIVE).write_bytes(data)
        outcome = build(case, case / "data")
        if outcome.status == 0:
            built = {path.name: path.read_bytes() for path in shards(case / "data" / BUILT)}
            assert built == shards_of, what
        else:
            assert outcome.status == 1, what
            errors = [line for line in outcome.err.splitlines() if line.startswith(ERROR)]
            assert len(errors) == 1, what
            assert errors[0].isprintable(), what
            assert "Traceback" not in outcome.err, what
            assert not list((case / "data").glob("tiny_imagenet/[!.]*")), what
