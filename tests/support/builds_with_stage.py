"""Builds with `--stage`, held against builds without."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from support import command_line
from support.built_datasets import without_times
from support.command_line import Outcome

FOLDERS = "--stage does not copy folders of small files"


def copies(scratch: Path) -> dict[str, Path]:
    """The files that were copied and are kept, by the path that they have in the original."""
    found: dict[str, Path] = {}
    for root in scratch.glob("*/staged/*/files"):
        found |= {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}
    return found


def published(data_dir: Path) -> dict[str, Any]:
    """All files of the datasets, but for what says when and how long they were built."""
    files: dict[str, Any] = {}
    for path in data_dir.rglob("*"):
        if path.is_file() and not path.relative_to(data_dir).parts[0].startswith("."):
            files[str(path.relative_to(data_dir))] = path.read_bytes()
            if path.name == "provenance.json":
                files[str(path.relative_to(data_dir))] = without_times(path.read_bytes())
    return files


def warned(outcome: Outcome) -> list[str]:
    return [line for line in outcome.err.splitlines() if line.startswith(command_line.WARNING)]


def same_with_and_without(
    manual_dir: Path, tmp_path: Path, *arguments: str, dataset: str = "imagenet2012"
) -> Outcome:
    """Builds with and without; what is published must be the same, the copies gone.

    `dataset` may be several, separated by spaces.
    """
    outcomes = []
    for name, more in (("without", ()), ("with", ("--stage",))):
        data_dir, scratch = tmp_path / name, tmp_path / f"scratch-{name}"
        before = command_line.snapshot(manual_dir)
        where = [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}", f"--scratch-dir={scratch}"]
        outcomes.append(command_line.run("build", *dataset.split(), *where, *arguments, *more))
        assert outcomes[-1].status == 0, outcomes[-1].err
        assert command_line.snapshot(manual_dir) == before
        assert not list(scratch.glob("*/staged"))
    assert published(tmp_path / "with") == published(tmp_path / "without")
    assert any(path.endswith("provenance.json") for path in published(tmp_path / "with"))
    without, with_copies = map(warned, outcomes)
    of_folders = [line for line in with_copies if FOLDERS in line]
    assert len(set(of_folders)) == len(of_folders)
    assert [line for line in with_copies if line not in of_folders] == without
    return outcomes[1]


@contextlib.contextmanager
def opened_files(names: list[str]):
    """Notes the files that this process opens to read them.

    Not those of which it looks at the first bytes or names only, to see what they are.
    """
    active = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not active or event != "open" or not isinstance(arguments[0], (str, os.PathLike)):
            return
        callers = {sys._getframe(depth).f_code.co_name for depth in (1, 2, 3)}
        if not callers & {"_is_compressed_now", "glimpse"}:
            names.append(os.fspath(arguments[0]))

    sys.addaudithook(hook)
    try:
        yield
    finally:
        active = False
