"""Splits mean what they mean in TensorFlow Datasets, which is asked."""

from __future__ import annotations

import itertools

import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_datasets.core import splits as splits_lib

from imagenet_builders.errors import OptionError
from imagenet_builders.reading.split_text import (
    Interval,
    Splits,
    even_splits,
    intervals,
    names_in,
)

LENGTHS = {"train": [7, 6, 7, 7], "validation": [3, 4], "test": [1]}


def of_tfds(split: object, lengths: dict[str, list[int]]) -> list[tuple[str, int]]:
    """Split and number of each example."""
    infos = {
        name: tfds.core.SplitInfo(
            name=name, shard_lengths=each, num_bytes=0, filename_template=None
        )
        for name, each in lengths.items()
    }
    spec = splits_lib.AbstractSplit.from_spec(split)
    return [
        (each.splitname, number)
        for each in spec.to_absolute(infos)
        for number in range(
            each.from_ or 0,
            infos[each.splitname].num_examples if each.to is None else each.to,
        )
    ]


def numbers(found: list[Interval]) -> list[tuple[str, int]]:
    return [(each.split, number) for each in found for number in range(each.start, each.stop)]


BOUNDS = ["", "0", "1", "5", "-3", "27", "-27", "10%", "-10%", "99.5%", "33.3%", "100%"]
SHARDS = ["1shard", "2shard", "-1shard", "4shard", "0shard"]
TEXTS = [
    "train",
    "all",
    "train+validation",
    "train + test",
    "train[2shard]",
    "train[0shard]",
    "train[-2shard]",
    "validation[:2]+train[3:5]+train[3:5]",
    *(
        f"train[{start}:{stop}]"
        for start, stop in [
            *itertools.product(BOUNDS, BOUNDS),
            *itertools.product(["", *SHARDS], ["", *SHARDS]),
        ]
        if (start or stop)
        and ("%" in start + stop) <= all("%" in x or not x for x in (start, stop))
    ),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_means_the_same_examples(text: str) -> None:
    assert numbers(intervals(text, LENGTHS)) == of_tfds(text, LENGTHS)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.floats(-100, 100),
    st.floats(-100, 100),
)
def test_percents_are_rounded_alike(lengths: list[int], start: float, stop: float) -> None:
    text = f"train[{start:.3f}%:{stop:.3f}%]"
    assert numbers(intervals(text, {"train": lengths})) == of_tfds(text, {"train": lengths})


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("text", ["train", "train[:13]+validation", "train[10%:]"])
def test_even_splits_are_the_same(text: str, n: int, drop: bool) -> None:
    ours = even_splits(text, n, drop_remainder=drop)
    theirs = tfds.even_splits(text, n, drop_remainder=drop)
    for one, other in zip(ours, theirs, strict=True):
        assert numbers(intervals(one, LENGTHS)) == of_tfds(other, LENGTHS)
        both = one + "test", other + "test"
        assert numbers(intervals(both[0], LENGTHS)) == of_tfds(both[1], LENGTHS)
    again = even_splits(ours[0], 2)[1]
    assert numbers(intervals(again, LENGTHS)) == of_tfds(tfds.even_splits(theirs[0], 2)[1], LENGTHS)
    assert numbers(intervals("test" + again + ours[0], LENGTHS))[0] == ("test", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian", "there is no split 'trian'; there are train, validation, test"),
        ("train[", "no split as TensorFlow Datasets writes it"),
        ("train[1:2:3]", "no split"),
        ("train[]", "no split"),
        ("train[:]", "no split"),
        ("train[1.5:]", "no split"),
        ("train[a:]", "no split"),
        ("train[3]", "examples need a colon, such as train"),
        ("train[:101%]", "is not between"),
        ("train[:28]", "split train has 27 examples, fewer than that"),
        ("all[:10]", "cannot be sliced at once"),
        ("", "no split"),
        ("train++test", "no split"),
    ],
)
def test_what_is_no_split_is_said(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        intervals(text, LENGTHS)


def test_there_is_at_least_one_even_split() -> None:
    with pytest.raises(OptionError, match="must be at least 1, not 0"):
        even_splits("train", 0)


@pytest.mark.parametrize("split", ["train", "train[:1%]+test", "all", "validation+all"])
def test_the_names_are_those_of_the_intervals(split: str) -> None:
    halves = even_splits(split, 2)
    wholes: list[Splits] = [split, *halves, halves[0] + "test"]
    for each in wholes:
        assert names_in(each, LENGTHS) == {one.split for one in intervals(each, LENGTHS)}


@pytest.mark.parametrize(
    ("split", "words"),
    [("trian", "there is no split 'trian'; there are train,"), ("train[", "is no split as")],
)
def test_names_that_are_not_there_are_said(split: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        names_in(split, LENGTHS)
