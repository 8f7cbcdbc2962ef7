"""The pictures of the dummy data staged in the layout of each site, by the tools that sites use."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

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


# --- the sites ------------------------------------------------------------------------------------


def official(root: Path, pics: Pictures) -> None:
    copy_official(pics.official, root)


def nibi(root: Path, pics: Pictures) -> None:
    """Archives beside what they unpack to."""
    copy_official(pics.official, root / "ILSVRC2012")
    write(root / "ILSVRC2012" / "train", in_classes(pics.train))
    write(root / "ILSVRC2012" / "validation", pics.validation)
    write(root / "ILSVRC2012" / "test", pics.test)
    write(root / "ILSVRC2012" / "train_T3", in_classes(pics.train_t3))
    write(root, {"ILSVRC2012/ILSVRC2012.md5": b"", "ILSVRC2012/ILSVRC2012_devkit_t12/COPYING": b""})
    write(
        root / "tiny-imagenet-200", {"wnids.txt": b"", "train/n01443537/n01443537_boxes.txt": b""}
    )
    write(root / "winter21_whole" / "n00004475", {"n00004475_1.JPEG": b"?"})


def nibi_family(root: Path) -> Path:
    """The whole tree, with all of the family that it has: `root` is the `manual_dir` of all."""
    nibi(root, pictures("imagenet2012"))
    shutil.rmtree(root / "tiny-imagenet-200")
    shutil.rmtree(root / "winter21_whole")
    for path in (DUMMY / "imagenet2012_dogs").iterdir():
        shutil.copy(path, root / "ILSVRC2012")
    _unzip(DUMMY / "tiny_imagenet" / "tiny-imagenet-200.zip", root)
    for path in (DUMMY / "imagenet2012_downsampled").glob("*_npz.zip"):
        _unzip(path, root / "DownSampled" / path.stem)
    # One class of the folders beside the archives of all.
    archive = DUMMY / "imagenet21k_winter21" / "winter21_whole.tar.gz"
    winter21 = root / "winter21_whole"
    with tarfile.open(archive) as outer:
        for member in outer.getmembers():
            if member.name.endswith(".tar"):
                name = member.name.rpartition("/")[2]
                write(winter21, {f"tars/{name}": file_in(outer, member)})
    first = min((winter21 / "tars").iterdir())
    with tarfile.open(first) as inner:
        contents = {member.name: file_in(inner, member) for member in inner.getmembers()}
    write(winter21 / first.stem, contents)
    return root


def _unzip(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(target)


def nibi_unpacked(root: Path, pics: Pictures) -> None:
    """The same without the archives of images."""
    nibi(root, pics)
    for path in (root / "ILSVRC2012").glob("ILSVRC2012_img_*.tar"):
        path.unlink()


def nci(root: Path, pics: Pictures) -> None:
    write(root / "raw-data" / "train", in_classes(pics.train))
    write(root / "raw-data" / "validation", in_classes(pics.validation))
    _box_archives(root / "raw-data", pics)


def nci_flat(root: Path, pics: Pictures) -> None:
    write(root / "ILSVRC2012" / "raw-data" / "train", in_classes(pics.train))
    write(root / "ILSVRC2012" / "raw-data" / "validation", pics.validation)
    for split, files in pics.boxes.items():
        names = {"train": "bounding_boxes", "validation": "ILSVRC2012_bbox_val_v3"}
        write(root / "ILSVRC2012" / "raw-data" / names[split], files)


def slim(root: Path, pics: Pictures, boxes: Boxes | None = None) -> None:
    write_tfrecords(root / "data_dir", "train", pics.train, 4, boxes)
    write_tfrecords(root / "data_dir", "validation", pics.validation, 2)
    write(root / "idx_dir", {"train-00000-of-00004.idx": b"0 10\n"})


def slim_itself(root: Path, pics: Pictures, boxes: Boxes | None = None) -> None:
    write_tfrecords(root, "train", pics.train, 1, boxes)
    write_tfrecords(root, "validation", pics.validation, 1)


def hyak(root: Path, pics: Pictures) -> None:
    """Images beside the folders that they were made of."""
    root.mkdir(parents=True)
    if pics.train:
        write_squashfs(root / "train.sqsh", in_classes(pics.train), "-comp", "gzip")
        write_squashfs(root / "val.squashfs", pics.validation, "-comp", "xz")
    if pics.test:
        write_squashfs(root / "test.sfs", pics.test, "-comp", "zstd", "-noI")
    if pics.train_t3:
        write_squashfs(root / "train_t3.sqsh", in_classes(pics.train_t3))
    _box_archives(root, pics)


def hyak_prefixed(root: Path, pics: Pictures) -> None:
    root.mkdir(parents=True)
    train = {f"train/{name}": data for name, data in in_classes(pics.train).items()}
    validation = {f"val/{name}": data for name, data in in_classes(pics.validation).items()}
    write_squashfs(root / "imagenet_train.squashfs", train, "-comp", "zstd")
    write_squashfs(root / "ILSVRC2012_img_val.sqsh", validation, "-comp", "gzip")
    write_squashfs(root / "imagenet-test.sqsh", {f"test/{n}": d for n, d in pics.test.items()})


def hyak_lists(root: Path, pics: Pictures) -> None:
    write(root / "train", in_classes(pics.train))
    write(root / "val", in_classes(pics.validation))
    write(root / "test", pics.test)
    write_list(root / "train", "relative")
    write_list(root / "val", "absolute")
    write_list(root / "test", "dotted")


def hyak_names(root: Path, pics: Pictures) -> None:
    write(root / "train", in_classes(pics.train))
    write(root / "validation", pics.validation)
    write(root / "test", pics.test)
    for folder, form in (("train", "names"), ("validation", "dotted"), ("test", "names")):
        write_list(root / folder, form)


def timm(root: Path, pics: Pictures) -> None:
    write_webdataset(root, "train", pics.train, 3, 4)
    write_webdataset(root, "validation", pics.validation, 2, 2)
    write(root, {"_info.json": b"{}", "README.md": b""})


def image_folder(root: Path, pics: Pictures) -> None:
    write(root / "train", in_classes(pics.train))
    write(root / "val", in_classes(pics.validation))


def kaggle(root: Path, pics: Pictures) -> None:
    """With the one PNG named as such."""
    data = root / "ILSVRC" / "Data" / "CLS-LOC"
    train = {
        name.replace("n02105855_2933.JPEG", "n02105855_2933.png"): content
        for name, content in in_classes(pics.train).items()
    }
    write(data / "train", train)
    write(data / "val", pics.validation)
    write(data / "test", pics.test)
    write(root, {"LOC_synset_mapping.txt": b"", "ILSVRC/ImageSets/CLS-LOC/val.txt": b""})
    notes = root / "ILSVRC" / "Annotations" / "CLS-LOC"
    for split, files in pics.boxes.items():
        if split != "train_t3":
            folder = notes / {"train": "train", "validation": "val"}[split]
            write(folder, {n.removeprefix("val/"): content for n, content in files.items()})


def class_archives(root: Path, pics: Pictures) -> None:
    """The outer archive unpacked, as torchvision leaves it halfway."""
    if pics.train:
        write_class_tars(root / "ILSVRC2012_img_train", pics.train)
    if pics.train_t3:
        write_class_tars(root / "train_t3", pics.train_t3)
    write(root / "ILSVRC2012_img_val", pics.validation)
    write(root / "ILSVRC2012_img_test_v10102019" / "test", pics.test)
    _box_archives(root, pics)


def _box_archives(root: Path, pics: Pictures) -> None:
    for path in pics.official.glob("ILSVRC2012_bbox_*"):
        shutil.copy(path, root)


Stage = Callable[[Path, Pictures], None]

SITES: dict[str, Stage] = {
    stage.__name__: stage
    for stage in (
        official,
        nibi,
        nibi_unpacked,
        nci,
        nci_flat,
        slim,
        slim_itself,
        hyak,
        hyak_prefixed,
        hyak_lists,
        hyak_names,
        timm,
        image_folder,
        kaggle,
        class_archives,
    )
}
"""How each site stages ImageNet."""

REENCODED = {"slim", "slim_itself", "timm"}
"""Sites whose copies of CMYK and PNG images were encoded anew."""

WITHOUT_TEST = {"nci", "nci_flat", "slim", "slim_itself", "timm", "image_folder"}
"""Sites that do not have the test split."""
