"""Finds the directories of built datasets that a name or a path means."""

from __future__ import annotations

import re
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.errors import OptionError, StagingError
from imagenet_builders.publish import default_config, readable

_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_NAME = re.compile(r"([A-Za-z0-9_]+)(?:/([A-Za-z0-9_.+-]+))?(?::([0-9]+\.[0-9]+\.[0-9]+))?")
INFO = "dataset_info.json"


def find(asked: str, data_dir: Path) -> list[Path]:
    """Finds datasets.

    Args:
        asked: `NAME`, `NAME/CONFIG`, either with `:VERSION`, the path of a directory, or `all`.
        data_dir: Where datasets are.

    Returns:
        For each configuration, the directory of its newest version, or of the one asked for.

    Raises:
        OptionError: It is neither the name of a dataset nor a directory.
        StagingError: It was not built there.
        DatasetError: A directory may not be looked at.
    """
    try:
        return _find(asked, data_dir)
    except PermissionError as error:
        raise readable.not_allowed(Path(error.filename or data_dir)) from error


def _find(asked: str, data_dir: Path) -> list[Path]:
    path = Path(asked)
    readable.wait_for_exchange(path)
    if path.is_dir() and (path.is_absolute() or asked.startswith(".") or (path / INFO).is_file()):
        return [_of_dataset(path)]
    if asked == "all":
        found = [
            each
            for name in datasets.names()
            if (data_dir / name).is_dir()
            for each in _under(data_dir / name, None)
        ]
        if not found:
            raise StagingError(f"{data_dir}: there is no dataset of this package")
        return found
    match = _NAME.fullmatch(asked)
    if match is None:
        raise OptionError(
            f"{asked!r} is neither a dataset (NAME, NAME/CONFIG, NAME:VERSION) nor the directory "
            "of one"
        )
    name, config, version = match.groups()
    root = data_dir / name / config if config else data_dir / name
    found = _under(root, version)
    if not found:
        if name not in datasets.names() and not root.is_dir():
            if path.is_dir():
                return [_of_dataset(path)]
            raise OptionError(datasets.no_such(name))
        what = f"no version {version}" if version else "no version"
        raise StagingError(
            f"{asked} is not built: there is {what} in {root}; give the directory that it was "
            "built into, or build it"
        )
    return found


def _of_dataset(path: Path) -> Path:
    """A directory of which something says that a dataset is, or was, in it."""
    if not any((path / name).exists() for name in (INFO, "features.json", "provenance.json")):
        raise StagingError(
            f"{path}: there is no dataset in this directory, for there is no {INFO} in it; give "
            "that of a version, such as NAME/5.1.0, or a name and --data-dir"
        )
    return path.absolute()


def one(asked: str, data_dir: Path) -> Path:
    """Finds one dataset, as TensorFlow Datasets does.

    Args:
        asked: As for `find`, but for `all`.
        data_dir: Where datasets are.

    Returns:
        The directory of its version; of the default configuration where none was asked for.

    Raises:
        OptionError: It is neither the name of a dataset nor a directory, or it is not clear which
            configuration is meant.
        StagingError: It was not built there.
    """
    if asked == "all":
        raise OptionError("'all' stands for every dataset, but one is needed; name it")
    found = find(asked, data_dir)
    if len(found) == 1:
        return found[0]
    names = [path.parent.name for path in found]
    try:
        default = default_config.read(default_config.path_of(found[0]))
    except ValueError:
        default = None
    if default in names:
        return found[names.index(default)]
    raise OptionError(
        f"{asked!r} may be any of {', '.join(names)}; say which, such as {asked}/{names[0]}"
    )


def _under(root: Path, version: str | None) -> list[Path]:
    """Finds versions in a directory, or else in the directories of its configurations."""
    here = _newest(root, version)
    if here is not None:
        return [here]
    below = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [found for path in below if (found := _newest(path, version)) is not None]


def _newest(directory: Path, version: str | None) -> Path | None:
    if not directory.is_dir():
        return None
    for moved in directory.glob(".*.old-*"):
        readable.wait_for_exchange(directory / moved.name.rpartition(".old-")[0][1:])
    versions = [
        path for path in directory.iterdir() if _VERSION.fullmatch(path.name) and path.is_dir()
    ]
    if version is not None:
        versions = [path for path in versions if path.name == version]
    return max(versions, key=lambda path: [*map(int, path.name.split("."))], default=None)
