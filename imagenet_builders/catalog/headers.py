"""Reads of a shard what the headers of its images say: no pixel is decoded.

Where the place of each record is known, some kilobytes of it are read, however large the image.
"""

from __future__ import annotations

import dataclasses
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

from imagenet_builders.catalog.features import ImageFeatures
from imagenet_builders.errors import SourceError
from imagenet_builders.files.regular import open_regular, read_regular
from imagenet_builders.formats.tfrecord.example_values import Kind, Span
from imagenet_builders.formats.tfrecord.example_window import Features, Window
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.images import ImageFacts, inspect
from imagenet_builders.run.jobs import Report
from imagenet_builders.words import counted
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.output import Output, RecordFile, RecordFileError

# Most headers end within the first of these; a colour profile may be in the way.
_HEADS = (2048, 1 << 16, 1 << 20)
_MAX_INDEX_BYTES = 1 << 28
_AT_ONCE = 64
_AT_ONCE_BYTES = 1 << 26
_REPORT_EVERY = 1000

_CHANNELS = {1: "grey", 2: "grey with alpha", 3: "colour", 4: "CMYK"}
_WITH_ALPHA = "colour with alpha"


@dataclasses.dataclass(frozen=True)
class HeadersJob:
    """A shard to read.

    Attributes:
        path: Its file.
        output: What reads it.
        examples: Number of its records according to the metadata.
        features: The features to look at.
        number: Whose job it is, for the one who asked.
    """

    path: str
    output: Output
    examples: int
    features: ImageFeatures
    number: int


@dataclasses.dataclass
class Headers:
    """What the images of a shard are like; a value for each that could be read.

    Attributes:
        number: As in the job.
        records: Number of records that were looked at.
        widths: Widths in pixels.
        heights: Heights in pixels.
        sizes: Bytes of the image files.
        labels: Labels, of every record that has one.
        boxes: Number of boxes of each record.
        areas: Area of each box, as a part of the image's.
        kinds: Kind of image, in words, to number of images.
        unreadable: Number of images whose header says nothing.
        problem: Why the rest of the shard could not be read, or None.
    """

    number: int
    records: int = 0
    widths: array[int] = dataclasses.field(default_factory=lambda: array("I"))
    heights: array[int] = dataclasses.field(default_factory=lambda: array("I"))
    sizes: array[int] = dataclasses.field(default_factory=lambda: array("I"))
    labels: array[int] = dataclasses.field(default_factory=lambda: array("q"))
    boxes: array[int] = dataclasses.field(default_factory=lambda: array("I"))
    areas: array[float] = dataclasses.field(default_factory=lambda: array("f"))
    kinds: dict[str, int] = dataclasses.field(default_factory=dict)
    unreadable: int = 0
    problem: str | None = None


def read_headers(job: HeadersJob, report: Report) -> Headers:
    """Reads the headers of a shard's images.

    Args:
        job: The shard.
        report: Told of images that are done.

    Returns:
        What they say; with the problem, if the shard is damaged or is not there.
    """
    found = Headers(job.number)
    told = 0
    try:
        for window, begin, end in _records(job):
            _look(found, job.features, window, begin, end)
            if found.records - told >= _REPORT_EVERY:
                report(found.records - told, 0)
                told = found.records
        if found.records != job.examples:
            found.problem = (
                f"{job.path} has {counted(found.records, 'record')} and not {job.examples:,}, as "
                "the metadata say; `imagenet-builders verify` says more"
            )
    except (OSError, RecordFileError, DamageError, SourceError) as error:
        words = getattr(error, "strerror", None) or error
        found.problem = f"{job.path} cannot be read: {words}; `imagenet-builders verify` says more"
    report(max(0, job.examples - told), 0)
    return found


def _records(job: HeadersJob) -> Iterator[tuple[Window, int, int]]:
    """Where each record can be seen: a window, and its first byte and its end in that."""
    assert job.output.open is not None
    file = job.output.open(job.path, _indexed(job))
    if file.offsets is None:
        yield from _whole_records(file)
        return
    fd = open_regular(job.path, follow=True)
    try:
        # Cold storage would read far beyond the few kilobytes.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        window = Window(fd, os.fstat(fd).st_size)
        places = zip(file.offsets.offsets.tolist(), file.offsets.sizes.tolist(), strict=True)
        for offset, size in places:
            yield window, offset, offset + size
    finally:
        os.close(fd)


def _whole_records(file: RecordFile) -> Iterator[tuple[Window, int, int]]:
    """Records that only a library finds in their file, which it reads as a whole."""
    count, first, most = len(file), 0, 1
    while first < count:
        records = file.read(range(first, min(first + most, count)))
        first += most
        # They are compressed, so the size of the file tells nothing of what they take.
        largest = max(map(len, records), default=0)
        most = max(1, min(2 * most, _AT_ONCE, _AT_ONCE_BYTES // max(1, largest)))
        for record in records:
            yield Window.over(record), 0, len(record)


def _indexed(job: HeadersJob) -> RecordOffsets | None:
    """The places of the records by the index that was built with them."""
    index = job.output.index
    if index is None:
        return None
    directory, name = os.path.split(job.path)
    try:
        content = read_regular(Path(directory, index.name_of(name)), _MAX_INDEX_BYTES, follow=True)
    except OSError:
        return None
    offsets = index.parse(content)
    return offsets if offsets is not None and len(offsets) == job.examples else None


def _look(found: Headers, names: ImageFeatures, window: Window, begin: int, end: int) -> None:
    reader = _reader(names)
    there = reader.read(window, begin, end)
    found.records += 1
    if names.label is not None:
        labels = there.get(_name(names.label)) or (-1,)
        found.labels.append(labels[0])
    boxes = 0
    if names.boxes is not None:
        corners = there.get(_name(names.boxes)) or ()
        boxes = len(corners) // 4
        for ymin, xmin, ymax, xmax in zip(*[iter(corners)] * 4, strict=False):
            area = max(0.0, ymax - ymin) * max(0.0, xmax - xmin)
            if names.is_flat and not area:  # A box of zeros stands for none.
                boxes = 0
            else:
                found.areas.append(min(area, 1.0))
        found.boxes.append(boxes)
    place = there.get(_name(names.image))
    facts = _facts(window, place) if isinstance(place, Span) else None
    if facts is None or not facts.width or not facts.height:
        found.unreadable += 1
        return
    assert isinstance(place, Span)
    found.widths.append(min(facts.width, 0xFFFFFFFF))
    found.heights.append(min(facts.height, 0xFFFFFFFF))
    found.sizes.append(min(place.size, 0xFFFFFFFF))
    kind = _kind(facts)
    found.kinds[kind] = found.kinds.get(kind, 0) + 1


def _facts(window: Window, place: Span) -> ImageFacts | None:
    """What the header of an image says."""
    for most in _HEADS:
        facts = inspect(window.get(place.offset, min(most, place.size)))
        if facts.width or most >= place.size or facts.format not in ("jpeg", "png"):
            return facts
    return None


def _kind(facts: ImageFacts) -> str:
    channels = _CHANNELS.get(facts.components, f"{facts.components} channels")
    if facts.components == 4 and facts.format != "jpeg":
        channels = _WITH_ALPHA
    return f"{facts.format.upper()}, {channels}"


def _name(feature: str) -> bytes:
    """The name of a feature in a record; of what is no text, one that no record has."""
    return feature.encode(errors="backslashreplace")


_readers: dict[ImageFeatures, Features] = {}


def _reader(names: ImageFeatures) -> Features:
    """What reads the features of examples; the same one for all of a dataset, as it remembers."""
    reader = _readers.get(names)
    if reader is None:
        wanted = {_name(names.image): Kind.PLACE}
        repeating = []
        if names.label is not None:
            wanted[_name(names.label)] = Kind.INTS
            repeating.append(_name(names.label))
        if names.boxes is not None:
            wanted[_name(names.boxes)] = Kind.FLOATS
        reader = _readers[names] = Features(wanted, frozenset(repeating))
    return reader
