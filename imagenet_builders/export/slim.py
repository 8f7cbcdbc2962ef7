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
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from imagenet_builders import labels
from imagenet_builders.errors import LabelError
from imagenet_builders.export.form import Form, Part, Subject, image_of
from imagenet_builders.export.pictures import facts_of
from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.formats.tfrecord.example import FlatExample, serialize
from imagenet_builders.formats.tfrecord.wire import encode_varint
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs import tfrecord
from imagenet_builders.write.outputs.output import Written, WrittenFile, place_in

_PARTS = {"train": 1024}
_OTHER_PARTS = 128

# What TFDS's form does not have: six texts and numbers, empty lists, and the names of features.
_BYTES_A_RECORD = 640


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
    places, sizes = array("q"), array("I")
    at = 0
    with NewFile(directory / shard) as file:
        for record in _records(subject, examples):
            before, after, length = frame.frame(record)
            file.write([before, *record, after], length + frame.FRAME_BYTES)
            places.append(at + frame.HEAD_BYTES)
            sizes.append(length)
            at += length + frame.FRAME_BYTES
    files = [WrittenFile(shard, file.size, file.crc32c)]
    content = index.make(RecordOffsets.of(np.array(places), np.array(sizes)))
    with NewFile(place_in(directory, index.name_of(shard))) as index_file:
        index_file.write([content], len(content))
    files.append(WrittenFile(index.name_of(shard), index_file.size, index_file.crc32c))
    return Written.of_files(len(sizes), sum(sizes), files)


def _records(subject: Subject, examples: Iterable[FlatExample]) -> Iterator[list[bytes]]:
    """The records of examples, in buffers.

    They are what `serialize` makes of all features. Most of a record is the same for all images of
    a class, of a size, or without boxes, and is made once: that takes a sixth of the time.
    """
    for example in examples:
        name, label, image = subject.file_name(example), subject.label(example), image_of(example)
        facts = facts_of(name, image)
        before, data = _of_image(image)
        before = _of_class(label + 1, subject.classes[label] if label >= 0 else "") + before
        after = (
            _of_name(name)
            + _of_picture(facts.format.upper(), facts.height)
            + _of_boxes(example, label)
            + _of_width(facts.width)
        )
        yield [b"\x0a" + encode_varint(len(before) + len(data) + len(after)) + before, data, after]


def _features(features: FlatExample) -> bytes:
    """Features as an example has them, one behind the other in the order of their names."""
    return b"".join(serialize(features)[1:])


def _of_image(image: bytes) -> tuple[bytes, bytes]:
    """What goes before the image, and the image."""
    _, *buffers = serialize({"image/encoded": image})
    return (buffers[0], buffers[1]) if len(buffers) == 2 else (buffers[0], b"")


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
)
"""TFRecords of slim."""
