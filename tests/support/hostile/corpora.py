"""Every kind of source, staged small and sound: what is then damaged, and what is built of it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from makers import archives
from makers.imagenet21k_winter21 import WORDS, Layout, make_imagenet21k_winter21
from makers.imagenet2012_downsampled import Compression, make_downsampled
from makers.tiny_imagenet import make_tiny_imagenet

from support.corpora import layouts, sites


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes:
        dataset: What is built of it, for the command line.
        stage: Stages it in a directory that is not there yet.
        files: Which of the staged files are damaged, as a pattern.
        named_by_the_source: Whether a damaged name may pass for another: there is no checksum over
            the names, so that an image may come under the key of one that was never there. Its
            label is still that of its name.
    """

    dataset: str
    stage: Callable[[Path], object]
    files: str = "**/*"
    named_by_the_source: bool = False


def _some(directory: Path, dataset: str, *patterns: str) -> None:
    directory.mkdir(parents=True)
    for pattern in patterns:
        for path in (layouts.DUMMY / dataset).glob(pattern):
            shutil.copy(path, directory)


def _images(*patterns: str) -> Callable[[Path], None]:
    return lambda directory: _some(directory, "imagenet2012", *patterns)


def _site(name: str, dataset: str = "imagenet2012") -> Callable[[Path], None]:
    return lambda directory: sites.SITES[name](directory, layouts.pictures(dataset))


# The same bytes each time, so that the same cases are.
_ALIKE = ("-mkfs-time", "0", "-all-time", "0", "-all-root", "-processors", "1")


def _squashed(*options: str) -> Callable[[Path], None]:
    def stage(directory: Path) -> None:
        pictures = layouts.pictures("imagenet2012")
        directory.mkdir(parents=True)
        for name, files in (
            ("train", layouts.in_classes(pictures.train)),
            ("val", pictures.validation),
        ):
            layouts.write_squashfs(directory / f"{name}.sqsh", files, *options, *_ALIKE)

    return stage


def _downsampled(outer: Compression | None, inner: Compression) -> Callable[[Path], object]:
    return lambda directory: make_downsampled(directory, 8, outer=outer, inner=inner)


def _tiny_tar(directory: Path) -> None:
    files = make_tiny_imagenet(directory).files
    (directory / "tiny-imagenet-200.zip").unlink()
    archives.write_tar(directory / "tiny-imagenet-200.tar", files.items())


def _winter21(**layout: Layout) -> Callable[[Path], object]:
    classes = tuple(WORDS)[:4]
    both: dict[str, Any] = {"whole": None, "p": None} | layout
    return lambda directory: make_imagenet21k_winter21(directory, classes=classes, **both)


_BOXES = "imagenet2012_localization"
_SMALL = "imagenet2012_downsampled/8x8"
_WHOLE, _P = "imagenet21k_winter21/whole", "imagenet21k_winter21/p"

KINDS: dict[str, Kind] = {
    "tar of class tars": Kind("imagenet2012", _images("*img_train.tar")),
    "flat tar": Kind("imagenet2012", _images("*img_val.tar")),
    "test patch": Kind("imagenet2012", _images("*img_test*.tar"), "*patch*"),
    "class tars": Kind("imagenet2012", _site("class_archives"), "ILSVRC2012_img_train/*"),
    "folders": Kind("imagenet2012", _site("image_folder")),
    "lists of files": Kind("imagenet2012", _site("hyak_lists"), "*_files.txt"),
    "SquashFS gzip": Kind("imagenet2012", _squashed("-comp", "gzip")),
    "SquashFS zstd": Kind("imagenet2012", _squashed("-comp", "zstd"), named_by_the_source=True),
    "SquashFS of all splits": Kind("imagenet2012", _site("one_squashfs"), named_by_the_source=True),
    "WebDataset": Kind("imagenet2012", _site("timm"), "*.tar"),
    "Parquet files": Kind("imagenet2012", _site("hugging_face_parquet"), "data/*"),
    "archives of Hugging Face": Kind("imagenet2012", _site("hugging_face"), "data/*"),
    "compressed archives": Kind("imagenet2012", _site("compressed")),
    "compressed class tars": Kind("imagenet2012", _site("packed_class_archives"), "train/*"),
    "compressed class tars in a tar": Kind("imagenet2012", _site("packed_inside"), "*.tar"),
    "zip of Kaggle": Kind(_BOXES, _site("kaggle_zip", _BOXES), "*.zip"),
    "tar.gz of Kaggle": Kind(_BOXES, _site("kaggle_tar", _BOXES), "*.tar.gz"),
    "slim TFRecords": Kind("imagenet2012", _site("slim"), "data_dir/*"),
    "boxes": Kind(_BOXES, _site("official", _BOXES), "*bbox*"),
    "boxes in folders": Kind(_BOXES, _site("nci_flat", _BOXES), "**/*.xml"),
    "dogs": Kind("imagenet2012_dogs", _site("official", "imagenet2012_dogs"), "*img*"),
    "boxes of dogs": Kind("imagenet2012_dogs", _site("official", "imagenet2012_dogs"), "*bbox*"),
    "npz stored in zips, arrays deflated": Kind(_SMALL, _downsampled("stored", "deflated")),
    "npz stored in zips, arrays stored": Kind(_SMALL, _downsampled("stored", "stored")),
    "npz deflated in zips": Kind(_SMALL, _downsampled("deflated", "stored")),
    "npz in folders": Kind(_SMALL, _downsampled(None, "stored")),
    "Tiny ImageNet in a zip": Kind("tiny_imagenet", make_tiny_imagenet, "*.zip"),
    "Tiny ImageNet in a folder": Kind(
        "tiny_imagenet", lambda path: make_tiny_imagenet(path, unpacked=True)
    ),
    "Tiny ImageNet in a folder that is sorted": Kind("tiny_imagenet", sites.tiny_sorted),
    "Tiny ImageNet in a tar": Kind("tiny_imagenet", _tiny_tar, "*.tar"),
    "winter21 in a tar.gz": Kind(_WHOLE, _winter21(whole="tar.gz")),
    "winter21 in a tar": Kind(_WHOLE, _winter21(whole="tar")),
    "winter21 in class tars": Kind(_WHOLE, _winter21(whole="class tars")),
    "winter21 in folders": Kind(_WHOLE, _winter21(whole="folders")),
    "winter21 in shards": Kind(_WHOLE, _winter21(whole="shards")),
    "21K-P in a tar.gz": Kind(_P, _winter21(p="tar.gz")),
    "21K-P in a tar": Kind(_P, _winter21(p="tar")),
    "21K-P in folders": Kind(_P, _winter21(p="folders")),
}
"""Every kind of source that is read."""
