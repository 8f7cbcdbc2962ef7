"""Thumbnails of examples: a few of each split, spread over all of it, always the same ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from imagenet_builders.catalog.metadata import Described
from imagenet_builders.catalog.model import ClassRow, Picture
from imagenet_builders.errors import ImagenetBuildersError
from imagenet_builders.images.pixels import pixels
from imagenet_builders.words import printable

if TYPE_CHECKING:
    from imagenet_builders.reading.built import BuiltExamples

FOLDER = "pictures"
"""The directory of thumbnails, in that of a page."""

_SIDE = 200
_QUALITY = 80


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """A picture and its file.

    Attributes:
        picture: What a page shows of it.
        content: The JPEG or, of few pixels, PNG.
    """

    picture: Picture
    content: bytes


def thumbnails(
    described: Described, classes: tuple[ClassRow, ...], count: int
) -> Iterator[Thumbnail]:
    """Makes thumbnails of examples.

    Args:
        described: The dataset.
        classes: Its classes.
        count: How many of each split.

    Yields:
        The thumbnails, split by split.

    Raises:
        SourceError: An example cannot be read, or has features that this package does not write.
    """
    from imagenet_builders.reading.built import BuiltExamples

    assert described.images is not None
    examples = BuiltExamples(described.directory)
    for number, split in enumerate(described.splits):
        total = sum(examples.lengths.get(split.name, ()))
        for place in _spread(total, count, number):
            yield _thumbnail(examples, split.name, place, described, classes)


def _spread(total: int, count: int, number: int) -> list[int]:
    """Places from 0 to `total`, evenly spaced; in each split they begin elsewhere."""
    count = min(count, total)
    return [(each * total + total * (number % 7) // 7) // count for each in range(count)]


def _thumbnail(
    examples: BuiltExamples,
    split: str,
    place: int,
    described: Described,
    classes: tuple[ClassRow, ...],
) -> Thumbnail:
    assert described.images is not None
    example = examples.flat(split, [place])[0]
    label = example.get(described.images.label or "", -1)
    label = int(label) if isinstance(label, int) and 0 <= label < len(classes) else -1
    content, ending, width, height = _small(example[described.images.image])
    return Thumbnail(
        Picture(
            split=split,
            key=_key(example, place),
            label=label,
            words=(classes[label].words or classes[label].wnid) if label >= 0 else "",
            boxes=_boxes(example, described.images.boxes),
            file=f"{FOLDER}/{split}-{place}.{ending}",
            width=width,
            height=height,
        ),
        content,
    )


def _key(example: Mapping[str, Any], place: int) -> str:
    for name in ("file_name", "id"):
        value = example.get(name)
        if isinstance(value, bytes):
            return printable(value.decode(errors="backslashreplace"))
    return f"example {place:,}"


def _boxes(
    example: Mapping[str, Any], feature: str | None
) -> tuple[tuple[float, float, float, float], ...]:
    import numpy as np

    if feature is None:
        return ()
    boxes = np.asarray(example.get(feature, ()), np.float64).reshape(-1, 4).clip(0.0, 1.0)
    return tuple(
        (ymin, xmin, ymax, xmax)
        for ymin, xmin, ymax, xmax in boxes.round(4).tolist()
        if ymax > ymin and xmax > xmin
    )


def _small(image: bytes) -> tuple[bytes, str, int, int]:
    """A thumbnail, its ending, its width and its height; small images stay as they are."""
    import io

    from PIL import Image

    opened = Image.fromarray(pixels(image, (_SIDE, _SIDE)))
    is_tiny = max(opened.size) <= _SIDE // 2
    if not is_tiny:
        opened.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    if is_tiny:
        opened.save(file, "PNG")
    else:
        opened.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue(), "png" if is_tiny else "jpg", *opened.size


READ_ERRORS = (ImagenetBuildersError, OSError)
"""What may go wrong with the examples of a dataset."""
