"""The form `imagefolder`: the tree that torchvision reads, and a build from it."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from support import built_datasets
from support.building import build

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import SourceError
from imagenet_builders.export.form import Part, Subject
from imagenet_builders.export.imagefolder import FORM, write
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.options import BuildOptions

FOLDERS = {"train": "train", "validation": "val", "test": "test"}


@pytest.fixture(scope="module")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "folders"
    export(BuiltSource(str(built), built.parents[1]), FORM, out, BuildOptions(workers=1))
    return out


@pytest.mark.parametrize("split", FOLDERS)
def test_each_image_is_a_file_of_its_class_and_a_line_in_order(
    built: Path, exported: Path, split: str
) -> None:
    content = built_datasets.split_content(built, split)
    wnids = labels.wnids("imagenet2012")
    folder = FOLDERS[split]
    expected = [
        f"{folder}/{wnids[label]}/{name}" if label >= 0 else f"{folder}/{name}"
        for name, label, _ in content
    ]
    assert (exported / f"{folder}_files.txt").read_text().splitlines() == expected
    images = [(exported / path).read_bytes() for path in expected]
    assert images == [image for _, _, image in content]
    there = [path for path in (exported / folder).rglob("*") if path.is_file()]
    assert len(there) == len(content)


def test_only_the_test_split_has_no_classes(exported: Path) -> None:
    assert all(path.is_file() for path in (exported / "test").iterdir())
    for folder in ("train", "val"):
        assert all(path.is_dir() for path in (exported / folder).iterdir())


def test_meta_has_the_words_of_each_class_and_the_validation_classes(exported: Path) -> None:
    with zipfile.ZipFile(exported / "meta.bin") as file:
        pickled = file.read("archive/data.pkl")
    texts = [
        str(text) for code, text, _ in pickletools.genops(pickled) if code.name == "BINUNICODE"
    ]
    wnids = labels.wnids("imagenet2012")
    words = [text for wnid in wnids for text in (wnid, *labels.words(wnid).split(", "))]
    paths = (exported / "val_files.txt").read_text().splitlines()
    validation = [Path(path).parent.name for path in sorted(paths, key=lambda path: path[-13:])]
    assert texts == [*words, *validation]


def test_a_build_from_the_folders_has_the_same_shards(
    built: Path, exported: Path, tmp_path: Path
) -> None:
    again = build(Builder, exported, tmp_path, num_shards=3)
    shards = built_datasets.shards(again)
    assert len(shards) == 9
    for shard in shards:
        assert shard.read_bytes() == (built / shard.name).read_bytes()


SUBJECT = Subject("x", None, "1.0.0", "x", "id", ("n00000001", "../x"), ("train",))


def example(**changes: object) -> dict:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, "png")
    return {"image": buffer.getvalue(), "label": 0, "id": b"train_data_1/7"} | changes


def test_a_name_without_an_ending_gets_one(tmp_path: Path) -> None:
    written = write(SUBJECT, Part("train", 0, 1), tmp_path, [example()])
    assert [file.name for file in written.files] == ["train/n00000001/train_data_1_7.png"]
    assert (tmp_path / written.files[0].place).read_bytes() == example()["image"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": ".."}, r"expected the name of an image in id, found '\.\.'"),
        ({"id": "a:b.png"}, "expected the name of an image in id, found 'a:b.png'"),
        ({"id": "x\ny.png"}, r"expected the name of an image in id, found 'x\\ny.png'"),
        ({"label": 1}, r"expected a name that a directory can have for the class 1, found '../x'"),
        ({"label": 7}, "expected labels from -1 to 1, found 7"),
        ({"image": 7}, "expected the feature 'image' with the bytes of an image, found none"),
    ],
    ids=["path", "colon", "line", "class", "label", "no image"],
)
def test_nothing_is_written_elsewhere(tmp_path: Path, changes: dict, said: str) -> None:
    (tmp_path / "part").mkdir()
    with pytest.raises(SourceError, match=said):
        write(SUBJECT, Part("train", 0, 1), tmp_path / "part", [example(**changes)])
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
