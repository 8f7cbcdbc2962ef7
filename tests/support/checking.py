"""Runs of `imagenet-builders check`, and staged directories to run it on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from support import command_line
from support.paths import DUMMY_DATA


def check(manual_dir: Path, *arguments: str) -> command_line.Outcome:
    """Checks in this process, and sees that nothing under `manual_dir` was touched."""
    before = command_line.snapshot(manual_dir)
    outcome = command_line.run("check", str(manual_dir), *arguments)
    assert command_line.snapshot(manual_dir) == before
    assert "Traceback" not in outcome.err
    if arguments[-1:] != ("--json",):
        # What has a directory of the test in it may be longer: such a path is not broken up.
        long_paths = (str(manual_dir.parent), str(Path.home()))
        lines = [line for line in outcome.out.splitlines() if " " in line.strip()]
        too_long = [line for line in lines if len(line) > 100]
        assert [line for line in too_long if not any(path in line for path in long_paths)] == []
    return outcome


def checked(manual_dir: Path, *arguments: str, status: int) -> dict[str, Any]:
    """The document of a check."""
    outcome = check(manual_dir, *arguments, "--json")
    document: dict[str, Any] = json.loads(outcome.out)
    assert outcome.status == status, document["problems"]
    assert document["can_be_built"] is (status == 0)
    return document


def problem(document: dict[str, Any], **wanted: str) -> dict[str, Any]:
    """The one problem whose fields contain the texts given."""
    found = [
        one for one in document["problems"] if all(text in one[key] for key, text in wanted.items())
    ]
    assert len(found) == 1, (wanted, document["problems"])
    return found[0]


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    """Verdicts by dataset, configuration, split and part, of what a build would take."""
    return {
        "/".join(filter(None, (row["dataset"], row["config"], row["split"], row["part"]))): row[
            "verdict"
        ]
        for row in document["sources"]
        if row["preferred"]
    }


def row(
    document: dict[str, Any], split: str, part: str = "images", **wanted: Any
) -> dict[str, Any]:
    """The one row of a split."""
    found = [
        one
        for one in document["sources"]
        if (one["split"], one["part"]) == (split, part)
        and all(one[key] == value for key, value in wanted.items())
    ]
    assert len(found) == 1, found
    return found[0]


def stage(directory: Path, *names: str) -> Path:
    """Copies dummy datasets, or files of them, into one directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        source = DUMMY_DATA / name
        for file in sorted(source.iterdir()) if source.is_dir() else [source]:
            shutil.copyfile(file, directory / file.name)
    return directory
