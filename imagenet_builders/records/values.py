"""The values of an example: from its record, and as programs take them.

What features a built dataset has, its `features.json` says. A feature in another one has a path
such as `objects/bbox`, and is a dictionary's entry in the end.

Source: `core/features/` of TensorFlow Datasets 4.9.10, for the types of the values.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imagenet_builders.errors import SourceError
from imagenet_builders.formats.tfrecord.example import Feature, FlatExample, parse
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.words import counted

Flat = Mapping[str, Any]
"""Path of a feature to its value; an image is its bytes."""

IMAGE = "image"

_NUMBERS = {"int64": "int64", "float": "float32"}


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A feature that holds no others.

    Attributes:
        path: Its path.
        kind: `image`, `text` or `number`.
        dtype: The type of its numbers.
        shape: Their shape in one example, without the first dimension of a sequence.
        is_sequence: Whether an example has any number of them.
    """

    path: str
    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    is_sequence: bool = False


def leaves(features: Mapping[str, Any], path: str = "", in_sequence: bool = False) -> list[Leaf]:
    """The features that a `features.json` describes.

    Args:
        features: Its content.
        path: Path of what it describes.
        in_sequence: Whether that is in a sequence.

    Raises:
        ValueError: It has features that this package does not write, or is damaged.
    """
    try:
        if "featuresDict" in features:
            return [
                leaf
                for name, each in features["featuresDict"]["features"].items()
                for leaf in leaves(each, f"{path}/{name}".lstrip("/"), in_sequence)
            ]
        if "sequence" in features and not in_sequence:
            return leaves(features["sequence"]["feature"], path, True)
        if "image" in features and not in_sequence:
            return [Leaf(path, IMAGE, "uint8", _shape(features["image"]))]
        if "text" in features:
            return [Leaf(path, "text", is_sequence=in_sequence)]
        if "classLabel" in features:
            return [Leaf(path, "number", "int64", is_sequence=in_sequence)]
        if "boundingBox" in features:
            return [Leaf(path, "number", "float32", (4,), in_sequence)]
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ValueError("features.json is damaged") from None
    kind = str(features.get("pythonClassName", "")).rpartition(".")[2] or "unknown"
    raise ValueError(f"the feature {path or '/'} is a {kind}, which this package does not write")


def _shape(image: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(map(int, image["shape"]["dimensions"]))


def flat_of_record(record: bytes, features: Sequence[Leaf]) -> dict[str, Any]:
    """The values in a serialized example.

    Args:
        record: The example.
        features: The features that it must have.

    Returns:
        Values, in the order of the features.

    Raises:
        SourceError: It has others.
    """
    try:
        there = parse(record)
    except DamageError as error:
        raise SourceError(f"the record is no example: {error}") from None
    return {leaf.path: _value(leaf, there.get(leaf.path)) for leaf in features}


def _value(leaf: Leaf, feature: Feature | None) -> Any:
    import numpy as np

    if leaf.kind == "number":
        values = feature.values if feature is not None and feature.kind in _NUMBERS else None
        if values is None and not leaf.is_sequence:
            raise SourceError(f"the record has no feature {leaf.path}")
        numbers = np.array(values if values is not None else [], leaf.dtype)
        if leaf.is_sequence:
            return numbers.reshape(-1, *leaf.shape)
        if numbers.size != np.prod(leaf.shape, dtype=int):
            raise SourceError(f"the record has {counted(numbers.size, 'value')} of {leaf.path}")
        return numbers.reshape(leaf.shape) if leaf.shape else int(numbers[0])
    texts = feature.values if feature is not None and feature.kind == "bytes" else []
    if leaf.is_sequence:
        return np.array(texts, object)
    if len(texts) != 1:
        raise SourceError(f"the record has {counted(len(texts), 'value')} of {leaf.path}")
    return texts[0]


def flat_of_example(example: FlatExample) -> dict[str, Any]:
    """The values of an example that was made from archives, of the same types."""
    import numpy as np

    def value(each: Any) -> Any:
        if isinstance(each, str):
            return each.encode()
        if isinstance(each, np.ndarray):
            return each.astype("float32" if each.dtype.kind == "f" else "int64")
        return each

    return {path: value(example[path]) for path in sorted(example)}


def nested(flat: Flat, decode: Callable[[bytes], Any] | None) -> dict[str, Any]:
    """An example as programs take it.

    Args:
        flat: Its values.
        decode: Makes pixels of an image's bytes; None leaves them.

    Returns:
        A dictionary, in which a feature with others is one again.
    """
    example: dict[str, Any] = {}
    for path, value in flat.items():
        *above, name = path.split("/")
        where = functools.reduce(lambda outer, each: outer.setdefault(each, {}), above, example)
        is_image = decode is not None and path == IMAGE
        where[name] = decode(value) if is_image and decode is not None else value
    return example
