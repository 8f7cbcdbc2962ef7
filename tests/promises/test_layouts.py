"""Any site's layout gives the dataset that the official archives give, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.building import DUMMY_ARCHIVES, build
from support.built_datasets import example, records, shards, split_content
from support.command_line import run, snapshot
from support.corpora import layouts as layouts_corpus
from support.corpora import sites
from support.corpora.ilsvrc2012 import picture
from support.corpora.layouts import pictures
from support.corpora.sites import REENCODED, SITES, WITHOUT_TEST

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.datasets.imagenet2012_dogs import imagenet2012_dogs_dataset_builder as dogs
from imagenet_builders.datasets.imagenet2012_localization import (
    imagenet2012_localization_dataset_builder as localization,
)
from imagenet_builders.options import BuildOptions

# Copies of a few images are not the whole of ImageNet, and are said not to be.


def built(builder: type, manual_dir: Path, data_dir: Path, source: str | None = None) -> Path:
    """Builds, and sees that nothing was written to what is staged."""
    before = snapshot(manual_dir)
    options = BuildOptions(workers=1, source=source)
    directory = build(builder, manual_dir, data_dir, builder_options={"options": options})
    assert snapshot(manual_dir) == before
    return directory


def files(directory: Path, split: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shards(directory, split)}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, type], Path]:
    """What the official archives of a dataset give; built once."""
    known: dict[str, Path] = {}

    def get(dataset: str, builder: type) -> Path:
        if dataset not in known:
            official = pictures(dataset).official
            known[dataset] = built(builder, official, tmp_path_factory.mktemp(dataset))
        return known[dataset]

    return get


@pytest.mark.parametrize("site", SITES)
def test_a_site_gives_the_shards_of_the_official_archives(
    site: str, reference: Callable[[str, type], Path], tmp_path: Path
):
    SITES[site](tmp_path / "staged", pictures("imagenet2012"))
    found = built(Builder, tmp_path / "staged", tmp_path / "built")
    whole = reference("imagenet2012", Builder)
    for split in ("train", "validation", "test"):
        if split == "test" and site in WITHOUT_TEST:
            assert shards(found, split) == []
        else:
            assert split_content(found, split) == split_content(whole, split)
            assert files(found, split) == files(whole, split)


@pytest.mark.parametrize("list_form", [None, "relative"])
def test_workers_list_many_class_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, list_form: str | None
):
    monkeypatch.setattr("imagenet_builders.sources.folders._BATCH_FOLDERS", 7, raising=True)
    train = {
        f"{wnid}_{n}.JPEG": picture(f"{n}")
        for wnid in labels.wnids("imagenet2012")[::50]
        for n in (5, 40)
    }
    layouts_corpus.write(tmp_path / "staged" / "train", layouts_corpus.in_classes(train))
    if list_form:
        layouts_corpus.write_list(tmp_path / "staged" / "train", list_form)
    one = built(Builder, tmp_path / "staged", tmp_path / "one")
    options = {"options": BuildOptions(workers=2)}
    two = build(Builder, tmp_path / "staged", tmp_path / "two", builder_options=options)
    assert files(one, "train") == files(two, "train")
    content = split_content(one, "train")
    assert {name: image for name, _, image in content} == train
    for name, label, _ in content:
        assert labels.wnids("imagenet2012")[label] == layouts_corpus.wnid_of(name)


@pytest.mark.parametrize("kind", ["folders", "squashfs", "webdataset", "tfrecord", "class-tars"])
def test_source_selects_any_staged_kind(
    kind: str,
    reference: Callable[[str, type], Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    stages = {
        "folders": sites.image_folder,
        "squashfs": sites.hyak,
        "webdataset": sites.timm,
        "tfrecord": sites.slim,
        "class-tars": sites.class_archives,
    }
    sites.official(tmp_path / "staged" / "ILSVRC2012", pictures("imagenet2012"))
    stages[kind](tmp_path / "other", pictures("imagenet2012"))
    for path in (tmp_path / "other").iterdir():
        path.rename(tmp_path / "staged" / path.name)
    found = built(Builder, tmp_path / "staged", tmp_path / "built", source=kind)
    assert files(found, "train") == files(reference("imagenet2012", Builder), "train")
    [line] = [line for line in caplog.messages if line.startswith("train: from ")]
    chosen, _, others = line.partition("; also there: ")
    assert f", {kind})" in chosen
    assert "ILSVRC2012_img_train.tar (official archives, tar)" in others


@pytest.mark.parametrize(
    "site",
    [
        "nibi",
        "nibi_unpacked",
        "nci",
        "nci_flat",
        "hyak",
        "kaggle",
        "class_archives",
        "compressed",
        "kaggle_tar",
        "kaggle_zip",
    ],
)
def test_boxes_are_found_with_the_images(
    site: str, reference: Callable[[str, type], Path], tmp_path: Path
):
    SITES[site](tmp_path / "staged", pictures("imagenet2012_localization"))
    found = built(localization.Builder, tmp_path / "staged", tmp_path / "built")
    whole = reference("imagenet2012_localization", localization.Builder)
    for split in ("train", "validation"):
        assert files(found, split) == files(whole, split)


def boxes_by_name(directory: Path) -> dict[str, np.ndarray]:
    found = {}
    for shard in shards(directory, "train"):
        for record in records(shard):
            feature = example(record).features.feature
            [name] = feature["file_name"].bytes_list.value
            values = feature["objects/bbox"].float_list.value
            found[name.decode()] = np.array(values, np.float32).reshape(-1, 4)
    return found


def test_boxes_in_slim_records_are_kept(reference: Callable[[str, type], Path], tmp_path: Path):
    pics = pictures("imagenet2012_localization")
    whole = reference("imagenet2012_localization", localization.Builder)
    expected = boxes_by_name(whole)
    boxes = {name: [tuple(box) for box in each.tolist()] for name, each in expected.items()}
    sites.slim(tmp_path / "staged", pics, boxes)
    found = built(localization.Builder, tmp_path / "staged", tmp_path / "built")
    assert split_content(found, "train") == split_content(whole, "train")
    given = boxes_by_name(found)
    assert given.keys() == expected.keys()
    for name, each in expected.items():
        np.testing.assert_allclose(given[name], each, rtol=0, atol=5.1e-5)


@pytest.mark.parametrize("site", ["nibi", "nibi_unpacked", "hyak", "class_archives", "compressed"])
def test_dogs_are_found_in_every_layout(
    site: str, reference: Callable[[str, type], Path], tmp_path: Path
):
    SITES[site](tmp_path / "staged", pictures("imagenet2012_dogs"))
    found = built(dogs.Builder, tmp_path / "staged", tmp_path / "built")
    assert files(found, "train") == files(reference("imagenet2012_dogs", dogs.Builder), "train")


def layouts_of(staged: Path, tmp_path: Path) -> dict[str, str]:
    """What the recipes of splits say of where their images come from."""
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.run.local import LocalWorkers

    options = BuildOptions(workers=1)
    with LocalWorkers(1) as workers:
        room = BuildContext(tmp_path / "scratch", options, workers)
        builder = Builder(data_dir=tmp_path / "built", options=options)
        return {each.split: each.layout for each in builder.split_recipes(staged, room)}


@pytest.mark.parametrize("site", sorted(REENCODED))
def test_provenance_says_that_images_were_reencoded(site: str, tmp_path: Path):
    SITES[site](tmp_path / "staged", pictures("imagenet2012"))
    layouts = layouts_of(tmp_path / "staged", tmp_path)
    assert list(layouts) == ["train", "validation"]
    assert "had been encoded anew, as RGB JPEGs" in layouts["train"]
    assert "encoded anew" not in layouts["validation"]  # None of them is CMYK or PNG.


@pytest.mark.parametrize("form", ["webdataset", "slim"])
def test_an_export_of_our_own_is_not_said_to_be_reencoded(form: str, tmp_path: Path):
    """Its images are those that a build makes of the archives."""
    export = ("--to", form, "--manual-dir", str(DUMMY_ARCHIVES), "--out", str(tmp_path / "export"))
    outcome = run("export", "imagenet2012", *export, "--workers", "1")
    assert outcome.status == 0, outcome.err
    assert "encoded anew" not in layouts_of(tmp_path / "export", tmp_path)["train"]
    found = built(Builder, tmp_path / "export", tmp_path / "found")
    assert files(found, "train") == files(built(Builder, DUMMY_ARCHIVES, tmp_path / "a"), "train")


def is_shard(path: Path) -> bool:
    return ".tfrecord-" in path.name and path.suffix != ".idx"


def test_nibis_whole_tree_builds_at_once(tmp_path: Path):
    staged = sites.nibi_family(tmp_path / "staged")
    before = snapshot(staged)
    arguments = ["--data-dir", str(tmp_path / "nibi"), "--workers", "1"]
    outcome = run("build", "all", "--manual-dir", str(staged), *arguments)
    assert outcome.status == 0, outcome.err
    assert snapshot(staged) == before
    assert "the class tars in " in outcome.err, "and not the class folders, said in a warning"
    official = ["--manual-dir", str(layouts_corpus.DUMMY), "--add-name-to-manual-dir"]
    arguments = ["--data-dir", str(tmp_path / "official"), "--workers", "1"]
    assert run("build", "all", *official, *arguments).status == 0
    found = {path.relative_to(tmp_path / "nibi"): path for path in (tmp_path / "nibi").rglob("*")}
    shards_found = {name: path for name, path in found.items() if is_shard(name)}
    # Localization's archives of boxes, and ImageNet-21K-P, are not there.
    assert {name.parts[0] for name in shards_found} == {
        "imagenet2012",
        "imagenet2012_dogs",
        "imagenet2012_downsampled",
        "imagenet21k_winter21",
        "tiny_imagenet",
    }
    assert len(shards_found) == 3 + 1 + 2 * 4 + 1 + 3
    for name, path in shards_found.items():
        assert path.read_bytes() == (tmp_path / "official" / name).read_bytes(), name
