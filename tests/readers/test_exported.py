"""Exports as torchvision and Hugging Face's library read them: the same bytes, labels and order."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from support import built_datasets
from support.building import DUMMY_ARCHIVES, built_by_cli
from support.processes import run_cli, run_python

from imagenet_builders import labels

for _module in ("torchvision", "datasets.arrow_dataset"):
    pytest.importorskip(_module, reason="needs the extra `readers`")

SPLITS = ("train", "validation", "test")

_TORCHVISION = """
import hashlib, json, os, sys
import torch
from torchvision.datasets import ImageFolder, ImageNet

root = sys.argv[1]

def digest(path):
    with open(path, "rb") as file:
        return hashlib.md5(file.read()).hexdigest()

def shown(dataset):
    return [[os.path.basename(path), dataset.classes[label], digest(path)]
            for path, label in dataset.samples]

def words(dataset):
    return {wnid: list(words) for wnid, words in zip(dataset.wnids, dataset.classes)}

folders = {name: ImageFolder(f"{root}/{name}") for name in ("train", "val")}
imagenet = {name: ImageNet(root, split=name) for name in ("train", "val")}
meta = torch.load(f"{root}/meta.bin", weights_only=True)
print(json.dumps({
    "folders": {name: shown(dataset) for name, dataset in folders.items()},
    "paths": {name: imagenet[name].samples == folders[name].samples for name in folders},
    "words": words(imagenet["train"]),
    "sizes": [imagenet["val"][0][0].size, type(meta).__name__],
    "meta": meta,
}))
"""

_HUGGING_FACE = """
import hashlib, json, os, sys
import datasets

root, way = sys.argv[1:]
match way:
    case "load_from_disk":
        found = datasets.load_from_disk(root)
    case "parquet":
        splits = ("train", "validation", "test")
        files = {split: f"{root}/data/{split}-*.parquet" for split in splits}
        found = datasets.load_dataset("parquet", data_files=files, streaming=True)
    case "directory":
        found = datasets.load_dataset(root, streaming=True)

def shown(dataset):
    dataset = dataset.cast_column("image", datasets.Image(decode=False))
    return [[row["image"]["path"], row["label"], hashlib.md5(row["image"]["bytes"]).hexdigest()]
            for row in dataset]

print(json.dumps({
    "splits": {name: shown(dataset) for name, dataset in found.items()},
    "names": {name: dataset.features["label"].names for name, dataset in found.items()},
    "decoded": next(iter(found["train"]))["image"].mode,
    "cache": [name for _, _, names in os.walk(os.environ["HF_HOME"]) for name in names
              if name.endswith((".arrow", ".parquet"))],
}))
"""

_TURNED = """
import io, json
import datasets
from PIL import Image

image = Image.new("RGB", (30, 20))
image.getexif()[0x0112] = 6  # Turned by a quarter.
buffer = io.BytesIO()
image.save(buffer, "jpeg", exif=image.getexif())
row = {"bytes": buffer.getvalue(), "path": "a.JPEG"}
print(json.dumps([datasets.Image().decode_example(row).size, Image.open(buffer).size]))
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def built(directory: Path) -> Path:
    return built_by_cli(DUMMY_ARCHIVES, directory / "tfds", "--num-shards=3")


@pytest.fixture(scope="module")
def expected(built: Path) -> dict[str, list[list[Any]]]:
    """Name, label and digest of each example, in the order of the dataset."""
    return {
        split: [
            [name, label, hashlib.md5(image).hexdigest()]
            for name, label, image in built_datasets.split_content(built, split)
        ]
        for split in SPLITS
    }


def exported(built: Path, out: Path, form: str, *arguments: str) -> Path:
    run_cli(
        *("export", "imagenet2012", "--to", form, *arguments),
        *(f"--data-dir={built.parents[1]}", f"--out={out}"),
        check=True,
    )
    # Whoever shares it may not write there; neither may root, whose writing would show.
    for path in [out, *out.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return out


def read(code: str, home: Path, *arguments: object) -> Any:
    said = run_python(
        code, *map(str, arguments), HOME=str(home), HF_HOME=str(home / "hf"), HF_HUB_OFFLINE="1"
    )
    return json.loads(said.splitlines()[-1])


def state(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in directory.rglob("*")
    }


def test_torchvision_reads_the_folders_where_it_may_not_write(
    built: Path, directory: Path, expected: dict[str, list[list[Any]]]
) -> None:
    out = exported(built, directory / "folders", "imagefolder")
    before = state(out)
    found = read(_TORCHVISION, directory, out)
    assert state(out) == before
    wnids = labels.wnids("imagenet2012")
    for split, folder in (("train", "train"), ("validation", "val")):
        named = [[name, wnids[label], digest] for name, label, digest in expected[split]]
        assert sorted(found["folders"][folder]) == sorted(named)
        lines = (out / f"{folder}_files.txt").read_text().splitlines()
        assert [os.path.basename(line) for line in lines] == [name for name, _, _ in named]
    assert found["paths"] == {"train": True, "val": True}
    assert found["words"]["n01440764"] == ["tench", "Tinca tinca"]
    assert found["sizes"][1] == "tuple"
    words, validation = found["meta"]
    assert list(words) == list(wnids)
    in_order = sorted(expected["validation"])
    assert validation == [wnids[label] for _, label, _ in in_order]


@pytest.fixture(scope="module")
def hugging_face(built: Path, directory: Path) -> Path:
    return exported(built, directory / "huggingface", "huggingface", "--parquet", "--num-shards=2")


@pytest.mark.parametrize("way", ["load_from_disk", "parquet", "directory"])
def test_hugging_faces_library_reads_all_and_copies_nothing(
    hugging_face: Path, directory: Path, expected: dict[str, list[list[Any]]], way: str
) -> None:
    before = state(hugging_face)
    found = read(_HUGGING_FACE, directory / way, hugging_face, way)
    assert found["splits"] == expected
    assert set(map(tuple, found["names"].values())) == {labels.wnids("imagenet2012")}
    assert found["decoded"] in ("RGB", "L")
    assert found["cache"] == []
    assert state(hugging_face) == before


def test_what_the_card_says_of_turned_images(directory: Path) -> None:
    turned, as_stored = read(_TURNED, directory)
    assert (turned, as_stored) == ([20, 30], [30, 20])
