"""`.config/metadata.json`: the configuration that the bare name of a dataset means.

It lies in the directory of the dataset's name, beside those of its configurations. TensorFlow
Datasets writes it before it builds, and reads it where it does not know the dataset's class
(`_save_default_config_name` and `load_default_config_name` in its `core/dataset_builder.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.files.regular import read_regular
from imagenet_builders.files.way import open_way
from imagenet_builders.publish.access import Access
from imagenet_builders.write import durable

_KEY = "default_config_name"
_MAX_BYTES = 1 << 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def path_of(directory: Path) -> Path:
    """The file that goes with a dataset.

    Args:
        directory: The directory of a version, `<data_dir>/<name>/<config>/<version>`.
    """
    return directory.parent.parent / ".config" / "metadata.json"


def read(path: Path) -> str | None:
    """The configuration that a file names; None if there is no such file.

    Args:
        path: As `path_of` gives it.

    Raises:
        ValueError: It is not a file that names one; the words say what is wrong.
    """
    try:
        data = read_regular(path, _MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"this file cannot be read ({error.strerror})") from None
    try:
        name = json.loads(data)[_KEY]
    except (ValueError, TypeError, KeyError, RecursionError):
        name = None
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError(f"it does not name a configuration as {_KEY}")
    return name


def ensure(directory: Path, default: str, configs: Collection[str], access: Access) -> None:
    """Writes the file, unless it names a configuration already.

    Several builds may do so at once: it is there as a whole or not at all, and they agree.

    Args:
        directory: The directory of a version, which need not be there yet.
        default: The configuration to name.
        configs: All configurations that the dataset has.
        access: Mode and group of what is made.

    Raises:
        TargetError: It cannot be written.
    """
    path = path_of(directory)
    try:
        named = read(path)
    except ValueError:
        named = None  # Stock readers cannot use it either.
    if named is not None and (named in configs or (path.parent.parent / named).is_dir()):
        return
    access.make_parents(path.parent)
    if path.parent.is_symlink():
        raise TargetError(
            f"{path.parent} is a link; the default configuration of the dataset is written there, "
            "in a directory: look at the link, and move it elsewhere"
        )
    with durable.writing(path):
        above = open_way(path.parent.parent)
        try:
            config = os.open(path.parent.name, _DIRECTORY, dir_fd=above)
        finally:
            os.close(above)
        try:
            _write(path, config, json.dumps({_KEY: default}).encode(), access)
            with contextlib.suppress(OSError):  # Some network file systems cannot, and need not.
                os.fsync(config)
        finally:
            os.close(config)


def _write(path: Path, directory: int, content: bytes, access: Access) -> None:
    """Writes the file as a whole, in an open directory that others may write."""
    partial = durable.partial_path(Path(path.name)).name
    fd = os.open(partial, _NEW, 0o666, dir_fd=directory)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
            access.give(fd, path)
        os.replace(partial, path.name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial, dir_fd=directory)
        raise
