"""`check` and `build` agree: what the one accepts the other builds, and what it refuses it refuses.

Both apply the same rules to names. What only the bytes of images tell is in `test_bad_input`.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from makers import archives
from makers.imagenet21k_winter21 import WORDS, make_imagenet21k_winter21
from makers.imagenet2012_downsampled import make_downsampled
from support.command_line import run
from support.corpora import sites
from support.corpora.layouts import (
    by_class,
    in_classes,
    pictures,
    wnid_of,
    write,
    write_class_tars,
    write_squashfs,
)
from support.paths import DUMMY_DATA

TRAIN_T3 = "ILSVRC2012_img_train_t3.tar"
PICS = pictures("imagenet2012")
TRAIN, VALIDATION = dict(PICS.train), dict(PICS.validation)
IMAGE = next(iter(TRAIN.values()))
KAGGLE = "ILSVRC"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
WHOLE = "imagenet21k_winter21/whole"

Stage = Callable[[Path], object]
BUILT: dict[str, tuple[str, Stage]] = {}
REFUSED: dict[str, tuple[str, Stage]] = {}


def case(
    cases: dict[str, tuple[str, Stage]], dataset: str = "imagenet2012"
) -> Callable[[Stage], Stage]:
    def register(stage: Stage) -> Stage:
        cases[stage.__name__] = dataset, stage
        return stage

    return register


# --- what differs from the official copy and does no harm -----------------------------------------


@case(BUILT, "imagenet2012_localization")
def annotations_of_another_class_among_images(root: Path) -> None:
    pics = pictures("imagenet2012_localization")
    boxes = pics.boxes["train"]
    write(root / "train", {**in_classes(pics.train), **boxes})
    name = next(iter(boxes))
    write(root / "train", {f"n06470073/{Path(name).name}": boxes[name]})


@case(BUILT)
def names_with_the_class_again(root: Path) -> None:
    for folder, files in (("train", TRAIN), ("val", VALIDATION)):
        named = {f"{name[:-5]}_{wnid_of(name)}.JPEG": data for name, data in files.items()}
        write(root / folder, in_classes(named))


@case(BUILT)
def validation_images_one_folder_deeper(root: Path) -> None:
    write(root / "val" / "images", VALIDATION)


@case(BUILT)
def validation_images_in_folders_of_class_numbers(root: Path) -> None:
    write(
        root / "val",
        {f"{number}/{name}": VALIDATION[name] for number, name in enumerate(VALIDATION)},
    )


@case(BUILT)
def class_folders_one_folder_deeper(root: Path) -> None:
    write(root / "train" / "images", in_classes(TRAIN))
    write(root / "val" / "images", in_classes(VALIDATION))


@case(BUILT)
def validation_images_in_folders_of_numbers_one_folder_deeper(root: Path) -> None:
    names = enumerate(VALIDATION)
    write(
        root / "val" / "all", {f"{number % 3}/{name}": VALIDATION[name] for number, name in names}
    )


@case(BUILT)
def images_of_test_in_two_folders(root: Path) -> None:
    names = enumerate(PICS.test)
    write(root / "test", {f"part{number % 2}/{name}": PICS.test[name] for number, name in names})


@case(BUILT)
def a_train_archive_packed_of_class_folders(root: Path) -> None:
    root.mkdir()
    members = {f"train/{name}": data for name, data in in_classes(TRAIN).items()}
    archives.write_tar(root / "ILSVRC2012_img_train.tar", members.items())


@case(BUILT)
def class_archives_beside_their_images(root: Path) -> None:
    (root / "train").mkdir(parents=True)
    write_class_tars(root / "train", TRAIN)
    write(root / "train", TRAIN)


@case(BUILT, WHOLE)
def a_plain_tar_under_the_name_of_a_gzip_file(root: Path) -> None:
    make_imagenet21k_winter21(root, classes=tuple(WORDS)[:4], whole="tar.gz", p=None)
    [archive] = root.glob("*.tar.gz")
    archive.write_bytes(gzip.decompress(archive.read_bytes()))


@case(BUILT, WHOLE)
def other_endings_in_the_class_folders_of_21k(root: Path) -> None:
    make_imagenet21k_winter21(root, classes=tuple(WORDS)[:4], whole="folders", p=None)
    for path in sorted(root.rglob("*.JPEG")):
        path.rename(path.with_suffix(".jpg"))


# --- what is of another dataset, or wrong ---------------------------------------------------------


@case(REFUSED)
def a_class_archive_of_21k(root: Path) -> None:
    (root / "train").mkdir(parents=True)
    write_class_tars(root / "train", TRAIN)
    archives.write_tar(root / "train" / "n00004475.tar", [("n00004475_1.JPEG", IMAGE)])


@case(REFUSED)
def a_class_folder_of_21k(root: Path) -> None:
    write(root / "train", in_classes(TRAIN) | {"n00004475/n00004475_1.JPEG": IMAGE})


@case(REFUSED, WHOLE)
def a_class_folder_that_no_release_has(root: Path) -> None:
    make_imagenet21k_winter21(root, classes=tuple(WORDS)[:4], whole="folders", p=None)
    [folder] = [path.parent.parent for path in sorted(root.rglob("*.JPEG"))[:1]]
    write(folder, {"n99999999/n99999999_1.JPEG": IMAGE})


@case(REFUSED)
def validation_images_named_as_train_images(root: Path) -> None:
    """As Imagenette has them."""
    write(root / "train", in_classes(TRAIN))
    write(root / "val", in_classes(TRAIN))


@case(REFUSED)
def images_of_validation_in_test(root: Path) -> None:
    write(root / "val", VALIDATION)
    write(root / "test", VALIDATION)


@case(REFUSED)
def an_image_in_the_folder_of_another_class(root: Path) -> None:
    first, second = list(by_class(TRAIN))[:2]
    name = next(iter(by_class(TRAIN)[first]))
    write(root / "train", in_classes(TRAIN))
    shutil.move(root / "train" / first / name, root / "train" / second / name)


@case(REFUSED)
def class_archives_in_each_of_several_archives(root: Path) -> None:
    root.mkdir()
    classes = list(by_class(TRAIN).items())
    for number in range(5):
        inner = classes[number::5] or classes[:1]
        members = ((f"{wnid}.tar", archives.tar_bytes(images.items())) for wnid, images in inner)
        archives.write_tar(root / f"train_images_{number}.tar", members)


@case(REFUSED, "imagenet2012_dogs")
def an_archive_of_dogs_without_one_of_its_classes(root: Path) -> None:
    root.mkdir()
    whole = DUMMY_DATA / "imagenet2012_dogs" / TRAIN_T3
    with tarfile.open(whole) as source, tarfile.open(root / TRAIN_T3, "w") as target:
        for member in source.getmembers()[1:]:
            target.addfile(member, source.extractfile(member))


@case(REFUSED, "imagenet2012_dogs")
def folders_of_dogs_named_by_wnid_and_breed(root: Path) -> None:
    names = [f"n02085620_{number}.jpg" for number in (1, 2)]
    write(root / "train_t3" / "n02085620-Chihuahua", dict.fromkeys(names, IMAGE))


@case(REFUSED)
def an_image_twice_in_other_spellings(root: Path) -> None:
    name, data = next(iter(TRAIN.items()))
    write(root / "train" / wnid_of(name), {name: data, name.replace(".JPEG", ".jpg"): data})


@case(REFUSED)
def validation_images_in_folders_of_folders(root: Path) -> None:
    write(root / "train", in_classes(TRAIN))
    names = enumerate(VALIDATION)
    write(
        root / "val", {f"{number % 2}/{number}/{name}": VALIDATION[name] for number, name in names}
    )


@case(REFUSED)
def an_image_twice_in_two_folders(root: Path) -> None:
    write(
        root / "val",
        {f"{folder}/{name}": VALIDATION[name] for folder in "ab" for name in VALIDATION},
    )


@case(REFUSED)
def a_class_archive_in_place_of_a_class_that_is_none_of_it(root: Path) -> None:
    sites.class_archives_beside(root, PICS)
    archives.write_tar(root / "n00004475.tar", [("n00004475_1.JPEG", IMAGE)])


@case(REFUSED)
def a_train_archive_of_which_the_first_class_archive_alone_is_plain(root: Path) -> None:
    root.mkdir()
    packed = [archives.tar_bytes(images.items()) for images in by_class(TRAIN).values()]
    packed[1:] = map(gzip.compress, packed[1:])
    members = [(f"{wnid}.tar", data) for wnid, data in zip(by_class(TRAIN), packed, strict=True)]
    archives.write_tar(root / "ILSVRC2012_img_train.tar", members)


@case(REFUSED)
def two_archives_of_a_class(root: Path) -> None:
    write_class_tars(root / "train", TRAIN)
    archive = min((root / "train").iterdir())
    archive.with_name(f"{archive.name}.gz").write_bytes(gzip.compress(archive.read_bytes()))


@case(REFUSED)
def two_archives_of_a_class_in_place(root: Path) -> None:
    write_class_tars(root, TRAIN)
    archive = min(root.iterdir())
    shutil.copy(archive, archive.with_suffix(".TAR"))


@case(REFUSED)
def a_class_archive_that_is_no_tar(root: Path) -> None:
    (root / "train").mkdir(parents=True)
    write_class_tars(root / "train", TRAIN)
    path = min((root / "train").iterdir())
    path.write_bytes(b"<html>not found</html>" * 100)


@case(REFUSED)
def a_number_too_high_in_a_squashfs_image(root: Path) -> None:
    root.mkdir()
    write_squashfs(root / "val.sqsh", {"ILSVRC2012_val_00050001.JPEG": IMAGE, **VALIDATION})


def stage_kaggle_zip(
    root: Path, more: Mapping[str, bytes] | None = None, without: str = "?"
) -> None:
    """Kaggle's archive with more in it, and without the paths that have `without` in them."""
    root.mkdir(parents=True, exist_ok=True)
    tree = sites.kaggle_tree(pictures("imagenet2012_localization")) | dict(more or {})
    with zipfile.ZipFile(root / "imagenet-object-localization-challenge.zip", "w") as archive:
        for name, data in tree.items():
            if without not in name:
                archive.writestr(name, data)


@case(BUILT)
def a_zip_of_kaggle_without_test(root: Path) -> None:
    stage_kaggle_zip(
        root, {f"{KAGGLE}/Data/CLS-LOC/test/.DS_Store": b""}, without="ILSVRC2012_test"
    )


@case(REFUSED)
def a_class_that_no_release_has_in_a_zip_of_kaggle(root: Path) -> None:
    name = "n99999999/n99999999_1.JPEG"
    stage_kaggle_zip(root, {f"{KAGGLE}/Data/CLS-LOC/train/{name}": IMAGE})


@case(REFUSED)
def a_note_among_the_images_in_a_zip_of_kaggle(root: Path) -> None:
    stage_kaggle_zip(root, {f"{KAGGLE}/Data/CLS-LOC/val/notes.txt": b"?"})


@case(REFUSED)
def an_image_twice_in_a_zip_of_kaggle(root: Path) -> None:
    name = next(iter(pictures("imagenet2012_localization").validation))
    stage_kaggle_zip(root, {f"{KAGGLE}/Data/CLS-LOC/val/again/{name}": IMAGE})


@case(REFUSED, "imagenet2012_localization")
def a_note_among_the_annotations_in_a_zip_of_kaggle(root: Path) -> None:
    stage_kaggle_zip(root, {f"{KAGGLE}/Annotations/CLS-LOC/val/notes.txt": b"?"})


@case(REFUSED, "imagenet2012_localization")
def a_zip_of_kaggle_without_annotations(root: Path) -> None:
    stage_kaggle_zip(root, without="Annotations")


@case(REFUSED, "imagenet2012_downsampled/8x8")
def a_pointer_of_git_lfs_in_a_folder_of_arrays(root: Path) -> None:
    make_downsampled(root, 8, outer=None)
    (root / "Imagenet8_val_npz" / "val_data.npz").write_bytes(POINTER)


@case(REFUSED, "imagenet2012_downsampled/8x8")
def a_pointer_of_git_lfs_among_arrays_side_by_side(root: Path) -> None:
    make_downsampled(root, 8, outer=None)
    for path in list(root.rglob("*.npz")):
        path.rename(root / path.name)
    (root / "train_data_batch_3.npz").write_bytes(POINTER)


@case(REFUSED)
def records_without_names(root: Path) -> None:
    import tensorflow as tf

    sites.slim_itself(root, pictures("imagenet2012"))
    [shard] = root.glob("train-*")
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            example = tf.train.Example.FromString(record)
            del example.features.feature["image/filename"]
            writer.write(example.SerializeToString())


def sorted_tiny(root: Path) -> tuple[Path, Path]:
    """A sorted copy of Tiny ImageNet: one of its validation images, and the folder of another."""
    sites.tiny_sorted(root)
    one, *more = sorted((root / "tiny-imagenet-200" / "val").glob("n*/val_*"))
    return one, next(each.parent for each in more if each.parent != one.parent)


@case(REFUSED, "tiny_imagenet")
def an_image_of_tiny_in_two_folders(root: Path) -> None:
    one, folder = sorted_tiny(root)
    (folder.parent / "val_annotations.txt").unlink()
    shutil.copy(one, folder)


@case(REFUSED, "tiny_imagenet")
def an_image_of_tiny_in_the_folder_of_another_class(root: Path) -> None:
    one, folder = sorted_tiny(root)
    one.rename(folder / one.name)


@case(REFUSED, "tiny_imagenet")
def a_class_of_sorted_tiny_without_images(root: Path) -> None:
    one, folder = sorted_tiny(root)
    (folder.parent / "val_annotations.txt").unlink()
    for image in one.parent.iterdir():
        image.unlink()


def statuses(dataset: str, staged: Path, tmp_path: Path) -> tuple[int, int, str]:
    checked = run("check", str(staged), dataset)
    arguments = ["--manual-dir", str(staged), "--data-dir", str(tmp_path / "built")]
    built = run("build", dataset, *arguments, "--workers", "1")
    return checked.status, built.status, checked.out + built.err


@pytest.mark.parametrize("name", BUILT)
def test_what_does_no_harm_is_accepted_and_built(name: str, tmp_path: Path):
    dataset, stage = BUILT[name]
    stage(tmp_path / "staged")
    check, build, said = statuses(dataset, tmp_path / "staged", tmp_path)
    assert (check, build) == (0, 0), said


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_build_refuses_is_not_accepted(name: str, tmp_path: Path):
    dataset, stage = REFUSED[name]
    stage(tmp_path / "staged")
    check, build, said = statuses(dataset, tmp_path / "staged", tmp_path)
    assert (check, build) == (1, 1), said


def test_a_file_beside_class_folders_does_not_keep_anything_from_being_built(tmp_path: Path):
    write(tmp_path / "staged" / "train", {**in_classes(TRAIN), "README": b""})
    assert statuses("imagenet2012", tmp_path / "staged", tmp_path)[:2] == (0, 0)


def stage_tiny_packed(root: Path) -> None:
    root.mkdir()
    with zipfile.ZipFile(DUMMY_DATA / "tiny_imagenet" / "tiny-imagenet-200.zip") as archive:
        members = [(name, archive.read(name)) for name in archive.namelist() if name[-1] != "/"]
    packed = gzip.compress(archives.tar_bytes(members))
    (root / "tiny-imagenet-200.tgz").write_bytes(packed)


UNREAD: dict[str, Stage] = {
    "the names in .*tiny-imagenet-200.tgz": stage_tiny_packed,
    r"the names in .*data \(5 files\)": lambda root: sites.hugging_face(root, PICS),
    r"the rows of .* but the first of each file": lambda root: sites.hugging_face_parquet(
        root, PICS
    ),
    r"the names in .*\(3 files\)": lambda root: sites.timm(root, PICS),
    r"the arrays in .*Imagenet8_val_npz": lambda root: make_downsampled(root, 8),
    r"the boxes in .*challenge.zip": stage_kaggle_zip,
}


@pytest.mark.parametrize("said", UNREAD)
def test_a_check_says_what_it_has_not_looked_at(said: str, tmp_path: Path):
    UNREAD[said](tmp_path / "staged")
    result = run("check", str(tmp_path / "staged"))
    assert re.search(f"Not looked at: .*{said}", " ".join(result.out.split()))


HTML = b"<!DOCTYPE html><html>error</html>"
OTHERS = {
    "a Git LFS pointer": POINTER,
    "a web page": HTML,
    "empty|0 bytes|no bytes": b"",
}
NAMED: dict[str, tuple[str, Stage]] = {
    "parquet": ("train-*.parquet", lambda root: sites.hugging_face_parquet(root, PICS)),
    "squashfs": ("train.sqsh", lambda root: sites.hyak(root, PICS)),
    "records": ("train-*", lambda root: sites.slim_itself(root, PICS)),
    "shards": ("imagenet1k-train-*", lambda root: sites.timm(root, PICS)),
    "arrays": ("train_data_batch_2.npz", lambda root: make_downsampled(root, 8, outer=None)),
}


@pytest.mark.parametrize("said", OTHERS)
@pytest.mark.parametrize("kind", NAMED)
def test_what_is_no_archive_is_named_by_both(kind: str, said: str, tmp_path: Path):
    pattern, stage = NAMED[kind]
    stage(tmp_path / "staged")
    min((tmp_path / "staged").rglob(pattern)).write_bytes(OTHERS[said])
    dataset = "imagenet2012_downsampled/8x8" if kind == "arrays" else "imagenet2012"
    check = run("check", str(tmp_path / "staged"), dataset)
    data_dir = str(tmp_path / "built")
    arguments = ["--manual-dir", str(tmp_path / "staged"), "--data-dir", data_dir]
    built = run("build", dataset, *arguments, "--workers", "1")
    assert (check.status, built.status) == (1, 1)
    problem = next(each for each in check.out.split("\n\n") if each.startswith("1. error"))
    for words in (problem, built.err.rpartition("error: ")[2]):
        assert re.search(said, words), words
        assert "cut off" not in words
        assert not (OTHERS[said] and "copy" in words), words


def test_a_tar_under_the_name_of_a_zip_is_named_once(tmp_path: Path):
    make_downsampled(tmp_path, 8)
    archives.write_tar(tmp_path / "Imagenet8_val_npz.zip", [("val_data.npz", b"?")])
    said = " ".join(run("check", str(tmp_path), "imagenet2012_downsampled/8x8").out.split())
    assert "found a tar archive" in said
    assert "found expected" not in said


def test_a_squashfs_image_of_few_is_said_to_have_its_images(tmp_path: Path):
    write_squashfs(tmp_path / "val.sqsh", VALIDATION)
    said = " ".join(run("check", str(tmp_path), "imagenet2012").out.split())
    assert f"expected 50,000 images found {len(VALIDATION)} images" in said
    assert "files and folders" not in said


@pytest.mark.parametrize("strict", [(), ("--strict",)], ids=["plain", "strict"])
def test_a_check_names_files_of_systems_that_a_build_passes_over(
    strict: tuple[str, ...], tmp_path: Path
):
    litter = {f"{wnid_of(name)}/.DS_Store": b"" for name in TRAIN}
    write(tmp_path / "train", in_classes(TRAIN) | litter)
    result = run("check", str(tmp_path), "imagenet2012", *strict)
    assert result.status == (1 if strict else 0)
    said = " ".join(result.out.split())
    assert f"a file of an operating system ({len(litter) - 1} more such files)" in said
