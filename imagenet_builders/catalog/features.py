"""What `features.json` says: as TensorFlow Datasets prints it, and which features have images.

Unlike what reads examples, it takes every kind of feature, of newer versions too: what it does not
know it shows by its name.

Source: `__repr__` in `core/features/` of TensorFlow Datasets 4.9.10.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from imagenet_builders.words import is_printable

# Deeper than any dataset; Python could not print a document that somebody nested without end.
_MAX_DEPTH = 20
_MAX_TEXT = 20_000

_MORE = "..."


@dataclasses.dataclass(frozen=True)
class ImageFeatures:
    """The names of the features that an image's statistics are about.

    Attributes:
        image: The image.
        label: Its class, or None.
        boxes: Its bounding boxes, or None.
        is_flat: Whether it has exactly one box, and no sequence of them.
        classes: Number of its classes; 0 where it is not known.
    """

    image: str
    label: str | None
    boxes: str | None
    is_flat: bool
    classes: int


def printed(features: Mapping[str, Any]) -> str:
    """Features as TensorFlow Datasets prints them.

    Args:
        features: The content of `features.json`.
    """
    text = _printed(features, 0)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\n{_MORE}"


def image_features(features: Mapping[str, Any]) -> ImageFeatures | None:
    """The features of an image, its class and its boxes; None for a dataset without images.

    Args:
        features: The content of `features.json`.
    """
    # Nothing was encoded under a name that does not show, such as a part of a character.
    leaves = [each for each in _leaves(features, "", False, 0) if is_printable(each[0])]
    images = [path for path, kind, in_sequence, _ in leaves if kind == "image" and not in_sequence]
    if not images:
        return None
    labels = [each for each in leaves if each[1] == "classLabel" and not each[2]]
    labels.sort(key=lambda each: each[0] != "label")
    boxes = [(path, in_sequence) for path, kind, in_sequence, _ in leaves if kind == "boundingBox"]
    path, in_sequence = boxes[0] if boxes else (None, False)
    return ImageFeatures(
        image="image" if "image" in images else images[0],
        label=labels[0][0] if labels else None,
        boxes=path,
        is_flat=path is not None and not in_sequence,
        classes=labels[0][3] if labels else 0,
    )


def _leaves(
    feature: Any, path: str, in_sequence: bool, depth: int
) -> Iterator[tuple[str, str, bool, int]]:
    """Path, kind, whether it is in a sequence, and number of classes of each inner feature."""
    if not isinstance(feature, Mapping) or depth > _MAX_DEPTH:
        return
    inner = _inner(feature)
    if inner is not None:
        for name, each in inner.items():
            yield from _leaves(each, f"{path}/{name}".lstrip("/"), in_sequence, depth + 1)
        return
    sequence = feature.get("sequence")
    if isinstance(sequence, Mapping):
        yield from _leaves(sequence.get("feature"), path, True, depth + 1)
        return
    for kind in ("image", "classLabel", "boundingBox"):
        if isinstance(feature.get(kind), Mapping):
            yield path, kind, in_sequence, _number(feature[kind].get("numClasses")) or 0


def _inner(feature: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The features in a dictionary of features; None for another one."""
    of_dict = feature.get("featuresDict")
    inner = of_dict.get("features") if isinstance(of_dict, Mapping) else None
    return inner if isinstance(inner, Mapping) else None


def _printed(feature: Any, depth: int) -> str:
    if not isinstance(feature, Mapping) or depth > _MAX_DEPTH:
        return _MORE
    name = str(feature.get("pythonClassName", "")).rpartition(".")[2] or "Feature"
    inner = _inner(feature)
    if inner is not None:
        lines = [f"{name}({{"]
        for key in sorted(inner):
            text = f"'{key}': {_inner_printed(inner[key], depth + 1)},"
            lines += (f"    {line}" for line in text.split("\n"))
        return "\n".join([*lines, "})"])
    sequence = feature.get("sequence")
    if isinstance(sequence, Mapping):
        text = _inner_printed(sequence.get("feature"), depth + 1)
        return (
            f"{name}({text.removeprefix('FeaturesDict(').removesuffix(')')})"
            if (text.startswith("FeaturesDict("))
            else f"{name}({text})"
        )
    facts = _facts(feature)
    if "video" in feature and facts.get("shape", "").count(",") == 3:
        frame = facts["shape"].partition(", ")[2]
        return f"{name}(Image(shape=({frame}, dtype={facts['dtype']}))"
    return f"{name}({', '.join(f'{key}={value}' for key, value in facts.items())})"


def _inner_printed(feature: Any, depth: int) -> str:
    """A feature in another one: a plain number is its type alone."""
    if isinstance(feature, Mapping):
        name = str(feature.get("pythonClassName", "")).rpartition(".")[2]
        facts = _facts(feature)
        if name in ("Tensor", "Scalar") and facts.get("shape") == "()" and len(facts) == 2:
            return facts["dtype"]
    return _printed(feature, depth)


def _facts(feature: Mapping[str, Any]) -> dict[str, str]:
    """What is printed of a feature without others."""
    if "text" in feature:
        return {"shape": "()", "dtype": "string"}
    if isinstance(label := feature.get("classLabel"), Mapping):
        facts = {"shape": "()", "dtype": "int64"}
        classes = _number(label.get("numClasses"))
        return facts if classes is None else facts | {"num_classes": str(classes)}
    for value in feature.values():
        if isinstance(value, Mapping) and ("shape" in value or "dtype" in value):
            return {"shape": _shape(value.get("shape")), "dtype": str(value.get("dtype", _MORE))}
    return {}


def _shape(shape: Any) -> str:
    dimensions = shape.get("dimensions") if isinstance(shape, Mapping) else None
    if not isinstance(dimensions, list):
        return "()"
    sizes = [_number(each) for each in dimensions]
    return str(tuple(None if size is None or size < 0 else size for size in sizes))


def _number(text: Any) -> int | None:
    try:
        return int(text)
    except (TypeError, ValueError, OverflowError):
        return None
