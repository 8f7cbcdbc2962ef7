"""TensorFlow Datasets, or one sentence that says what is in the way of importing it.

It goes on when a part of it cannot be imported, and logs a traceback: the module that results has
no names. What is in the way is one of some sixty packages, so what is installed is compared with
what this package needs.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import logging
import shlex
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagenet_builders.errors import InstallationError
from imagenet_builders.run.garbage import uncollected
from imagenet_builders.words import counted

_OURS = "imagenet-builders"
# Both have the same files in the same places, and either is TensorFlow.
_STAND_INS = {"tensorflow": "tensorflow-cpu"}


def import_tfds(*others: str) -> Any:
    """Imports TensorFlow Datasets.

    Args:
        *others: Names of modules that must be there, too.

    Returns:
        The module `tensorflow_datasets`.

    Raises:
        InstallationError: One of them cannot be imported; the message says why.
    """
    try:
        with uncollected():
            for name in others:
                importlib.import_module(name)
            return _import_tfds()
    except InstallationError:
        raise
    except Exception as error:
        raise explained(error) from error


def _import_tfds() -> Any:
    from absl import logging as absl_logging

    failures: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        """Keeps an exception that TensorFlow Datasets passes over, and lets other lines through."""
        if not record.exc_info or record.exc_info[1] is None:
            return True
        failures.append(record.exc_info[1])
        return False

    logger = absl_logging.get_absl_logger()
    logger.addFilter(keep)
    try:
        import tensorflow_datasets as tfds
    finally:
        logger.removeFilter(keep)
    if failures:
        raise failures[0]
    # After an earlier attempt there is a module, which lacks its names; this one fails again.
    importlib.import_module("tensorflow_datasets.public_api")
    return tfds


def explained(error: BaseException) -> InstallationError:
    """What is in the way, from an exception that an import of TensorFlow Datasets raised."""
    reason = f"{type(error).__name__}: {_first_sentence(error)}"
    # What the error speaks of first.
    unmet = sorted(_unmet(), key=lambda each: each.package not in str(error).lower())
    if unmet:
        found = ", ".join(
            f"{each.package} {each.installed or 'is not'} installed ({each.needed} is needed)"
            for each in unmet
        )
        wanted = shlex.join(each.needed for each in unmet)
        return InstallationError(
            f"TensorFlow Datasets cannot be imported with {found}: {reason}; install what is "
            f"needed with {_pip()} install {wanted}"
        )
    for package, version, missing in _incomplete():
        return InstallationError(
            f"TensorFlow Datasets cannot be imported: {counted(missing, 'file')} of {package} "
            f"{version} are missing, as after removing a package that has the same files, such as "
            f"tensorflow-cpu ({reason}); install it again with {_pip()} install "
            f"--force-reinstall --no-deps {package}=={version}"
        )
    return InstallationError(
        f"TensorFlow Datasets cannot be imported: {reason} (in {_packages_in(error)}), although "
        f"the versions are those that imagenet-builders needs; install it into an environment of "
        "its own, or see the traceback with --verbose"
    )


def _first_sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0].partition(". ")[0].rstrip(".")


def _pip() -> str:
    return shlex.join([sys.executable, "-m", "pip"])


def _needed() -> Iterator[str]:
    """The requirements of this package without its extras; none if it is not installed."""
    try:
        yield from importlib.metadata.requires(_OURS) or ()
    except importlib.metadata.PackageNotFoundError:
        return


@dataclasses.dataclass(frozen=True)
class _Unmet:
    """A requirement that is not met, and the version that is there, if any."""

    package: str
    needed: str
    installed: str | None


def _unmet() -> Iterator[_Unmet]:
    try:
        from packaging.requirements import Requirement
    except ImportError:  # It comes with TensorFlow.
        return
    for each in map(Requirement, _needed()):
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        version = _version(each.name) or _version(_STAND_INS.get(each.name, each.name))
        if version is None or not each.specifier.contains(version, prereleases=True):
            yield _Unmet(each.name, f"{each.name}{each.specifier}", version)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _incomplete() -> Iterator[tuple[str, str, int]]:
    """Packages that this one needs and that lack files: name, version, how many."""
    for needed in _needed():
        name = needed.partition(";")[0].partition("[")[0].rstrip("<>=~!.,0123456789 ")
        version = _version(name)
        files = importlib.metadata.files(name) or [] if version is not None else []
        modules = [file for file in files if file.suffix in (".py", ".so")]
        missing = sum(not Path(str(file.locate())).exists() for file in modules)
        if version is not None and missing:
            yield name, version, missing


def _packages_in(error: BaseException) -> str:
    """The packages whose code was running, the innermost last."""
    names = importlib.metadata.packages_distributions()
    seen: dict[str, None] = {}
    for frame in traceback.extract_tb(error.__traceback__):
        folders = Path(frame.filename).parts
        for at, folder in enumerate(folders[:-1]):
            if folder == "site-packages":
                for package in names.get(Path(folders[at + 1]).stem, ())[:1]:
                    seen.pop(package, None)
                    seen[package] = None
    last = [each for each in seen if each != _OURS][-2:]
    return " and ".join(f"{each} {_version(each)}" for each in last) or "Python"
