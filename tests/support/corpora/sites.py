"""The pictures of the dummy data in the layout of each site."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, cast

from makers import archives
from makers.imagenet21k_winter21 import make_imagenet21k_winter21
from makers.imagenet2012_downsampled import make_downsampled

from support.corpora.layouts import (
    DUMMY,
    Boxes,
    Pictures,
    by_class,
    copy_official,
    hf_name,
    in_classes,
    packed,
    pictures,
    write,
    write_class_tars,
    write_list,
    write_parquet,
    write_squashfs,
    write_tfrecords,
    write_webdataset,
)
from support.corpora.tar_headers import file_in


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


def timm_w21(root: Path) -> None:
    make_imagenet21k_winter21(root, whole="shards", p=None)


def downsampled_flat(root: Path) -> None:
    """Two sizes, each in a folder that has all its files side by side."""
    for size in (16, 32):
        make_downsampled(root / f"imagenet{size}", size, outer=None)
        for path in list((root / f"imagenet{size}").rglob("*.npz")):
            path.rename(root / f"imagenet{size}" / path.name)


def tiny_sorted(root: Path) -> Path:
    """Tiny ImageNet, its validation images sorted by a script."""
    _unzip(DUMMY / "tiny_imagenet" / "tiny-imagenet-200.zip", root)
    validation = root / "tiny-imagenet-200" / "val"
    for line in (validation / "val_annotations.txt").read_text().splitlines():
        name, wnid, *_ = line.split("\t")
        (validation / wnid).mkdir(exist_ok=True)
        (validation / "images" / name).rename(validation / wnid / name)
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


def one_squashfs(root: Path, pics: Pictures) -> None:
    """All splits in one image, its folders named as torchvision names them."""
    root.mkdir(parents=True)
    tree = {f"train/{name}": data for name, data in in_classes(pics.train).items()}
    tree |= {f"val/{name}": data for name, data in in_classes(pics.validation).items()}
    tree |= {f"test/{name}": data for name, data in pics.test.items()}
    write_squashfs(root / "imagenet.sqsh", tree | {"README.md": b"?"}, "-comp", "gzip")


def one_squashfs_kaggle(root: Path, pics: Pictures) -> None:
    """Kaggle's tree in one image, with its annotations."""
    root.mkdir(parents=True)
    data = "ILSVRC/Data/CLS-LOC"
    tree = {f"{data}/train/{name}": image for name, image in in_classes(pics.train).items()}
    tree |= {f"{data}/val/{name}": image for name, image in pics.validation.items()}
    tree |= {f"{data}/test/{name}": image for name, image in pics.test.items()}
    notes = "ILSVRC/Annotations/CLS-LOC"
    tree |= {f"{notes}/train/n01440764/n01440764_1.xml": b"", f"{notes}/val/x.xml": b""}
    write_squashfs(root / "ILSVRC2012.squashfs", tree, "-comp", "xz")


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


def compressed(root: Path, pics: Pictures) -> None:
    """Each official archive compressed in another way, one of them under its own name."""
    packers = {"train": ("", "gzip"), "val": (".bz2", "bzip2"), "test_v10102019": (".zst", "zstd")}
    for path in sorted(pics.official.iterdir()):
        part = path.stem.removeprefix("ILSVRC2012_img_")
        ending, form = packers.get(part, (".xz", "xz"))
        if part.endswith(("patch_v10102019", ".tar")) or part.startswith("ILSVRC2012_bbox"):
            write(root, {path.name: path.read_bytes()})
        else:
            write(root, {path.name + ending: packed(path.read_bytes(), form)})


def hugging_face(root: Path, pics: Pictures) -> None:
    """The archives of `imagenet-1k` as they were before it had Parquet files."""
    names = sorted(pics.train)
    for number in range(5):
        members = {hf_name(name): pics.train[name] for name in names[number::5]}
        _write_tar_gz(root / "data" / f"train_images_{number}.tar.gz", members)
    validation = {hf_name(name): data for name, data in pics.validation.items()}
    _write_tar_gz(root / "data" / "val_images.tar.gz", validation)
    if pics.test:
        _write_tar_gz(root / "data" / "test_images.tar.gz", pics.test)


def hugging_face_parquet(root: Path, pics: Pictures) -> None:
    """The files of `imagenet-1k`."""
    write_parquet(root / "data", "train", pics.train, 3)
    write_parquet(root / "data", "validation", pics.validation, 2)
    write_parquet(root / "data", "test", pics.test, 1)


def kaggle_tree(pics: Pictures) -> dict[str, bytes]:
    """What is in the archives of Kaggle, by path."""
    below = "ILSVRC/Data/CLS-LOC"
    tree = {"ILSVRC/ImageSets/CLS-LOC/val.txt": b"ILSVRC2012_val_00000001 1\n"}
    for split, files in pics.boxes.items():
        folder = {"train": "train", "validation": "val"}.get(split)
        if folder is not None:
            for name, data in files.items():
                name = name.removeprefix("val/")
                tree[f"ILSVRC/Annotations/CLS-LOC/{folder}/{name}"] = data
    tree |= {f"{below}/train/{name}": data for name, data in in_classes(pics.train).items()}
    tree |= {f"{below}/val/{name}": data for name, data in pics.validation.items()}
    tree |= {f"{below}/test/{name}": data for name, data in pics.test.items()}
    return tree | {"LOC_synset_mapping.txt": b"n01440764 tench, Tinca tinca\n"}


def kaggle_tar(root: Path, pics: Pictures) -> None:
    _write_tar_gz(root / "imagenet_object_localization_patched2019.tar.gz", kaggle_tree(pics))


def kaggle_zip(root: Path, pics: Pictures) -> None:
    """Written to a pipe, so that sizes follow the members, of which every other one is stored."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "imagenet-object-localization-challenge.zip"
    with open(path, "wb") as file, zipfile.ZipFile(cast(IO[bytes], Pipe(file)), "w") as archive:
        for number, (name, data) in enumerate(sorted(kaggle_tree(pics).items())):
            how = zipfile.ZIP_STORED if number % 2 else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, how)


class Pipe:
    """A file that can only be appended to."""

    def __init__(self, file: IO[bytes]):
        self.write, self.flush = file.write, file.flush


def _write_tar_gz(path: Path, members: Mapping[str, bytes]) -> None:
    write(path.parent, {path.name: packed(archives.tar_bytes(members.items()), "gzip")})


def class_archives(root: Path, pics: Pictures) -> None:
    """The outer archive unpacked, as torchvision leaves it halfway."""
    if pics.train:
        write_class_tars(root / "ILSVRC2012_img_train", pics.train)
    if pics.train_t3:
        write_class_tars(root / "train_t3", pics.train_t3)
    write(root / "ILSVRC2012_img_val", pics.validation)
    write(root / "ILSVRC2012_img_test_v10102019" / "test", pics.test)
    _box_archives(root, pics)


def class_archives_beside(root: Path, pics: Pictures) -> None:
    """The outer archive unpacked in place, beside the others."""
    write_class_tars(root, pics.train)
    for path in pics.official.iterdir():
        if not path.name.startswith("ILSVRC2012_img_train"):
            write(root, {path.name: path.read_bytes()})


def packed_class_archives(root: Path, pics: Pictures) -> None:
    """One class archive in gzip by its name, another one under the name of a tar."""
    write_class_tars(root / "train", pics.train)
    first, second, *_ = sorted((root / "train").iterdir())
    first.with_name(f"{first.name}.gz").write_bytes(packed(first.read_bytes(), "gzip"))
    first.unlink()
    second.write_bytes(packed(second.read_bytes(), "gzip"))
    write(root / "val", pics.validation)
    write(root / "test", pics.test)


def packed_inside(root: Path, pics: Pictures) -> None:
    """The outer archive with class archives of which some are in gzip, and named so."""
    inner = []
    for number, (wnid, members) in enumerate(by_class(pics.train).items()):
        data = archives.tar_bytes(members.items())
        name = f"{wnid}.tar" + (".gz" if number % 2 else "")
        inner.append((name, data if number == 2 else packed(data, "gzip")))
    root.mkdir(parents=True)
    archives.write_tar(root / "ILSVRC2012_img_train.tar", inner)
    write(root / "val", pics.validation)
    write(root / "test", pics.test)


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
        one_squashfs,
        one_squashfs_kaggle,
        hyak_lists,
        hyak_names,
        timm,
        image_folder,
        kaggle,
        class_archives,
        class_archives_beside,
        packed_class_archives,
        packed_inside,
        compressed,
        hugging_face,
        hugging_face_parquet,
        kaggle_tar,
        kaggle_zip,
    )
}
"""How each site stages ImageNet."""

REENCODED = {"slim", "slim_itself", "timm"}
"""Sites whose copies of CMYK and PNG images were encoded anew."""

WITHOUT_TEST = {"nci", "nci_flat", "slim", "slim_itself", "timm", "image_folder"}
"""Sites that do not have the test split."""
