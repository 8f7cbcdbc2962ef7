"""Checks one example: its features, its key, and its image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from imagenet_builders import images
from imagenet_builders.datasets.description import Dataset, LabelOf
from imagenet_builders.formats.tfrecord.example import Feature
from imagenet_builders.images import ImageFacts
from imagenet_builders.verify.metadata import Field
from imagenet_builders.verify.problems import REBUILD, REBUILD_DECODED

_PROTO_KINDS = {"image": "bytes", "text": "bytes", "label": "int64", "bbox": "float"}


class Finding(NamedTuple):
    """Something wrong with an example.

    Attributes:
        what: What is wrong, in words.
        expected: What should be there, or None.
        found: What is there, or None.
        advice: What to do.
    """

    what: str
    expected: str | None = None
    found: str | None = None
    advice: str = REBUILD


def check_features(
    features: Mapping[str, Feature], fields: Sequence[Field], about: Dataset | None, split: str
) -> Iterator[Finding]:
    """Checks the features of an example, except its image and its key.

    Args:
        features: The example.
        fields: What its features should be.
        about: The dataset, or None where it is not known.
        split: Its split.

    Yields:
        One finding for each thing that is wrong.
    """
    names = {field.path for field in fields}
    for name in features:
        if name not in names:
            yield Finding(f"a feature {name[:60]!a} that the dataset does not have")
    lengths: dict[str, tuple[str, int]] = {}
    for field in fields:
        feature = features.get(field.path)
        if feature is None:
            yield Finding(f"the feature {field.path} is missing")
            continue
        kind = _PROTO_KINDS[field.kind]
        if feature.kind != kind:
            yield Finding(f"{field.path} is of another type", kind, feature.kind)
            continue
        size = 4 if field.kind == "bbox" else 1
        count, rest = divmod(len(feature.values), size)
        if rest or (field.sequence is None and count != 1):
            wanted = f"{size}" if field.sequence is None else f"a multiple of {size}"
            found = f"{len(feature.values)}"
            yield Finding(f"{field.path} has another number of values", wanted, found)
            continue
        if field.sequence is not None:
            other, length = lengths.setdefault(field.sequence, (field.path, count))
            if length != count:
                yield Finding(
                    f"{field.path} and {other} have different lengths", str(length), str(count)
                )
        if field.kind == "bbox":
            yield from _check_boxes(field, feature, about, split)
        elif field.kind == "label":
            least = -1 if field.sequence is None else 0
            for value in map(int, feature.values):
                if not least <= value < field.classes:
                    yield Finding(
                        f"{field.path} is not a label",
                        f"{least} to {field.classes - 1}",
                        f"{value}",
                    )
                    break


def _check_boxes(
    field: Field, feature: Feature, about: Dataset | None, split: str
) -> Iterator[Finding]:
    numbers = [float(value) for value in feature.values]
    for start in range(0, len(numbers), 4):
        box = numbers[start : start + 4]
        ymin, xmin, ymax, xmax = box
        inside = all(math.isfinite(value) and 0 <= value <= 1 for value in box)
        flat = about is not None and about.flat_boxes
        if flat and split == "test":
            right = not any(box)
        else:
            right = inside and (
                (ymin <= ymax and xmin <= xmax) if flat else (ymin < ymax and xmin < xmax)
            )
        if not right:
            wanted = "zeros" if flat and split == "test" else "ymin, xmin, ymax, xmax from 0 to 1"
            yield Finding(f"{field.path} is not a box", wanted, str(box))
            return


def check_key(key: bytes, label: int | None, feature: str, label_of: LabelOf) -> Iterator[Finding]:
    """Checks the key of an example, and its label by the key.

    Args:
        key: The key.
        label: The label, or None where the example has no single one.
        feature: Name of the feature that is the key.
        label_of: Gives the label that a key of the split implies.

    Yields:
        One finding for each thing that is wrong.
    """
    try:
        text = key.decode("utf-8")
        expected = label_of(text)
    except UnicodeDecodeError:
        yield Finding(f"{feature} is not UTF-8", found=ascii(key[:60]))
        return
    except ValueError as error:
        what = f"{feature} is not one of this split: {error}"
        yield Finding(what, found=ascii(text[:60]))
        return
    if label is None:
        return
    if expected is not None and label != expected:
        yield Finding(f"the label does not agree with {text}", str(expected), str(label))
    elif expected is None and label < 0:
        yield Finding(f"{text} has no label", "a class", str(label))


def check_image(data: bytes, field: Field, *, decode: bool) -> Iterator[Finding]:
    """Checks an image.

    Args:
        data: Its bytes.
        field: What it should be.
        decode: Decode every pixel of it, whatever its markers are.

    Yields:
        One finding at most.
    """
    facts = images.inspect(data)
    wanted = field.encoding or "jpeg or png"
    if facts.problem is not None:
        yield Finding("the image is damaged", f"a whole {wanted}", facts.problem)
    elif facts.format not in ([field.encoding] if field.encoding else ["jpeg", "png"]):
        yield Finding("the image is of another format", wanted, facts.format)
    elif facts.components == 4 and facts.format == "jpeg":
        yield Finding("the image cannot be read by TensorFlow", "RGB or grey", "CMYK")
    elif not _has_shape(facts, field):
        shape = " x ".join("any" if size is None else str(size) for size in field.shape)
        found = f"{facts.height} x {facts.width} x {facts.components}"
        yield Finding("the image has another shape", shape, found)
    elif decode or facts.stray_marker is not None:
        decoded = images.decode(data, facts)
        if decoded.problem is not None:
            what, damage = "the image cannot be decoded", decoded.problem
            yield Finding(what, f"a whole {wanted}", damage, REBUILD_DECODED)
        elif decode and decoded.lost is not None:
            what, damage = "pixels of the image are lost", decoded.lost
            yield Finding(what, f"a whole {wanted}", damage, REBUILD_DECODED)


def _has_shape(facts: ImageFacts, field: Field) -> bool:
    if not field.shape:
        return True
    height, width, channels = field.shape
    # A grey JPEG is read as three equal channels.
    grey = facts.format == "jpeg" and facts.components == 1
    return (
        height in (None, facts.height)
        and width in (None, facts.width)
        and (grey or channels in (None, facts.components))
    )
