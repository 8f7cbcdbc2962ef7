"""The small files of Hugging Face's datasets, as its library writes them itself."""

from __future__ import annotations

import json

import pytest

yaml = pytest.importorskip("yaml")

from imagenet_builders.formats.huggingface import documents  # noqa: E402
from imagenet_builders.formats.huggingface.documents import SplitFacts  # noqa: E402

CLASSES = ("n01440764", "no", "it's: one")
SPLITS = (SplitFacts("train", 1_281_167, 140_000), SplitFacts("validation", 50_000, 60_000))
LABEL = {"names": list(CLASSES), "_type": "ClassLabel"}


def test_each_split_says_what_its_files_are() -> None:
    assert json.loads(documents.dataset_dict(["train", "test"])) == {"splits": ["train", "test"]}
    state = json.loads(documents.state("train", {"data-00000-of-00001.arrow": "89abcdef"}))
    fingerprint = state.pop("_fingerprint")
    assert len(fingerprint) == 16
    assert int(fingerprint, 16) >= 0
    assert state == {
        "_data_files": [{"filename": "data-00000-of-00001.arrow"}],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": "train",
    }


def test_the_fingerprint_is_of_the_content() -> None:
    def fingerprint(split: str, checksum: str) -> str:
        return str(json.loads(documents.state(split, {"x": checksum}))["_fingerprint"])

    assert fingerprint("train", "0") == fingerprint("train", "0")
    assert len({fingerprint("train", "0"), fingerprint("train", "1"), fingerprint("x", "0")}) == 3


def test_the_info_has_the_features_and_all_splits() -> None:
    info = json.loads(documents.dataset_info("imagenet2012", "Images.", CLASSES, SPLITS))
    assert info["features"] == {"image": {"_type": "Image"}, "label": LABEL}
    assert {name: split["num_examples"] for name, split in info["splits"].items()} == {
        "train": 1_281_167,
        "validation": 50_000,
    }
    assert info["dataset_size"] == 200_000


def test_the_card_is_yaml_and_a_text() -> None:
    patterns = {"train": "data/train-*", "validation": "data/validation-*"}
    card = documents.card("ImageNet", "Said of it.", CLASSES, SPLITS, patterns).decode()
    _, head, text = card.split("---\n", 2)
    assert text == "\n# ImageNet\n\nSaid of it.\n"
    said = yaml.safe_load(head)
    assert said["dataset_info"]["features"] == [
        {"name": "image", "dtype": "image"},
        {
            "name": "label",
            "dtype": {"class_label": {"names": dict(zip("012", CLASSES, strict=True))}},
        },
    ]
    assert said["dataset_info"]["splits"][1] == {
        "name": "validation",
        "num_bytes": 60_000,
        "num_examples": 50_000,
    }
    assert said["dataset_info"]["dataset_size"] == 200_000
    assert said["size_categories"] == ["1M<n<10M"]
    files = [{"split": name, "path": pattern} for name, pattern in patterns.items()]
    assert said["configs"] == [{"config_name": "default", "data_files": files}]


@pytest.mark.parametrize(
    ("examples", "words"), [(0, "n<1K"), (1_000, "1K<n<10K"), (10**9 - 1, "100M<n<1B")]
)
def test_the_size_is_in_the_words_of_the_hub(examples: int, words: str) -> None:
    card = documents.card("x", "", CLASSES, [SplitFacts("train", examples, 0)], {}).decode()
    assert f"\n- {words}\n" in card
    assert "configs" not in card  # There are no files to name.
