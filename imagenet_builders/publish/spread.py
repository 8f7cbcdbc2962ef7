"""Shards that are several files: these are moved to where they belong before publication."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.files.at_once import at_once
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.write import build_dir, durable, marks
from imagenet_builders.write.outputs.output import WrittenFile

# Files that are moved at the same time over a network, where each waits for a few answers.
_MOVED_AT_ONCE = 16


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
        files = files_of(incomplete, shard)
        for file in files:
            _make_above(incomplete, file.name, made)
        move = functools.partial(_move, incomplete, shard)
        yield from at_once(move, files, threads=_MOVED_AT_ONCE)
        with durable.writing(shard):
            incomplete.directory.discard(build_dir.shard_name(shard.name))


def files_of(incomplete: IncompleteDir, shard: Path) -> tuple[WrittenFile, ...]:
    """The files of a finished shard that is several; none of any other."""
    mark = Path(build_dir.mark_name(shard.name))
    result = marks.read_mark(mark, dir_fd=incomplete.directory.fd)
    return result.files if result is not None else ()


def _make_above(incomplete: IncompleteDir, name: str, made: set[str]) -> None:
    """Makes the directories that a file will lie in, where they are not there."""
    directory = incomplete.directory
    above = name.rpartition("/")[0]
    if above in made:
        return
    with durable.writing(incomplete.shards / name):
        for at in (at for at, each in enumerate(f"{above}/") if each == "/" and at):
            inner = build_dir.shard_name(above[:at])
            # Those of one split may be there for another.
            if above[:at] not in made and not directory.has(inner):
                os.mkdir(inner, dir_fd=directory.fd)
            made.add(above[:at])


def _move(incomplete: IncompleteDir, shard: Path, file: WrittenFile) -> WrittenFile:
    """Moves a file out of its shard."""
    path, place = build_dir.shard_name(file.name), f"{shard.name}/{file.place}"
    try:
        if incomplete.directory.has(path):
            raise TargetError(
                f"{incomplete.shards / file.name} would have to be two files; two examples have "
                "the same name, see what is in the source"
            )
        found = incomplete.size_of(place)
        if found != file.size:
            raise TargetError(
                f"{incomplete.shards / file.name} had {file.size:,} bytes when it was written and "
                f"has {found:,} now; find out what changed it, then run the same command again"
            )
        incomplete.directory.replace(build_dir.shard_name(place), path)
    except OSError as error:
        raise durable.target_error(incomplete.shards / file.name, error) from error
    return file
