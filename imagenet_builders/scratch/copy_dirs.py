"""The directories in scratch space that hold copies of archives: names, locks, and removal.

`staged/NAME-DIGEST/`, in the scratch directory, belongs to one dataset and one `manual_dir`.
`files/` in it is the copy: archives under the paths that the originals have. `lock` keeps other
builds away. Partial files lie beside.

Here paths begin with an open directory (`PrivateDir.place_of`), so that they lead nowhere else when
somebody exchanges the scratch directory.
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
from imagenet_builders.files.own_dir import enter_own
from imagenet_builders.files.private_dir import NotOursError, PrivateDir
from imagenet_builders.scratch.locks import LOCK, LockedDir, lock_directory
from imagenet_builders.scratch.space import enter_scratch

STAGED = "staged"
"""Name of the directory of all copies in the scratch directory."""

FILES = "files"
"""Name of the copy in its directory."""

_REMOVED = ".removed"


def name_of(name: str, manual_dir: Path) -> str:
    """The name of the directory of the copy that a dataset is built from.

    Args:
        name: Name of the dataset, with its configuration.
        manual_dir: What is copied.
    """
    digest = hashlib.sha256(os.path.abspath(manual_dir).encode(errors="surrogateescape"))
    return f"{name.replace('/', '-')}-{digest.hexdigest()[:12]}"


def lock(scratch: Path, name: str) -> LockedDir:
    """Makes the directory of a copy, and keeps other builds from it.

    Args:
        scratch: The scratch directory.
        name: As `name_of` gives it.

    Returns:
        The directory; to close it lets others in.

    Raises:
        OptionError: It cannot be made or written to.
        SourceError: Another build is using it.
    """
    with enter_scratch(scratch, "for copies, by --stage") as root:
        try:
            return lock_directory(root, (STAGED, name))
        except BlockingIOError:
            raise SourceError(
                f"{scratch / STAGED / name}: another build is using the copies there at this "
                "moment; wait until it has ended, or choose another directory with --scratch-dir"
            ) from None


def holds_anything(directory: PrivateDir) -> bool:
    """Whether a file, or a part of one, was copied to a directory."""
    return any(
        path.name != LOCK and path.is_file() and not path.is_symlink()
        for path in directory.place_of("").rglob("*")
    )


def remove_all(scratch: Path, directory: PrivateDir) -> None:
    """Removes a directory, after renaming it: another process may make it anew at once.

    Args:
        scratch: The scratch directory.
        directory: The directory of a copy.
    """
    name = directory.path.name
    removed = f"{name}.{secrets.token_hex(4)}{_REMOVED}"
    with contextlib.suppress(OSError, NotOursError), enter_own(scratch) as root:
        with root.enter_inner(STAGED) as staged:
            with staged.enter_inner(name) as now:
                if not os.path.samestat(os.fstat(now.fd), os.fstat(directory.fd)):
                    return
            staged.replace(name, removed)
            staged.discard(removed)
        os.rmdir(STAGED, dir_fd=root.fd)  # Only an empty one.


def remove_left(scratch: Path) -> None:
    """Removes what builds that were killed had begun to remove."""
    with (
        contextlib.suppress(OSError, NotOursError),
        enter_own(scratch) as root,
        root.enter_inner(STAGED) as staged,
    ):
        for name in staged.names_in("."):
            if name.endswith(_REMOVED):
                staged.discard(name)


def remove_others(directory: PrivateDir, keep: Collection[Path], partials: Collection[str]) -> None:
    """Removes what is of no use now: a build would take it for staged.

    That includes every link: it points outside the copy, and nothing may be read or written
    through it.

    Args:
        directory: The directory of the copy.
        keep: What stays of the copy, as paths below `FILES`.
        partials: Names of what stays beside it.
    """
    root = directory.place_of(FILES)
    for name in directory.names_in("."):
        if name not in (FILES, LOCK, *partials):
            directory.discard(name)
    if root.is_symlink() or not root.is_dir():
        directory.discard(FILES)
        root.mkdir(mode=0o700)
    needed = {root / path for path in keep}
    needed |= {parent for path in needed for parent in path.parents}
    for folder, folders, names in os.walk(root):
        gone = set()
        for name in [*folders, *names]:
            path = Path(folder, name)
            if path not in needed or path.is_symlink():
                remove(path)
                gone.add(name)
        folders[:] = [name for name in folders if name not in gone]


def remove(path: Path) -> None:
    """Removes a file, a link, or a directory with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
