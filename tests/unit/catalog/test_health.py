"""What provenance tells is shown; whatever else is in the file is passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imagenet_builders import datasets
from imagenet_builders.catalog import health
from imagenet_builders.catalog.model import NamedImage
from imagenet_builders.locate.official import official_archives

CONFIG = datasets.get("imagenet2012").configs[0]


def with_source(**source: Any) -> dict[str, Any]:
    return {"splits": {"train": {"sources": [source]}}}


def test_a_build_says_what_it_was_made_of(built: Path) -> None:
    document = json.loads((built / "provenance.json").read_text())
    found = health.sources(document)
    names = [Path(source.path).name for source in found]
    assert names == [
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
        "ILSVRC2012_img_test_v10102019.tar",
        "ILSVRC2012_img_test_patch_v10102019.tar",
    ]
    assert {source.known_as for source in found} == {None}  # The dummy archives are small.
    repaired = health.named_images(document, "repaired")
    assert len(repaired) == 2
    png = NamedImage("train", "n02105855_2933.JPEG", "PNG re-encoded as JPEG")
    assert png in repaired
    assert health.named_images(document, "skipped") == ()
    assert health.built_with(document)["python"].startswith("3.")
    said = health.differences({"train": 24, "validation": 12, "test": 6}, CONFIG, document)
    assert said[0].startswith("train: a part of the official split: 24 of 1,281,167 images")
    assert said[-1] == "train: 2 images were repaired"


def test_official_archives_are_known_by_hash_or_by_name_and_size() -> None:
    official = official_archives()["ILSVRC2012_img_val.tar"]
    assert official.size is not None
    assert official.md5 is not None
    path, size = "/x/ILSVRC2012_img_val.tar", official.size
    for source, known_as in (
        ({"path": path, "size": size}, "by its name and size"),
        ({"path": "/x/other.tar", "size": size}, None),
        ({"path": "/x/other.tar", "size": 7, "md5": official.md5}, "by its MD5"),
        ({"path": path, "size": size, "md5": "0" * 32}, None),
        ({"path": path, "size": size - 1}, None),
    ):
        [found] = health.sources(with_source(**source))
        assert found.known_as == (None if known_as is None else f"{official.name}, {known_as}")


def test_a_source_of_two_splits_is_one() -> None:
    source = {"path": "/x", "size": 7}
    document = {"splits": {name: {"sources": [source]} for name in ("train", "test")}}
    [found] = health.sources(document)
    assert found.splits == ("train", "test")


def test_other_numbers_and_splits_that_are_not_there_are_said() -> None:
    document = {"max_examples_per_split": 3, "splits": {"train": {"skipped": [{"key": "a"}] * 2}}}
    assert health.differences({"train": 3, "validation": 50_000}, CONFIG, document) == [
        "train: 3 examples, and not the official 1,281,167",
        "test: this split was not built",
        "it was built to try things out, with at most 3 examples a split",
        "train: 2 images were left out",
    ]
    assert health.differences({"train": 3}, None, {}) == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"splits": None, "versions": [], "built": 7},
        {"splits": {"train": None, "test": {"sources": {}, "repaired": [1, None, {}]}}},
        with_source(path=7, size="x"),
        with_source(path="/x", size=7, md5=["a"]),
    ],
)
def test_what_somebody_else_wrote_is_passed_over(document: dict[str, Any]) -> None:
    health.sources(document)
    health.named_images(document, "repaired")
    health.parts(document)
    assert health.built_at(document) is None
    assert health.built_with(document) == {}
    health.differences({"train": 1}, CONFIG, document)


def test_names_are_printable() -> None:
    document = {"splits": {"train": {"repaired": [{"key": "a\x1b", "reason": "b\n"}]}}}
    assert health.named_images(document, "repaired") == (NamedImage("train", "a\\x1b", "b\\n"),)


def test_a_verdict_of_a_sound_dataset(built: Path) -> None:
    found = health.verified(built, None, workers=1)
    assert (found.ok, found.problems, found.decoded, found.current) == (True, (), False, True)
    assert any("24 of 1,281,167 images" in note for note in found.notes), found.notes
