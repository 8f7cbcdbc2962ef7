"""imagenet2012 on the committed dummy archives, and with TensorFlow Datasets' own test case."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from makers import ilsvrc2012
from PIL import Image
from support.building import DUMMY_ARCHIVES, build, built_by_cli
from support.built_datasets import split_content
from support.corpora.tar_headers import file_in

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions

SPLITS = {"train": 24, "validation": 12, "test": 6}
REPAIRED = {ilsvrc2012.CMYK_IMAGE, ilsvrc2012.PNG_IMAGE}


class Imagenet2012Test(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every dataset."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY_ARCHIVES
    SPLITS = SPLITS

    def setUp(self):
        super().setUp()
        # The test case forbids ways to read files; what another test has read must be read again.
        labels.validation_labels.cache_clear()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> ilsvrc2012.Corpus:
    """What is in the committed archives: the maker gives the same each time."""
    return ilsvrc2012.make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("built")
    options = BuildOptions(workers=1, scratch_dir=str(data_dir / "scratch"))
    return build(Builder, DUMMY_ARCHIVES, data_dir, builder_options={"options": options})


def stored(corpus: ilsvrc2012.Corpus, split: str) -> ilsvrc2012.Split:
    return corpus.patched_test if split == "test" else getattr(corpus, split)


def test_committed_archives_hold_what_the_maker_makes(corpus: ilsvrc2012.Corpus):
    # Names and classes; the bytes of pictures may differ with the version of Pillow.
    for split, archive in corpus.archives.items():
        with tarfile.open(archive) as made, tarfile.open(DUMMY_ARCHIVES / archive.name) as kept:
            assert made.getnames() == kept.getnames(), split


@pytest.mark.parametrize("split", SPLITS)
def test_a_build_holds_exactly_the_names_of_the_archives(
    built: Path, corpus: ilsvrc2012.Corpus, split: str
):
    names = [name for name, _, _ in split_content(built, split)]
    assert sorted(names) == sorted(stored(corpus, split))
    assert len(names) == SPLITS[split]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_labels_are_those_of_the_true_classes(built: Path, corpus: ilsvrc2012.Corpus, split: str):
    wnids = {name: labels.wnids("imagenet2012")[n] for name, n, _ in split_content(built, split)}
    assert wnids == {name: image.wnid for name, image in stored(corpus, split).items()}


def test_test_images_have_no_label(built: Path):
    assert {label for _, label, _ in split_content(built, "test")} == {-1}


def members(archive: Path) -> dict[str, bytes]:
    """All images in an archive, also in the archives in it, as Python's tarfile reads them."""
    with tarfile.open(archive) as outer:
        content = {m.name: file_in(outer, m) for m in outer.getmembers() if m.isreg()}
    inner = [name for name in content if name.endswith(".tar")]
    for name in inner:
        with tarfile.open(fileobj=io.BytesIO(content.pop(name))) as tar:
            content |= {m.name: file_in(tar, m) for m in tar.getmembers()}
    return {name.rpartition("/")[2]: data for name, data in content.items()}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_images_are_the_bytes_in_the_archives(built: Path, split: str):
    archive = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}[split]
    kept = {name: image for name, _, image in split_content(built, split) if name not in REPAIRED}
    expected = members(DUMMY_ARCHIVES / archive)
    assert kept == {name: data for name, data in expected.items() if name not in REPAIRED}


def test_images_of_the_patch_replace_those_of_the_same_names(built: Path):
    patch = members(DUMMY_ARCHIVES / ilsvrc2012.TEST_PATCH_ARCHIVE)
    unpatched = members(DUMMY_ARCHIVES / ilsvrc2012.TEST_ARCHIVE)
    assert list(patch) == ["ILSVRC2012_test_00000006.JPEG"]
    images = {name: image for name, _, image in split_content(built, "test")}
    assert images == {**unpatched, **patch}
    assert images != unpatched


@pytest.mark.parametrize("name", sorted(REPAIRED))
def test_cmyk_and_png_images_are_stored_as_rgb_jpegs_that_show_the_same(built: Path, name: str):
    [image] = [image for other, _, image in split_content(built, "train") if other == name]
    original = members(DUMMY_ARCHIVES / ilsvrc2012.TRAIN_ARCHIVE)[name]
    assert image != original
    with Image.open(io.BytesIO(image)) as after, Image.open(io.BytesIO(original)) as before:
        assert (after.format, after.mode, after.size) == ("JPEG", "RGB", before.size)
        difference = np.asarray(after, float) - np.asarray(before.convert("RGB"), float)
    # A mean of colour values from 0 to 255. Colours taken for their negatives are off by 100.
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize(("split", "count"), SPLITS.items())
def test_all_images_decode_to_pictures(built: Path, split: str, count: int):
    dataset = tfds.builder_from_directory(built).as_dataset(split=split)
    images = [entry["image"] for entry in dataset.as_numpy_iterator()]
    assert len(images) == count
    for image in images:
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.dtype == np.uint8
        assert image.std() > 10, "a picture shows something"


def test_reading_as_supervised_gives_images_and_labels(built: Path, corpus: ilsvrc2012.Corpus):
    dataset = tfds.builder_from_directory(built).as_dataset(split="train", as_supervised=True)
    found = sorted(int(label) for _, label in dataset)
    space = labels.space("imagenet2012")
    assert found == sorted(space.id_of(str(image.wnid)) for image in corpus.train.values())


def test_labels_are_named_by_wnids_in_sorted_order(built: Path):
    label = tfds.builder_from_directory(built).info.features["label"]
    assert label.num_classes == 1000
    assert label.names == sorted(label.names)
    assert label.int2str(0) == "n01440764"
    assert label.str2int("n15075141") == 999


def test_info_describes_the_dataset(tmp_path: Path):
    info = Builder(data_dir=tmp_path).info
    assert info.full_name == "imagenet2012/5.1.0"
    assert info.homepage == "https://image-net.org/"
    assert info.supervised_keys == ("image", "label")
    assert "1,281,167" in info.description
    assert "wnid" in info.description


def test_info_has_the_citation(tmp_path: Path):
    citation = Builder(data_dir=tmp_path).info.citation
    assert citation.startswith("@article{ILSVRC15")
    assert "10.1007/s11263-015-0816-y" in citation


def test_only_the_dataset_and_its_scratch_remain_in_the_data_dir(tmp_path: Path):
    directory = build(Builder, DUMMY_ARCHIVES, tmp_path)
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert left == {"imagenet2012"}
    assert [path.name for path in directory.parent.iterdir()] == ["5.1.0"]
    assert sorted(path.name for path in directory.iterdir()) == [
        "LICENSE",
        "dali_index",
        "dataset_info.json",
        "features.json",
        "imagenet2012-test.tfrecord-00000-of-00001",
        "imagenet2012-train.tfrecord-00000-of-00001",
        "imagenet2012-validation.tfrecord-00000-of-00001",
        "label.labels.txt",
        "provenance.json",
    ]


def test_no_temporary_file_remains(tmp_path: Path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    built_by_cli(DUMMY_ARCHIVES, tmp_path, f"--scratch-dir={tmp_path}", TMPDIR=str(temporary))
    assert list(temporary.iterdir()) == []


def test_an_unsupported_file_format_is_an_error_that_lists_the_others(tmp_path: Path):
    with pytest.raises(OptionError, match=r"tfrecord, array_record, not 'riegeli'"):
        build(Builder, DUMMY_ARCHIVES, tmp_path, file_format="riegeli")
    assert not list(tmp_path.rglob("dataset_info.json"))
