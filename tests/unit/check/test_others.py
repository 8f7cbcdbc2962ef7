"""`check` names whatever is there and not read, and for what is known the way from there."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import re
import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from support.checking import check, checked, problem, stage
from support.losing import LOSES_WORK

from imagenet_builders.check import others
from imagenet_builders.check.report import Other


def tar(*names: str) -> bytes:
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
        return stream.getvalue()


def zipped(*names: str) -> bytes:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            for name in names:
                archive.writestr(name, b"1")
        return stream.getvalue()


def parquet() -> bytes:
    with io.BytesIO() as stream:
        pa.parquet.write_table(pa.table({"a": [1]}), stream)
        return stream.getvalue()


IMAGE = "n01440764/n01440764_18.JPEG"
PICKLE = pickle.dumps({"data": np.zeros(3, np.uint8)})
LMDB = bytes(16) + b"\xde\xc0\xef\xbe" + bytes(80)
TGZ = gzip.compress(tar(IMAGE))

# What lies there; its name in the report; words of what is said of it.
KNOWN: dict[str, tuple[dict[str, bytes], str, list[str]]] = {
    "lmdb": (
        {"train.lmdb/data.mdb": LMDB, "train.lmdb/lock.mdb": b"1"},
        "train.lmdb",
        ["an LMDB database", "data.mdb is in it", "under their official names"],
    ),
    "lmdb file": ({"train.mdb": LMDB}, "train.mdb", ["an LMDB database"]),
    "ffcv": ({"train_500.beton": b"\2\0\4\0" * 9}, "train_500.beton", ["FFCV"]),
    "rec": ({"train.rec": b"\x0a\x23\xd7\xce" * 9}, "train.rec", ["RecordIO", "no names"]),
    "idx": ({"train.idx": b"0\t0\n"}, "train.idx", ["MXNet or DALI", "not needed"]),
    "blurred": ({"train_blurred.tar.gz": TGZ}, "train_blurred.tar.gz", ["faces blurred"]),
    "swin": (
        {"train.zip": zipped(IMAGE), "train_map.txt": b"a\t0\n"},
        "train.zip",
        ["Swin Transformer", "unzip train.zip -d train"],
    ),
    "swin map": ({"val_map.txt": b"a\t0\n"}, "val_map.txt", ["Swin", "not needed"]),
    "cls-loc": (
        {"ILSVRC2017_DET.tar.gz": TGZ},
        "ILSVRC2017_DET.tar.gz",
        ["images of another task", "not needed"],
    ),
    "fall11": ({"fall11_whole.tar": tar(IMAGE)}, "fall11_whole.tar", ["fall 2011", "winter21_who"]),
    "21k": (
        {"imagenet21k_resized_new.tar.gz": TGZ},
        "imagenet21k_resized_new.tar.gz",
        ["under another name", "a link to it"],
    ),
    "pickles": (
        {"Imagenet32_train.zip": zipped("train_data_batch_1")},
        "Imagenet32_train.zip",
        ["in pickles", "can run any code", "Imagenet32_train_npz.zip"],
    ),
    "pickles unpacked": (
        {"Imagenet32_train/train_data_batch_1": PICKLE},
        "Imagenet32_train",
        ["in pickles", "train_data_batch_1 is in it"],
    ),
    "pickles here": ({"train_data_batch_1": PICKLE}, "train_data_batch_1", ["in pickles"]),
    "parquet": ({"images.parquet": parquet()}, "images.parquet", ["a Parquet file"]),
    "arrow": ({"imagenet-1k-train.arrow": b"\xff" * 9}, "imagenet-1k-train.arrow", ["cache"]),
    "hdf5": ({"ilsvrc.hdf5": b"\x89HDF\r\n\x1a\n"}, "ilsvrc.hdf5", ["HDF5"]),
    "wds": (
        {f"imagenet-train-{n:06}.tar": tar("n01440764_18.jpg") for n in range(3)},
        "imagenet-train-000000.tar",
        ["shards of WebDataset", "official names"],
    ),
    "tfds": ({"5.1.0/dataset_info.json": b"{}"}, "5.1.0", ["TensorFlow Datasets has built"]),
    "built": (
        {"imagenet12k/1.0.0/dataset_info.json": b"{}"},
        "imagenet12k",
        ["a dataset that was built", "tfds.load reads it"],
    ),
    "built, of several configurations": (
        {"imagenet2012_downsampled/.config/metadata.json": b"{}"},
        "imagenet2012_downsampled",
        ["a dataset that was built", "tfds.load reads it"],
    ),
    "saved": (
        {"train/state.json": b"{}", "train/dataset_info.json": b"{}"},
        "train",
        ["save_to_disk of Hugging Face", "Parquet files are"],
    ),
    "scratch": (
        {".imagenet_builders-0/ilsvrc2012-train-tar-78c1.index.arrow": b"\xff" * 9},
        ".imagenet_builders-0",
        ["a scratch directory of this package"],
    ),
    "tfrecords": (
        {"imagenet.tfrecord-00000-of-00002": b"1" * 20},
        "imagenet.tfrecord-00000-of-00002",
        ["other names than slim's"],
    ),
    "squashfs": (
        {"images.sqsh": b"hsqs" + bytes(99)},
        "images.sqsh",
        ["a SquashFS image", "mount"],
    ),
    "zip": ({"images.zip": zipped(IMAGE)}, "images.zip", ["a zip archive", "unzip -d"]),
    "tar": ({"images.tar": tar(IMAGE)}, "images.tar", ["a tar archive", "unpack it"]),
    "7z": ({"images.7z": b"7z\xbc\xaf\x27\x1c" + bytes(99)}, "images.7z", ["a 7z archive", "7z x"]),
    "hub": (
        {"datasets--x/snapshots/abc/a": b"1", "datasets--x/blobs/a": b"1"},
        "datasets--x",
        ["a cache of Hugging Face", "snapshots/REVISION"],
    ),
    "lists": ({"MD5SUMS": b"1\n"}, "MD5SUMS", ["a list of hashes", "--hash"]),
    "devkit": (
        {"ILSVRC2012_devkit_t12.tar.gz": TGZ},
        "ILSVRC2012_devkit_t12.tar.gz",
        ["a development kit", "not needed"],
    ),
    "kaggle's tables": ({"LOC_synset_mapping.txt": b"n01440764 a\n"}, "LOC_s", ["not needed"]),
    "parts": (
        {"images.tar.gz.aa": TGZ[:40], "images.tar.gz.ab": TGZ[40:]},
        "images.tar.gz.aa",
        ["cat images.tar.gz.aa images.tar.gz.ab > images.tar.gz"],
    ),
    "parts below": (
        {"data/images.tar.001": b"1", "data/images.tar.002": b"2"},
        "data/images.tar.001",
        ["cat images.tar.001 images.tar.002 > images.tar"],
    ),
}

# The same for what is not whole: here a new download is the right advice.
NOT_WHOLE: dict[str, tuple[dict[str, bytes], str, list[str]]] = {
    "lfs": (
        {"train.beton": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"},
        "train.beton",
        ["FFCV", "a Git LFS pointer", "git lfs pull"],
    ),
    "html": ({"images.zip": b"<html>Log in"}, "images.zip", ["a web page", "download"]),
    "html as data": ({"images.7z": b"<html>Log in"}, "images.7z", ["a web page", "download"]),
    "html as lmdb": (
        {"train.lmdb/data.mdb": b"<html>Log in"},
        "train.lmdb",
        ["by data.mdb in it an LMDB database", "but that is a web page", "download"],
    ),
    "image": ({"a.beton": b"\xff\xd8\xff" * 9}, "a.beton", ["FFCV", "but it is a JPEG image"]),
    "empty": ({"images.zip": b""}, "images.zip", ["an empty file"]),
    "download": ({"images.zip.crdownload": b"PK\3\4"}, "images.zip.crdown", ["is not done"]),
    "aria2": ({"a.bin.aria2": b"\0\1"}, "a.bin.aria2", ["is not done"]),
    "zeros": ({"train.rec": bytes(600)}, "train.rec", ["RecordIO", "zeros"]),
}


def lay(directory: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def said_of(document: dict[str, object], name: str) -> str:
    each = document["others"]
    assert isinstance(each, list)
    [found] = [one for one in each if f"/{name}" in one["path"]]
    return f"{found['what']}; {found['action']}"


@pytest.mark.parametrize("name", [*KNOWN, *NOT_WHOLE])
def test_a_known_packaging_is_named_with_the_way_from_there(tmp_path: Path, name: str) -> None:
    files, shown, words = (KNOWN | NOT_WHOLE)[name]
    lay(tmp_path, files)
    said = said_of(checked(tmp_path, status=1), shown)
    assert [text for text in words if text not in said] == []
    out = check(tmp_path).out
    assert shown in out
    assert "listed below" in out
    if name in KNOWN:
        assert LOSES_WORK.search(out) is None
    # Beside a dataset it is said as well, and changes nothing of the verdict.
    stage(tmp_path, "imagenet2012")
    assert said_of(checked(tmp_path, status=0), shown) == said
    assert said_of(checked(tmp_path, "imagenet2012", "--strict", status=1), shown) == said


def test_what_a_layout_reads_is_not_called_by_another_name_where_it_lies_elsewhere(
    tmp_path: Path,
) -> None:
    """The parent of several datasets' directories: none of them is to be unpacked or renamed."""
    stage(tmp_path / "all" / "tiny_imagenet", "tiny_imagenet")
    lay(tmp_path / "all", {"twelve/imagenet12k-train-0000.tar": tar("n01440764_18.jpg")})
    lay(tmp_path / "all", {"winter/imagenet_w21-train-0000.tar": tar("n01440764_18.jpg")})
    lay(tmp_path / "all", {"p/imagenet21k_resized.tar.gz": TGZ})
    stage(tmp_path / "all", "imagenet2012")
    document = checked(tmp_path / "all", "imagenet2012", status=0)
    for name in ("twelve/imagenet12k-", "winter/imagenet_w21-"):
        assert said_of(document, name).endswith(
            "they are read: give the directory that they lie in"
        )
    assert said_of(document, "p/imagenet21k") == (
        "the archive of ImageNet-21K-P; it is read: give the directory that it lies in"
    )
    assert said_of(document, "tiny_imagenet/") == (
        "the official archive of tiny_imagenet; give its directory, or put a link to it beside "
        "what is read"
    )


def test_a_file_that_contradicts_its_name_is_named_by_its_bytes(tmp_path: Path) -> None:
    lay(tmp_path, {"train.rec": zipped(IMAGE), "images.tar": TGZ, "val.mdb": b"abc"})
    document = checked(tmp_path, status=1)
    assert "but it is a zip archive" in said_of(document, "train.rec")
    assert "but it is gzip-compressed data" in said_of(document, "images.tar")
    assert "but it is something else, as its first bytes say" in said_of(document, "val.mdb")


def test_what_lies_beside_archives_anywhere_is_not_called_broken(tmp_path: Path) -> None:
    """Pages, marks and pictures of a site's own: they are listed, and nothing is to be done."""
    lay(tmp_path, {"README.md": b"<p align=center>ImageNet</p>", "index.html": b"<html>Archives"})
    lay(tmp_path, {"structure.xml": b"<?xml version='1.0'?>", "_SUCCESS": b""})
    lay(tmp_path, {"logo.jpg": b"\xff\xd8\xff\xe0" + bytes(99)})
    stage(tmp_path, "imagenet2012")
    said = {
        Path(one["path"]).name: (one["what"], one["action"])
        for one in checked(tmp_path, status=0)["others"]
    }
    assert said == {
        "README.md": ("", ""),
        "index.html": ("", ""),
        "structure.xml": ("", ""),
        "_SUCCESS": ("an empty file (0 bytes)", ""),
        "logo.jpg": ("a JPEG image", ""),
    }


def test_a_link_into_a_cache_that_leads_nowhere_is_no_archive(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.parquet").symlink_to("../../../blobs/0123abc")
    (tmp_path / "notes.bin").symlink_to("elsewhere")
    document = checked(tmp_path, status=1)
    said = said_of(document, "data/train.parquet")
    assert "a link to ../../../blobs/0123abc, which is not there" in said
    assert "fetches only what is lacking" in said
    assert "mend the link" in said_of(document, "notes.bin")
    # One that a layout has is not read either, and the same is said of it.
    (data / "train-00000-of-00001.parquet").symlink_to("../../../blobs/0123abc")
    found = problem(checked(tmp_path, status=1), severity="error", path="of-00001.parquet")
    assert "a link to ../../../blobs/0123abc, which is not there" in found["cause"]
    assert "fetches only what is lacking" in found["action"]


def test_what_is_not_known_is_listed_and_counted(tmp_path: Path) -> None:
    stage(tmp_path, "imagenet2012")
    names = [f"{letter}{other}.xyz" for letter in "abcdef" for other in "ghijk"]
    lay(tmp_path, dict.fromkeys(names, b"1") | {"more/x": b"1"})
    out = " ".join(check(tmp_path).out.split())
    assert "of no kind that is known: ag.xyz, ah.xyz" in out
    assert "and 11 others" in out
    document = checked(tmp_path, status=0)
    assert {Path(one["path"]).name for one in document["others"]} == {*names, "more"}


def test_names_that_differ_in_numbers_are_one_thing(tmp_path: Path) -> None:
    lay(tmp_path, {f"part{n}.beton": b"12" for n in range(1, 400)})
    [one] = checked(tmp_path, status=1)["others"]
    assert (one["path"], one["count"]) == (str(tmp_path / "part1.beton"), 399)
    assert "part1.beton and 398 more like it" in check(tmp_path).out


def test_what_is_read_is_not_listed(tmp_path: Path) -> None:
    names = ("imagenet2012", "imagenet2012_localization", "tiny_imagenet", "imagenet2012_dogs")
    stage(tmp_path, *names)
    assert checked(tmp_path, status=0)["others"] == []
    assert checked(tmp_path, "tiny_imagenet", status=0)["others"] == []


def test_the_manual_directory_of_a_data_dir_is_found(tmp_path: Path) -> None:
    """People give TFDS's data_dir, in which it lies two levels down."""
    manual = stage(tmp_path / "downloads" / "manual", "imagenet2012")
    lay(tmp_path, {"notes/todo": b"1"})
    document = checked(tmp_path, status=1)
    said = problem(document, severity="error")
    assert f"imagenet2012 in {manual}" in said["found"]
    assert said["action"] == f"check {manual} instead"
    assert [other["path"] for other in document["others"]] == [str(tmp_path / "notes")]


def test_a_cache_of_hugging_face_is_said_to_be_one(tmp_path: Path) -> None:
    lay(tmp_path, {"blobs/a": parquet(), "refs/main": b"abc"})
    revision = stage(tmp_path / "snapshots" / "abc", "imagenet2012")
    document = checked(tmp_path, status=1)
    assert problem(document, severity="error")["action"] == f"check {revision} instead"
    [other] = document["others"]
    assert (other["path"], other["what"]) == (str(tmp_path), "a cache of Hugging Face")


def test_an_empty_directory_is_said_to_be_empty(tmp_path: Path) -> None:
    said = problem(checked(tmp_path, status=1), severity="error")
    assert (said["found"], said["cause"]) == ("nothing: the directory is empty", "")


def test_nothing_is_waited_for(tmp_path: Path) -> None:
    """A FIFO, and a thousand files that say nothing."""
    os.mkfifo(tmp_path / "train.rec")
    lay(tmp_path, {f"{n:b}".replace("0", "a").replace("1", "b"): b"1" for n in range(1000)})
    start = time.monotonic()
    document = checked(tmp_path, status=1)
    assert time.monotonic() - start < 10
    assert len(document["others"]) == 1001


def test_the_order_of_a_listing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there are very many entries, and folders of very many."""
    lay(tmp_path, {f"{letter}{n:04}.x{n % 7}": b"1" for letter in "abc" for n in range(900)})
    lay(tmp_path / "more", {f"{n}.rec": b"1" for n in range(2_500)})
    lay(tmp_path, {f"images.tar.{n:03}": b"1" for n in range(1, 40)})
    lay(tmp_path, {"train.rec": b"1", "z/data.mdb": LMDB})
    before = checked(tmp_path, status=1)
    scandir = os.scandir

    class Shuffled:
        def __init__(self, directory: str):
            with scandir(directory) as entries:
                self._entries = sorted(entries, key=lambda entry: hash(entry.name[::-1]))

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self._entries)

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self._entries)

    monkeypatch.setattr(os, "scandir", Shuffled)
    after = checked(tmp_path, status=1)
    assert after["others"] == before["others"]
    assert after["problems"] == before["problems"]


def test_names_may_be_anything(tmp_path: Path) -> None:
    for name in (os.fsdecode(b"caf\xe9.beton"), "a\x1b[2J.rec", "*.zip", "n01440764.tar.part aa"):
        with contextlib.suppress(OSError):
            (tmp_path / name).write_bytes(b"1")
    out = check(tmp_path).out
    assert "\x1b" not in out
    assert "a\\x1b[2J.rec" in out


def all_said(found: Iterable[Other]) -> str:
    return " ".join(f"{one.what}; {one.way}" for one in found)


def test_each_row_has_an_example_that_it_is_known_by() -> None:
    from imagenet_builders import datasets
    from imagenet_builders.check import packagings

    rows = [*(row for each in datasets.every() for row in each.packagings), *packagings.ROWS]
    for row in rows:
        name = row.example.rstrip("/")
        if row.example.endswith("/"):
            assert row.inside or row.names != r".*"
            assert row.is_the_folder(name, [row.example, *re.findall(r"\w+", row.inside)]) or (
                "." in row.inside or "[" in row.inside
            )
        else:
            assert next(one for one in rows if one.is_file(name)) == row


def test_no_sentence_would_make_anybody_lose_sound_data() -> None:
    from imagenet_builders import datasets
    from imagenet_builders.check import packagings

    rows = [*packagings.ROWS, *(row for each in datasets.every() for row in each.packagings)]
    assert [row for row in rows if LOSES_WORK.search(f"{row.what}; {row.way}")] == []
    assert others.others(Path("/nowhere"), [], []) == []
