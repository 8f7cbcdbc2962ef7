"""A card has what Hugging Face's library wants at its head, and Markdown for people."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from imagenet_builders.catalog.card import card
from imagenet_builders.catalog.croissant import Files
from imagenet_builders.catalog.model import ClassRow, Entry, Source, Terms


def head(entry: Entry) -> dict[str, Any]:
    text = card(entry, "", "").decode()
    # As `repocard.py` of huggingface_hub 1.0 finds it.
    match = re.match(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", text)
    assert match is not None
    found: dict[str, Any] = yaml.safe_load(match[2])
    return found


def test_the_head_says_what_the_hub_wants(described: tuple[Entry, Files]) -> None:
    entry, _ = described
    found = head(entry)
    assert found["pretty_name"] == "imagenet2012/5.1.0"
    # Rules of the Hub: another licence has a name of small letters, and a link.
    assert found["license"] == "other"
    assert re.fullmatch(r"[a-z0-9-.]+", found["license_name"])
    assert found["license_link"] == "https://image-net.org/download.php"
    assert found["task_categories"] == ["image-classification"]
    assert found["size_categories"] == ["n<1K"]
    features = {each["name"]: each["dtype"] for each in found["dataset_info"]["features"]}
    names = features["label"]["class_label"]["names"]
    assert [names[str(number)] for number in range(1000)] == [row.wnid for row in entry.classes]
    assert [each["num_examples"] for each in found["dataset_info"]["splits"]] == [24, 12, 6]
    assert all(isinstance(each["num_bytes"], int) for each in found["dataset_info"]["splits"])


def test_what_is_not_known_is_not_said(described: tuple[Entry, Files]) -> None:
    entry, _ = described
    bare = dataclasses.replace(entry, terms=None, classes=(), splits=(), citation="", features="")
    assert head(bare).keys() == {"pretty_name", "size_categories"}


def test_terms_of_others_are_not_called_imagenets(described: tuple[Entry, Files]) -> None:
    entry, _ = described
    for url in ("https://image-net.org.example.org/", "http://[x", ""):
        terms = Terms(f"Agree first. {url}", url)
        assert head(dataclasses.replace(entry, terms=terms))["license_name"] == "terms-of-access"


@pytest.mark.parametrize("name", ["no", "1e3", "a: b", "'", '"\\', "# x", "- ", "null", "é😀"])
def test_names_of_classes_are_text(described: tuple[Entry, Files], name: str) -> None:
    entry, _ = described
    row = ClassRow(0, name, "", "", {}, {}, {})
    changed = dataclasses.replace(entry, classes=(row,))
    [_, label] = head(changed)["dataset_info"]["features"]
    assert label["dtype"]["class_label"]["names"] == {"0": name}


def test_the_text_has_the_terms_before_the_path(described: tuple[Entry, Files]) -> None:
    entry, _ = described
    source = Source("/datashare/train.tar", 7, {}, "train.tar, by its MD5", ("train",))
    entry = dataclasses.replace(entry, built_from=(source,))
    text = card(entry, "Join the group.", "help@example.org").decode()
    places = [
        text.index(each)
        for each in (
            "Join the group.",
            "## Terms of access",
            "| train | 24 | 1,281,167 |",
            "tfds.load(",
            "* `/datashare/train.tar`, 7 bytes, train.tar, by its MD5",
            "@article{ILSVRC15",
            "help@example.org",
        )
    ]
    assert places == sorted(places)


def test_a_fence_in_a_text_does_not_end_its_block(described: tuple[Entry, Files]) -> None:
    entry, _ = described
    text = card(dataclasses.replace(entry, citation="a\n```\n# b"), "", "").decode()
    assert "````bibtex\na\n```\n# b\n````" in text
