"""The directories of a build in two file formats: one of each, for each has its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions
from imagenet_builders.write import outputs


def formats_of(asked: object) -> list[str | None]:
    """The file formats that were asked for.

    Args:
        asked: A name; several with commas between; or None for the default one, or what
            TensorFlow Datasets takes for a name.

    Returns:
        Their names, that of the default output first.

    Raises:
        OptionError: A name is none, or is there twice.
    """
    if not isinstance(asked, str):
        return [asked]  # type: ignore[list-item]  # TensorFlow Datasets knows.
    try:
        names = outputs.file_format_names(asked) if "," in asked else [asked]
    except ValueError as error:
        raise OptionError(f"file_format {error}") from None
    return sorted(names, key=lambda name: name != outputs.DEFAULT.name)


def other_root(
    formats: Sequence[str | None], data_dir: str | os.PathLike[str], options: BuildOptions
) -> str | None:
    """The directory of the datasets in the second file format; None for a build in one.

    Args:
        formats: As `formats_of` gives them.
        data_dir: The directory of those in the first.
        options: How to build.

    Raises:
        OptionError: It is missing, is that of the first, or is given for a build in one format.
    """
    other = options.array_record_dir
    if len(formats) == 1:
        if other is None:
            return None
        raise OptionError(
            f"array_record_dir {other} is given, but only one file format; ask for both "
            f"(--file-format {','.join(outputs.file_formats())}), or leave --array-record-dir out: "
            "datasets in one format go to --data-dir"
        )
    if other is None:
        raise OptionError(
            f"{' and '.join(map(str, formats))} were asked for, but only one directory, "
            f"{data_dir}: TensorFlow Datasets reads one file format from a directory; choose "
            "another for ArrayRecord with --array-record-dir"
        )
    other = os.path.expanduser(other)
    if Path(other).resolve() == Path(data_dir).expanduser().resolve():
        raise OptionError(
            f"--array-record-dir {other} is the same directory as --data-dir, but each file format "
            "needs its own; choose another for one of them"
        )
    return other


def check_apart(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> None:
    """Makes sure that the builds of a dataset in two file formats have directories of their own.

    Two roots do not suffice: in one, the directory of a dataset may be a link into the other.

    Args:
        first: The directory of the version in the first format.
        second: That in the second.

    Raises:
        OptionError: They lie in the same directory.
    """
    if Path(first).parent.resolve() == Path(second).parent.resolve():
        raise OptionError(
            f"{second} is the same directory as {first}, by a link, but each file format needs its "
            "own; choose another --array-record-dir"
        )
