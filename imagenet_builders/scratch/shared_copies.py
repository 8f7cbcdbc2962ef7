"""Copies that several datasets of one command need: each passes on what a later one needs too.

A copy is passed on by moving it to where the later dataset would copy it to, so that this finds it
there, as after an interrupted run. So a file is copied once, whatever is built in between, and when
a dataset is built, only copies that another one waits for stay.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imagenet_builders.errors import ImagenetBuildersError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.locate.found import Survey
from imagenet_builders.scratch import copy_dirs
from imagenet_builders.scratch.copy import ScratchCopy, is_copy, partial_name
from imagenet_builders.scratch.to_copy import files_to_copy
from imagenet_builders.sources.rows import SourceFile


@dataclasses.dataclass(frozen=True)
class Turn:
    """A dataset that a command builds.

    Attributes:
        name: Its name, with its configuration.
        manual_dir: Where it is staged.
        survey: Says what is staged of it in a directory.
    """

    name: str
    manual_dir: Path
    survey: Callable[[Path], Survey]


class SharedCopies:
    """The copies that the datasets of a command share.

    Args:
        turns: The datasets, in the order in which they are built.
        source: The kind of source asked for (`--source`), or None.
    """

    def __init__(self, turns: Sequence[Turn], source: str | None):
        self._later = list(turns)
        self._source = source
        self._files: dict[Turn, tuple[Path, ...]] = {}
        self._passed_on: dict[str, Path] = {}
        """Name of the directory of each copy that was passed on, to the scratch directory."""

    def next_turn(self) -> None:
        """Begins the turn of the next dataset."""
        self._later.pop(0)

    def pass_on(self, copy: ScratchCopy) -> None:
        """Passes on what later datasets need of a copy, and removes the rest.

        Args:
            copy: The copy of a dataset that is published; it is locked.
        """
        if copy.locked is None or copy.scratch is None:
            return
        directory = copy.locked.directory
        files = {
            Path(original): directory.place_of(os.path.relpath(path, directory.path))
            for original, path in copy.files.items()
        }
        for turn in self._later:
            if not files:
                break
            moves = self._moves(files, turn)
            if not moves:
                continue
            name = copy_dirs.name_of(turn.name, turn.manual_dir)
            # A file that cannot be passed on is copied again.
            with contextlib.suppress(OSError, ImagenetBuildersError):
                locked = copy_dirs.lock(copy.scratch, name)
                try:
                    self._passed_on[name] = copy.scratch
                    moved = _move(moves, locked.directory, turn.manual_dir)
                finally:
                    locked.close()
                files = {one: path for one, path in files.items() if path not in moved}
        copy.remove()

    def end_turn(self, name: str, manual_dir: Path) -> None:
        """Ends the turn of a dataset that is there or cannot be built: others may need its copies.

        Args:
            name: Its name, with its configuration.
            manual_dir: Where it is staged.
        """
        directory_name = copy_dirs.name_of(name, manual_dir)
        scratch = self._passed_on.pop(directory_name, None)
        if scratch is None or not _path_of(scratch, directory_name).exists():
            return
        # Another build that uses them will remove them.
        with contextlib.suppress(OSError, ImagenetBuildersError):
            locked = copy_dirs.lock(scratch, directory_name)
            files = _files_in(locked.directory, manual_dir)
            with ScratchCopy(files, 0, scratch, locked) as copy:
                self.pass_on(copy)

    def note_kept_copies(self, error: BaseException) -> None:
        """Adds to the error with which the command ends that copies for later datasets are kept."""
        said = " ".join(getattr(error, "__notes__", ()))
        for name, scratch in self._passed_on.items():
            directory = _path_of(scratch, name)
            if directory.exists() and str(directory) not in said:
                error.add_note(
                    f"copies for a dataset that was to be built later are kept in {directory}; run "
                    "the same command again to build from them, or remove them"
                )

    def _moves(self, files: Mapping[Path, Path], turn: Turn) -> list[tuple[Path, SourceFile, Path]]:
        """The files in a copy that a dataset needs: copied file, original, the original's path."""
        wanted: dict[str, list[Path]] = {}
        for path in self._files_for(turn):
            wanted.setdefault(path.name, []).append(path)
        moves = []
        for original, path in files.items():
            for needed in wanted.get(path.name, ()):
                with contextlib.suppress(OSError):
                    file = SourceFile.of(needed)
                    if os.path.samefile(needed, original) and is_copy(path, file):
                        moves.append((path, file, needed))
                        break
        return moves

    def _files_for(self, turn: Turn) -> tuple[Path, ...]:
        if turn not in self._files:
            try:
                survey = turn.survey(turn.manual_dir)
                self._files[turn] = files_to_copy(survey, self._source).files
            except (OSError, ImagenetBuildersError):  # It is told when its turn comes.
                self._files[turn] = ()
        return self._files[turn]


def _path_of(scratch: Path, name: str) -> Path:
    return scratch / copy_dirs.STAGED / name


def _files_in(directory: PrivateDir, manual_dir: Path) -> dict[str, str]:
    """The copies in a directory, by the paths of their originals; see `ScratchCopy.files`."""
    root = directory.place_of(copy_dirs.FILES)
    paths = (
        path.relative_to(root)
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    there = os.path.abspath(directory.path / copy_dirs.FILES)
    return {os.path.abspath(manual_dir / path): os.path.join(there, path) for path in paths}


def _move(
    moves: Sequence[tuple[Path, SourceFile, Path]], directory: PrivateDir, manual_dir: Path
) -> set[Path]:
    """Moves copied files to the directory of another copy; returns those that were moved."""
    root = directory.place_of(copy_dirs.FILES)
    moved = set()
    for path, file, needed in moves:
        target = root / needed.relative_to(manual_dir)
        if any(parent.is_symlink() for parent in target.parents if parent.is_relative_to(root)):
            continue  # Another run has left a link there, to a folder that it read in place.
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_dir():
            path.replace(target)
            directory.unlink(partial_name(file))
            moved.add(path)
    return moved
