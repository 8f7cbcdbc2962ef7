"""The form `slim`: TFRecords as TensorFlow's slim makes them, which MLPerf's ResNet-50 trains from.

A record of `train-00000-of-01024` or `validation-00000-of-00128` has the image, its size, file
name, label, wnid and words, and the sides of its boxes, from 0 to 1. Labels count from 1; 0, which
slim calls background, is that of images without a label, which have no wnid and no words. Images
are those of the dataset: JPEG as they came, but for the 23 that a build repairs. A dataset of PNG
images has these, and says so in `image/format`.

Beside the shards lies the index of each for DALI, in `dali_index/`.

Source: `research/slim/datasets/build_imagenet_data.py` of tensorflow/models;
`image_classification/tensorflow2/imagenet_preprocessing.py` of mlcommons/training.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from imagenet_builders import labels
from imagenet_builders.errors import LabelError, SourceError
from imagenet_builders.export.form import Form, Part, Subject, image_of
from imagenet_builders.export.pictures import facts_of
from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.formats.tfrecord.example import FlatExample, before_bytes, serialize
from imagenet_builders.formats.tfrecord.wire import encode_varint
from imagenet_builders.write.laid_out import LaidOutFile
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.outputs import tfrecord
from imagenet_builders.write.outputs.output import Written, WrittenFile, place_in
from imagenet_builders.write.unread import Unread, unread_image

_PARTS = {"train": 1024}
_OTHER_PARTS = 128

# What TFDS's form does not have: six texts and numbers, empty lists, and the names of features.
_BYTES_A_RECORD = 640

# A side whose number takes two bytes, as those from 128 to 16,383 do.
_SIDE = 128


def parts(split: str, examples: int) -> int:
    """As many shards as MLPerf's reader asks for; see `Form.parts`."""
    del examples
    return _PARTS.get(split, _OTHER_PARTS)


def write(
    subject: Subject, part: Part, directory: Path, examples: Iterable[FlatExample]
) -> Written:
    """Writes a shard and its index; see `Form.write`.

    Raises:
        SourceError: An example has no name, no image, or a label of no class.
        TargetError: A file cannot be written.
    """
    index = tfrecord.OUTPUT.index
    assert index is not None
    shard = f"{part.split}-{part.number:05}-of-{part.count:05}"
    sizes = array("I")
    with LaidOutFile(directory / shard) as file:
        for example in examples:
            length = _write_one(file, subject, example)
            if length is not None:
                sizes.append(length)
    files = [WrittenFile(shard, file.size, file.crc32c)]
    content = index.make(tfrecord.offsets_of(sizes))
    with NewFile(place_in(directory, index.name_of(shard))) as index_file:
        index_file.write([content], len(content))
    files.append(WrittenFile(index.name_of(shard), index_file.size, index_file.crc32c))
    return Written.of_files(len(sizes), sum(sizes), files)


def _write_one(file: LaidOutFile, subject: Subject, example: FlatExample) -> int | None:
    """Writes the record of an example; returns its bytes, or None if the image is left out."""
    image = unread_image(example)
    if image is not None:
        length = _put(file, subject, example, image)
        if length is not None:
            return length
        made = image.example()
        if made is None:
            return None
        example = made
    record = _record(subject, example)
    before, after, length = frame.frame(record)
    file.write([before, *record, after], length + frame.FRAME_BYTES)
    return length


def _record(subject: Subject, example: FlatExample) -> list[bytes]:
    """The record of an example, in buffers: what `serialize` makes of all features."""
    image = image_of(example)
    around = _Around(subject, example, len(image))
    facts = facts_of(around.name, image)
    after = around.after(facts.format.upper(), facts.width, facts.height)
    return [around.before(len(after)), image, after]


def _put(file: LaidOutFile, subject: Subject, example: FlatExample, image: Unread) -> int | None:
    """Has an image read to where it is to lie, and puts the rest of its record around it.

    What is before the image has the bytes of the record, so it must be known how many are behind.
    These depend on its sides in nothing but how long their numbers are.

    Returns:
        Bytes of the record; None for an image that cannot be put there.
    """
    try:
        around = _Around(subject, example, image.size)
    except SourceError:
        return None  # It is raised once it is known that the image is not left out.
    expected = len(around.after("JPEG", _SIDE, _SIDE))
    before = around.before(expected)
    start = frame.HEAD_BYTES + len(before)
    end = start + image.size
    tail = end + expected
    room = file.room(tail + frame.TAIL_BYTES)
    size = image.put(room[start:end])
    if size is None:
        return None
    after = around.after("JPEG", *size)
    if len(after) != expected:
        return None
    length = tail - frame.HEAD_BYTES
    room[: frame.HEAD_BYTES] = frame.head(length)
    room[frame.HEAD_BYTES : start] = before
    room[end:tail] = after
    frame.put_tail(room, tail, file.crc_of(frame.HEAD_BYTES, tail))
    file.add(tail + frame.TAIL_BYTES)
    return length


class _Around:
    """What stands around the image of an example in its record.

    Most of it is the same for all images of a class, of a size, or without boxes, and is made once:
    that takes a sixth of the time.
    """

    def __init__(self, subject: Subject, example: FlatExample, size: int):
        self.name, label = subject.file_name(example), subject.label(example)
        self._size = size
        wnid = subject.classes[label] if label >= 0 else ""
        self._before = _of_class(label + 1, wnid) + before_bytes("image/encoded", size)
        self._name = _of_name(self.name)
        self._boxes = _of_boxes(example, label)

    def before(self, after: int) -> bytes:
        """What goes before it, where so many bytes go behind."""
        return b"\x0a" + encode_varint(len(self._before) + self._size + after) + self._before

    def after(self, image_format: str, width: int, height: int) -> bytes:
        """What goes behind it."""
        return self._name + _of_picture(image_format, height) + self._boxes + _of_width(width)


def _features(features: FlatExample) -> bytes:
    """Features as an example has them, one behind the other in the order of their names."""
    return b"".join(serialize(features)[1:])


@functools.lru_cache(1 << 15)
def _of_class(number: int, wnid: str) -> bytes:
    """All features whose names come before that of the image."""
    return _features(
        {
            "image/channels": 3,
            "image/class/label": number,
            "image/class/synset": wnid,
            "image/class/text": _words(wnid),
            "image/colorspace": "RGB",
        }
    )


def _of_name(name: str) -> bytes:
    encoded = name.encode()
    return _before_name(len(encoded)) + encoded


@functools.lru_cache(1 << 10)
def _before_name(length: int) -> bytes:
    return _features({"image/filename": bytes(length)})[: -length or None]


@functools.lru_cache(1 << 12)
def _of_picture(image_format: str, height: int) -> bytes:
    return _features({"image/format": image_format, "image/height": height})


@functools.lru_cache(1 << 12)
def _of_width(width: int) -> bytes:
    return _features({"image/width": width})


def _of_boxes(example: FlatExample, label: int) -> bytes:
    boxes: object = example.get("objects/bbox")
    if boxes is not None:
        box_labels = np.asarray(example["objects/label"], np.int64)
    else:  # One of the image, if any; without a label, it says nothing.
        boxes = example.get("bbox") if label >= 0 else None
        if boxes is None:
            return _of_no_boxes()
        box_labels = np.full(1, label, np.int64)
    return _of_these(np.asarray(boxes).astype(np.float32).reshape(-1, 4), box_labels)


@functools.cache
def _of_no_boxes() -> bytes:
    return _of_these(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def _of_these(boxes: np.ndarray, box_labels: np.ndarray) -> bytes:
    return _features(
        {
            "image/object/bbox/ymin": boxes[:, 0],
            "image/object/bbox/xmin": boxes[:, 1],
            "image/object/bbox/ymax": boxes[:, 2],
            "image/object/bbox/xmax": boxes[:, 3],
            "image/object/bbox/label": box_labels + 1,
        }
    )


@functools.cache
def _words(wnid: str) -> str:
    try:
        return labels.words(wnid) if wnid else ""
    except LabelError:
        return ""


FORM = Form(
    name="slim",
    write=write,
    parts=parts,
    bytes_a_record=_BYTES_A_RECORD,
    grouped=True,
    unread=True,
)
"""TFRecords of slim."""
