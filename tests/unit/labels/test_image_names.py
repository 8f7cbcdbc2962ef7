"""Keys and labels from the names of images, however these are spelled."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builders import labels
from imagenet_builders.labels.image_names import Naming, class_image, is_official, train_image

TENCH = "n01440764"
TRAIN, VALIDATION, TEST = Naming("train"), Naming("validation"), Naming("test")
WNIDS = labels.wnids("imagenet2012")


def cased(text: str) -> st.SearchStrategy[str]:
    """The text in any mixture of capitals and small letters."""
    return st.tuples(*(st.sampled_from([c.lower(), c.upper()]) for c in text)).map("".join)


ENDINGS = st.sampled_from([".JPEG", ".jpg", ".jpeg", ".png"]).flatmap(cased)
ZEROS = st.integers(0, 12).map("0".__mul__)


@given(
    st.sampled_from(WNIDS).flatmap(lambda wnid: st.tuples(st.just(wnid), cased(wnid), cased(wnid))),
    st.integers(0, 10**9),
    ZEROS,
    st.booleans(),
    ENDINGS,
)
def test_any_spelling_of_a_train_image_has_its_official_key(wnids, number, zeros, twice, ending):
    wnid, spelled, again = wnids
    name = f"{spelled}_{zeros}{number}{f'_{again}' if twice else ''}{ending}"
    key = f"{wnid}_{number}.JPEG"
    assert TRAIN.row_of(name) == (key, WNIDS.index(wnid))
    assert TRAIN.row_of_file(name, wnid) == (key, WNIDS.index(wnid))
    assert train_image(name) == (key, wnid)
    assert class_image(wnid, name) == key
    assert is_official(wnid, name) == (name == key)
    assert TRAIN.is_image(name)
    assert TRAIN.row_of(key) == (key, WNIDS.index(wnid))


@given(
    st.integers(1, 50_000),
    st.integers(1, 12),
    cased("ILSVRC2012_val_"),
    st.booleans(),
    ENDINGS,
)
def test_any_spelling_of_a_validation_image_has_its_official_key(
    number, digits, begin, twice, ending
):
    label = int(labels.validation_labels()[number - 1])
    name = f"{begin}{number:0{digits}}{f'_{WNIDS[label]}' if twice else ''}{ending}"
    assert VALIDATION.row_of(name) == (f"ILSVRC2012_val_{number:08}.JPEG", label)
    assert VALIDATION.is_image(name)
    assert not TEST.is_image(name)
    assert not TRAIN.is_image(name)


def test_test_images_have_no_label():
    assert TEST.row_of("ilsvrc2012_test_42.jpg") == ("ILSVRC2012_test_00000042.JPEG", -1)
    assert TEST.row_of_file("ILSVRC2012_test_00000042.JPEG", TENCH)[1] == -1


@pytest.mark.parametrize(
    ("naming", "name", "reason"),
    [
        (TRAIN, f"{TENCH}_1_n01443537.JPEG", f"two classes, {TENCH} and n01443537"),
        (TRAIN, f"{TENCH}_1_n0144.JPEG", "only images such as n01440764_1.JPEG"),
        (TRAIN, f"{TENCH}_.JPEG", "only images such as"),
        (TRAIN, f"._{TENCH}_1.JPEG", "only images such as"),
        (TRAIN, f"{TENCH}_1.JPEG~", "only images such as"),
        (TRAIN, "n00000000_1.JPEG", "n00000000 is not one of the 1,000 classes"),
        (TRAIN, "n01440764_\u0661.JPEG", "only images such as"),
        (VALIDATION, "ILSVRC2012_val_00000293_n01440765.JPEG", "is not one of the 1,000 classes"),
        (VALIDATION, "ILSVRC2012_val_00000001_n01440764.JPEG", "its number that of n01751748"),
        (VALIDATION, "ILSVRC2012_val_00050001.JPEG", "numbered from 1 to 50,000"),
        (VALIDATION, f"ILSVRC2012_val_{'9' * 5000}.JPEG", "numbered from 1 to 50,000"),
        (VALIDATION, "ILSVRC2012_val_0.JPEG", "numbered from 1 to 50,000"),
        (VALIDATION, "ILSVRC2012_test_00000001.JPEG", "only images such as ILSVRC2012_val_"),
        (VALIDATION, "IL\u017fVRC2012_val_00000001.JPEG", "only images such as ILSVRC2012_val_"),
        (TEST, "ILSVRC2012_val_00000001.JPEG", "only images such as ILSVRC2012_test_"),
    ],
)
def test_what_is_no_such_image_is_refused_with_the_reason(naming, name, reason):
    with pytest.raises(ValueError, match=reason):
        naming.row_of(name)


def test_hugging_faces_label_is_the_official_one():
    name = "ILSVRC2012_val_00000293_n01440764.JPEG"
    assert VALIDATION.row_of(name) == ("ILSVRC2012_val_00000293.JPEG", 0)


def test_annotations_are_those_of_official_names():
    assert TRAIN.annotated(f"{TENCH}_007.XML") == (f"{TENCH}_7.JPEG", 0, TENCH)
    assert VALIDATION.annotated("ILSVRC2012_val_0000293.xml").key == "ILSVRC2012_val_00000293.JPEG"
    with pytest.raises(ValueError, match="only annotations"):
        TRAIN.annotated(f"{TENCH}_7")
    assert Naming("train_t3").annotated(f"{TENCH}_7").key == f"{TENCH}_7.JPEG"


def test_the_rule_travels_to_worker_processes():
    assert pickle.loads(pickle.dumps(VALIDATION)).row_of("ILSVRC2012_val_00000293.JPEG")[1] == 0
