"""The form `squashfs`: the tree of `imagefolder` as one file, which is mounted and not unpacked.

The images go through a pipe to the program `sqfstar`, all splits one after another in the order of
the dataset, so that no file is written besides the one. An export that was interrupted begins anew.

JPEG and PNG images do not become smaller, so by default their bytes are kept as they are.
"""

from __future__ import annotations

import array
import dataclasses
import functools
import os
from collections.abc import Iterable
from pathlib import Path

import google_crc32c

from imagenet_builders.errors import SourceError
from imagenet_builders.export import tree
from imagenet_builders.export.form import SPLIT, Form, Part, Subject, image_of, text_of
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats.squashfs import writing
from imagenet_builders.formats.squashfs.writing import Compression, SquashFSFile
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.run.cpus import usable_cpus
from imagenet_builders.write import durable
from imagenet_builders.write.outputs.output import Written, WrittenFile

_DEFAULT: Compression = "none"

# An inode, an entry of a directory and a line of a list.
_BYTES_A_FILE = 128

_READ_BYTES = 4 << 20


def write(
    compression: Compression,
    subject: Subject,
    part: Part,
    directory: Path,
    examples: Iterable[FlatExample],
) -> Written:
    """Writes the image of all splits; see `Form.write`.

    Args:
        compression: How files are compressed in it.
        subject: The dataset.
        part: All of it.
        directory: Where it is written.
        examples: The examples of all splits, each with the name of its own.

    Raises:
        SourceError: An example has no name, no image, or a label of no class.
        TargetError: The image cannot be written.
    """
    del part
    path = directory / f"{subject.file_stem}.squashfs"
    lists: dict[str, bytearray] = {split: bytearray() for split in subject.splits}
    hashes = array.array("q")
    count = size = 0
    with durable.writing(path):
        with SquashFSFile(path, compression, usable_cpus()) as file:
            for example in examples:
                split, image = text_of(example[SPLIT]), image_of(example)
                name = _checked(tree.path_of(subject, split, example))
                hashes.append(hash(name))
                file.add(name, image)
                lists[split] += tree.list_content([name])
                count += 1
                size += len(image)
            _check_all_differ(subject, hashes, lists.values())
            for split, content in lists.items():
                file.add(tree.list_of(split), bytes(content))
            validation = lists.get("validation", b"").decode().splitlines()
            file.add(tree.META_FILE, tree.meta_file(subject, validation))
        written = _written(path)
    return Written.of_files(count, size, [written])


def _checked(name: str) -> str:
    if not name.isascii() or len(name) > writing.MAX_NAME:
        raise SourceError(
            f"{name!r} cannot be the path of an image in a SquashFS image: expected at most "
            f"{writing.MAX_NAME} ASCII characters"
        )
    return name


def _check_all_differ(
    subject: Subject, hashes: array.array[int], lists: Iterable[bytearray]
) -> None:
    """Makes sure that no two images have one path, of which the program would keep one.

    The hashes of 1.4 million names take 150 MB as a set, and 11 MB as an array.
    """
    import numpy as np

    values, counts = np.unique(np.array(hashes, np.int64), return_counts=True)
    twice, seen = set(values[counts > 1].tolist()), set[str]()
    if not twice:
        return
    for name in (name for content in lists for name in content.decode().splitlines()):
        if name in seen:
            raise SourceError(
                f"{subject.full_name}: two examples have the name {name!r}, of which the image "
                "would have one; see what is in the source"
            )
        if hash(name) in twice:
            seen.add(name)


def _written(path: Path) -> WrittenFile:
    """What the program has written, which it does not do in order."""
    checksum, size = google_crc32c.Checksum(), 0
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        while data := file.read(_READ_BYTES):
            checksum.update(data)
            size += len(data)
    return WrittenFile(path.name, size, checksum.hexdigest().decode())


def _with_compression(form: Form, value: str) -> Form:
    compression = next(each for each in writing.COMPRESSIONS if each == value)
    if compression == _DEFAULT:
        return form
    return dataclasses.replace(
        form,
        name=f"{form.name} --compression {value}",
        write=functools.partial(write, compression),
    )


FORM = Form(
    name="squashfs",
    write=functools.partial(write, _DEFAULT),
    check=writing.check_program,
    bytes_a_record=_BYTES_A_FILE,
    joined=True,
    switches={"--compression": _with_compression},
)
"""The tree of images as a SquashFS image."""
