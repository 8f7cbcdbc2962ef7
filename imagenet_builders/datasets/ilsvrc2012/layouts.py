"""The table of layouts in which sites stage ILSVRC2012.

A row has the places to look at and the names to look for; its kind says how to read it (see
`imagenet_builders.sources.kinds`). The rows are in the order of preference: archives are a few
open files, folders a million. Names are regular expressions that ignore case.

Sources: the official download page; the Alliance's description of Nibi's /datashare; NCI's of its
ImageNet; Hyak's of its; the cards of timm/imagenet-1k-wds and of Kaggle's object localization
challenge; torchvision's ImageNet; `download_imagenet.sh` of tensorflow/models.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.locate import exported
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.listing import COMPRESSED_TAR
from imagenet_builders.locate.search import ITSELF, Layout, Tree, require_directory
from imagenet_builders.sources import kinds

TEST_PATCH = "ILSVRC2012_img_test_patch_v10102019.tar"
"""A few images of the test archive, made anew on 10 October 2019. Source: image-net.org."""


# As folders of images they are reported where they cannot be read.
_SPLIT_FOLDERS = ("train", "val", "validation", "test")


def _and_by_split(*places: str) -> tuple[str, ...]:
    """Places, and the folders in them that hold the archives or the shards of one split each."""
    return (
        *places,
        *(
            split if place == "." else f"{place}/{split}"
            for place in places
            for split in _SPLIT_FOLDERS
        ),
    )


_ARCHIVES = _and_by_split(
    ".", "ILSVRC2012", "raw-data", "ILSVRC2012/raw-data", "ILSVRC2012/archives"
)
_FOLDERS = (".", "ILSVRC2012", "raw-data", "ILSVRC2012/raw-data")
_KAGGLE = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "ILSVRC2012/ILSVRC/Data/CLS-LOC")
_KAGGLE_BOXES = tuple(place.replace("Data", "Annotations") for place in _KAGGLE)
# The tree of Kaggle's archives, which is that of ILSVRC2017's task of classification, too.
_KAGGLE_ARCHIVE = (
    r"imagenet[-_]object[-_]localization([-_]challenge|[-_]patched2019)?",
    r"ILSVRC2017_CLS-LOC",
)
_KAGGLE_FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_HUGGING_FACE = tuple(
    f"{top}{sub}"
    for top in ("", "imagenet-1k/", "ILSVRC2012/")
    for sub in ("data", "default", "data/default")
)
_SQUASHED = r"\.(sqsh|squashfs|sfs|sqfs)"
# Words in the names of subsets, and of other datasets whose images may have the same names.
_NOT_ALL = (
    r"(?!.*(t3|dogs|tiny|mini|small|subset|sample|debug|pct|percent|2[12]k|12k|net[^a-z]?10))"
)


# An image that is named by the dataset alone.
_ALL_SQUASHED = (
    r"(imagenet|ilsvrc)([-_. ]?(ilsvrc|2012|2015|2017|1k|1000|cls[-_]?loc|full|all|data|images))*"
    rf"{_SQUASHED}"
)


def _squashed(part: str) -> tuple[str, str]:
    """Names of SquashFS images of a part: its own name, then its name among other words."""
    return (
        rf"{part}{_SQUASHED}",
        rf"{_NOT_ALL}(.*[^a-z])?{part}([^a-z].*)?{_SQUASHED}",
    )


_REENCODED = (
    "its images that are CMYK or PNG in the official archive had been encoded anew, as RGB JPEGs"
)

_FOLDER_NAMES = {
    "train": (r"train", r"training", r"ILSVRC2012_img_train"),
    "validation": (r"validation", r"val", r"ILSVRC2012_img_val"),
    "test": (r"test", r"testing", r"ILSVRC2012_img_test(_v10102019)?"),
    "train_t3": (r"train_t3", r"ILSVRC2012_img_train_t3"),
}

_TAR_GZ = (".tar.gz", ".tgz", ".tar")
OFFICIAL = {
    "train": ("ILSVRC2012_img_train.tar",),
    "validation": ("ILSVRC2012_img_val.tar",),
    "test": ("ILSVRC2012_img_test_v10102019.tar", "ILSVRC2012_img_test.tar"),
    "train_t3": ("ILSVRC2012_img_train_t3.tar",),
    "train boxes": tuple(f"ILSVRC2012_bbox_train_v2{end}" for end in _TAR_GZ),
    "validation boxes": tuple(
        f"ILSVRC2012_bbox_val_v3{end}" for end in (".tgz", ".tar.gz", ".tar")
    ),
    "train_t3 boxes": tuple(f"ILSVRC2012_bbox_train_dogs{end}" for end in _TAR_GZ),
}
"""Part of ILSVRC2012 to the names of its official archive, the preferred one first."""

SLIM = Layout(
    "TFRecords of slim",
    "tfrecord",
    _and_by_split(".", "data_dir", "ILSVRC2012/data_dir", "ILSVRC2012", "tfrecords", "tf_records"),
    {
        "train": (r"train-[0-9]+-of-[0-9]+",),
        "validation": (r"validation-[0-9]+-of-[0-9]+",),
    },
    notes_of_others={"train": _REENCODED},
)


def _compressed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of tars as they are called once they are compressed."""
    return tuple(f"{re.escape(name.removesuffix('.tar'))}{COMPRESSED_TAR}" for name in names)


def _of_kaggle(kind: str, ending: str, below: str) -> Layout:
    """The layout of Kaggle's archive, with what is below a folder of its tree."""
    names = tuple(name + ending for name in _KAGGLE_ARCHIVE)
    parts = _KAGGLE_FOLDERS if below == "Data" else ("train", "validation")
    return Layout(
        "archive of Kaggle",
        kind,
        (*_ARCHIVES, "kaggle"),
        dict.fromkeys(parts, names),
        inside={part: f"{below}/CLS-LOC/{_KAGGLE_FOLDERS[part]}" for part in parts},
    )


IMAGES = (
    Layout(
        "official archives",
        "tar",
        _ARCHIVES,
        {part: tuple(map(re.escape, OFFICIAL[part])) for part in _FOLDER_NAMES},
    ),
    Layout(
        "class archives",
        "class-tars",
        _FOLDERS,
        {
            "train": (*_FOLDER_NAMES["train"], rf"n[0-9]{{8}}(\.tar|{COMPRESSED_TAR})"),
            "train_t3": _FOLDER_NAMES["train_t3"],
        },
    ),
    Layout(
        "SquashFS images",
        "squashfs",
        _and_by_split(*_FOLDERS, "squashfs"),
        {
            "train": _squashed("train(ing)?"),
            "validation": _squashed("val(idation)?"),
            "test": _squashed("test(ing)?"),
            "train_t3": (rf".*[^a-z](t3|dogs)([^a-z].*)?{_SQUASHED}",),
        },
    ),
    Layout(
        "SquashFS image of all splits",
        "squashfs",
        (*_FOLDERS, "squashfs"),
        dict.fromkeys(("train", "validation", "test"), (_ALL_SQUASHED,)),
        folders={
            part: rf"((?!annotations)[^/]+/)*({'|'.join(_FOLDER_NAMES[part])})"
            for part in ("train", "validation", "test")
        },
    ),
    Layout(
        "WebDataset shards of timm",
        "webdataset",
        _and_by_split(".", "imagenet-1k-wds", "wds"),
        {
            "train": (r"imagenet1k-train-[0-9]+\.tar",),
            "validation": (r"imagenet1k-validation-[0-9]+\.tar",),
        },
        notes_of_others={"train": _REENCODED},
    ),
    SLIM,
    Layout(
        "archives of Hugging Face",
        "tar",
        (*_ARCHIVES, *_HUGGING_FACE),
        {
            "train": (r"train_images_[0-9]+\.tar",),
            "validation": (r"val_images\.tar",),
            "test": (r"test_images\.tar",),
        },
    ),
    _of_kaggle("zip", r"\.zip", "Data"),
    _of_kaggle("tar", r"\.tar", "Data"),
    Layout("folders of Kaggle", "folders", _KAGGLE, _FOLDER_NAMES),
    Layout("class folders", "folders", _FOLDERS, _FOLDER_NAMES),
    # What must be unpacked to scratch space first comes last.
    Layout(
        "Parquet files of Hugging Face",
        "parquet",
        (*_FOLDERS, "imagenet-1k", *_HUGGING_FACE),
        {
            part: (rf"({word})-[0-9]{{5}}-of-[0-9]{{5}}(-[0-9a-f]+)?\.parquet",)
            for part, word in (
                ("train", "train"),
                ("validation", "val(idation)?"),
                ("test", "test"),
            )
        },
    ),
    Layout(
        "official archives, compressed",
        "tar.gz",
        _ARCHIVES,
        {part: _compressed(OFFICIAL[part]) for part in _FOLDER_NAMES},
    ),
    Layout(
        "archives of Hugging Face",
        "tar.gz",
        (*_ARCHIVES, *_HUGGING_FACE),
        {
            part: (rf"{word}_images{number}{COMPRESSED_TAR}",)
            for part, word, number in (
                ("train", "train", "_[0-9]+"),
                ("validation", "val", ""),
                ("test", "test", ""),
            )
        },
    ),
    _of_kaggle("tar.gz", COMPRESSED_TAR, "Data"),
)
"""What provides images."""

BOXES = (
    Layout(
        "official archives",
        "tar.gz",
        (*_ARCHIVES, "bounding_boxes", "raw-data/bounding_boxes"),
        {
            part: tuple(map(re.escape, OFFICIAL[f"{part} boxes"]))
            for part in ("train", "validation", "train_t3")
        },
        other_kinds={".tar": "tar"},
    ),
    Layout(
        "TFRecords of slim",
        "tfrecord",
        SLIM.places,
        {"train": SLIM.names["train"]},
        notes={"train": "boxes relative to the image, rounded to four decimals"},
    ),
    Layout(
        "annotations of Kaggle",
        "folders",
        _KAGGLE_BOXES,
        {"train": (r"train",), "validation": (r"val",)},
    ),
    _of_kaggle("zip", r"\.zip", "Annotations"),
    _of_kaggle("tar", r"\.tar", "Annotations"),
    _of_kaggle("tar.gz", COMPRESSED_TAR, "Annotations"),
    Layout(
        "folders of annotations",
        "folders",
        _FOLDERS,
        {
            # The official archives unpack to class folders, and to a folder `val`.
            "train": (r"ILSVRC2012_bbox_train_v2", r"bounding_boxes", r"train", ITSELF),
            "validation": (r"ILSVRC2012_bbox_val_v3", r"val"),
            "train_t3": (r"ILSVRC2012_bbox_train_dogs",),
        },
    ),
)
"""What provides boxes."""


def survey(
    dataset: str,
    manual_dir: Path,
    parts: dict[str, str],
    *,
    boxes: bool,
    also: tuple[Layout, ...] = (),
) -> Survey:
    """Surveys what is staged of a dataset made of ILSVRC2012.

    Args:
        dataset: Its name.
        manual_dir: The directory with the archives.
        parts: Split to the part of ILSVRC2012 that it is, a key of `OFFICIAL`.
        boxes: Whether to look for boxes, too.
        also: Layouts of images that are looked for after all others.

    Returns:
        The sources of each split, and what was not found.

    Raises:
        StagingError: `manual_dir` is not a directory.
    """
    require_directory(dataset, manual_dir)
    tree = Tree(manual_dir, _SPLIT_FOLDERS)
    images: dict[str, tuple[Found, ...]] = {}
    annotations: dict[str, tuple[Found, ...]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    wanted = [(split, part, "images") for split, part in parts.items()]
    wanted += [(split, part, "boxes") for split, part in parts.items() if boxes]
    for split, part, what in wanted:
        of_images = what == "images"
        table = (*IMAGES, *kinds.layouts(), *also) if of_images else BOXES
        found = kinds.find(tree, table, part, split=split, what=what)
        if not of_images:
            found = tuple(one for one in found if not _is_without_boxes(one))
        suffix = "" if of_images else " boxes"
        if found:
            (images if of_images else annotations)[split] = tuple(
                _with_patch(tree, each) for each in found
            )
        else:
            names = OFFICIAL[part + suffix]
            missing[split + suffix] = tuple(str(manual_dir / name) for name in names)
    problems = {one.problem for each in (images, annotations) for of in each.values() for one in of}
    # A folder that cannot be read may be a source and a place to look for others.
    warnings = tuple(text for text in tree.warnings if text not in problems)
    return Survey(dataset, images, annotations, missing, warnings)


def _is_without_boxes(found: Found) -> bool:
    """Whether records in which boxes could be are an export of a dataset that has none."""
    export = exported.around(found.paths[0])
    other = datasets.find(export.dataset.split("/")[0]) if export is not None else None
    return other is not None and not other.has_boxes


def _with_patch(tree: Tree, found: Found) -> Found:
    """The test archive with its patch, where that is beside it.

    The patch replaces images of the archive. Only the person who unpacked the archive knows whether
    the folder has the new images already.
    """
    if found.split != "test":
        return found
    path = found.paths[0]
    # Whatever has that name: a build must fail at a patch that it cannot read.
    for entry in tree.entries(path.parent):
        if entry.name.lower() == TEST_PATCH.lower():
            patch = path.with_name(entry.name)
            if kinds.kind(found.kind).takes_patch:
                return dataclasses.replace(found, paths=(path, patch))
            note = f"it is read as it is, without {patch.name}, which is for the test archive"
            return dataclasses.replace(found, note="; ".join(filter(None, (found.note, note))))
    return found
