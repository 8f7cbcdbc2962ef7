"""An export that is killed: nothing of it is seen, and the same command ends it with its bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import DATASET
from support.killing.forks import Point, Server
from support.killing.remains import content
from support.killing.trials import SHARDS, Trials

IN_PIECES = "from imagenet_builders.write import new_file; new_file._MAX_BYTES = 4096"


# With the number of its files: shards and indexes, or images, and what tells of all of them.
FORMS = {"webdataset": 3 * 2 * 2 + 3, "imagefolder": 18 + 5}


def arguments(form: str, source: Path, out: Path) -> list[str]:
    """An export into the place of a dataset, where the trials look."""
    where = ["--manual-dir", str(source), "--scratch-dir", str(source.parent)]
    return ["export", "imagenet2012", "--to", form, *where, "--out", str(out), *SHARDS]


@pytest.fixture(params=FORMS)
def trials(request: pytest.FixtureRequest, forks: Server, small: Path, quick_path: Path) -> Trials:
    form, whole = request.param, quick_path / "whole"
    ended = forks.run(arguments(form, small, whole / DATASET), whole)
    assert ended.status == 0, ended
    expected = content(whole / DATASET)
    assert len(expected) == FORMS[form]
    return Trials(
        forks,
        lambda directory: arguments(form, small, directory / DATASET),
        quick_path / "trials",
        expected,
        first=IN_PIECES,
    )


@pytest.mark.slow
def test_killed_before_any_change_of_the_file_system(trials: Trials) -> None:
    trials.kill_at_changes(trials.changes())
    assert trials.killed == trials.tried > 60
    trials.assert_survived()


def test_killed_in_the_middle_of_a_write(trials: Trials) -> None:
    writes = sum(change.startswith("write") for change in trials.changes())
    for number in range(0, writes, 5):
        trials.kill_at(Point("torn", number))
    assert trials.killed == trials.tried > 5
    trials.assert_survived()
