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
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders import labels
from imagenet_builders.errors import LabelError
from imagenet_builders.export.form import Form, Part, Subject, image_of
from imagenet_builders.export.pictures import facts_of
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.outputs import tfrecord
from imagenet_builders.write.outputs.output import Written, WrittenFile, place_in

if TYPE_CHECKING:
    import numpy as np

    from imagenet_builders.formats.tfrecord.example import FlatExample

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
    output, index = tfrecord.OUTPUT, tfrecord.OUTPUT.index
    assert index is not None
    shard = f"{part.split}-{part.number:05}-of-{part.count:05}"
    written = output.write(directory / shard, _records(subject, examples))
    assert written.offsets is not None
    files = [WrittenFile(shard, written.file_bytes, written.crc32c)]
    content = index.make(written.offsets)
    with NewFile(place_in(directory, index.name_of(shard))) as file:
        file.write([content], len(content))
    files.append(WrittenFile(index.name_of(shard), file.size, file.crc32c))
    return Written.of_files(written.examples, written.record_bytes, files)


def _records(subject: Subject, examples: Iterable[FlatExample]) -> Iterator[FlatExample]:
    for example in examples:
        name, label, image = subject.file_name(example), subject.label(example), image_of(example)
        facts = facts_of(name, image)
        boxes, box_labels = _boxes(example, label)
        wnid = subject.classes[label] if label >= 0 else ""
        yield {
            "image/height": facts.height,
            "image/width": facts.width,
            "image/colorspace": "RGB",
            "image/channels": 3,
            "image/class/label": label + 1,
            "image/class/synset": wnid,
            "image/class/text": _words(wnid),
            "image/object/bbox/ymin": boxes[:, 0],
            "image/object/bbox/xmin": boxes[:, 1],
            "image/object/bbox/ymax": boxes[:, 2],
            "image/object/bbox/xmax": boxes[:, 3],
            "image/object/bbox/label": box_labels + 1,
            "image/format": facts.format.upper(),
            "image/filename": name,
            "image/encoded": image,
        }


def _boxes(example: FlatExample, label: int) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of an example, float32 of shape (boxes, 4), and the label of each, from 0."""
    import numpy as np

    boxes: object = example.get("objects/bbox")
    if boxes is not None:
        box_labels = np.asarray(example["objects/label"], np.int64)
    else:  # One of the image, if any; without a label, it says nothing.
        boxes = example.get("bbox") if label >= 0 else None
        box_labels = np.full(0 if boxes is None else 1, label, np.int64)
    corners = np.zeros(0) if boxes is None else np.asarray(boxes)
    return corners.astype(np.float32).reshape(-1, 4), box_labels


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
