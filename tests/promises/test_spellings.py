"""However a copy spells the names of its images, the dataset is that of the official names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import archives
from support.building import build
from support.built_datasets import shards
from support.corpora.layouts import Pictures, by_class, pictures, wnid_of, write
from support.corpora.sites import REENCODED, SITES

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import SourceError
from imagenet_builders.options import BuildOptions

Spelling = Callable[[str], str]


def hugging_face(name: str) -> str:
    """The class once more at the end; test images have none."""
    stem, _, ending = name.partition(".")
    return name if "_test_" in name else f"{stem}_{wnid_of(name)}.{ending}"


def fake_digits(name: str) -> str:
    """Seven digits, as in the archives that TFDS's own tests make; of train images two more."""
    stem, _, rest = name.rpartition("_")
    number = int(rest.partition(".")[0])
    return f"{stem}_{number:07}.JPEG" if stem.startswith("I") else f"{stem}_00{rest}"


def small_letters(name: str) -> str:
    return f"{name.partition('.')[0].lower()}.jpg"


def capitals(name: str) -> str:
    return f"{name.partition('.')[0].upper()}.PNG"


SPELLINGS = [hugging_face, fake_digits, small_letters, capitals]


def spelled(pics: Pictures, spelling: Spelling) -> Pictures:
    train, validation, test = (
        {spelling(name): data for name, data in files.items()}
        for files in (pics.train, pics.validation, pics.test)
    )
    return dataclasses.replace(pics, train=train, validation=validation, test=test)


def official(root: Path, pics: Pictures, spelling: Spelling) -> None:
    """The official archives, with images of other names."""

    def named(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
        return [(spelling(name), data) for name, data in files.items()]

    root.mkdir()
    classes = []
    for wnid, members in by_class(pics.train).items():
        archives.write_tar(root / "class.tar", named(members))
        classes.append((f"{wnid}.tar", (root / "class.tar").read_bytes()))
    (root / "class.tar").unlink()
    archives.write_tar(root / "ILSVRC2012_img_train.tar", classes)
    archives.write_tar(root / "ILSVRC2012_img_val.tar", named(dict(pics.validation)))
    archives.write_tar(root / "ILSVRC2012_img_test_v10102019.tar", named(dict(pics.test)))


def built(manual_dir: Path, data_dir: Path) -> dict[str, bytes]:
    options = {"options": BuildOptions(workers=1)}
    directory = build(Builder, manual_dir, data_dir, builder_options=options)
    return {
        path.name: path.read_bytes()
        for split in ("train", "validation", "test")
        for path in shards(directory, split)
    }


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return built(pictures("imagenet2012").official, tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_archives_with_names_in_other_spellings_give_the_official_bytes(
    spelling: Spelling, reference: dict[str, bytes], tmp_path: Path
):
    official(tmp_path / "staged", pictures("imagenet2012"), spelling)
    assert built(tmp_path / "staged", tmp_path / "built") == reference


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_folders_with_names_in_other_spellings_give_the_official_bytes(
    spelling: Spelling, reference: dict[str, bytes], tmp_path: Path
):
    pics = pictures("imagenet2012")
    for part, folder in (("train", "train"), ("validation", "val"), ("test", "test")):
        files = getattr(pics, part)
        named = {
            spelling(name) if part == "test" else f"{wnid_of(name)}/{spelling(name)}": data
            for name, data in files.items()
        }
        write(tmp_path / "staged" / folder, named)
    assert built(tmp_path / "staged", tmp_path / "built") == reference


@pytest.mark.parametrize(
    "site", ["nci_flat", "slim", "hyak", "hyak_prefixed", "hyak_lists", "timm", "class_archives"]
)
def test_names_of_hugging_face_are_read_in_every_layout(
    site: str, reference: dict[str, bytes], tmp_path: Path
):
    SITES[site](tmp_path / "staged", spelled(pictures("imagenet2012"), hugging_face))
    found = built(tmp_path / "staged", tmp_path / "built")
    assert found, site
    assert found == {name: reference[name] for name in found}
    assert len(found) >= 2
    assert (site in REENCODED) or len(found) == len(reference) or site == "nci_flat"


@pytest.mark.parametrize("kind", ["folders", "tar", "class-tars", "squashfs"])
def test_two_files_that_are_the_same_image_are_both_named(kind: str, tmp_path: Path):
    name, data = next(iter(pictures("imagenet2012").train.items()))
    wnid, other = wnid_of(name), hugging_face(name)
    staged = tmp_path / "staged"
    both = {name: data, other: data}
    if kind == "folders":
        write(staged / "train" / wnid, both)
    elif kind == "squashfs":
        from support.corpora.layouts import write_squashfs

        staged.mkdir()
        write_squashfs(staged / "train.sqsh", {f"{wnid}/{each}": data for each in both})
    else:
        (staged / "train").mkdir(parents=True)
        archives.write_tar(staged / "train" / f"{wnid}.tar", both.items())
        if kind == "tar":
            inner = staged / "train" / f"{wnid}.tar"
            members = [(inner.name, inner.read_bytes())]
            inner.unlink()
            archives.write_tar(staged / "ILSVRC2012_img_train.tar", members)
    with pytest.raises(SourceError, match=f"the image {name} is there twice") as caught:
        built(staged, tmp_path / "built")
    assert other in str(caught.value)


def test_a_class_in_the_name_that_is_not_the_images_is_refused(tmp_path: Path):
    name, data = next(iter(pictures("imagenet2012").validation.items()))
    wrong = next(wnid for wnid in ("n01440764", "n01443537") if wnid != wnid_of(name))
    stem = name.removesuffix(".JPEG")
    write(tmp_path / "staged" / "val", {f"{stem}_{wrong}.JPEG": data})
    with pytest.raises(SourceError, match=f"class {wrong}, and its number that of {wnid_of(name)}"):
        built(tmp_path / "staged", tmp_path / "built")
