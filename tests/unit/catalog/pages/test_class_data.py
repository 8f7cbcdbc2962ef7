"""The script with the classes of a dataset."""

from __future__ import annotations

import json
from typing import Any

from support import catalog_sites

from imagenet_builders.catalog.pages import class_data


def data_of(script: bytes) -> dict[str, Any]:
    before, _, after = script.decode("ascii").partition("=")
    assert before == "window.catalogClasses "
    found: dict[str, Any] = json.loads(after.strip().removesuffix(";"))
    return found


def test_every_class_has_its_ids_in_each_space() -> None:
    found = data_of(class_data.script(catalog_sites.entry()))
    row = found["wnid"].index("n02110341")
    assert found["label"][row] == 251
    assert found["words"][row] == "dalmatian, coach dog, carriage dog"
    assert found["ids"]["imagenet2012"] is None  # The labels.
    assert found["ids"]["imagenet21k_winter21"][row] > 251
    assert found["counts"]["validation"] == [50] * 1000
    assert len(found["gloss"]) == 1000


def test_numbers_that_a_class_does_not_have_are_minus_one() -> None:
    found = data_of(class_data.script(catalog_sites.entry("imagenet21k_winter21")))
    assert found["ids"]["imagenet2012"][0] == -1
    assert found["gloss"] is None  # Of so many classes they are more than a megabyte.


def test_it_says_which_splits_are_a_sample() -> None:
    splits = tuple(
        catalog_sites.statistics(split, 9, sample)
        for split, sample in (("train", "Every tenth shard."), ("validation", None))
    )
    found = data_of(class_data.script(catalog_sites.entry(statistics=splits)))
    assert found["sampled"] == ["train"]


def test_it_has_no_letter_that_could_end_a_script() -> None:
    script = class_data.script(catalog_sites.hostile().entries[0])
    assert b"<" not in script
    assert script.isascii()
    assert data_of(script)["wnid"] == list(catalog_sites.HOSTILE)
