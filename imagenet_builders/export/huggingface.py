"""The form `huggingface`: Arrow files that `datasets` maps into memory, and Parquet if asked for.

`datasets.load_from_disk` maps the Arrow files where they are and copies nothing; each split is a
directory of them. Parquet, in `data/`, is what `load_dataset` streams; without `streaming=True` it
would copy all of it to the user's cache. Classes are named by their wnids. An image without a label
has the label -1.

Source: `arrow_dataset.py` (`save_to_disk`, `to_parquet`) of `datasets` 5.2.0.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.export.form import Exported, Form, Part, Subject, image_of
from imagenet_builders.formats.huggingface import documents, files
from imagenet_builders.formats.huggingface.features import Row, schema
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.write.blocks import Blocks
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.outputs.output import Written, WrittenFile, place_in
from imagenet_builders.write.unread import unread_image

if TYPE_CHECKING:
    import numpy as np

# So many images of ILSVRC2012 have some 450 MB, of any split; a file has at most 500 MB by Hugging
# Face's advice. A number of images, not of bytes, makes the same files of any source.
_IMAGES_A_FILE = 3_500

# The name, its end, a label, the padding of Arrow.
_BYTES_A_ROW = 64

_ARROW, _PARQUET = ".arrow", ".parquet"
_DATA = "data"


def write(
    kinds: tuple[str, ...],
    subject: Subject,
    part: Part,
    directory: Path,
    examples: Iterable[FlatExample],
) -> Written:
    """Writes a file of each kind; see `Form.write`.

    Args:
        kinds: The endings of their names.
        subject: The dataset.
        part: Which.
        directory: Where they are written.
        examples: Its examples.

    Raises:
        SourceError: An example has no name, no image, or a label of no class.
        TargetError: A file cannot be written.
    """
    columns = schema(subject.classes)
    blocks = Blocks()
    count = size = 0
    names = [_name(kind, part.split, part.number, part.count) for kind in kinds]
    with contextlib.ExitStack() as stack:
        new, writers = [], list[files.ArrowFile | files.ParquetFile]()
        for kind, name in zip(kinds, names, strict=True):
            new.append(stack.enter_context(NewFile(place_in(directory, name))))
            file = (files.ArrowFile if kind == _ARROW else files.ParquetFile)(new[-1], columns)
            stack.enter_context(file)
            writers.append(file)
        for batch in files.batches(_rows(subject, examples, blocks), columns):
            for writer in writers:
                writer.write(batch)
            for each in new:
                each.flush()
            blocks.give_back()
            count += len(batch)
            size += batch.nbytes
    written = [
        WrittenFile(name, each.size, each.crc32c) for name, each in zip(names, new, strict=True)
    ]
    return Written.of_files(count, size, written)


def _rows(subject: Subject, examples: Iterable[FlatExample], blocks: Blocks) -> Iterator[Row]:
    """The rows of examples; images that were not read yet are read to `blocks`."""
    for example in examples:
        image = unread_image(example)
        if image is not None:
            place = blocks.take(image.size)
            if image.put(place.data) is not None:
                yield _row(subject, example, place)
                continue
            made = image.example()
            if made is None:
                continue
            example = made
        yield _row(subject, example, image_of(example))


def _row(subject: Subject, example: FlatExample, image: bytes | np.ndarray) -> Row:
    return Row(image, subject.file_name(example), subject.label(example))


def _name(kind: str, split: str, number: int, count: int) -> str:
    of_count = f"{number:05}-of-{count:05}{kind}"
    return f"{split}/data-{of_count}" if kind == _ARROW else f"{_DATA}/{split}-{of_count}"


def finish(kinds: tuple[str, ...], exported: Exported) -> Mapping[str, bytes]:
    """What `load_from_disk` reads besides, and the card; see `Form.finish`."""
    subject, results = exported.subject, exported.results
    splits = [
        documents.SplitFacts(result.split, result.examples, result.record_bytes)
        for result in results
    ]
    text = _TEXT.format(name=subject.full_name)
    info = documents.dataset_info(subject.file_stem, text, subject.classes, splits)
    names = [split.name for split in splits]
    content = {"dataset_dict.json": documents.dataset_dict(names)}
    for name in names:
        arrow = {
            file.name.rpartition("/")[2]: file.crc32c
            for file in exported.files(name)
            if file.name.endswith(_ARROW)
        }
        content[f"{name}/dataset_info.json"] = info
        content[f"{name}/state.json"] = documents.state(name, arrow)
    patterns = {name: f"{_DATA}/{name}-*" for name in names if _PARQUET in kinds}
    card = documents.card(subject.full_name, text, subject.classes, splits, patterns)
    content["README.md"] = card
    return content


_TEXT = """\
The images of {name}, byte for byte, and their labels. Classes are named by their wnids, in their
sorted order. An image without a label, as those of a test split, has the label -1.

`datasets.load_from_disk` maps the Arrow files and copies nothing. `load_dataset` reads the Parquet
files, where there are any; say `streaming=True`, or it copies all of them to your cache.

When `datasets` decodes an image, it turns it as its EXIF says (`Image()`); TensorFlow, DALI and the
loaders of torchvision do not, so a few images look different there, and boxes would not fit. For
the bytes as they are, `dataset.cast_column("image", datasets.Image(decode=False))`.

The terms of access of ImageNet (https://image-net.org/download) hold for these files, too.
"""


def _with_parquet(form: Form, value: str) -> Form:
    del value
    kinds = (_ARROW, _PARQUET)
    return dataclasses.replace(
        form,
        name=f"{form.name} --parquet",
        write=functools.partial(write, kinds),
        finish=functools.partial(finish, kinds),
        copies=len(kinds),
    )


def _parts(split: str, examples: int) -> int:
    del split
    return -(-examples // _IMAGES_A_FILE)


FORM = Form(
    name="huggingface",
    write=functools.partial(write, (_ARROW,)),
    finish=functools.partial(finish, (_ARROW,)),
    parts=_parts,
    bytes_a_record=_BYTES_A_ROW,
    unread=True,
    switches={"--parquet": _with_parquet},
)
"""Arrow and Parquet, as Hugging Face's `datasets` reads them."""
