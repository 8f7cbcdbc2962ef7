"""Shards that are several files: these are moved to where they belong before publication."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.write import build_dir, durable, marks
from imagenet_builders.write.outputs.output import WrittenFile


def spread(incomplete: IncompleteDir, shards: Iterable[Path]) -> Iterator[WrittenFile]:
    """Moves the files of shards that are several out of the shards' directories.

    Then they lie beside each other, in directories that the shards may share. If this is
    interrupted, the shards whose files were moved are written again.

    Args:
        incomplete: Where the shards are.
        shards: The shards, all of which are finished.

    Yields:
        The files, in order, once they have their place.

    Raises:
        TargetError: A file is missing or not as it was written, or two have one name.
    """
    made: set[str] = set()
    for shard in shards:
        for file in files_of(incomplete, shard):
            found = incomplete.size_of(f"{shard.name}/{file.name}")
            path = incomplete.shards / file.name
            if found != file.size:
                raise TargetError(
                    f"{path} had {file.size:,} bytes when it was written and has {found:,} now; "
                    "find out what changed it, then run the same command again"
                )
            with durable.writing(path):
                _move(incomplete, f"{shard.name}/{file.name}", file.name, made)
            yield file
        with durable.writing(shard):
            incomplete.directory.discard(build_dir.shard_name(shard.name))


def files_of(incomplete: IncompleteDir, shard: Path) -> tuple[WrittenFile, ...]:
    """The files of a finished shard that is several; none of any other."""
    mark = Path(build_dir.mark_name(shard.name))
    result = marks.read_mark(mark, dir_fd=incomplete.directory.fd)
    return result.files if result is not None else ()


def _move(incomplete: IncompleteDir, name: str, to: str, made: set[str]) -> None:
    """Moves a file, in a directory that is made if need be."""
    directory = incomplete.directory
    above = to.rpartition("/")[0]
    if above not in made:
        for at in (at for at, each in enumerate(f"{above}/") if each == "/" and at):
            if above[:at] not in made:
                with contextlib.suppress(FileExistsError):  # Of another call.
                    os.mkdir(build_dir.shard_name(above[:at]), dir_fd=directory.fd)
                made.add(above[:at])
    if directory.has(build_dir.shard_name(to)):
        raise TargetError(
            f"{incomplete.shards / to} would have to be two files; two examples have the same "
            "name, see what is in the source"
        )
    directory.replace(build_dir.shard_name(name), build_dir.shard_name(to))
