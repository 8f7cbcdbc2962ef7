"""The form `imagefolder`: each image a file, in a directory of its class, as torchvision reads it.

See `tree` for the directories and what lies beside them. Images without a label lie in the
directory of their split itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from imagenet_builders.export import tree
from imagenet_builders.export.form import Exported, Form, Part, Subject, image_of
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.outputs.output import Written, WrittenFile, place_in

# What a file takes besides its bytes: half a block, its inode, its entry, a line in a list.
_BYTES_A_FILE = 2048 + 256 + 64 + 48


def write(
    subject: Subject, part: Part, directory: Path, examples: Iterable[FlatExample]
) -> Written:
    """Writes the files of some images; see `Form.write`.

    Raises:
        SourceError: An example has no name, no image, or a label of no class.
        TargetError: A file cannot be written.
    """
    files: list[WrittenFile] = []
    for example in examples:
        path = tree.path_of(subject, part.split, example)
        image = image_of(example)
        with NewFile(place_in(directory, path)) as file:
            file.write([image], len(image))
        files.append(WrittenFile(path, file.size, file.crc32c))
    return Written.of_files(len(files), sum(file.size for file in files), files)


def finish(exported: Exported) -> Mapping[str, bytes]:
    """The lists, and `meta.bin`; see `Form.finish`."""
    content, validation = dict[str, bytes](), list[str]()
    for result in exported.results:
        paths = [file.name for file in exported.files(result.split)]
        content[tree.list_of(result.split)] = tree.list_content(paths)
        if result.split == "validation":
            validation = paths
    content[tree.META_FILE] = tree.meta_file(exported.subject, validation)
    return content


FORM = Form(
    name="imagefolder",
    write=write,
    finish=finish,
    bytes_a_record=_BYTES_A_FILE,
    files_a_record=1,
)
"""Directories of classes, as torchvision's `ImageFolder` and `ImageNet` read them."""
