"""A dataset is one folder and one call: nothing else of the package names it, or any other.

The toy lives in `tests/toys/toy_dataset`: its value, its builder, and the maker of its archives.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds
from etils import epath
from support import command_line
from support.built_datasets import example, recorded_splits, records, shards, split_content
from support.checking import check, checked, row
from support.paths import ROOT
from toys.toy_dataset import toy_dataset_dataset_builder as toy
from toys.toy_dataset.dataset import ARCHIVES, DATASET, IMAGES, classes
from toys.toy_dataset.maker import make_toy_dataset

import imagenet_builders
from imagenet_builders import datasets
from imagenet_builders.cli import main

TOY = DATASET.name


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "_registered", {})
    datasets.register(DATASET)


@pytest.fixture
def manual_dir(tmp_path: Path) -> Path:
    return make_toy_dataset(tmp_path / "staged")


def build(manual_dir: Path, data_dir: Path, *options: str) -> Path:
    outcome = command_line.run(
        "build", TOY, f"--manual-dir={manual_dir}", f"--data-dir={data_dir}", *options
    )
    assert outcome.status == 0, outcome.err
    return Path(outcome.out.splitlines()[-1])


class ThroughTfds(  # type: ignore[call-arg]  # As its base.
    toy.Builder, skip_registration=True
):
    """The same builder with TensorFlow Datasets' own way to build: a generator, sorted on disk."""

    name = TOY
    pkg_dir_path = epath.Path(toy.__file__).parent

    def _download_and_prepare(self, dl_manager, download_config):
        tfds.core.GeneratorBasedBuilder._download_and_prepare(self, dl_manager, download_config)


# --- found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["build", "check"])
def test_help_lists_it(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert TOY in re.split(r"[\s,;]+", capsys.readouterr().out)


def test_check_finds_it_without_being_asked_for_it(manual_dir: Path):
    document = checked(manual_dir, status=0)
    assert {one["dataset"] for one in document["sources"]} == {TOY}
    for split, images in IMAGES.items():
        one = row(document, split)
        assert (one["kind"], one["layout"]) == ("tar", "official archives")
        assert one["images_expected"] == one["images_found"] == images
    assert document["needs"]["output"]["bytes"] > 0


def test_check_names_the_missing_files(manual_dir: Path):
    (manual_dir / ARCHIVES["validation"]).unlink()
    document = checked(manual_dir, TOY, status=0)
    assert row(document, "validation")["verdict"] == "missing"
    [lacking] = [one for one in document["problems"] if ARCHIVES["validation"] in one["expected"]]
    assert lacking["datasets"] == [TOY]


def test_check_deep_makes_the_index_of_a_build(manual_dir: Path, tmp_path: Path):
    document = checked(manual_dir, "--deep", f"--scratch-dir={tmp_path / 'scratch'}", status=0)
    assert {one["split"]: one["images_found"] for one in document["sources"]} == IMAGES
    archive = manual_dir / ARCHIVES["train"]
    archive.write_bytes(archive.read_bytes().replace(b"n01440764_2.JPEG", b"n01440764_2.JPEX"))
    document = checked(manual_dir, "--deep", f"--scratch-dir={tmp_path / 'scratch'}", status=1)
    assert row(document, "train")["verdict"] == "bad"
    assert row(document, "validation")["verdict"] == "ok"


def test_check_counts_the_room_for_copies(manual_dir: Path):
    document = checked(manual_dir, "--stage", status=0)
    assert document["needs"]["copies_bytes"] == sum(
        (manual_dir / name).stat().st_size for name in ARCHIVES.values()
    )
    assert "for copies (--stage)" in check(manual_dir, "--stage").out


# --- built ---------------------------------------------------------------------------------------


def test_it_is_built_with_the_labels_of_its_classes(manual_dir: Path, tmp_path: Path):
    directory = build(manual_dir, tmp_path / "data")
    for split, images in IMAGES.items():
        found = split_content(directory, split)
        assert len(found) == images
        assert all(classes()[label] == name.partition("_")[0] for name, label, _ in found)


def test_a_build_from_copies_and_with_workers_is_the_same(manual_dir: Path, tmp_path: Path):
    plain = build(manual_dir, tmp_path / "plain", "--num-shards=2")
    options = ["--stage", "--workers=2", f"--scratch-dir={tmp_path / 'scratch'}", "--num-shards=2"]
    staged = build(manual_dir, tmp_path / "staged-data", *options)
    assert [path.read_bytes() for path in shards(staged)] == [
        path.read_bytes() for path in shards(plain)
    ]
    paths = {
        source["path"]
        for split in json.loads((staged / "provenance.json").read_text())["splits"].values()
        for source in split["sources"]
    }
    assert paths == {str(manual_dir / name) for name in ARCHIVES.values()}


def test_tfds_own_way_to_build_gives_the_same(manual_dir: Path, tmp_path: Path):
    mine = build(manual_dir, tmp_path / "ours")
    builder = ThroughTfds(data_dir=tmp_path / "theirs")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    theirs = Path(builder.data_dir)
    assert recorded_splits(mine) == recorded_splits(theirs)
    assert [path.name for path in shards(mine)] == [path.name for path in shards(theirs)]
    for ours, stock in zip(shards(mine), shards(theirs), strict=True):
        assert list(map(example, records(ours))) == list(map(example, records(stock)))


def test_tfds_finds_its_builder_by_name(manual_dir: Path, tmp_path: Path):
    build(manual_dir, tmp_path)
    builder = tfds.builder(TOY, data_dir=tmp_path)
    assert type(builder) is toy.Builder
    assert len(tfds.load(TOY, split="train", data_dir=tmp_path)) == IMAGES["train"]


# --- verified and shown --------------------------------------------------------------------------


def verify(directory: Path) -> dict[str, Any]:
    outcome = command_line.run("verify", str(directory), "--json")
    document = json.loads(outcome.out)
    verdict: dict[str, Any]
    [verdict] = document["datasets"]
    assert outcome.status == (1 if verdict["problems"] else 0)
    return verdict


def test_it_is_verified_as_a_dataset_that_is_known(manual_dir: Path, tmp_path: Path):
    verdict = verify(build(manual_dir, tmp_path / "data"))
    assert verdict["problems"] == []
    assert not [note for note in verdict["notes"] if "is not a dataset of this package" in note]
    assert {
        split: found["official_examples"] for split, found in verdict["splits"].items()
    } == IMAGES


def test_a_dataset_with_too_few_images_is_called_partial(manual_dir: Path, tmp_path: Path):
    directory = build(manual_dir, tmp_path / "data", "--max-examples-per-split=2")
    notes = " ".join(verify(directory)["notes"])
    assert f"train is a part of the official dataset: 2 of {IMAGES['train']} images" in notes


@pytest.mark.parametrize("asked", [TOY, "all"])
def test_it_is_shown(manual_dir: Path, tmp_path: Path, asked: str):
    build(manual_dir, tmp_path / "data")
    outcome = command_line.run("show", asked, f"--data-dir={tmp_path / 'data'}", "--count=1")
    assert outcome.status == 0
    assert f"{TOY}/1.0.0 in " in outcome.out
    assert re.search(r": label [0-2] = n0[0-9]{7}, ", outcome.out)


# --- the registry --------------------------------------------------------------------------------


def test_a_name_is_taken_once():
    datasets.register(DATASET)  # The same is no other.
    with pytest.raises(ValueError, match=f"there is a dataset '{TOY}' already"):
        datasets.register(dataclasses.replace(DATASET, summary="another"))
    with pytest.raises(ValueError, match="there is a dataset 'imagenet2012' already"):
        datasets.register(dataclasses.replace(DATASET, name="imagenet2012"))


@pytest.mark.parametrize("name", datasets.names())
def test_the_value_in_a_folder_has_the_name_of_the_folder(name: str):
    dataset = datasets.get(name)
    assert dataset.name == name
    assert "\n" not in dataset.summary
    builder = dataset.builder()
    assert (builder.name, builder.dataset) == (name, dataset)
    assert [config.name for config in builder.BUILDER_CONFIGS] == dataset.config_names


# --- no dataset is named outside its folder ------------------------------------------------------

PACKAGE = Path(imagenet_builders.__file__).parent
# Label spaces have names, too, and some are those of the datasets with these labels.
SPACES = PACKAGE / "labels"


def code_of(path: Path) -> Iterator[tuple[int, str]]:
    """The texts and names in code, without docstrings, and without names of label spaces."""
    tree = ast.parse(path.read_text())
    left_out: set[ast.AST] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for each in body if isinstance(body, list) else []:
            if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
                left_out.add(each.value)  # Docstrings, of attributes as well.
        if isinstance(node, ast.Call):
            function = node.args[0] if ast.unparse(node.func) == "functools.partial" else node.func
            if ast.unparse(function).startswith("labels."):
                left_out.update(node.args)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node not in left_out:
                yield node.lineno, node.value
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, f"{node.module} {' '.join(name.name for name in node.names)}"
        elif isinstance(node, ast.Import):
            yield node.lineno, " ".join(name.name for name in node.names)


# Datasets that are made of another one, which they have to name.
MADE_OF = {"imagenet2012_resized": "imagenet2012"}


def test_no_dataset_is_named_outside_its_folder():
    own = [name for name in datasets.names() if name != TOY]
    named = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if SPACES in path.parents:
            continue
        for line, words in code_of(path):
            for name in own:
                folders = [name, *(made for made, of in MADE_OF.items() if of == name)]
                is_own = any(PACKAGE / "datasets" / each in path.parents for each in folders)
                if not is_own and re.search(rf"(?<![A-Za-z0-9_]){name}(?![A-Za-z0-9_])", words):
                    named.append(f"{path.relative_to(ROOT)}:{line}: {words[:60]!r}")
    assert named == []


def test_the_toy_touches_no_other_file():
    files = [*PACKAGE.rglob("*.py"), ROOT / "checksums" / "archives.json"]
    assert [path for path in files if TOY in path.read_text()] == []
