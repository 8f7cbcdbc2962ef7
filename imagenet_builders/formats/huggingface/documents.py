"""The small files of a dataset: what `load_from_disk` reads beside the images, and the card.

Source: `arrow_dataset.py`, `dataset_dict.py`, `info.py` and `utils/metadata.py` of `datasets`
5.2.0; https://huggingface.co/docs/hub/datasets-manual-configuration.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from imagenet_builders.formats.huggingface.features import features
from imagenet_builders.words import is_printable

_PLAIN = re.compile("[A-Za-z][A-Za-z0-9_]*")
# What YAML takes for a truth or for nothing.
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """A split.

    Attributes:
        name: Its name.
        examples: Number of its images.
        size: Bytes of the images and their labels.
    """

    name: str
    examples: int
    size: int


def dataset_dict(splits: Sequence[str]) -> bytes:
    """`dataset_dict.json`: the names of the splits, each of which is a directory."""
    return json.dumps({"splits": list(splits)}).encode()


def dataset_info(
    name: str, text: str, classes: Sequence[str], splits: Sequence[SplitFacts]
) -> bytes:
    """`dataset_info.json` of each split.

    Args:
        name: Name of the dataset.
        text: What is said of it.
        classes: The names of the classes, in the order of their numbers.
        splits: All splits.
    """
    said: dict[str, object] = {
        "citation": "",
        "dataset_name": name,
        "dataset_size": sum(split.size for split in splits),
        "description": text,
        "features": features(classes),
        "homepage": "",
        "license": "",
        "splits": {
            split.name: {
                "name": split.name,
                "num_bytes": split.size,
                "num_examples": split.examples,
                "dataset_name": name,
            }
            for split in splits
        },
    }
    return _json(said)


def state(split: str, files: Mapping[str, str]) -> bytes:
    """`state.json` of a split.

    Args:
        split: Its name.
        files: The names of its files, in order, with their checksums.
    """
    told = json.dumps([split, list(files.items())])
    said: dict[str, object] = {
        "_data_files": [{"filename": name} for name in files],
        "_fingerprint": hashlib.sha256(told.encode()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    return _json(said)


def card(
    title: str,
    text: str,
    classes: Sequence[str],
    splits: Sequence[SplitFacts],
    data_files: Mapping[str, str],
) -> bytes:
    """`README.md`: what the library and the Hub read at its head, and a text for people.

    Args:
        title: The heading.
        text: The text, in Markdown.
        classes: The names of the classes, in the order of their numbers.
        splits: The splits.
        data_files: The pattern of each split's Parquet files, if there are any.
    """
    lines = _head(classes, splits, data_files)
    return ("\n".join(["---", *lines, "---", "", f"# {title}", "", text.strip()]) + "\n").encode()


def _head(
    classes: Sequence[str], splits: Sequence[SplitFacts], data_files: Mapping[str, str]
) -> Iterator[str]:
    examples, size = sum(each.examples for each in splits), sum(each.size for each in splits)
    yield from ("license: other", "task_categories:", "- image-classification")
    yield from ("size_categories:", f"- {size_category(examples)}")
    yield from ("dataset_info:", "  features:", "  - name: image", "    dtype: image")
    yield from ("  - name: label", "    dtype:", "      class_label:", "        names:")
    for number, name in enumerate(classes):
        yield f"          '{number}': {scalar(name)}"
    yield "  splits:"
    for split in splits:
        yield f"  - name: {scalar(split.name)}"
        yield f"    num_bytes: {split.size}"
        yield f"    num_examples: {split.examples}"
    yield from (f"  download_size: {size}", f"  dataset_size: {size}")
    if data_files:
        yield from ("configs:", "- config_name: default", "  data_files:")
    for name, pattern in data_files.items():
        yield f"  - split: {scalar(name)}"
        yield f"    path: {json.dumps(pattern)}"


def scalar(text: str) -> str:
    """Text in YAML, in quotes where it would be read as something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # YAML does not know JSON's pairs of surrogates.
    return json.dumps(text, ensure_ascii=not is_printable(text))


def size_category(examples: int) -> str:
    """The Hub's word for a number of examples.

    >>> size_category(999), size_category(1_431_167)
    ('n<1K', '1M<n<10M')
    """
    words = ["1K", "10K", "100K", "1M", "10M", "100M"]
    above = [word for word, size in zip(words, _SIZES, strict=True) if examples >= size]
    if not above:
        return f"n<{words[0]}"
    if len(above) == len(words):
        return "100M<n<1B"
    return f"{above[-1]}<n<{words[len(above)]}"


def _json(said: Mapping[str, object]) -> bytes:
    return (json.dumps(said, indent=2) + "\n").encode()
