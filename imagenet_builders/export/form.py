"""What a form of an export is: how examples become files, and which files tell of all of them.

The engine hands out *parts*. A part is a run of consecutive examples of a split, in the order of
the dataset; as many as the form or the user wants are written at the same time, by processes that
know nothing of each other. A part becomes any number of files, at any depth of the export, and
first lies in a directory of its own that is empty when `Form.write` is given it: `place_in` says
where in it a path is. When all parts are there, their files are moved to their paths, where files
of several parts may share directories; then `Form.finish` adds what tells of all of them, and the
whole is published in one rename.

So a form may write:

* a file for each part, such as a shard, and perhaps an index beside it (`webdataset`, `slim`);
* a file for each image (`imagefolder`): `write` then makes `train/n01440764/n01440764_18.JPEG` and
  the like, and `files_a_record` says that each image is a file (inodes are checked before the work
  begins);
* one file of all splits, by a program that takes a stream (`squashfs`): it is `joined`, and `write`
  feeds the program. A part is what an interrupted export writes again, so such a form begins anew.

A part that was finished is known by its mark, which names its files with their sizes and CRC-32C.
An export that goes on compares all of them; what it does not know is removed. So `write` returns
`Written.of_files`, with files whose checksums it made while it wrote (`NewFile` does), never by
reading them again. It must not depend on anything but its arguments: the same examples give the
same bytes, on any machine, at any time.

`write` is called in other processes, so it is a function of a module, and its arguments are data.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import OptionError, SourceError
from imagenet_builders.words import printable
from imagenet_builders.write.outputs.output import Written, WrittenFile

if TYPE_CHECKING:
    from imagenet_builders.formats.tfrecord.example import FlatExample
    from imagenet_builders.write.results import SplitResult

SPLIT = "split"
"""What `Form.write` finds the name of an example's split under, where `Form.joined`."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """The dataset that is exported.

    Attributes:
        name: Its name.
        config: Its configuration, or None.
        version: Its version.
        stem: What names of its files begin with, such as `imagenet1k`.
        key: The feature that is the key of an example.
        classes: The wnids in the order of their labels.
        splits: Names of its splits.
    """

    name: str
    config: str | None
    version: str
    stem: str
    key: str
    classes: tuple[str, ...]
    splits: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """Name, configuration and version."""
        return "/".join(filter(None, (self.name, self.config, self.version)))

    @property
    def file_stem(self) -> str:
        """Name and configuration, as a file may be called."""
        return "_".join(filter(None, (self.name, self.config)))

    def file_name(self, example: FlatExample) -> str:
        """The name of the image of an example, such as `n01440764_18.JPEG`.

        A key that is a path, such as `train_data_batch_1/000000`, becomes one name.

        Raises:
            SourceError: It has none, or one that cannot be the name of a file.
        """
        name = text_of(example.get(self.key, b""))
        parts = name.split("/")
        if printable(name) != name or ":" in name or not {"", ".", ".."}.isdisjoint(parts):
            raise SourceError(
                f"{self.full_name}: expected the name of an image in {self.key}, found {name!r}"
            )
        return "_".join(parts)

    def label(self, example: FlatExample) -> int:
        """The label of an example, from 0; -1 for one without a label.

        Raises:
            SourceError: There is no such class.
        """
        label = example.get("label")
        if not isinstance(label, int) or not -1 <= label < len(self.classes):
            raise SourceError(
                f"{self.full_name}: expected labels from -1 to {len(self.classes) - 1:,}, found "
                f"{label!r}"
            )
        return label


@dataclasses.dataclass(frozen=True)
class Part:
    """Consecutive examples of a split.

    Attributes:
        split: Name of the split.
        number: The part, counted from 0.
        count: Number of parts of the split.
        shards: The names of the shards of a dataset that was built, where `Form.follows`.
    """

    split: str
    number: int
    count: int
    shards: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was exported, for the files that tell of all of it.

    Attributes:
        subject: The dataset.
        results: Its splits, with the number of examples of each part.
        files: Gives the files that the parts of a split have made, in order.
    """

    subject: Subject
    results: Sequence[SplitResult]
    files: Callable[[str], Iterable[WrittenFile]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """A form that a dataset is exported in; a row of `forms`.

    Attributes:
        name: What `--to` calls it.
        write: Writes a part into an empty directory and says what it has put there. Raises
            `TargetError` where a file cannot be written.
        parts: Number of parts of a split unless the user says it, from its name and its number of
            examples; None for as many as the dataset has shards.
        finish: Gives the files that tell of all of it, by their paths; they are small. They lie
            in directories that `write` has made.
        check: Makes sure, before the work, that what it needs is there, such as a program; raises
            `OptionError`.
        bytes_a_record: Bytes that it needs for each image, besides those of the image.
        files_a_record: Files that it makes for each image.
        copies: How often it has the bytes of each image.
        joined: Whether it makes one file of all splits. Then there is one part, and each example
            has the name of its split as `SPLIT`.
        switches: What its own options of the command line do: from the option, such as
            `--parquet`, to a function that makes of the form and the option's value, which may be
            empty, the one that was asked for. That has another name: what was written of one is
            not taken for the other.
        grouped: Whether small shards may be written as one part (see `grouped`). Then `write` is
            given a directory in which others may be, and each shard is a file and its index.
        unread: Whether `write` takes examples whose images were not read yet (see `write.unread`),
            for it to have them read to where they are to lie. It is given these or others.
        follows: Whether it makes something for the very shards of a dataset that was built, and
            reads only where their records are. Then a part is a split, and `write` is given for
            each record the name of its `shard`, and `offset` and `size` in that.
        library: The module that it needs and this package does not always have.
        package: The package on PyPI that has the library.
    """

    name: str
    write: Callable[[Subject, Part, Path, Iterable[FlatExample]], Written]
    parts: Callable[[str, int], int] | None = None
    finish: Callable[[Exported], Mapping[str, bytes]] = lambda exported: {}
    check: Callable[[], None] = lambda: None
    bytes_a_record: int = 0
    files_a_record: int = 0
    copies: int = 1
    joined: bool = False
    switches: Mapping[str, Callable[[Form, str], Form]] = dataclasses.field(default_factory=dict)
    grouped: bool = False
    unread: bool = False
    follows: bool = False
    library: str | None = None
    package: str | None = None

    def check_installed(self) -> None:
        """Makes sure that what it needs is there.

        Raises:
            OptionError: It is not installed.
        """
        self.check()
        if self.library is None:
            return
        try:
            importlib.import_module(self.library)
        except ImportError as error:
            raise OptionError(
                f"--to {self.name} needs the Python package {self.package}, which cannot be "
                f"imported here ({error}); install it (`pip install {self.package}`)"
            ) from error


def text_of(value: object) -> str:
    """The text of a feature, which is bytes where it was read from a record."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else ""


def image_of(example: FlatExample) -> bytes:
    """The image of an example.

    Raises:
        SourceError: It has none.
    """
    image = example.get("image")
    if not isinstance(image, bytes):
        raise SourceError("expected the feature 'image' with the bytes of an image, found none")
    return image
