"""Class spaces, their maps, and the official lists they must agree with."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagenet_builders import labels
from imagenet_builders.errors import ImagenetBuildersError

TEDDY = "n04399382"
SIZES = {
    "imagenet2012": 1000,
    "imagenet21k_winter21": 19167,
    "imagenet21k_p": 10450,
    "imagenet12k": 11821,
    "tiny_imagenet": 200,
    "dogs": 120,
    "devkit": 1000,
    "downsampled_npz": 1000,
    "slim": 1000,
    "tiny_wnids_txt": 200,
}
SORTED = {
    "imagenet2012",
    "imagenet21k_winter21",
    "imagenet21k_p",
    "imagenet12k",
    "tiny_imagenet",
    "dogs",
    "slim",
}
FROM_ONE = {"devkit", "downsampled_npz", "slim"}
SAME_CLASSES = [
    ("imagenet2012", "devkit"),
    ("imagenet2012", "downsampled_npz"),
    ("imagenet2012", "slim"),
    ("devkit", "slim"),
    ("tiny_imagenet", "tiny_wnids_txt"),
]

every_space = pytest.mark.parametrize("name", labels.SPACES)
every_pair = pytest.mark.parametrize(
    ("source", "target"), [(a, b) for a in labels.SPACES for b in labels.SPACES]
)


@pytest.fixture(scope="module")
def tfds_folder() -> Path:
    """TFDS's installed files are the oracle; found without importing TFDS."""
    spec = importlib.util.find_spec("tensorflow_datasets")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def test_spaces_are_the_known_ones() -> None:
    assert set(labels.SPACES) == set(SIZES)


@every_space
def test_space_has_its_size_and_each_wnid_once(name: str) -> None:
    space = labels.space(name)
    assert space.name == name
    assert len(space) == len(space.wnids) == len(set(space.wnids)) == SIZES[name]
    assert labels.wnids(name) == space.wnids
    assert all(len(w) == 9 and w[0] == "n" and w[1:].isdigit() for w in space.wnids)


@every_space
def test_a_space_has_a_description_and_a_source(name: str) -> None:
    assert labels.space(name).description.endswith(".")
    assert labels.space(name).source


@pytest.mark.parametrize("name", sorted(SORTED))
def test_space_is_sorted(name: str) -> None:
    assert list(labels.wnids(name)) == sorted(labels.wnids(name))


@every_space
def test_first_id_is_zero_or_one(name: str) -> None:
    space = labels.space(name)
    assert space.first_id == (name in FROM_ONE)
    assert space.last_id == space.first_id + len(space) - 1


@every_space
def test_id_of_and_wnid_of_are_inverses(name: str) -> None:
    space = labels.space(name)
    ids = [space.id_of(w) for w in space.wnids]
    assert ids == list(range(space.first_id, space.last_id + 1))
    assert tuple(space.wnid_of(i) for i in ids) == space.wnids
    assert space.wnid_of(np.int64(space.last_id)) == space.wnids[-1]


def test_spaces_are_equal_when_their_names_are() -> None:
    assert labels.space("slim") == labels.space("slim")
    assert labels.space("slim") != labels.space("imagenet2012")
    assert "n01440764" not in repr(labels.space("slim"))


def test_spaces_can_be_sent_to_worker_processes() -> None:
    space = labels.space("devkit")
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space
    assert hash(copy) == hash(space)
    assert copy.wnids == space.wnids


def test_first_and_last_classes() -> None:
    ends = {name: (labels.wnids(name)[0], labels.wnids(name)[-1]) for name in labels.SPACES}
    assert ends["imagenet2012"] == ("n01440764", "n15075141")
    assert ends["imagenet21k_winter21"] == ("n00004475", "n15102894")
    assert ends["imagenet12k"] == ("n00005787", "n15102894")
    assert ends["devkit"] == ends["downsampled_npz"] == ("n02119789", "n03255030")
    assert ends["tiny_imagenet"] == ("n01443537", "n12267677")
    assert ends["tiny_wnids_txt"] == ("n02124075", "n02504458")


def test_thousand_classes_are_those_of_tfds(tfds_folder: Path) -> None:
    text = (tfds_folder / "datasets/imagenet2012/labels.txt").read_text()
    assert labels.wnids("imagenet2012") == tuple(text.split())


def test_downsampled_order_is_that_of_tfds(tfds_folder: Path) -> None:
    text = (tfds_folder / "image_classification/imagenet_resized_labels.txt").read_text()
    assert labels.wnids("downsampled_npz") == tuple(text.split())
    assert labels.wnids("devkit") == tuple(text.split())


def test_validation_labels_are_those_of_tfds(tfds_folder: Path) -> None:
    text = (tfds_folder / "datasets/imagenet2012/validation_labels.txt").read_text()
    assert labels.validation_wnids() == tuple(text.split())


def test_validation_labels_are_fifty_of_each_class() -> None:
    ids = labels.validation_labels()
    assert ids.shape == (50_000,)
    assert ids.dtype == np.int64
    assert np.bincount(ids).tolist() == [50] * 1000


def test_validation_labels_start_like_the_ground_truth_of_the_devkit() -> None:
    ids = labels.convert(labels.validation_labels()[:4], "imagenet2012", "devkit")
    assert ids.tolist() == [490, 361, 171, 822]  # Source: devkit, validation_ground_truth.txt


def test_train_counts_are_the_official_ones() -> None:
    counts = labels.train_counts()
    assert tuple(counts) == labels.wnids("imagenet2012")
    values = list(counts.values())
    assert (sum(values), min(values), max(values)) == (1_281_167, 732, 1300)


def test_downsampled_labels_are_a_permutation_without_fixed_points() -> None:
    new = labels.mapping("downsampled_npz", "imagenet2012")[1:]
    assert new[:10].tolist() == [278, 212, 250, 193, 217, 147, 387, 285, 350, 283]
    assert sorted(new) == list(range(1000))
    assert not (new == np.arange(1000)).any()


def test_slim_is_imagenet2012_plus_one() -> None:
    table = labels.mapping("imagenet2012", "slim")
    assert table.tolist() == list(range(1, 1001))


@pytest.mark.parametrize(
    ("part", "whole", "count"),
    [
        ("imagenet21k_p", "imagenet21k_winter21", 10450),
        ("imagenet2012", "imagenet21k_winter21", 999),
        ("imagenet2012", "imagenet21k_p", 991),
        ("imagenet12k", "imagenet21k_winter21", 10_967),
        ("imagenet2012", "imagenet12k", 993),
        ("imagenet21k_p", "imagenet12k", 10_450),
        ("tiny_imagenet", "imagenet2012", 200),
        ("tiny_imagenet", "imagenet21k_winter21", 199),
        ("dogs", "imagenet2012", 120),
    ],
)
def test_spaces_share_as_many_classes_as_known(part: str, whole: str, count: int) -> None:
    assert int((labels.mapping(part, whole) >= 0).sum()) == count


def test_teddy_bear_is_the_one_of_the_thousand_that_winter21_lacks() -> None:
    missing = [
        w for w in labels.wnids("imagenet2012") if w not in labels.space("imagenet21k_winter21")
    ]
    assert missing == [TEDDY]
    assert TEDDY in labels.space("tiny_imagenet")


@every_pair
def test_mapping_round_trips_for_the_classes_that_both_have(source: str, target: str) -> None:
    there, back = labels.mapping(source, target), labels.mapping(target, source)
    first, last = labels.space(source).first_id, labels.space(source).last_id
    assert there.dtype == np.int64
    assert there.shape == (last + 1,)
    assert (there[:first] == -1).all()
    ids = np.arange(first, last + 1)
    shared = np.array([w in labels.space(target) for w in labels.wnids(source)])
    assert ((there[ids] >= 0) == shared).all()
    assert (back[there[ids[shared]]] == ids[shared]).all()
    named = [labels.space(target).wnid_of(i) for i in there[ids[shared]]]
    assert named == [labels.space(source).wnid_of(i) for i in ids[shared]]


def test_mapping_cannot_be_changed_by_its_users() -> None:
    with pytest.raises(ValueError, match="read-only"):
        labels.mapping("slim", "devkit")[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        labels.validation_labels()[0] = 1


@pytest.mark.parametrize(("source", "target"), SAME_CLASSES)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int64, np.uint64])
def test_convert_and_back_is_the_same(
    source: str, target: str, dtype: type[np.integer[Any]]
) -> None:
    space = labels.space(source)
    ids = np.array(range(space.first_id, space.last_id + 1), dtype=dtype)
    there = labels.convert(ids, source, target)
    assert there.dtype == np.int64
    assert (labels.convert(there, target, source) == ids).all()


def test_convert_keeps_the_shape() -> None:
    assert labels.convert([[1, 2], [3, -1]], "devkit", "imagenet2012").shape == (2, 2)
    assert labels.convert([], "devkit", "imagenet2012").shape == (0,)
    scalar = labels.convert(1, "devkit", "imagenet2012")
    assert isinstance(scalar, np.ndarray)
    assert scalar.shape == ()
    assert scalar == 278


def test_convert_takes_a_dtype_too_small_for_the_space() -> None:
    ids = np.array([-1, 0, 127], dtype=np.int8)
    names = [labels.space("imagenet21k_p").wnid_of(i) for i in (0, 127)]
    there = labels.convert(ids, "imagenet21k_p", "imagenet21k_winter21")
    assert there[0] == -1
    assert [labels.space("imagenet21k_winter21").wnid_of(i) for i in there[1:]] == names


@every_pair
def test_convert_keeps_unlabelled(source: str, target: str) -> None:
    assert labels.convert([-1, -1], source, target).tolist() == [-1, -1]


def test_convert_gives_minus_one_where_the_target_lacks_the_class() -> None:
    teddy = labels.space("imagenet2012").id_of(TEDDY)
    assert labels.convert([teddy, 0], "imagenet2012", "imagenet21k_winter21")[0] == -1


@every_space
def test_convert_refuses_labels_out_of_range(name: str) -> None:
    space = labels.space(name)
    too_low = space.first_id - 1 if space.first_id else -2
    for wrong in (too_low, space.last_id + 1, -2, 2**40):
        with pytest.raises(labels.LabelError, match=rf"label {wrong} .*'{name}'.* to "):
            labels.convert([space.first_id, wrong], name, "imagenet2012")


@pytest.mark.parametrize("wrong", [[1.0], [True], ["n01440764"]])
def test_convert_refuses_anything_but_integers(wrong: list[float] | list[str]) -> None:
    with pytest.raises(labels.LabelError, match="must be integers"):
        labels.convert(wrong, "imagenet2012", "slim")


@pytest.mark.parametrize(
    "call",
    [
        lambda: labels.space("imagenet"),
        lambda: labels.wnids("imagenet"),
        lambda: labels.mapping("slim", "imagenet"),
        lambda: labels.convert([1], "imagenet", "slim"),
    ],
)
def test_unknown_space_lists_the_known_ones(call) -> None:
    with pytest.raises(labels.LabelError, match="no label space 'imagenet'") as caught:
        call()
    assert all(name in str(caught.value) for name in labels.SPACES)


def test_unknown_wnid_is_named_with_the_spaces_that_have_it() -> None:
    with pytest.raises(
        labels.LabelError, match=r"n04399382.*'imagenet21k_winter21'.*tiny_imagenet"
    ):
        labels.space("imagenet21k_winter21").id_of(TEDDY)
    with pytest.raises(labels.LabelError, match=r"'dog' is not one of the 120 classes.*'dogs'$"):
        labels.space("dogs").id_of("dog")
    assert "dog" not in labels.space("dogs")


@pytest.mark.parametrize("label", [-1, 0, 1001])
def test_wnid_of_refuses_labels_out_of_range(label: int) -> None:
    with pytest.raises(labels.LabelError, match=f"label {label} "):
        labels.space("devkit").wnid_of(label)


def test_errors_are_of_our_family_and_value_errors() -> None:
    assert issubclass(labels.LabelError, ImagenetBuildersError)
    assert issubclass(labels.LabelError, ValueError)


@every_space
def test_every_class_has_words_and_a_gloss(name: str) -> None:
    for wnid in labels.wnids(name):
        for text in (labels.words(wnid), labels.gloss(wnid)):
            assert text
            assert text == text.strip()
            assert "\t" not in text
        assert "_" not in labels.words(wnid)


def test_words_are_those_of_the_devkit() -> None:
    assert labels.words("n02119789") == "kit fox, Vulpes macrotis"  # Source: devkit, meta.mat
    assert labels.words("n01440764") == "tench, Tinca tinca"
    assert labels.words(TEDDY) == "teddy, teddy bear"


def test_two_classes_have_the_words_crane_and_different_glosses() -> None:
    bird, machine = "n02012849", "n03126707"
    assert labels.words(bird) == labels.words(machine) == "crane"
    assert "bird" in labels.gloss(bird)
    assert "lifts" in labels.gloss(machine)


@pytest.mark.parametrize("wnid", ["n99999999", "tench", "", "n0144076"])
def test_words_and_gloss_of_an_unknown_wnid_are_an_error(wnid: str) -> None:
    with pytest.raises(labels.LabelError, match=repr(wnid)):
        labels.words(wnid)
    with pytest.raises(labels.LabelError, match=repr(wnid)):
        labels.gloss(wnid)


def test_readme_gives_the_source_and_size_of_every_data_file() -> None:
    folder = Path(labels.__file__).parent
    readme = (folder / "README.md").read_text()
    data = [p for p in folder.iterdir() if p.suffix in {".txt", ".tsv", ".npy", ".gz"}]
    assert len(data) == 9
    for path in data:
        assert f"| `{path.name}` | {path.stat().st_size:,} |" in readme
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in readme


def test_using_labels_imports_nothing_heavy() -> None:
    code = """
import sys
import imagenet_builders.labels as labels
labels.words("n01440764"), labels.validation_labels(), labels.mapping("slim", "imagenet21k_p")
heavy = {"tensorflow", "tensorflow_datasets", "apache_beam", "pandas", "pyarrow"}
sys.exit(", ".join(sorted(heavy & set(sys.modules))) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
