"""What was asked for and is not made is said, with what is there; nothing is said otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.command_line import Outcome, run
from support.paths import DUMMY_DATA

from imagenet_builders.publish import unchanged
from imagenet_builders.publish.access import Access

SMALL = DUMMY_DATA / "imagenet2012"
OVERWRITE = "build it anew with it and --overwrite"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tfds")
    assert build(path, "--num-shards=2", "--mode=750").status == 0
    return path


def build(data_dir: Path, *options: str) -> Outcome:
    where = (f"--manual-dir={SMALL}", f"--data-dir={data_dir}", "--workers=1")
    return run("build", "imagenet2012", *where, *options)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--num-shards=2",),
        ("--mode=750",),
        (f"--group={os.getegid()}",),
        ("--max-examples-per-split=24",),
        ("--source=tar",),
        ("--classes=archive",),  # It has no list of classes to choose.
    ],
)
def test_what_is_so_is_not_said(options: tuple[str, ...], data_dir: Path) -> None:
    outcome = build(data_dir, *options)
    assert (outcome.status, outcome.err) == (0, "")
    assert "is there already" in outcome.out


@pytest.mark.parametrize(
    ("option", "there", "way"),
    [
        ("--num-shards 3", "with 2 shards of each split", f"{OVERWRITE}, or into another"),
        ("--max-examples-per-split 23", "with all its examples", "into another --data-dir"),
        ("--source folders", "from official archives (tar)", f"{OVERWRITE}, or into another"),
        ("--mode 2755", "with the mode 750", f"{OVERWRITE}, or use chmod"),
    ],
)
def test_what_is_not_made_is_said_in_one_sentence(
    option: str, there: str, way: str, data_dir: Path
) -> None:
    before = (data_dir / "imagenet2012/5.1.0/provenance.json").stat()
    outcome = build(data_dir, *option.split())
    [sentence] = outcome.err.splitlines()
    assert f"imagenet2012/5.1.0 is there already, {there}, so {option} changes nothing" in sentence
    assert way in sentence
    assert outcome.status == 0
    assert (data_dir / "imagenet2012/5.1.0/provenance.json").stat() == before


def test_sizes_of_shards_are_said(data_dir: Path) -> None:
    [sentence] = build(data_dir, "--max-shard-size=100MB").err.splitlines()
    there = "imagenet2012/5.1.0 is there already, with 2 shards of each split"
    assert f"{there}, so --max-shard-size changes nothing" in sentence


def test_a_list_of_classes_is_said(tmp_path: Path) -> None:
    manual_dir = DUMMY_DATA / "imagenet2012_dogs"
    where = (f"--manual-dir={manual_dir}", f"--data-dir={tmp_path}", "--workers=1")
    command = ("build", "imagenet2012_dogs", *where)
    assert run(*command).status == 0
    assert run(*command).err == ""
    [sentence] = run(*command, "--classes=archive").err.splitlines()
    assert "with the class list of this package, so --classes archive changes" in sentence


def test_only_images_count_as_the_source(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layouts = ["official archives (tar); boxes from official archives (tar.gz)"]
    unchanged.warn_of_source(tmp_path, layouts, "tar")
    unchanged.warn_of_source(tmp_path, [], "folders")  # It is not known.
    unchanged.warn_of_source(tmp_path, layouts, None)
    assert not caplog.messages
    unchanged.warn_of_source(tmp_path, layouts, "tar.gz")
    [sentence] = caplog.messages
    assert "from official archives (tar), so --source tar.gz changes nothing" in sentence


def test_the_way_leads_there(data_dir: Path, tmp_path: Path) -> None:
    assert build(tmp_path, "--num-shards=2").status == 0
    assert build(tmp_path, "--num-shards=3", "--overwrite").status == 0
    assert len(list(tmp_path.rglob("*-train.tfrecord-*-of-00003"))) == 3


def test_a_group_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    group = tmp_path.stat().st_gid
    unchanged.warn_of_access(tmp_path, Access(group=group))
    assert not caplog.messages
    unchanged.warn_of_access(tmp_path, Access(group=group + 1))
    [sentence] = caplog.messages
    assert f"of the group {group}, so --group {group + 1} changes nothing" in sentence


def test_an_export_says_it_too(data_dir: Path, tmp_path: Path) -> None:
    where = (f"--data-dir={data_dir}", f"--out={tmp_path / 'out'}", "--workers=1")
    export = ("export", "imagenet2012", *where)
    assert run(*export, "--to=webdataset", "--num-shards=2").status == 0
    assert run(*export, "--to=webdataset", "--num-shards=2").err == ""
    outcome = run(*export, "--to=webdataset", "--num-shards=1")
    [sentence] = outcome.err.splitlines()
    assert outcome.status == 0
    assert "with 2 shards of each split, so --num-shards 1 changes nothing" in sentence
    assert sentence.endswith("export it to another --out")
