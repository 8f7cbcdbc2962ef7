"""imagenet21k_winter21 on its dummy archives, in every layout, and with something amiss."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tensorflow_datasets as tfds
from etils import epath
from makers.imagenet21k_winter21 import (
    SMALL,
    TRAIN,
    VALIDATION,
    Winter21,
    make_imagenet21k_winter21,
)
from support.built_datasets import example, recorded_splits, records, shards, split_content
from support.corpora.tar_headers import file_in
from support.corpora.winter21 import (
    LAYOUTS,
    all_records,
    build_here,
    content,
    expected,
    make,
    pack,
    pack_p,
    remove,
)
from support.logged import warned
from support.paths import DUMMY_DATA

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet21k_winter21 import (
    classes,
    imagenet21k_winter21_dataset_builder,
)
from imagenet_builders.datasets.imagenet21k_winter21.imagenet21k_winter21_dataset_builder import (
    Builder,
)
from imagenet_builders.errors import (
    BadImageError,
    SourceError,
    StagingError,
)

DUMMY = DUMMY_DATA / "imagenet21k_winter21"
CASES = [(config, layout) for config, layouts in LAYOUTS.items() for layout in layouts]
# Few classes of thousands are there, which is the subject of tests of its own.


class WholeTest(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every dataset."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY
    BUILDER_CONFIG_NAMES_TO_TEST = ("whole",)
    SPLITS: ClassVar = {"train": 32}


class PTest(tfds.testing.DatasetBuilderTestCase):
    """The same, of ImageNet-21K-P."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY
    BUILDER_CONFIG_NAMES_TO_TEST = ("p",)
    SPLITS: ClassVar = {"train": 18, "validation": 12}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Winter21]:
    """Each configuration in each layout."""
    return {
        (config, layout): make(tmp_path_factory.mktemp("corpus"), config, layout)
        for config, layout in CASES
    }


@pytest.fixture(scope="module")
def built(corpora, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """The datasets built of them."""
    return {
        (config, layout): build_here(config, corpus.directory, tmp_path_factory.mktemp("built"))
        for (config, layout), corpus in corpora.items()
    }


def test_the_committed_archives_hold_what_the_maker_makes(tmp_path: Path):
    make_imagenet21k_winter21(tmp_path)
    for path in DUMMY.iterdir():
        assert tarfile_content(path) == tarfile_content(tmp_path / path.name)


def tarfile_content(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        return [
            (member.name, file_in(archive, member) if member.isfile() else b"")
            for member in archive
        ]


@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_every_image_of_every_layout_has_its_label(case, corpora, built):
    assert content(built[case]) == expected(corpora[case], case[0])


@pytest.mark.parametrize("config", LAYOUTS)
def test_the_records_do_not_depend_on_the_layout(config: str, built):
    first, *others = (all_records(built[config, layout]) for layout in LAYOUTS[config])
    assert all(other == first for other in others)


@pytest.mark.parametrize("case", [("whole", "class tars"), ("whole", "folders"), ("p", "tar")])
def test_the_records_do_not_depend_on_the_number_of_workers(
    case, corpora, built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imagenet_builders.build.steps._SMALL_BYTES", 0)
    monkeypatch.setattr("imagenet_builders.sources.tar_images.BATCH_BYTES", 20_000)
    monkeypatch.setattr("imagenet_builders.datasets.imagenet21k_winter21.staged._BATCH_FOLDERS", 3)
    directory = build_here(case[0], corpora[case].directory, tmp_path, options={"workers": 3})
    assert all_records(directory) == all_records(built[case])


class ThroughTfds(Builder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """Our builder with TensorFlow Datasets' own way to build: a generator, sorted on disk."""

    name = Builder.name
    pkg_dir_path = epath.Path(imagenet21k_winter21_dataset_builder.__file__).parent

    def _download_and_prepare(self, dl_manager, download_config):
        tfds.core.GeneratorBasedBuilder._download_and_prepare(self, dl_manager, download_config)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
@pytest.mark.parametrize(
    "download", [{}, {"num_shards": 3}, {"max_examples_per_split": 5}], ids=str
)
@pytest.mark.parametrize("config", LAYOUTS)
def test_the_plan_and_tfds_own_engine_give_the_same_records(
    tmp_path: Path, corpora, config: str, file_format: str, download: dict[str, Any]
):
    manual_dir = corpora[config, "folders" if "num_shards" in download else "tar.gz"].directory
    theirs, mine = (
        build_here(
            config, manual_dir, tmp_path / cls.__name__, cls, file_format=file_format, **download
        )
        for cls in (ThroughTfds, Builder)
    )
    assert recorded_splits(mine) == recorded_splits(theirs)
    assert [s.name for s in shards(mine)] == [s.name for s in shards(theirs)]
    for theirs_shard, mine_shard in zip(shards(theirs), shards(mine), strict=True):
        assert list(map(example, records(mine_shard))) == list(map(example, records(theirs_shard)))


# As researchers use it.


@pytest.mark.parametrize("config", LAYOUTS)
def test_tfds_reads_it_supervised(built, config: str):
    directory = built[config, "tar.gz"]
    pairs = tfds.builder_from_directory(directory).as_dataset(split="train", as_supervised=True)
    seen = [(image.shape[-1], int(label)) for image, label in pairs.as_numpy_iterator()]
    assert sorted(label for _, label in seen) == sorted(
        label for _, label, _ in split_content(directory, "train")
    )
    assert {channels for channels, _ in seen} == {3}


def test_tfds_load_finds_it_by_its_name(built):
    directory = built["p", "tar"]
    data = tfds.load(
        "imagenet21k_winter21/p",
        data_dir=directory.parents[2],
        split="validation",
        as_supervised=True,
        download=False,
    )
    assert len(data) == 12


def test_whole_is_the_default(tmp_path: Path):
    assert tfds.builder("imagenet21k_winter21", data_dir=tmp_path).builder_config.name == "whole"


def test_it_can_be_shown_as_a_table_and_a_figure(built):
    pytest.importorskip("pandas")
    builder = tfds.builder_from_directory(built["whole", "tar"])
    data = builder.as_dataset(split="train")
    frame = tfds.as_dataframe(data.take(4), builder.info)
    assert set(frame.columns) == {"image", "label", "file_name"}
    pytest.importorskip("matplotlib").use("Agg")
    assert tfds.show_examples(data, builder.info, rows=2, cols=2) is not None


@pytest.mark.parametrize("config", LAYOUTS)
def test_the_description_holds_what_a_user_must_know(built, config: str):
    info = tfds.builder_from_directory(built[config, "tar"]).info
    count = {"whole": 19_167, "p": 10_450}[config]
    assert info.features["label"].num_classes == count
    assert info.features["label"].names == list(labels.wnids(classes.CONFIGS[config]))
    assert info.features["image"].shape == (None, None, 3)
    assert info.supervised_keys == ("image", "label")
    assert "not the release of fall 2011" in info.description
    assert "Towards Fairer Datasets" in info.citation
    assert "non-commercial" in info.redistribution_info.license
    assert info.homepage == "https://image-net.org/"


# What was odd.


@pytest.mark.parametrize("layout", LAYOUTS["whole"])
def test_each_repair_is_recorded_under_the_staged_path(layout: str, corpora, built):
    corpus = corpora["whole", layout]
    document = json.loads((built["whole", layout] / "provenance.json").read_text())
    notes = {note["key"]: note for note in document["splits"]["train"]["repaired"]}
    words = {"gzip": "gunzipped", "cmyk": "CMYK", "png": "PNG", "gif": "GIF", "bmp": "BMP"}
    assert {name: note["reason"].split()[0] for name, note in notes.items()} == {
        name: words[kind] for name, kind in corpus.odd.items()
    }
    for note in notes.values():
        assert note["path"].startswith(str(corpus.directory))
    for source in document["splits"]["train"]["sources"]:
        assert Path(source["path"]).exists(), "not a file in scratch"


@pytest.mark.parametrize("layout", LAYOUTS["whole"])
def test_a_bad_image_is_named_or_skipped(layout: str, tmp_path: Path):
    corpus = make(tmp_path / "manual", "whole", "folders", classes=["n00017222", "n01678043"])
    bad = corpus.directory / "winter21_whole" / "n00017222" / "n00017222_1.JPEG"
    bad.write_bytes(b"<html>quota exceeded</html>")
    pack(corpus.directory, layout)
    with pytest.raises(BadImageError, match=r"n00017222_1\.JPEG"):
        build_here("whole", corpus.directory, tmp_path / "fail")
    directory = build_here(
        "whole", corpus.directory, tmp_path / "skip", options={"bad_images": "skip"}
    )
    assert len(content(directory)["train"]) == 8
    [skipped] = json.loads((directory / "provenance.json").read_text())["splits"]["train"][
        "skipped"
    ]
    assert skipped["key"] == "n00017222_1.JPEG"


# Where it is staged.


@pytest.mark.parametrize("place", ["tars", "winter21_whole", "winter21_whole/tars", "."])
def test_class_tars_are_found_in_every_place_sites_use(tmp_path: Path, corpora, place: str):
    source = corpora["whole", "class tars"]
    shutil.copytree(source.directory / "tars", tmp_path / "manual" / place)
    directory = build_here("whole", tmp_path / "manual", tmp_path / "built")
    assert content(directory) == expected(source, "whole")


@pytest.mark.parametrize("config", LAYOUTS)
def test_manual_dir_may_be_the_folder_itself(tmp_path: Path, corpora, config: str):
    [inside] = corpora[config, "folders"].directory.iterdir()
    directory = build_here(config, inside, tmp_path)
    assert content(directory) == expected(corpora[config, "folders"], config)


def test_layouts_that_need_no_unpacking_are_preferred_with_a_message(tmp_path: Path):
    manual_dir = tmp_path / "manual"
    for layout in ("folders", "tar.gz", "tar", "class tars"):
        make(manual_dir, "whole", layout, classes=["n00017222"])
    used = []
    for chosen in ("tars", "winter21_whole.tar", "winter21_whole.tar.gz"):
        with warned("staged more than once: .* will be read") as said:
            directory = build_here("whole", manual_dir, tmp_path / chosen)
        sources = json.loads((directory / "provenance.json").read_text())["splits"]["train"]
        used.append(Path(sources["sources"][0]["path"]).relative_to(manual_dir).parts[0])
        text = next(text for text in said if "more than once" in text)
        assert f"{chosen}, which will be read" in text
        assert "the class folders in" in text.partition("which will be read, and ")[2]
        remove(manual_dir / chosen)
    assert used == ["tars", "winter21_whole.tar", "winter21_whole.tar.gz"]


def test_complete_class_folders_are_read_instead_of_unpacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    manual_dir = tmp_path / "manual"
    make(manual_dir, "p", "folders")
    make(manual_dir, "p", "tar.gz")
    (manual_dir / "imagenet21k_resized" / TRAIN / "n03001627").mkdir()
    known = sorted(p.name for p in (manual_dir / "imagenet21k_resized" / VALIDATION).iterdir())
    small = labels.Space("p", tuple(known), 0, "", "")
    monkeypatch.setattr(
        "imagenet_builders.datasets.imagenet21k_winter21.layouts.classes_of", lambda config: small
    )
    with (
        warned("the class folders in .*, which will be read, and .*tar.gz"),
        pytest.raises(SourceError, match="n03001627: there is no image in this folder"),
    ):
        build_here("p", manual_dir, tmp_path / "built")


def test_the_layout_of_nibi_is_built_from_its_tars(tmp_path: Path, corpora):
    """Class folders, most of them missing, beside `tars`, in which all are."""
    root = tmp_path / "manual" / "winter21_whole"
    shutil.copytree(corpora["whole", "class tars"].directory / "tars", root / "tars")
    shutil.copytree(
        corpora["whole", "folders"].directory / "winter21_whole" / "n00004475", root / "n00004475"
    )
    for manual_dir in (root.parent, root):
        with warned("class tars in .*/tars, which will be read"):
            directory = build_here("whole", manual_dir, tmp_path / manual_dir.name)
        assert content(directory) == expected(corpora["whole", "class tars"], "whole")


def test_small_classes_are_ignored(tmp_path: Path, corpora):
    assert corpora["p", "tar"].small
    manual_dir = tmp_path / "manual"
    make(manual_dir, "p", "folders")
    (manual_dir / "imagenet21k_resized" / SMALL / "anything").write_bytes(b"")
    directory = build_here("p", manual_dir, tmp_path / "built")
    assert not set(content(directory)["train"]) & set(corpora["p", "tar"].small)


@pytest.mark.parametrize("config", LAYOUTS)
@pytest.mark.parametrize("kind", ["empty", "missing", "a file"])
def test_an_empty_manual_dir_is_an_error_that_lists_the_expected_names(
    tmp_path: Path, config: str, kind: str
):
    manual_dir = tmp_path / "manual"
    if kind == "empty":
        manual_dir.mkdir()
    elif kind == "a file":
        manual_dir.touch()
    names = {"whole": "winter21_whole.tar.gz", "p": "imagenet21k_resized.tar.gz"}
    said = {"empty": names[config], "missing": "does not exist|no.*dir", "a file": "is a file"}
    with pytest.raises((StagingError, AssertionError), match=said[kind]):
        build_here(config, manual_dir, tmp_path / "built")


@pytest.mark.parametrize("layout", LAYOUTS["p"])
def test_a_missing_split_is_omitted_with_a_warning(tmp_path: Path, layout: str):
    make(tmp_path / "manual", "p", "folders")
    root = tmp_path / "manual" / "imagenet21k_resized"
    shutil.rmtree(root / VALIDATION)
    pack_p(tmp_path / "manual", layout)
    with warned("split validation will be missing"):
        directory = build_here("p", tmp_path / "manual", tmp_path / "built")
    assert list(content(directory)) == ["train"]


def test_members_named_from_the_current_folder_are_read_alike(tmp_path: Path, built):
    make(tmp_path / "manual", "p", "folders")
    pack_p(tmp_path / "manual", "tar", prefix="./")
    directory = build_here("p", tmp_path / "manual", tmp_path / "built")
    assert all_records(directory) == all_records(built["p", "tar"])
