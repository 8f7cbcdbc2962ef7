"""The pictures of the dummy data, and the tools by which sites stage them."""

from __future__ import annotations

import bz2
import dataclasses
import functools
import gzip
import io
import json
import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from makers import archives

from imagenet_builders import images, labels
from support.corpora.tar_headers import file_in
from support.paths import ROOT

DUMMY = ROOT / "dummy_data"
Files = Mapping[str, bytes]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What is to be staged.

    Attributes:
        official: Directory of the same pictures as official archives.
        train: File name to bytes.
        validation: The same.
        test: The same, patched.
        train_t3: The same, of Task 3.
        boxes: Split to the annotations, path to bytes.
    """

    official: Path
    train: Files = dataclasses.field(default_factory=dict)
    validation: Files = dataclasses.field(default_factory=dict)
    test: Files = dataclasses.field(default_factory=dict)
    train_t3: Files = dataclasses.field(default_factory=dict)
    boxes: Mapping[str, Files] = dataclasses.field(default_factory=dict)


@functools.cache
def pictures(dataset: str) -> Pictures:
    """The pictures of one of the folders of `dummy_data`."""
    directory = DUMMY / dataset
    if dataset == "imagenet2012":
        return Pictures(
            directory,
            _members(directory / "ILSVRC2012_img_train.tar"),
            _members(directory / "ILSVRC2012_img_val.tar"),
            _members(directory / "ILSVRC2012_img_test_v10102019.tar")
            | _members(directory / "ILSVRC2012_img_test_patch_v10102019.tar"),
        )
    if dataset == "imagenet2012_dogs":
        boxes = {"train_t3": _members(directory / "ILSVRC2012_bbox_train_dogs.tar.gz", paths=True)}
        return Pictures(
            directory, train_t3=_members(directory / "ILSVRC2012_img_train_t3.tar"), boxes=boxes
        )
    return Pictures(
        directory,
        _members(directory / "ILSVRC2012_img_train.tar"),
        _members(directory / "ILSVRC2012_img_val.tar"),
        boxes={
            "train": _members(directory / "ILSVRC2012_bbox_train_v2.tar.gz", paths=True),
            "validation": _members(directory / "ILSVRC2012_bbox_val_v3.tgz", paths=True),
        },
    )


def _members(archive: Path, *, paths: bool = False) -> dict[str, bytes]:
    """All files in an archive and in those in it, by name or by path."""
    data = archive.read_bytes()
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as outer:
        for member in outer.getmembers():
            if not member.isreg():
                continue
            content = file_in(outer, member)
            if member.name.endswith(".tar"):
                with tarfile.open(fileobj=io.BytesIO(content)) as inner:
                    found |= {m.name: file_in(inner, m) for m in inner.getmembers()}
            else:
                found[member.name if paths else member.name.rpartition("/")[2]] = content
    return found


def in_classes(files: Files) -> dict[str, bytes]:
    """Files by their paths in class folders."""
    return {f"{wnid_of(name)}/{name}": data for name, data in files.items()}


def wnid_of(name: str) -> str:
    """The class of a train or validation image."""
    if name.startswith("n"):
        return name.partition("_")[0]
    return labels.wnids("imagenet2012")[labels.validation_labels()[int(name[15:23]) - 1]]


def hf_name(name: str) -> str:
    """The name of an image on Hugging Face, which has its class at the end."""
    if name.startswith("ILSVRC2012_test"):
        return name
    return f"{name.removesuffix('.JPEG')}_{wnid_of(name)}.JPEG"


def packed(data: bytes, form: str) -> bytes:
    """Compressed data, in a format that `formats.compressed_stream` reads."""
    if form == "zstd":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()
    if form == "bzip2":
        return bz2.compress(data)
    return gzip.compress(data) if form == "gzip" else lzma.compress(data)


def write_parquet(root: Path, split: str, files: Files, shards: int, rows: int = 3) -> None:
    """Files as `datasets` writes those of `imagenet-1k`, of some rows in each row group."""
    names = sorted(files)
    for number in range(shards):
        mine = names[number::shards]
        images = [{"bytes": files[name], "path": hf_name(name)} for name in mine]
        has_label = split != "test"
        label_of = labels.space("imagenet2012").id_of
        table = pa.table(
            {
                "image": pa.array(
                    images, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
                ),
                "label": pa.array(
                    [label_of(wnid_of(name)) if has_label else -1 for name in mine], pa.int64()
                ),
            }
        )
        root.mkdir(parents=True, exist_ok=True)
        path = root / f"{split}-{number:05}-of-{shards:05}.parquet"
        pq.write_table(table, path, row_group_size=rows)


def by_class(files: Files) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for name, data in files.items():
        found.setdefault(wnid_of(name), {})[name] = data
    return found


def write(root: Path, files: Mapping[str, bytes | Path]) -> Path:
    """Writes files by their paths below a folder; a path instead of bytes makes a link to it."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, Path):
            path.symlink_to(data)
        else:
            path.write_bytes(data)
    return root


def write_class_tars(root: Path, files: Files) -> None:
    for wnid, members in by_class(files).items():
        archives.write_tar(root / f"{wnid}.tar", members.items())


def write_squashfs(image: Path, files: Mapping[str, bytes | Path], *options: str) -> None:
    """An image of a folder, by mksquashfs."""
    if shutil.which("mksquashfs") is None:
        pytest.skip("makes real images: install mksquashfs (apt install squashfs-tools)")
    source = write(image.with_name(f"{image.name}.source"), files)
    command = ["mksquashfs", str(source), str(image), "-quiet", "-no-progress", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    shutil.rmtree(source)


def stored(files: Files) -> dict[str, bytes]:
    """The images as TFDS stores them, as they are in what was made from it."""
    return {name: images.inspect_and_repair(data).data for name, data in files.items()}


def write_webdataset(root: Path, split: str, files: Files, shards: int, digits: int) -> None:
    """Shards as `wds/tfds_to_wds.py` of rwightman/imagenet-12k writes them."""
    samples = sorted(stored(files).items())
    for number in range(shards):
        members: list[tuple[str, bytes]] = []
        for name, data in samples[number::shards]:
            stem = name.removesuffix(".JPEG")
            label = labels.space("imagenet2012").id_of(wnid_of(name))
            said = {"label": label, "width": 1, "height": 1, "filename": name}
            members += [
                (f"{stem}.cls", str(label).encode()),
                (f"{stem}.jpg", data),
                (f"{stem}.json", json.dumps(said).encode()),
            ]
        archives.write_tar(root / f"imagenet1k-{split}-{number:0{digits}}.tar", members)


Boxes = Mapping[str, list[tuple[float, float, float, float]]]


def write_tfrecords(
    root: Path, split: str, files: Files, shards: int, boxes: Boxes | None = None
) -> None:
    """Records with the features of slim's `build_imagenet_data.py`; boxes are y, x, y, x."""
    import tensorflow as tf

    def ints(values: Iterable[int]) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def floats(values: Iterable[float]) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def text(value: str | bytes) -> tf.train.Feature:
        value = value.encode() if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    root.mkdir(parents=True, exist_ok=True)
    entries = sorted(stored(files).items())
    for number in range(shards):
        path = root / f"{split}-{number:05d}-of-{shards:05d}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for name, data in entries[number::shards]:
                label = labels.space("imagenet2012").id_of(wnid_of(name)) + 1
                of_image = (boxes or {}).get(name, [])
                sides = zip(("ymin", "xmin", "ymax", "xmax"), range(4), strict=True)
                feature = {
                    "image/height": ints([1]),
                    "image/width": ints([1]),
                    "image/colorspace": text("RGB"),
                    "image/channels": ints([3]),
                    "image/class/label": ints([label]),
                    "image/class/synset": text(wnid_of(name)),
                    "image/class/text": text(labels.words(wnid_of(name))),
                    "image/object/bbox/label": ints([label] * len(of_image)),
                    "image/format": text("JPEG"),
                    "image/filename": text(name),
                    "image/encoded": text(data),
                } | {
                    f"image/object/bbox/{side}": floats([round(box[at], 4) for box in of_image])
                    for side, at in sides
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())


def write_list(folder: Path, form: str) -> None:
    """A list of the files in a folder, beside it, as `find` and others would write it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = {
        "relative": [path.relative_to(folder.parent).as_posix() for path in files],
        "absolute": [str(path) for path in files],
        "dotted": [".", *(f"./{path.relative_to(folder).as_posix()}" for path in files)],
        "names": [path.name for path in files],
    }[form]
    text = "\n".join(f"  {line}\r" if form == "dotted" else line for line in [*lines, "", ""])
    folder.with_name(f"{folder.name}_files.txt").write_text(text)


def copy_official(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
