"""Shards whose samples are alike are read quickly, to what the careful way says of each of them."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
from pathlib import Path

import pytest

from imagenet_builders import labels
from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats.tar_header import plain_file
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.sources import webdataset_runs
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.sources.webdataset_json import AlikeJson
from imagenet_builders.sources.webdataset_runs import shard_rows
from imagenet_builders.sources.webdataset_samples import Classes, Shard, json_problem

WNIDS = labels.wnids("imagenet2012")
CLASSES = 1000

Members = list[tuple[str, bytes]]


def sample(rng: random.Random, order: tuple[str, ...], number: int, base: int = 0) -> Members:
    """The members of a sample, in the order of their extensions."""
    label = rng.randrange(CLASSES)
    stem = f"{WNIDS[label]}_{number}"
    said = {
        "label": label + base,
        "width": rng.randrange(100, 3000),
        "height": 375,
        "filename": f"{stem}.JPEG",
    }
    bodies = {
        "cls": str(label + base).encode(),
        "jpg": b"\xff\xd8" + bytes(rng.randrange(3000)),
        "JPEG": b"\xff\xd8" + bytes(rng.randrange(3000)),
        "json": json.dumps(said).encode(),
        "txt": b"a fish " * 3,
    }
    return [(f"{stem}.{extension}", bodies[extension]) for extension in order]


def odd(rng: random.Random, members: Members, before: Members) -> Members:
    """A sample that is not like the others, or wrong."""
    members = list(members)
    place = rng.randrange(len(members))
    name, body = members[place]
    stem, _, extension = name.partition(".")
    changes = {
        "gone": [],
        "twice": [(name, body), (name, body)],
        "more": [(name, body), (f"{stem}.caption.txt", b"a")],
        "longer": [(name, body + b" " * 600)],
        "padded": [(name, b" " * 40 + body)],
        "space": [(name, body + b"\n")],
        "zeros": [(name, b"000" + body)],
        "empty": [(name, b"")],
        "other": [(name, b"n")],
        "nested": [(name, b'{"a": {}}')],
        "wrong label": [(name, b'{"label": 1000}' if extension == "json" else b"1000")],
        "folder": [(f"./{name}", body)],
        "capitals": [(f"{stem}.{extension.upper()}", body)],
        "spelling": [(f"{stem.replace('_', '_000')}.{extension}", body)],
        "system file": [("._" + name, b""), (name, body)],
        "the one before": [(before[place % len(before)][0], body)],
        "no name": [("", body)],
        "long": [(f"{stem}.{'x' * 90}.{extension}", body)],
    }
    members[place : place + 1] = changes[rng.choice(list(changes))]
    return members or before


def shard_of(rng: random.Random) -> bytes:
    order = rng.choice(
        [
            ("cls", "jpg", "json"),
            ("jpg", "json", "cls"),
            ("json", "jpg"),
            ("jpg", "cls"),
            ("jpg",),
            ("cls", "JPEG", "txt"),
        ]
    )
    base = rng.choice([0, 0, 1])
    samples = [
        sample(rng, order, number, base) for number in range(rng.choice([1, 2, 3, 4, 9, 30]))
    ]
    for _ in range(rng.choice([0, 0, 1, 2])):
        number = rng.randrange(len(samples))
        samples[number] = odd(rng, samples[number], samples[number - 1])
    if rng.random() < 0.1:
        samples.insert(rng.randrange(len(samples)), [("folder/", b"")])
    form = tarfile.PAX_FORMAT if rng.random() < 0.1 else tarfile.GNU_FORMAT
    pax = {"path": "n01440764_1.jpg"} if rng.random() < 0.3 else {"comment": "x"}
    with io.BytesIO() as stream:
        with tarfile.open(
            fileobj=stream,
            mode="w",
            format=form,
            pax_headers=pax if form == tarfile.PAX_FORMAT else None,
        ) as archive:
            for member in samples:
                for name, body in member:
                    info = tarfile.TarInfo(name)
                    info.mtime = rng.choice([0, 1_700_000_000])
                    if name.endswith("/"):
                        info.type = tarfile.DIRTYPE
                    info.size = len(body)
                    archive.addfile(info, io.BytesIO(body))
        data = bytearray(stream.getvalue())
    end = len(bytes(data).rstrip(b"\0")) + 1024
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        data[rng.randrange(end) % len(data)] ^= 1 << rng.randrange(8)
    if rng.random() < 0.1:
        del data[rng.randrange(end) :]
    return bytes(data)


def careful(row_of, count, bases, position, file):
    classes = Classes(count, bases)
    with open(file.path, "rb") as opened:
        shard = Shard(row_of, classes, position, file.path, opened.fileno())
        assert shard.read() is None
    return shard.rows, classes.base


def outcome(read, file: SourceFile, bases: tuple[int, ...]) -> tuple:
    try:
        rows, base = read(Naming("train").row_of, CLASSES, bases, 3, file)
    except ArchiveError as error:
        return str(error), error.archive, error.member, error.offset
    table = rows.table()
    return table.to_pylist(), table.schema, table.schema.metadata, base


@pytest.mark.parametrize("seed", range(6))
def test_the_quick_and_the_careful_way_say_the_same(tmp_path, monkeypatch, seed):
    rng = random.Random(seed)
    path = tmp_path / "imagenet1k-train-0000.tar"
    added = webdataset_runs._Run._add
    counts = []

    def counting(run, *arguments):
        counts.append(added(run, *arguments))
        return counts[-1]

    monkeypatch.setattr(webdataset_runs._Run, "_add", counting)
    good = wrong = 0
    for _ in range(250):
        # Few at a time, so that there are several batches of them.
        monkeypatch.setattr(webdataset_runs, "_SAMPLES", rng.choice([1, 2, 3, 512]))
        path.write_bytes(shard_of(rng))
        file = SourceFile.of(path)
        bases = rng.choice([(0,), (0, 1)])
        expected = outcome(careful, file, bases)
        assert outcome(shard_rows, file, bases) == expected
        good += isinstance(expected[0], list)
        wrong += isinstance(expected[0], str)
    assert min(good, wrong) > 50
    assert sum(counts) > 500


def written(samples, directory):
    path = Path(directory) / "imagenet1k-train-0000.tar"
    with tarfile.open(path, "w") as archive:
        for name, body in (member for members in samples for member in members):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


@pytest.mark.parametrize("order", [("cls", "jpg", "json"), ("jpg",), ("json", "jpg", "cls", "txt")])
def test_between_two_images_all_is_read_at_once_and_no_image(tmp_path, monkeypatch, order):
    rng = random.Random(4)
    samples = [sample(rng, order, number) for number in range(200)]
    path = written(samples, tmp_path)
    reads = []
    pread = os.pread

    def counted(fd, size, offset):
        reads.append((offset, size))
        return pread(fd, size, offset)

    monkeypatch.setattr(webdataset_runs, "_SAMPLES", 64)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", counted)
        rows, base = shard_rows(Naming("train").row_of, CLASSES, (0,), 0, SourceFile.of(path))
    assert (len(rows), base) == (200, 0)
    assert len(reads) < 200 + 40
    images = [(o, o + size) for o, size in zip(rows.offsets, rows.sizes, strict=True)]
    assert not [r for r in reads for start, end in images if r[0] < end and r[0] + r[1] > start]


def test_a_header_within_a_member_is_none(tmp_path):
    rng = random.Random(9)
    samples = [sample(rng, ("txt", "jpg"), number) for number in range(9)]
    (name, _), image = samples[6]
    hidden = plain_file(image[0], 512 + len(image[1]))
    samples[6] = [(name, bytes(512) + hidden), image]
    path = written(samples, tmp_path)
    file = SourceFile.of(path)
    found = outcome(shard_rows, file, (0,))
    assert len(found[0]) == len(samples)
    assert found == outcome(careful, file, (0,))


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_a_folder_that_is_named_by_a_sample_hides_no_other_sample(tmp_path, slash):
    samples = [sample(random.Random(5), ("jpg",), number) for number in range(5)]
    second = samples[1][0][0].removesuffix(".jpg")
    for members in samples[:4]:
        stem = members[0][0].removesuffix(".jpg")
        behind = stem if members is samples[0] else second
        members.append((f"{stem}.d{slash}{behind}.txt", b"a"))
    path = written(samples, tmp_path)
    file = SourceFile.of(path)
    found = outcome(shard_rows, file, (0,))
    assert "expected the image" in found[0]
    assert found == outcome(careful, file, (0,))


def test_a_shard_that_cannot_be_read_is_an_error_that_says_where(tmp_path, monkeypatch):
    rng = random.Random(4)
    samples = [sample(rng, ("cls", "jpg"), number) for number in range(20)]
    path = written(samples, tmp_path)
    file = SourceFile.of(path)
    rows, _ = shard_rows(Naming("train").row_of, CLASSES, (0,), 0, file)
    broken = rows.offsets[15]
    pread = os.pread

    def failing(fd, size, offset):
        if offset + size > broken:
            raise OSError(5, "Input/output error")
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", failing)
    expected = outcome(careful, file, (0,))
    assert "could not be read" in expected[0]
    assert outcome(shard_rows, file, (0,)) == expected


TEXTS = [
    b'{"label": 78, "width": 521, "height": 391, "filename": "n01775062_24527.JPEG"}',
    b'{ "filename" : "n01775062_24527.JPEG",\n "label":78, "text": "wolf, spider/x"}',
    b'{"width": 5}',
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_is_alike_is_one_that_is_right(text):
    rng = random.Random(text)
    alike = AlikeJson.of(text)
    assert alike is not None
    said = right = 0
    for _ in range(4000):
        label, stem = rng.choice([0, 78, 999, 1000]), rng.choice(["n01775062_24527", "n1_2"])
        other = bytearray(text.replace(b"78", b"%d" % rng.choice([0, 78, 999, label])))
        other = other.replace(b"n01775062_24527", stem.encode())
        for _ in range(rng.choice([0, 0, 1, 2])):
            place = rng.randrange(len(other))
            other[place : place + rng.randrange(2)] = bytes([rng.choice(b'0 "\\/.,:{}\t\x0b\xe9a')])
        data = bytes(b"##" + other + b"##")
        wrong = json_problem(bytes(other), stem, label, Classes(CLASSES, (0,)))
        if alike.says(data, 2, len(data) - 2, str(label).encode(), stem.encode()):
            assert wrong is None
            said += 1
        right += wrong is None
    assert said > right / 3 > 100


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[1]",
        b"{}",
        b'{"label": 1.5}',
        b'{"label": "78"}',
        b'{"filename": 78}',
        b'{"label": 78, "label": 79}',
        b'{"label": 078}',
        b'{"label":\x0b78}',
        b'{"filename": "a\\u0041"}',
        b'{"a": {"b": 1}}',
        b'{"a": 1,}',
        '{"a": "\xe9"}'.encode(),
    ],
)
def test_texts_of_others_than_plain_values_have_none_alike(text):
    assert AlikeJson.of(text) is None
