"""The value that describes a packaging of ImageNet which is not read: what it is, and the way on.

`check` names whatever lies in a `manual_dir`. What is particular to a dataset is in the dataset's
folder, the rest in `check.packagings`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from imagenet_builders.formats.signatures import Signature

READ_HERE = "it is read: give the directory that it lies in"
"""The way from what a layout reads, but in its own place only."""
SHARDS_READ_HERE = "they are read: give the directory that they lie in"
"""The same of shards."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packaging:
    """A packaging that is not read, or not under that name.

    Attributes:
        names: Regular expression of the names of its files or folders, in whatever case.
        example: One of these names, for the documentation; of a folder with a slash.
        what: What it is, in words.
        way: The way from there to what is read, in words.
        begins: What such files begin with; empty for files that may begin with anything.
        is_folder: Whether it is a folder; None if it may be either.
        inside: Regular expression of a name that such a folder has in it; empty if any will do.
        is_read: Whether a layout reads it, in its own place; the documentation does not list it.
        holds_of_exports: Whether the way is right also for what this package has exported.
    """

    names: str
    example: str
    what: str
    way: str
    begins: tuple[Signature, ...] = ()
    is_folder: bool | None = None
    inside: str = ""
    is_read: bool = False
    holds_of_exports: bool = False

    def is_file(self, name: str) -> bool:
        """Whether a file of this name is the packaging."""
        return self.is_folder is not True and _matches(self.names, name)

    def is_the_folder(self, name: str, inside: Iterable[str]) -> bool:
        """Whether a folder of this name, with these names in it, is the packaging."""
        if self.is_folder is False or not _matches(self.names, name):
            return False
        return not self.inside or any(map(self.is_inside, inside))

    def is_inside(self, name: str) -> bool:
        """Whether a name in a folder tells that it is the packaging."""
        return bool(self.inside) and _matches(self.inside, name)


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(pattern, name, re.IGNORECASE) is not None
