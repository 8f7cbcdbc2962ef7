"""A dataset that is there is looked at before a build leaves it as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import run
from support.paths import DUMMY_DATA


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_a_build_of_what_is_there_says_which_shards_are_not(
    file_format: str, tmp_path: Path
) -> None:
    command = ["build", "imagenet2012", f"--manual-dir={DUMMY_DATA / 'imagenet2012'}"]
    command += [f"--data-dir={tmp_path}", "--workers=1", "--num-shards=2"]
    command += [f"--file-format={file_format}"]
    assert run(*command).status == 0
    assert run(*command).err == ""

    directory = tmp_path / "imagenet2012" / "5.1.0"
    shards = sorted(directory.glob("imagenet2012-*-of-*"))
    assert len(shards) == 6
    shards[1].unlink()
    one = run(*command)
    shards[4].unlink()
    two = run(*command)
    assert (one.status, two.status) == (0, 0)
    begin = f"{directory} is there already, but"
    assert f"{begin} 1 shard is gone from it: {shards[1].name}; see what" in one.err
    assert f"{begin} 2 shards are gone from it: imagenet2012-" in two.err
    assert " and others; see what" in two.err
