"""What an output is: how a shard is written, what it leaves behind, and how it is read again."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self

import google_crc32c

from imagenet_builders.errors import ImagenetBuildersError, OptionError
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.write.offsets import RecordOffsets

if TYPE_CHECKING:
    from imagenet_builders.formats.tfrecord.example import FlatExample
    from imagenet_builders.write.image_rows import ImageRows


class WrittenFile(NamedTuple):
    """A file of a shard that is several.

    Attributes:
        name: Its path in the directory of all shards' files.
        size: Bytes that it must have.
        crc32c: CRC-32C that it must have, 8 hexadecimal digits.
    """

    name: str
    size: int
    crc32c: str

    @property
    def place(self) -> str:
        """Its name in the directory of its shard; see `place_in`."""
        return _place(self.name)


class Piece(NamedTuple):
    """A shard of several that were written together.

    Attributes:
        examples: Number of its examples.
        files: Number of its files.
    """

    examples: int
    files: int


def place_in(directory: Path, name: str) -> Path:
    """Where the directory of a shard has a file that will have a path.

    All files of a shard lie side by side in it: with directories of classes in each shard, as many
    directories would be made and removed as there are images.

    Args:
        directory: The directory of the shard.
        name: The path, in which there is no colon.
    """
    return directory / _place(name)


def _place(name: str) -> str:
    return name.replace("/", ":")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """What went into a shard's file.

    Attributes:
        examples: Number of records.
        record_bytes: Bytes of the records themselves, which is what TensorFlow Datasets calls the
            size of a split.
        file_bytes: Bytes that the file must have.
        crc32c: CRC-32C that the file must have, 8 hexadecimal digits.
        offsets: Where each record's bytes lie in the file; None for a format that transforms them.
        files: The files of a shard that is several; `of_files` gives the attributes of those.
        pieces: The shards of an export that were written as one, in the order of the files.
    """

    examples: int
    record_bytes: int
    file_bytes: int
    crc32c: str
    offsets: RecordOffsets | None
    files: tuple[WrittenFile, ...] = ()
    pieces: tuple[Piece, ...] = ()

    @classmethod
    def of_files(cls, examples: int, record_bytes: int, files: Sequence[WrittenFile]) -> Self:
        """What went into a shard that is several files.

        Its bytes are those of all files, and its CRC-32C is that of a line for each of them, with
        its checksum, size and name.

        Args:
            examples: Number of examples.
            record_bytes: Bytes of these.
            files: The files, in order.
        """
        lines = "".join(f"{each.crc32c} {each.size} {each.name}\n" for each in files)
        return cls(
            examples=examples,
            record_bytes=record_bytes,
            file_bytes=sum(each.size for each in files),
            crc32c=f"{google_crc32c.value(lines.encode(errors='surrogateescape')):08x}",
            offsets=None,
            files=tuple(files),
        )

    def apart(self) -> list[Written]:
        """What went into each shard, where several were written as one; else this.

        The bytes of the records are those of all of them in the first.
        """
        if not self.pieces:
            return [self]
        files, found = iter(self.files), list[Written]()
        for piece in self.pieces:
            size = 0 if found else self.record_bytes
            own = list(itertools.islice(files, piece.files))
            found.append(Written.of_files(piece.examples, size, own))
        return found


class Record(NamedTuple):
    """A record that was read.

    Attributes:
        data: Its bytes.
        offset: Where its bytes begin in the file; None where only the format's library knows.
        damage: What is wrong with them by their checksum, or None.
    """

    data: bytes
    offset: int | None
    damage: DamageError | None = None


class RecordFileError(ImagenetBuildersError):
    """The rest of a record file cannot be read.

    Attributes:
        what: What is wrong.
        offset: Where, in bytes, or None.
        expected: What should be there, or None.
        found: What is there, or None.
    """

    def __init__(
        self,
        what: str,
        offset: int | None = None,
        expected: str | None = None,
        found: str | None = None,
    ):
        super().__init__(what)
        self.what, self.offset, self.expected, self.found = what, offset, expected, found


class RecordFile(Protocol):
    """A file whose records are read in any order, by any number of threads.

    It is closed when nobody has it any more.

    Attributes:
        offsets: Where its records are, to be kept for the next time; None for a format that finds
            them by itself.
        has_looked: Whether it has looked for them in the file, because those that were known before
            were none, or did not fit.
    """

    offsets: RecordOffsets | None
    has_looked: bool

    def __len__(self) -> int:
        """Number of its records."""

    def read(self, numbers: Sequence[int]) -> Iterable[bytes]:
        """The records of these numbers, counted from 0, each to be used as it comes.

        Raises:
            RecordFileError: One is damaged, or not there.
            OSError: The file cannot be read.
        """


class Checksum(Protocol):
    """A running checksum, such as `google_crc32c.Checksum`."""

    def update(self, data: bytes, /) -> object:
        """Takes the next bytes of a file."""


class RecordWriter(Protocol):
    """A new file that takes records as they come; it is complete when the `with` block has ended.

    Its errors are those of `Output.write`.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: Any, error: Any, traceback: Any, /) -> None: ...

    def write(self, record: bytes) -> None:
        """Appends a record."""

    def written(self) -> Written:
        """What went into the file."""


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """A small file for each shard that tells other readers where its records are.

    Attributes:
        folder: The directory, in that of the dataset, which the files lie in.
        suffix: What the name of a file has after that of its shard.
        make: Makes the content of the file.
        parse: Reads it; None for what `make` does not make.
    """

    folder: str
    suffix: str
    make: Callable[[RecordOffsets], bytes]
    parse: Callable[[bytes], RecordOffsets | None]

    def name_of(self, shard: str) -> str:
        """The path of the index of a shard, in the directory of the dataset.

        Args:
            shard: The name of the shard.
        """
        return f"{self.folder}/{shard}{self.suffix}"


@dataclasses.dataclass(frozen=True)
class Output:
    """A file format that shards are written in.

    It is passed to worker processes, so its functions are those of a module.

    Attributes:
        name: Its name, which is that of the file format in TensorFlow Datasets if it has one.
        suffix: What stands for the format in the name of a shard's file.
        write: Writes a new file of examples, in order, in place of what is there. Raises
            `TargetError` where the file cannot be written. The same examples give the same bytes.
        read: Yields the records of a file, strictly: no length is believed and no checksum is left
            uncompared. A `Checksum` that is given receives all bytes of the file, in order. Raises
            `RecordFileError` where the rest cannot be read.
        open: Opens a file for its records to be read in any order, given the offsets that an
            earlier opening has found, or None. Raises as `read` does, and OSError. None for a
            format that cannot be read so.
        writer: Opens a file for records that are made elsewhere, which `write` would make of the
            examples; None for an output that does not take them.
        write_images: Writes what `write` would of the examples of rows whose images it has read to
            where they lie in the file; None for a format that is not so laid out.
        tfds_call: The function of TensorFlow Datasets that reads a dataset of such shards; None
            where none does.
        index: The index that a build writes for each shard, of the offsets of its records; None for
            an output without one.
        is_tree: Whether a shard is a directory of files: `write` is given an empty one, and says in
            `Written.files` what it has put there.
        keeps_open: Whether its readers keep every shard open that they have read from.
        unusable: Says why this process cannot open such files, such as one that was forked from
            another which has used the library; None where it can. Without it, every process can.
        library: The module that writes and reads the format, if this package does not do it itself.
        package: The package on PyPI that has the library.
    """

    name: str
    suffix: str
    write: Callable[[Path, Iterable[FlatExample]], Written]
    read: Callable[[str, Checksum | None], Iterator[Record]]
    open: Callable[[str, RecordOffsets | None], RecordFile] | None = None
    writer: Callable[[Path], RecordWriter] | None = None
    write_images: Callable[[Path, ImageRows, Sequence[RecordWriter]], Written] | None = None
    tfds_call: Literal["load", "data_source"] | None = None
    index: RecordIndex | None = None
    is_tree: bool = False
    keeps_open: bool = False
    unusable: Callable[[], str | None] | None = None
    library: str | None = None
    package: str | None = None

    def import_library(self) -> Any:
        """The library of the format; None if it needs none.

        Raises:
            OptionError: It is not installed.
        """
        if self.library is None:
            return None
        try:
            return importlib.import_module(self.library)
        except ImportError as error:
            raise OptionError(
                f"file format {self.name} needs the Python package {self.package}, which cannot be "
                f"imported here ({error}); install it (`pip install {self.package}`), or choose "
                "another file format"
            ) from error
