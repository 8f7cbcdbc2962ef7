"""Says of an export of this package what no build reads of it; its other files are its own."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from imagenet_builders.check import packagings
from imagenet_builders.check.report import Other
from imagenet_builders.locate.exported import Exported
from imagenet_builders.locate.search import PROVENANCE
from imagenet_builders.words import printable


class OfExport:
    """What is said of the entries of an export's directory.

    Args:
        export: The export.
        taken: Absolute paths of the files and folders that are read, or could be.
    """

    def __init__(self, export: Exported, taken: Collection[str]):
        self._export = export
        files = export.files.items()
        read = (of for name, of in files if os.path.join(export.directory, name) in taken)
        self._read = frozenset[str]().union(*read)
        self._unread: dict[str, dict[str, frozenset[str]]] = {}

    def says_all_of(self, name: str, *, is_folder: bool) -> bool:
        """Whether no more needs to be said of an entry than `others` does.

        Args:
            name: Its name.
            is_folder: Whether it is a folder.
        """
        if name == PROVENANCE:
            return True
        splits = self._export.files.get(name)
        if splits is None:
            return False
        if not splits or splits & self._read:
            return True
        row = next((row for row in packagings.rows() if row.is_file(name)), None)
        if is_folder or (row is not None and row.holds_of_exports):
            return False
        self._unread.setdefault(Path(name).suffix, {})[name] = splits
        return True

    def others(self, directory: Path) -> Iterator[Other]:
        """What the directory is, and which files of it no build reads.

        Args:
            directory: The directory, as the report names it.
        """
        whole = f"{self._export.dataset} as {self._export.form}"
        way = "verify compares the files with it"
        noted = f"what this package noted of its export of {whole}"
        yield Other(directory / PROVENANCE, 1, noted, way)
        for _, files in sorted(self._unread.items()):
            splits = sorted(frozenset[str]().union(*files.values()))
            of = ", ".join(map(printable, splits))
            what = f"of {'split' if len(splits) == 1 else 'splits'} {of} of this export of {whole}"
            way = "not read from this form; the docs say which forms are (export)"
            yield Other(directory / min(files), len(files), what, way)


def of_folder(export: Exported, count: int) -> tuple[str, str]:
    """What a folder is that is an export, and what to do.

    Args:
        export: The export in it, or in the first of several.
        count: How many folders there are.
    """
    if count > 1:
        return "exported by this package, each", "check such a directory"
    return f"an export of {export.dataset} as {export.form} by this package", "check that directory"
