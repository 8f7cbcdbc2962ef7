"""Thumbnails of examples: a few of each split, spread over all of it, always the same ones."""

from __future__ import annotations

import dataclasses
import io
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from imagenet_builders.catalog.features import ImageFeatures
from imagenet_builders.catalog.metadata import Described
from imagenet_builders.catalog.model import ClassRow, Picture
from imagenet_builders.catalog.survey import readable_by
from imagenet_builders.errors import ImagenetBuildersError, SourceError
from imagenet_builders.formats.tfrecord.example import Feature, parse
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.images import inspect
from imagenet_builders.images.pixels import pixels
from imagenet_builders.words import printable
from imagenet_builders.write.outputs.record_files import RecordFiles

FOLDER = "pictures"
"""The directory of thumbnails, in that of a page."""

_SIDE = 200
_QUALITY = 80

# The largest image of ImageNet has fewer; to decode so many takes some hundred megabytes.
_MOST_PIXELS = 100_000_000


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
    described: Described,
    classes: tuple[ClassRow, ...],
    count: int,
    failed: Callable[[Exception], None],
) -> Iterator[Thumbnail]:
    """Makes thumbnails of examples.

    Args:
        described: The dataset.
        classes: Its classes.
        count: How many of each split.
        failed: Told why an example has no thumbnail; the others have theirs.

    Yields:
        The thumbnails, split by split.
    """
    assert described.images is not None
    output = readable_by(described)
    if isinstance(output, str):
        failed(SourceError(output))
        return
    files = RecordFiles(output)
    for number, split in enumerate(described.splits):
        shards = split.shards(described.name, output.suffix)
        starts = list(accumulate(split.lengths, initial=0))
        for place in _spread(split.examples, count, number):
            shard = bisect_right(starts, place) - 1
            path = str(described.directory / shards[shard])
            try:
                [record] = files.read(path, [place - starts[shard]], split.lengths[shard])
                made = _thumbnail(
                    _example(record),
                    split.name,
                    place,
                    f"{FOLDER}/{number}-{place}",
                    described.images,
                    classes,
                )
            except (ImagenetBuildersError, OSError) as error:
                failed(error)
            else:
                yield made


def _spread(total: int, count: int, number: int) -> list[int]:
    """Places from 0 to `total`, evenly spaced; in each split they begin elsewhere."""
    count = min(count, total)
    return [(each * total + total * (number % 7) // 7) // count for each in range(count)]


def _example(record: bytes) -> dict[str, Feature]:
    try:
        return parse(record)
    except DamageError as error:
        raise SourceError(f"the record is no example: {error}") from None


def _thumbnail(
    example: Mapping[str, Feature],
    split: str,
    place: int,
    file: str,
    names: ImageFeatures,
    classes: tuple[ClassRow, ...],
) -> Thumbnail:
    [number, *_] = _values(example, names.label, "int64") or [-1]
    label = int(number) if 0 <= number < len(classes) else -1
    [image, *_] = _values(example, names.image, "bytes") or [b""]
    content, ending, width, height = _small(image)
    return Thumbnail(
        Picture(
            split=split,
            key=_key(example, place),
            label=label,
            words=(classes[label].words or classes[label].wnid) if label >= 0 else "",
            boxes=_boxes(_values(example, names.boxes, "float")),
            file=f"{file}.{ending}",
            width=width,
            height=height,
        ),
        content,
    )


def _values(example: Mapping[str, Feature], name: str | None, kind: str) -> list[Any]:
    """The values of a feature; none where it is not there, or of another kind."""
    feature = example.get(name) if name is not None else None
    return list(feature.values) if feature is not None and feature.kind == kind else []


def _key(example: Mapping[str, Feature], place: int) -> str:
    for name in ("file_name", "id"):
        for value in _values(example, name, "bytes"):
            return printable(value.decode(errors="backslashreplace"))
    return f"example {place:,}"


def _boxes(corners: list[float]) -> tuple[tuple[float, float, float, float], ...]:
    within = [round(min(max(each, 0.0), 1.0), 4) for each in corners]
    return tuple(
        (ymin, xmin, ymax, xmax)
        for ymin, xmin, ymax, xmax in zip(*[iter(within)] * 4, strict=False)
        if ymax > ymin and xmax > xmin
    )


def _small(image: bytes) -> tuple[bytes, str, int, int]:
    """A thumbnail, its ending, its width and its height; small images stay as they are."""
    from PIL import Image

    facts = inspect(image)
    if facts.width * facts.height > _MOST_PIXELS:
        raise SourceError(
            f"it would have {facts.width:,} x {facts.height:,} pixels, more than are decoded here"
        )
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
