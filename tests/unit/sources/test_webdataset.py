"""ImageNet in shards of WebDataset: rows, labels, what is read, and what is refused."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
from pathlib import Path

import pytest
import webdataset

from imagenet_builders import labels
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources import shard_sets
from imagenet_builders.sources import webdataset as webdataset_source
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.sources.webdataset import index_shards
from imagenet_builders.sources.webdataset import shard_sets as sets_of
from imagenet_builders.sources.webdataset_samples import MAX_JSON_BYTES

WNIDS = labels.wnids("imagenet2012")
VALIDATION = labels.validation_labels().tolist()

Members = list[tuple[str, bytes]]


def image_of(stem: str) -> bytes:
    return b"\xff\xd8" + stem.encode() * 400 + b"\xff\xd9"


def sample_of(stem: str, label: int) -> dict:
    """A sample as the converter of timm/imagenet-1k-wds makes it."""
    said = {"label": label, "width": 500, "height": 375, "filename": f"{stem}.JPEG"}
    return {"__key__": stem, "jpg": image_of(stem), "json": said, "cls": label}


def members_of(stem: str, label: int) -> Members:
    sample = sample_of(stem, label)
    return [
        (f"{stem}.cls", str(label).encode()),
        (f"{stem}.jpg", sample["jpg"]),
        (f"{stem}.json", json.dumps(sample["json"]).encode()),
    ]


def tar_of(members: Members) -> bytes:
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, body in members:
                info = tarfile.TarInfo(name)
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
        return stream.getvalue()


def index(directory: Path, split: str = "train", workers: int = 1):
    names = sets_of(os.listdir(directory))[split].names
    files = [SourceFile.of(directory / name) for name in names]
    with LocalWorkers(workers) as pool:
        return index_shards(split, files, pool), files


def index_or_error(directory: Path):
    try:
        return index(directory)
    except ArchiveError as error:
        return error


def images(table, files) -> dict[str, tuple[int, bytes]]:
    """Key to label and image."""
    with Reader(files) as reader:
        return {
            row["key"]: (row["label"], reader.read(row["file"], row["offset"], row["size"]))
            for row in table.to_pylist()
        }


def one_shard(directory: Path, members: Members, split: str = "train") -> Path:
    path = directory / f"imagenet1k-{split}-0000.tar"
    path.write_bytes(tar_of(members))
    return path


TRAIN = [(f"{WNIDS[label]}_{label + 7}", label) for label in (0, 3, 999, 500, 3, 7, 250)]
TRAIN[4] = (f"{WNIDS[3]}_77", 3)


@pytest.mark.parametrize("workers", [1, 2])
def test_shards_of_webdatasets_own_writer_give_names_labels_and_images(
    tmp_path, monkeypatch, workers
):
    monkeypatch.setattr(shard_sets, "BATCH_BYTES", 1)
    numbers = (1, 293, 50_000)
    validation = [(f"ILSVRC2012_val_{n:08d}", VALIDATION[n - 1]) for n in numbers]
    for split, digits, samples in (("train", 4, TRAIN), ("validation", 2, validation)):
        pattern = str(tmp_path / f"imagenet1k-{split}-%0{digits}d.tar")
        with webdataset.ShardWriter(pattern, maxcount=2, verbose=0) as writer:
            for stem, label in samples:
                writer.write(sample_of(stem, label))
        table, files = index(tmp_path, split, workers)
        assert len(files) == (len(samples) + 1) // 2
        assert table["key"].to_pylist() == [f"{stem}.JPEG" for stem, _ in samples]
        assert images(table, files) == {
            f"{stem}.JPEG": (label, image_of(stem)) for stem, label in samples
        }


def test_no_image_is_read_and_nothing_twice(tmp_path, monkeypatch):
    one_shard(tmp_path, [member for sample in TRAIN for member in members_of(*sample)])
    reads = []
    pread = os.pread

    def counted(fd, size, offset):
        reads.append((offset, size))
        return pread(fd, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", counted)
        table, _ = index(tmp_path)
    bodies = [(row["offset"], row["offset"] + row["size"]) for row in table.to_pylist()]
    assert not [r for r in reads for start, end in bodies if r[0] < end and r[0] + r[1] > start]
    # A header each for three members, the bodies of two, and the end of the archive.
    assert len(reads) <= 5 * len(TRAIN) + 3


def test_order_directories_and_other_parts_of_a_sample_do_not_matter(tmp_path):
    (stem, label), (bare, bare_label), (third, third_label) = TRAIN[:3]
    cls, jpg, said = members_of(stem, label)
    one_shard(
        tmp_path,
        [
            ("./train/" + jpg[0], jpg[1]),
            ("./train/" + said[0], said[1]),
            (f"./train/{stem}.synset", b"n01440764"),
            (f"./train/{stem}.caption.txt", b"a fish"),
            ("./train/" + cls[0], b"0\n"),
            (f"{bare}.JPEG", image_of(bare)),
            (f"{third}.json", b'{"width": 500}'),
            (f"{third}.jpg", image_of(third)),
        ],
    )
    assert images(*index(tmp_path)) == {
        f"{stem}.JPEG": (label, image_of(stem)),
        f"{bare}.JPEG": (bare_label, image_of(bare)),
        f"{third}.JPEG": (third_label, image_of(third)),
    }


STEM = TRAIN[1][0]  # of class 3


def replaced(name: str, body: bytes) -> Members:
    members = dict(members_of(STEM, 3))
    return list((members | {f"{STEM}.{name}": body}).items())


REFUSED = {
    "another class": (replaced("cls", b"4"), "expected class 3, .*found 4"),
    "a class of slim's": (replaced("cls", b"1000"), "expected class 3, .*found 1000"),
    "no number": (
        replaced("cls", b"tench"),
        "from 0 to 999 in it, found text of 5 bytes",
    ),
    "a negative class": (replaced("cls", b"-1"), "expected a class from 0 to 999"),
    "a huge cls": (replaced("cls", b"3" * 100), "expected at most 32 bytes, found 100"),
    "another class in json": (replaced("json", b'{"label": 5}'), "expected class 3, .*found 5"),
    "true for a class": (replaced("json", b'{"label": true}'), "expected class 3, .*found True"),
    "text for a class": (replaced("json", b'{"label": "3"}'), "expected class 3, .*found '3'"),
    "another name in json": (
        replaced("json", b'{"filename": "n01440764_1.JPEG"}'),
        f"expected the file name {STEM}.JPEG in it, found 'n01440764_1.JPEG'",
    ),
    "a number for a name": (replaced("json", b'{"filename": 1}'), "expected the file name"),
    "a list": (replaced("json", b"[3]"), "expected a JSON object"),
    "no JSON": (replaced("json", b"\xff\xd8"), "expected JSON in it"),
    "an empty json": (replaced("json", b""), "expected JSON in it"),
    "deep JSON": (replaced("json", b"[" * 60_000), "expected JSON in it"),
    "a huge number": (replaced("json", b'{"label": ' + b"3" * 60_000), "expected JSON in it"),
    "a huge json": (replaced("json", b" " * (MAX_JSON_BYTES + 1)), "expected at most 65,536 bytes"),
    "no image": ([(f"{STEM}.cls", b"3")], f"expected the image {STEM}.jpg"),
    "another kind of image": ([(f"{STEM}.png", b"PNG")], f"expected the image {STEM}.jpg"),
    "an image twice": (
        [(f"{STEM}.jpg", b"1"), (f"{STEM}.JPEG", b"2")],
        "its sample has a .jpg already",
    ),
    "an unknown class": ([("n99999999_1.jpg", b"")], "n99999999 is not one of the 1,000 classes"),
    "a validation image": ([("ILSVRC2012_val_00000001.jpg", b"")], "only images such as n01440764"),
    "a hidden file": ([*members_of(STEM, 3), (f".{STEM}.jpg", b"")], "only images such as"),
    "a way out": ([(f"../{STEM}.jpg", b"")], "leads out of the archive"),
    "a sample in two parts": (
        [(f"{STEM}.jpg", b"1"), (f"{TRAIN[0][0]}.jpg", b"2"), (f"{STEM}.cls", b"3")],
        f"expected the image {STEM}.jpg",
    ),
    "nothing": ([], "there is no image in this shard"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_shard_with_a_stray_member_is_refused(tmp_path, case):
    members, problem = REFUSED[case]
    path = one_shard(tmp_path, members)
    with pytest.raises(ArchiveError, match=problem) as caught:
        index(tmp_path)
    assert str(path) in str(caught.value)
    if members:
        assert caught.value.member in dict(members)
        assert caught.value.offset is not None


def test_a_validation_label_follows_from_the_number(tmp_path):
    stem = "ILSVRC2012_val_00000293"
    label = VALIDATION[292]
    one_shard(tmp_path, members_of(stem, label), "validation")
    table, _ = index(tmp_path, "validation")
    assert table["label"].to_pylist() == [label]
    one_shard(tmp_path, members_of(stem, label + 1), "validation")
    with pytest.raises(
        ArchiveError, match=f"expected class {label}, .*found {label + 1}"
    ) as caught:
        index(tmp_path, "validation")
    assert caught.value.member == f"{stem}.cls"
    one_shard(tmp_path, [("ILSVRC2012_val_00050001.jpg", b"")], "validation")
    with pytest.raises(ArchiveError, match="numbered from 1 to 50,000"):
        index(tmp_path, "validation")


def test_a_link_in_a_shard_is_refused(tmp_path):
    path = tmp_path / "imagenet1k-train-0000.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(f"{STEM}.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ArchiveError, match="a symlink where only plain files belong"):
        index(tmp_path)


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ((1, 2), "expected 3 shards, found 2: imagenet1k-train-0000.tar is missing"),
        ((0, 3), "imagenet1k-train-0001.tar, imagenet1k-train-0002.tar are missing"),
        ((0, 9), "imagenet1k-train-0005.tar and 3 more are missing"),
        ((0, 10**18), "and 999,999,999,999,999,994 more are missing"),
    ],
)
def test_a_gap_in_the_shards_is_an_error_that_names_the_missing_ones(tmp_path, numbers, problem):
    for number in numbers:
        path = tmp_path / f"imagenet1k-train-{number:04d}.tar"
        path.write_bytes(tar_of(members_of(*TRAIN[0])))
    found = str(sets_of(os.listdir(tmp_path))["train"].problem)
    assert problem in found.replace(f"{numbers[-1]:04d}", "9999")
    with pytest.raises(SourceError, match=problem) as caught:
        index(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_published_shards_without_the_last_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(webdataset_source.IMAGENET_1K.images, "train", 9)
    monkeypatch.setitem(webdataset_source.IMAGENET_1K.shards, "train", 4)
    for number in range(4):
        samples = TRAIN[number * 2 : number * 2 + 2] or [TRAIN[0]]
        members = [member for sample in samples for member in members_of(*sample)]
        (tmp_path / f"imagenet1k-train-{number:04d}.tar").write_bytes(tar_of(members))
    assert index(tmp_path)[0].num_rows == 7
    (tmp_path / "imagenet1k-train-0003.tar").unlink()
    problem = "expected 4 shards of split 'train', found the first 3 of them with 6 of its 9 images"
    with pytest.raises(SourceError, match=problem):
        index(tmp_path)


def test_two_shards_with_one_number_are_an_error(tmp_path):
    names = ["imagenet1k-train-0.tar", "imagenet1k-train-0000.tar", "imagenet1k-validation-00.tar"]
    found = sets_of(names)
    assert "imagenet1k-train-0.tar and imagenet1k-train-0000.tar are both shard 0" in str(
        found["train"].problem
    )
    assert found["validation"].problem is None
    for name in names:
        (tmp_path / name).write_bytes(b"")
    files = [SourceFile.of(tmp_path / name) for name in names]
    with (
        LocalWorkers(1) as pool,
        pytest.raises(SourceError, match="expected only the shards of split"),
    ):
        index_shards("validation", files, pool)


def test_a_damaged_shard_gives_the_right_rows_or_an_error(tmp_path):
    data = tar_of([member for sample in TRAIN for member in members_of(*sample)])
    path = tmp_path / "imagenet1k-train-0000.tar"
    path.write_bytes(data)
    table, _ = index(tmp_path)
    right = table.to_pylist()
    end = max(row["offset"] + row["size"] for row in right)
    # Where damage can be: an image's own bytes are looked at when it is read.
    places = set(range(end + 4096)) - {
        byte for row in right for byte in range(row["offset"], row["offset"] + row["size"])
    }
    random_ = random.Random(20261121)
    refused = 0
    for place in random_.sample(sorted(places), 500):
        damaged = bytearray(data)
        damaged[place] ^= 1 << random_.randrange(8)
        path.write_bytes(damaged)
        outcome = index_or_error(tmp_path)
        if isinstance(outcome, ArchiveError):
            assert outcome.archive == str(path)
            refused += 1
        else:
            assert outcome[0].to_pylist() == right
    assert refused > 200


def test_a_shard_cut_off_anywhere_is_refused(tmp_path):
    data = tar_of([member for sample in TRAIN[:2] for member in members_of(*sample)])
    path = tmp_path / "imagenet1k-train-0000.tar"
    end = len(data.rstrip(b"\0"))
    for size in [0, 1, *range(512, end, 512), *range(700, end, 1111)]:
        path.write_bytes(data[:size])
        with pytest.raises(ArchiveError) as caught:
            index(tmp_path)
        assert caught.value.archive == str(path)
