"""The directory of a catalog: put together beside it, and exchanged with it in one step."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagenet_builders.catalog.kept import FOLDER
from imagenet_builders.errors import OptionError, TargetError
from imagenet_builders.files.private_dir import NotOursError, PrivateDir
from imagenet_builders.files.regular import read_regular
from imagenet_builders.publish import exchange
from imagenet_builders.publish.provenance import FILE_NAME
from imagenet_builders.publish.readable import INFO
from imagenet_builders.publish.target import Target
from imagenet_builders.write import durable

_MARK = f"{FOLDER}/catalog.json"
_MARKED = {"made_by": "imagenet-builders catalog"}
_MAX_BYTES = 1 << 22

# What file managers leave in every directory, and NFS where a file is open that was removed.
_LITTER = re.compile(
    r"\.DS_Store|Thumbs\.db|desktop\.ini|\.directory|\.nfs[0-9a-f]+|\.fuse_hidden\w+"
)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SITE = "site"
_TRIES = 10


def check(out: Path, data_dir: Path) -> None:
    """Makes sure that a catalog can be put in a directory.

    Args:
        out: The directory, absolute.
        data_dir: Where the datasets are, absolute.

    Raises:
        OptionError: It would take the place of something else, or there is no directory for it.
        TargetError: It cannot be looked at.
    """
    inside = {os.path.realpath(each) for each in (data_dir, *data_dir.parents)}
    if os.path.realpath(out) in inside:
        raise OptionError(
            f"--out {out}: the datasets are in it, and a catalog takes the place of all that is "
            "there; choose another directory"
        )
    if not out.parent.is_dir():
        raise OptionError(
            f"--out {out}: there is no directory {out.parent}; make it, or choose another"
        )
    if out.is_symlink():
        raise OptionError(
            f"--out {out} is a link, which is not replaced; give the directory that it leads to"
        )
    real = Path(os.path.realpath(out))
    for each in (real, *real.parents):
        if any(os.path.lexists(each / name) for name in (INFO, FILE_NAME)):
            raise OptionError(
                f"--out {out}: there is a dataset or an export in {each}; choose a directory that "
                "is in none"
            )
    with durable.reading(out):
        if not os.path.lexists(out):
            return
        if out.is_dir() and not out.is_symlink() and (is_catalog(out) or not any(out.iterdir())):
            strange = _strangers(out)
            if not strange:
                return
            raise OptionError(
                f"--out {out}: {strange[0]} is in it, which no catalog put there and a new one "
                "would take away; move it elsewhere, or choose another directory"
            )
    raise OptionError(
        f"--out {out} is there and is no catalog of this program; choose a directory that is not "
        "there, is empty or has one"
    )


def is_catalog(directory: Path) -> bool:
    """Whether there is a catalog in a directory, which another may replace."""
    try:
        return bool(_marked(directory).items() >= _MARKED.items())
    except (OSError, ValueError, RecursionError, AttributeError):
        return False


def _marked(directory: Path) -> Any:
    return json.loads(read_regular(directory / _MARK, _MAX_BYTES))


def _strangers(out: Path) -> list[str]:
    """What is in the directory of a catalog, and was put there by somebody else."""
    try:
        ours = _marked(out).get("names")
    except (OSError, ValueError, RecursionError, AttributeError):
        return []  # It is empty, then.
    if not isinstance(ours, list):
        return []
    names = set(os.listdir(out)) - set(map(str, ours))
    return sorted(name for name in names if not _LITTER.fullmatch(name))


@contextlib.contextmanager
def new_site(out: Path) -> Iterator[Path]:
    """A directory to put a catalog together in, which takes the place of `out` in the end.

    Args:
        out: The directory of the catalog, as `check` lets it pass.

    Yields:
        A path of the directory that is good in this process.

    Raises:
        TargetError: It cannot be written, or something else has the name in the end; then what was
            there is there still.
    """
    _tidy(out)
    private = _locked(out)
    try:
        site = private.place_of(_SITE)
        yield site
        names = sorted({*os.listdir(site), FOLDER})
        write(site / _MARK, json.dumps(_MARKED | {"names": names}).encode())
        _publish(site, out)
    finally:
        private.remove()


def _locked(out: Path) -> PrivateDir:
    """A new directory beside a catalog, with one for the site in it; locked."""
    for left in reversed(range(_TRIES)):
        path = out.with_name(f".{out.name}.catalog-{secrets.token_hex(8)}")
        try:
            with durable.writing(path):
                private = PrivateDir.make(path)
        except TargetError:
            if not left or os.path.lexists(path):
                raise
            continue
        try:
            fcntl.flock(private.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # With the mode that readers will see. Nobody else comes as far as here.
            os.mkdir(_SITE, dir_fd=private.fd)
        except OSError as error:
            private.remove()
            # Another process took it for one that was left, before it was locked.
            if not left or not isinstance(error, BlockingIOError | FileNotFoundError):
                raise durable.target_error(path, error) from error
        except BaseException:
            private.remove()
            raise
        else:
            return private
    raise AssertionError


def _publish(site: Path, out: Path) -> None:
    for left in reversed(range(_TRIES)):
        try:
            exchange.publish(site, Target(out), replace=True, last_check=lambda: _check_still(out))
            return
        except TargetError:
            # Another catalog got the name meanwhile; each is whole, and this one is as good.
            if not left or not site.is_dir() or not is_catalog(out):
                raise


def write(path: Path, content: bytes) -> None:
    """Writes a file of a site that is being put together; all are flushed in the end.

    Args:
        path: The file, which is not there; directories above it are made.
        content: Its content.

    Raises:
        TargetError: It cannot be written.
    """
    with durable.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, _NEW, 0o666)
        with os.fdopen(fd, "wb") as file:
            file.write(content)


def _check_still(out: Path) -> None:
    """Makes sure that nobody has put something else there meanwhile."""
    if os.path.lexists(out) and not (
        out.is_dir()
        and not out.is_symlink()
        and (is_catalog(out) or not any(out.iterdir()))
        and not _strangers(out)
    ):
        raise TargetError(
            f"{durable.shown(out)} became something else than a catalog while this one was made; "
            "look at it, then choose another --out"
        )


def _tidy(out: Path) -> None:
    """Removes what runs that were killed have left beside a catalog; gives it its name back."""
    exchange.recover(Target(out))  # It was moved aside, where it takes two steps to replace it.
    for old in Target(out).olds():
        if is_catalog(old):
            with contextlib.suppress(OSError, NotOursError), PrivateDir.enter(old) as left:
                left.remove()
    name = re.compile(rf"\.{re.escape(out.name)}\.catalog-[0-9a-f]{{16}}")
    with contextlib.suppress(OSError):
        for each in os.listdir(out.parent):
            if name.fullmatch(each):
                with (
                    contextlib.suppress(OSError, NotOursError),
                    PrivateDir.enter(out.parent / each) as left,
                ):
                    # Another process that makes a catalog now has it locked.
                    fcntl.flock(left.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left.remove()
