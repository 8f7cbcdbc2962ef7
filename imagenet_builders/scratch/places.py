"""The directories in scratch space that hold staged copies: their names, locks, and removal.

`SCRATCH-staged/NAME-DIGEST/`, beside the scratch directory of a build, belongs to one dataset and
one `manual_dir`. `files/` in it is the copy: archives under the paths that the originals have, and
links to folders that are read in place. `lock` keeps other builds away; partial files lie beside.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from imagenet_builders.errors import SourceError
from imagenet_builders.scratch.space import make_scratch

FILES = "files"
"""Name of the copy in its place."""

_REMOVED = ".removed"
_LOCK = "lock"


def stage_directory(scratch: Path) -> Path:
    """Where copies are made, from the scratch directory of a build."""
    return scratch.with_name(f"{scratch.name}-staged")


def place_of(stage: Path, name: str, manual_dir: Path) -> Path:
    """The place of the copy that a dataset is built from.

    Args:
        stage: As `stage_directory` gives it.
        name: Name of the dataset, with its configuration.
        manual_dir: What is copied.
    """
    digest = hashlib.sha256(os.path.abspath(manual_dir).encode(errors="surrogateescape"))
    return stage / f"{name.replace('/', '-')}-{digest.hexdigest()[:12]}"


def locked(place: Path) -> int:
    """Makes a place, and keeps others from it where its file system has locks.

    Args:
        place: The place.

    Returns:
        A descriptor; closing it lets others in.

    Raises:
        OptionError: It cannot be made or written to.
        SourceError: Another build is using it.
    """
    make_scratch(place.parent, "for copies, by --stage", parents=True)
    while True:
        path = place / _LOCK
        try:
            with contextlib.suppress(FileExistsError):
                place.mkdir(mode=0o700)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # Another build has just removed it.
            make_scratch(place.parent, "for copies, by --stage", parents=True)
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise SourceError(
                f"{place}: another build is using the copies there at this moment; wait until it "
                "has ended, or choose another directory with --scratch-dir"
            ) from None
        except OSError:
            return fd  # The file system has no locks.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        os.close(fd)


def holds_anything(place: Path) -> bool:
    """Whether there is a file in a place that was copied, or begun to be."""
    return any(
        path.name != _LOCK and path.is_file() and not path.is_symlink() for path in place.rglob("*")
    )


def remove_place(place: Path) -> None:
    """Removes a place, which at once has its name no more: another may be made."""
    removed = place.with_name(f"{place.name}.{secrets.token_hex(4)}{_REMOVED}")
    with contextlib.suppress(OSError):
        place.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
        place.parent.rmdir()


def remove_left(stage: Path) -> None:
    """Removes what builds that were killed had begun to remove."""
    for left in stage.glob(f"*{_REMOVED}"):
        shutil.rmtree(left, ignore_errors=True)


def remove_others(place: Path, keep: Collection[Path], partials: Collection[Path]) -> None:
    """Removes what is of no use now: a build would take it for staged.

    A link that stays leads out of the place, so none does but one of those to be kept: nothing must
    be written, or looked for, behind another.

    Args:
        place: The place.
        keep: What stays of its copy.
        partials: What stays beside that.
    """
    needed = {*keep, *(parent for path in keep for parent in path.parents)}
    root = place / FILES
    for directory, folders, names in os.walk(root):
        gone = set()
        for name in [*folders, *names]:
            path = Path(directory, name)
            if path not in needed or (path.is_symlink() and path not in keep):
                remove(path)
                gone.add(name)
        folders[:] = [name for name in folders if name not in gone]
    for path in place.iterdir():
        if path.name not in (FILES, _LOCK) and path not in partials:
            remove(path)
    root.mkdir(exist_ok=True)


def remove(path: Path) -> None:
    """Removes a file, a link, or a directory with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
