"""The rows of images that are files of their own: in folders, and in SquashFS images of folders.

Train images lie in class folders; validation images in one folder or in class folders too; test
images in one folder. Folders cost one listing each, or none where a list of files is beside them,
and one `stat` an image: its size decides, as in a build from archives, how many shards there are,
and no listing has it. Both are done by many at a time, once; then the index is kept.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats.squashfs import image
from imagenet_builders.labels.image_names import FILE_PATTERN, Naming
from imagenet_builders.locate import listing
from imagenet_builders.locate.access import unreadable
from imagenet_builders.locate.listing import LIST_ENDING, WNID
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.run.tables import run_for_table
from imagenet_builders.sources import folder_images
from imagenet_builders.sources.file_lists import read_list
from imagenet_builders.sources.folder_images import ImageFolder
from imagenet_builders.sources.rows import (
    WHOLE_FILE,
    Rows,
    SourceFile,
    check_not_too_many,
    number_array,
)

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_FOLDERS = 64
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Folders:
    """The folders of a part of ILSVRC2012.

    Attributes:
        root: The folder of all of it.
        classes: Names of the class folders, sorted; empty where the images lie in the root.
        names: Class folder (or an empty name for the root) to the files in it, where a list says
            that; else None.
        passed_over: What else is in the root.
    """

    root: Path
    classes: tuple[str, ...]
    names: dict[str, tuple[str, ...]] | None = None
    passed_over: tuple[str, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """The folders that images lie in."""
        return [self.root / wnid for wnid in self.classes] or [self.root]


def folders(root: Path, file_list: Path | None, naming: Naming) -> Folders:
    """Sees how the images of a part lie in a folder.

    Args:
        root: The folder.
        file_list: The list of its files, or None.
        naming: What the names of the images say.

    Returns:
        The folders.

    Raises:
        SourceError: The folder or the list cannot be read, or images lie beside class folders.
    """
    if file_list is not None:
        listed = read_list(file_list, naming.is_image)
        flat = _is_flat(root, naming)
        named: dict[str, list[str]] = {}
        for folder, name in listed:
            if not flat and folder is None and naming.is_train:
                folder = name.partition("_")[0]
            named.setdefault("" if flat else folder or "", []).append(name)
        if flat or "" not in named:
            names = {folder: tuple(named[folder]) for folder in sorted(named)}
            return Folders(root, () if flat else tuple(names), names)
        warnings.warn(
            f"{file_list} does not say in which class folders of {root} the images lie; the "
            "folders are listed instead",
            stacklevel=2,
        )
    if _is_flat(root, naming):
        return Folders(root, ())
    classes, others = listing.list_folders(root)
    loose = next(filter(naming.is_image, others), None)
    if loose is not None:  # They were being moved, so that neither is all of them.
        raise SourceError(
            f"{root}: expected images or class folders, found images such as {loose!r} and class "
            "folders; move the rest of them into class folders, or stage the original archive"
        )
    return Folders(root, tuple(classes), passed_over=tuple(others))


def _is_flat(root: Path, naming: Naming) -> bool:
    """Whether images lie in the folder itself: its first entry that means anything says it."""
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if WNID.fullmatch(entry.name) is not None:
                    return False
                if naming.is_image(entry.name):
                    return True
    except OSError as error:
        raise unreadable(str(root), error) from error
    return False


def folder_rows(
    found: Folders, files: Sequence[SourceFile], naming: Naming, room: BuildContext
) -> pa.Table:
    """The rows of the images in folders.

    Args:
        found: The folders.
        files: The same, as they are now: the files of the index.
        naming: What the names of the images say.
        room: What to list with.

    Returns:
        A table of `row_schema()`, with a column `name` where files have other names than keys.

    Raises:
        SourceError: A folder is empty, cannot be read, or holds something else.
    """
    jobs = list(folder_images.in_batches(_image_folders(found, files, naming), _BATCH_FOLDERS))
    table = run_for_table(room.workers, folder_images.folder_images, jobs)
    names, of_file = table["key"].to_pylist(), table["file"].to_pylist()
    sizes = table["size"].to_pylist()
    folders_of = found.classes or (None,)
    rows = Rows()
    for name, file, size in zip(names, of_file, sizes, strict=True):
        try:
            key, label = naming.row_of_file(name, folders_of[file])
        except ValueError as error:
            path = os.path.join(files[file].path, name)
            raise SourceError(
                f"{path!r} does not belong in its folder: {error}; remove it, or stage the "
                "original archive"
            ) from None
        rows.add(key, label, file, WHOLE_FILE, size)
    return _named(rows, names, [file.path for file in files])


def _image_folders(
    found: Folders, files: Sequence[SourceFile], naming: Naming
) -> Iterator[ImageFolder]:
    for position, file in enumerate(files):
        wnid = found.classes[position] if found.classes else None
        pattern, expected = rf".*{FILE_PATTERN}", naming.expected
        if wnid is not None:
            try:
                naming.label_of(wnid)
            except ValueError as error:
                raise SourceError(
                    f"{file.path}: {error}; remove it, or stage the original archive"
                ) from None
            if naming.is_train:
                pattern = rf"{wnid}_[0-9]+{FILE_PATTERN}"
                expected = f"images such as {wnid}_1.JPEG"
        names = None if found.names is None else found.names[wnid or ""]
        yield ImageFolder(file, position, -1, pattern, expected, names)


def squashed_rows(file: SourceFile, naming: Naming, *, strict: bool) -> pa.Table:
    """The rows of the images in a SquashFS image.

    As in folders, what lies beside class folders is passed over with a warning. So is a list of the
    files: nobody can remove it from an image.

    Args:
        file: The image.
        naming: What the names of the images say.
        strict: Refuse what would be passed over.

    Returns:
        A table of `row_schema()` and the columns `name` and `reference`.

    Raises:
        ArchiveError: It is damaged, or holds something else.
        SourceError: It holds what would be passed over, and `strict` is set.
        OptionError: A package to unpack it is not installed.
    """
    import numpy as np
    import pyarrow as pa

    rows = Rows()
    names: list[str] = []
    references: list[int] = []
    others: list[str] = []
    for member in image.list_files(file.path):
        folder, _, name = member.path.rpartition("/")
        folder = folder.rpartition("/")[2]
        in_class = folder if WNID.fullmatch(folder) else None
        is_beside = naming.is_train and in_class is None and not naming.is_image(name)
        if is_beside or name.lower().endswith(LIST_ENDING):
            others.append(member.path)
            continue
        try:
            if member.kind != "file":
                raise ValueError(f"a {member.kind} where only plain files belong")
            key, label = naming.row_of_file(name, in_class)
        except ValueError as error:
            raise ArchiveError(
                file.path,
                f"this file does not belong in the image: {error}; check what it was made of",
                member=member.path,
            ) from None
        rows.add(key, label, 0, WHOLE_FILE, member.size)
        check_not_too_many(file.path, len(rows))
        names.append(member.path)
        references.append(member.reference)
    odd = what_is_passed_over(
        Path(file.path), others, "class folders" * naming.is_train or "images"
    )
    if odd is not None:
        if strict:
            raise SourceError(f"{odd}; make the image without it, or build without --strict")
        warnings.warn(f"{odd}; it is passed over", stacklevel=4)
    if not rows:
        raise ArchiveError(file.path, f"there are no {naming.expected} in it; check what it is")
    table = _named(rows, names, [file.path])
    column = number_array(np.array(references, np.int64), pa.int64())
    return table.append_column("reference", column)


def squashed_classes(path: Path) -> tuple[str, ...]:
    """The class folders in a SquashFS image, sorted."""
    found = {member.path.rpartition("/")[0] for member in image.list_files(path)}
    names = {folder.rpartition("/")[2] for folder in found}
    return tuple(sorted(name for name in names if WNID.fullmatch(name)))


def _named(rows: Rows, names: list[str], paths: Sequence[str]) -> pa.Table:
    """The table of rows, with the names of their files where those are not the keys.

    Raises:
        SourceError: Two files are the same image.
    """
    import pyarrow as pa

    first: dict[str, int] = {}
    for row, key in enumerate(rows.keys):
        other = first.setdefault(key, row)
        if other != row:
            places = [os.path.join(paths[rows.files[each]], names[each]) for each in (other, row)]
            if places[0] == places[1]:  # Only a list can name the same file twice.
                raise SourceError(
                    f"{places[0]!r} is twice in the list of the folder's files; mend the list, or "
                    "move it away so that the folder is listed"
                )
            raise SourceError(
                f"{places[1]!r}: the image {key} is there twice, first as {places[0]!r}; every "
                "image must be there once, remove one of them"
            )
    table = rows.table()
    if names != rows.keys:
        table = table.append_column("name", pa.array(names, pa.string()))
    return table


def what_is_passed_over(path: Path, names: Sequence[str], kind: str) -> str | None:
    """What to say of things beside class folders or class archives, or None."""
    if not names:
        return None
    more = ", ..." if len(names) > _SHOWN else ""
    listed = ", ".join(map(repr, names[:_SHOWN]))
    return f"{path} holds what is not one of its {kind}: {listed}{more}"
