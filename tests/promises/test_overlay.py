"""Datasets in the lower layer of an overlay, as in a container, whose directories have no new name.

overlayfs answers EXDEV when such a directory is to be renamed or exchanged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import file_systems
from support.command_line import DATASET, HOME, build_arguments
from support.corpora.ilsvrc2012 import TEST, staged
from support.killing.forks import Point, Server
from support.killing.moments import built, left_of_a_build
from support.killing.remains import content, differences, incomplete_dir
from support.killing.trials import SHARDS


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    directory = tmp_path / "lower"
    directory.mkdir()
    return directory


@pytest.fixture
def mounted(tmp_path: Path, lower: Path) -> Callable:
    """Mounts what is in the lower layer by now, below an upper layer with nothing in it."""

    @contextmanager
    def mount() -> Iterator[Path]:
        with file_systems.overlay(tmp_path / "mounted", lower) as directory:
            try:
                os.rename(_made(directory / "probe"), directory / "renamed")
            except OSError as error:
                pytest.skip(f"this overlay cannot be written to: {error}")
            os.rmdir(directory / "renamed")
            yield directory

    return mount


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def test_a_build_that_was_killed_in_the_lower_layer_goes_on(
    forks: Server, small: Path, lower: Path, mounted: Callable, expected: dict
) -> None:
    argv = build_arguments(small, lower, *SHARDS)
    left_of_a_build(forks, argv, lower)
    finished = sorted(path.name for path in (incomplete_dir(lower) / "shards").iterdir())
    with mounted() as data_dir:
        ended = forks.run(build_arguments(small, data_dir, *SHARDS), data_dir)
        assert ended.status == 0, ended
        assert f"already finished: {len(finished)} of " in ended.err
        assert differences(data_dir, expected) == []


def test_a_dataset_in_the_lower_layer_is_replaced(
    forks: Server, small: Path, lower: Path, mounted: Callable, expected: dict
) -> None:
    before = built(forks, small, lower, "--num-shards", "1")
    with mounted() as data_dir:
        argv = build_arguments(small, data_dir, *SHARDS, "--overwrite")
        ended = forks.run(argv, data_dir)
        assert ended.status == 0, ended
        assert "two directories cannot be exchanged in one step on this file system" in ended.err
        assert differences(data_dir, expected) == []
        # Now it is in the upper layer.
        ended = forks.run(argv, data_dir)
        assert ended.status == 0, ended
        assert "exchanged in one step" not in ended.err
        assert differences(data_dir, expected) == []
    assert content(lower / DATASET) == before


def test_splits_are_added_to_a_dataset_in_the_lower_layer(
    forks: Server, lower: Path, mounted: Callable, tmp_path: Path
) -> None:
    part = staged().write(tmp_path / "part")
    (part / TEST).rename(tmp_path / TEST)
    built(forks, part, lower, *SHARDS)
    (tmp_path / TEST).rename(part / TEST)
    with mounted() as data_dir:
        ended = forks.run(build_arguments(part, data_dir, *SHARDS), data_dir)
        assert ended.status == 0, ended
        found = content(data_dir / DATASET)
        assert [path.name for path in (data_dir / HOME).iterdir()] == ["5.1.0"]
    anew = built(forks, part, tmp_path / "new", *SHARDS)
    # It tells which build wrote which split.
    for files in (found, anew):
        del files["provenance.json"]
    assert found == anew


@pytest.mark.slow
def test_killed_while_it_replaces_a_dataset_in_the_lower_layer(
    forks: Server, small: Path, lower: Path, mounted: Callable, expected: dict
) -> None:
    """At any change, from the last moment of the old dataset on; the same command mends it.

    So does one that is not to replace anything: it finds the new one, or ends the removal and
    publishes the finished shards.
    """
    before = built(forks, small, lower, "--num-shards", "1")
    with mounted() as data_dir:
        argv = build_arguments(small, data_dir, *SHARDS, "--overwrite")
        changes = forks.run(argv, data_dir, log=True).changes
    begins = next(at for at, change in enumerate(changes) if ".being-removed" in change)
    gone = set()
    for number in range(begins, len(changes)):
        for options in (["--overwrite"], []):
            with mounted() as data_dir:
                argv = build_arguments(small, data_dir, *SHARDS)
                killed = forks.run([*argv, "--overwrite"], data_dir, Point("change", number))
                assert killed.status == -9, (number, killed)
                gone.add((data_dir / DATASET / "dataset_info.json").exists())
                ended = forks.run([*argv, *options], data_dir)
                assert ended.status == 0, (number, options, ended)
                found = content(data_dir / DATASET)
                if found == before and not options:
                    continue  # There is nothing to do; the finished shards stay.
                assert differences(data_dir, expected) == [], (number, options)
                assert [path.name for path in (data_dir / HOME).iterdir()] == ["5.1.0"]
    assert gone == {True, False}
