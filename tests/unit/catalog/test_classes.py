"""Classes have their words, their numbers in each label space, and their official numbers."""

from __future__ import annotations

import dataclasses

import pytest

from imagenet_builders import datasets, labels
from imagenet_builders.catalog.classes import differences, rows


def test_a_class_has_its_number_in_every_space_that_has_it() -> None:
    config = datasets.get("imagenet2012").configs[0]
    found = rows(config.classes(), config, {"train": {0: 1300, 3: 5}})
    assert len(found) == 1000
    first = found[0]
    assert (first.label, first.wnid, first.words) == (0, "n01440764", "tench, Tinca tinca")
    assert first.gloss == labels.gloss("n01440764")
    for name in labels.SPACES:
        space = labels.space(name)
        for row in found:
            expected = space.id_of(row.wnid) if row.wnid in space else None
            assert row.ids.get(name) == expected
    assert (first.counts, found[1].counts) == ({"train": 1300}, {"train": 0})
    assert first.official == {"train": labels.train_counts()["n01440764"], "validation": 50}


def test_other_classes_have_no_official_numbers() -> None:
    config = datasets.get("imagenet2012").configs[0]
    found = rows(("cat", "dog"), config, {})
    assert [(row.wnid, row.words, row.ids, row.official) for row in found] == [
        ("cat", "", {}, {}),
        ("dog", "", {}, {}),
    ]


@pytest.mark.parametrize("complete", [True, False])
def test_other_numbers_than_the_official_ones_are_said(complete: bool) -> None:
    config = datasets.get("imagenet2012").configs[0]
    counts = dict.fromkeys(range(1000), 50)
    right = rows(config.classes(), config, {"validation": counts})
    assert differences(right, ["validation"]) == []
    wrong = [dataclasses.replace(right[0], counts={"validation": 49}), *right[1:]]
    assert differences(wrong, ["validation"] if complete else []) == (
        [
            "validation: 1 of 1,000 classes have another number of images than the official one, "
            "such as n01440764: 49 and not 50"
        ]
        if complete
        else []
    )
