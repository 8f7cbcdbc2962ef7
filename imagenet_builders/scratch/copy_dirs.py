"""The directories in scratch space that hold copies of archives: names, locks, and removal.

`SCRATCH-staged/NAME-DIGEST/`, beside the scratch directory of a build, belongs to one dataset and
one `manual_dir`. `files/` in it is the copy: archives under the paths that the originals have, and
links to folders that are read in place. `lock` keeps other builds away. Partial files lie beside.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from imagenet_builders.errors import SourceError
from imagenet_builders.scratch.locks import LOCK, lock_directory
from imagenet_builders.scratch.space import make_scratch

FILES = "files"
"""Name of the copy in its directory."""

_REMOVED = ".removed"


def parent_of(scratch: Path) -> Path:
    """The parent of all copies, from the scratch directory of a build."""
    return scratch.with_name(f"{scratch.name}-staged")


def directory_of(parent: Path, name: str, manual_dir: Path) -> Path:
    """The directory of the copy that a dataset is built from.

    Args:
        parent: As `parent_of` gives it.
        name: Name of the dataset, with its configuration.
        manual_dir: What is copied.
    """
    digest = hashlib.sha256(os.path.abspath(manual_dir).encode(errors="surrogateescape"))
    return parent / f"{name.replace('/', '-')}-{digest.hexdigest()[:12]}"


def lock(directory: Path) -> int:
    """Makes the directory of a copy, and keeps other builds from it.

    Args:
        directory: The directory.

    Returns:
        A descriptor; to close it lets others in.

    Raises:
        OptionError: It cannot be made or written to.
        SourceError: Another build is using it.
    """

    def make() -> None:
        if not directory.exists():
            make_scratch(directory.parent, "for copies, by --stage", parents=True)
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                directory.mkdir(mode=0o700)

    try:
        return lock_directory(directory, make)
    except BlockingIOError:
        raise SourceError(
            f"{directory}: another build is using the copies there at this moment; wait until it "
            "has ended, or choose another directory with --scratch-dir"
        ) from None


def holds_anything(directory: Path) -> bool:
    """Whether a file, or a part of one, was copied to a directory."""
    return any(
        path.name != LOCK and path.is_file() and not path.is_symlink()
        for path in directory.rglob("*")
    )


def remove_all(directory: Path) -> None:
    """Removes a directory, after renaming it: another process may make it anew at once."""
    removed = directory.with_name(f"{directory.name}.{secrets.token_hex(4)}{_REMOVED}")
    with contextlib.suppress(OSError):
        directory.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
        directory.parent.rmdir()


def remove_left(parent: Path) -> None:
    """Removes what builds that were killed had begun to remove."""
    for left in parent.glob(f"*{_REMOVED}"):
        shutil.rmtree(left, ignore_errors=True)


def remove_others(directory: Path, keep: Collection[Path], partials: Collection[Path]) -> None:
    """Removes what is of no use now: a build would take it for staged.

    That includes every symlink that is not in `keep`: it points outside the copy, and nothing may
    be read or written through it.

    Args:
        directory: The directory of the copy.
        keep: What stays of the copy.
        partials: What stays beside it.
    """
    needed = {*keep, *(parent for path in keep for parent in path.parents)}
    root = directory / FILES
    for folder, folders, names in os.walk(root):
        gone = set()
        for name in [*folders, *names]:
            path = Path(folder, name)
            if path not in needed or (path.is_symlink() and path not in keep):
                remove(path)
                gone.add(name)
        folders[:] = [name for name in folders if name not in gone]
    for path in directory.iterdir():
        if path.name not in (FILES, LOCK) and path not in partials:
            remove(path)
    root.mkdir(exist_ok=True)


def remove(path: Path) -> None:
    """Removes a file, a link, or a directory with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
