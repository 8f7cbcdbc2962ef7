"""The private directory in which a dataset is put together, as the processes that write see it.

In it are `shards/`, which will be published, `marks/`, and `build.json`, which says what is built
and whose directory it is (see `publish.incomplete`). Who may write the directory above can rename
it, or put another in its place. So a process that is given a path in it opens it once, sees whether
it is what it should be, and reaches all in it through its descriptor.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagenet_builders.errors import TargetError
from imagenet_builders.files.json_object import json_object
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.files.regular import open_regular
from imagenet_builders.write import durable

SHARDS, MARKS, BUILD = "shards", "marks", "build.json"

DONE = ".done"
"""What the name of a shard's mark ends in."""

_NATURAL = 0o666


def shard_name(name: str) -> str:
    """The path of a shard, in the directory."""
    return f"{SHARDS}/{name}"


def mark_name(name: str) -> str:
    """The path of a shard's mark, in the directory."""
    return f"{MARKS}/{name}{DONE}"


@contextlib.contextmanager
def entered(shard: str | Path) -> Iterator[PrivateDir]:
    """Opens the directory of a shard, in a process that did not make it.

    Args:
        shard: The path of a shard in it.

    Raises:
        TargetError: It is not there, or another is in its place.
    """
    path = Path(shard).parents[1]
    with durable.writing(path):
        directory = PrivateDir.enter(path)
    with directory:
        with durable.writing(path):
            token = read_build(directory).get("token")
        # One of this user's own, of another build, would do as much harm.
        if not isinstance(token, str) or not path.name.endswith(f"-{token}"):
            raise TargetError(
                f"{path} is that of another build now; find out who renamed it (all who may write "
                f"in {path.parent} can), then run the same command again"
            )
        yield directory


def read_build(directory: PrivateDir) -> dict[str, Any]:
    """What `build.json` says; empty if it is damaged.

    Raises:
        OSError: It is not there, or cannot be read.
    """
    return json_object(directory.read(BUILD)) or {}


def new_file(directory: PrivateDir, name: str) -> str:
    """Makes an empty file for a shard that is about to be written.

    It lies beside the marks, because the directory of the shards may be published while another
    attempt at this shard, which a runner has given up, still writes.

    Args:
        directory: The directory.
        name: The shard's name.

    Returns:
        Its path, in the directory.

    Raises:
        TargetError: It cannot be made.
    """
    partial = durable.partial_path(Path(MARKS, name))
    with durable.writing(directory.path / partial):
        # With the mode that readers will see, as the umask or an ACL has it.
        os.close(directory.open_new(str(partial), _NATURAL))
    return str(partial)


def new_tree(directory: PrivateDir, name: str) -> str:
    """Makes an empty directory for a shard of several files; see `new_file`.

    Raises:
        TargetError: It cannot be made.
    """
    partial = durable.partial_path(Path(MARKS, name))
    with durable.writing(directory.path / partial):
        os.mkdir(str(partial), dir_fd=directory.fd)
    return str(partial)


def flush(directory: PrivateDir, name: str) -> int:
    """Flushes a file in it to the storage.

    Args:
        directory: The directory.
        name: Its path, in the directory.

    Returns:
        Its bytes.

    Raises:
        TargetError: The storage cannot keep it, or it is no file.
    """
    with durable.writing(directory.path / name):
        fd = open_regular(name, dir_fd=directory.fd)
        try:
            os.fsync(fd)
            return os.fstat(fd).st_size
        finally:
            os.close(fd)
