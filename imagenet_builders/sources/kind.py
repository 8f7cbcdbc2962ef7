"""What a kind of source is: one value, in which all stands that is particular to the kind.

The value is in the module with the functions that it names, and no other module names the kind;
`kinds` finds it by its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from imagenet_builders.locate.found import Found
from imagenet_builders.locate.glimpse import Glimpse
from imagenet_builders.locate.search import Layout, Recognise, named_files
from imagenet_builders.sources.inspection import ERROR, Counted, Inspection, Problem, Wrong
from imagenet_builders.sources.reader import RANGES, Access

if TYPE_CHECKING:
    import pyarrow as pa

    from imagenet_builders.labels.image_names import Naming
    from imagenet_builders.sources.indexing import Prepared
    from imagenet_builders.sources.unpacking import Means


class Copies(NamedTuple):
    """What a copy of a source in scratch space is made of (`--stage`).

    Attributes:
        archives: Files that are read at random, which are copied.
        in_place: Folders of small files, which take less time to read in place than to copy.
    """

    archives: tuple[Path, ...] = ()
    in_place: tuple[Path, ...] = ()


class Expected(NamedTuple):
    """What a source should hold.

    Attributes:
        images: Images of the official split; None where that is not known.
        folders: Names of the folders that have the split, where a source has all splits.
        files: Names of the files that have the split, where these are not its images.
        naming: The rule of a build for the names of images; None where there is none.
    """

    images: int | None
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    naming: Naming | None = None


class PrepareImages(Protocol):
    """Looks at a source, so that its images can be indexed."""

    def __call__(self, found: Found, naming: Naming, workers: Means, *, strict: bool) -> Prepared:
        """What is there, and how rows are made of it.

        Args:
            found: The source.
            naming: What the names of the images say.
            workers: Who indexes, and unpacks what cannot be read in place.
            strict: Refuse what would be passed over with a warning.

        Raises:
            SourceError: It is damaged, is not what its name says, or cannot be read.
        """
        ...


class PrepareBoxes(Protocol):
    """Looks at a source of annotations, so that they can be indexed."""

    def __call__(self, found: Found, naming: Naming, workers: Means, scratch: Path) -> Prepared:
        """What is there, and how rows of `box_archives.box_schema()` are made of it.

        Args:
            found: The source.
            naming: What the names of the annotations say of images.
            workers: Who parses.
            scratch: Directory for what must be unpacked.

        Raises:
            SourceError: It is damaged, is not what its name says, or cannot be read.
        """
        ...


def copy_files(found: Found) -> Copies:
    """A copy of every file; see `Kind.copies`."""
    return Copies(found.paths)


def inspect_nothing(path: Path, fd: int, size: int) -> tuple[Wrong | None, tuple[str, ...] | None]:
    """Finds nothing; see `Kind.inspect`."""
    del path, fd, size
    return None, None


def count_nothing(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts nothing; see `Kind.count`."""
    del found, inspected, expected
    return Counted(), []


def boxes_unread(found: Found, naming: Naming) -> tuple[Counted, list[Problem]]:
    """Looks at nothing, and says so; see `Kind.count_boxes`."""
    del naming
    return Counted(unread=f"the boxes in {found.where or found.paths[0]}"), []


def glimpse_of_name(path: Path, inside: str = "") -> Glimpse:
    """What the name of a source shows, and nothing else; see `Kind.glimpse`."""
    del inside
    return Glimpse(path)


def not_readable(found: Found) -> Problem:
    """What the problem of a source is that may not be read; see `Kind.not_whole`."""
    return Problem(
        ERROR,
        str(found.paths[0]),
        f"all of it ({found.layout})",
        found.problem,
        "its permissions",
        "ask for permission to read it",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of source. Its functions are functions of a module, so that jobs take them along.

    Attributes:
        name: As `--source` takes it.
        form: Whether the paths of a source are files, one folder, or either of the two.
        recognise: Finds sources of the kind in a directory, by their names.
        layouts: Where ILSVRC2012 lies as this kind, beside what the dataset's own tables say.
        takes_patch: Whether images that a patch beside the source has replace its own.
        access: How rows are read.
        images: Prepares a source of the images of ILSVRC2012 to be indexed; None where it never has
            those, or a dataset indexes it itself.
        classes: The wnids of the classes in a source of train images, sorted; None where only its
            index tells them.
        boxes: Prepares a source of annotations to be indexed; None where it never has any.
        boxes_of_images: Takes annotations, as a table of `box_archives.box_schema()`, out of the
            rows of images, where these bring them along.
        copies: What a copy in scratch space is made of.
        archives_in: The archives in a source that is a folder of a few.
        unpacked_bytes: How many bytes images take in scratch space, from those of their source;
            None where they are read in place.
        inspect: Says from the first and last bytes of a file (given its path, an open descriptor
            and its size) what is wrong with it, and what the names of its members are, where it has
            a list of them.
        count: Counts what a source holds, where names are enough, and says what lacks.
        count_boxes: Says what a build would refuse in a source of annotations, where names are
            enough.
        glimpse: What names alone show of a source of images, given the folder in it that has them;
            it reads listings, and of a file the first few headers at most.
        not_whole: The problem of a source of which `Found.problem` says that it cannot be read.
    """

    name: str
    form: Literal["files", "folder", "either"] = "files"
    recognise: Recognise = named_files
    layouts: tuple[Layout, ...] = ()
    takes_patch: bool = False
    access: Access = RANGES
    images: PrepareImages | None = None
    classes: Callable[[Found, Means], tuple[str, ...]] | None = None
    boxes: PrepareBoxes | None = None
    boxes_of_images: Callable[[pa.Table], pa.Table] | None = None
    copies: Callable[[Found], Copies] = copy_files
    archives_in: Callable[[Path], list[Path]] | None = None
    unpacked_bytes: Callable[[int], int] | None = None
    inspect: Callable[[Path, int, int], tuple[Wrong | None, tuple[str, ...] | None]] = (
        inspect_nothing
    )
    count: Callable[[Found, Mapping[Path, Inspection], Expected], tuple[Counted, list[Problem]]] = (
        count_nothing
    )
    count_boxes: Callable[[Found, Naming], tuple[Counted, list[Problem]]] = boxes_unread
    glimpse: Callable[[Path, str], Glimpse] = glimpse_of_name
    not_whole: Callable[[Found], Problem] = not_readable
