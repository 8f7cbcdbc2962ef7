"""Splits that are staged after their dataset was built are added to it; the others are kept."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from makers.imagenet21k_winter21 import TRAIN as P_TRAIN
from makers.imagenet21k_winter21 import VALIDATION as P_VALIDATION
from makers.imagenet21k_winter21 import make_imagenet21k_winter21
from support import command_line
from support.built_datasets import assert_same_files, files_in, files_of, shards
from support.command_line import DATASET, HOME, Outcome, build_arguments
from support.corpora.ilsvrc2012 import PATCH, TEST, TRAIN, VAL, picture, staged, val_name
from support.killing.forks import Point, Server
from support.killing.moments import (
    OFTEN,
    WITHOUT_EXCHANGE,
    Held,
    built,
    error,
    left_of_a_build,
    wait_for,
)
from support.killing.remains import content, everything, published
from support.killing.trials import SHARDS, Trials
from support.paths import DUMMY_DATA
from support.processes import run_cli
from support.verifying import said, verified

from imagenet_builders import datasets

ARCHIVES = {"train": (TRAIN,), "validation": (VAL,), "test": (TEST, PATCH)}


either_way = pytest.mark.parametrize("first", ["", WITHOUT_EXCHANGE], ids=["swap", "no_swap"])


def stage(source: Path, directory: Path, names: Iterable[str]) -> Path:
    """Copies some of the archives, with their times, as a steward does."""
    directory.mkdir(exist_ok=True)
    for name in names:
        shutil.copy2(source / name, directory / name)
    return directory


def stage_splits(source: Path, directory: Path, *splits: str) -> Path:
    return stage(source, directory, [name for split in splits for name in ARCHIVES[split]])


def build(manual_dir: Path, data_dir: Path, *options: str) -> Outcome:
    return command_line.build(manual_dir, data_dir, *options)


def provenance(directory: Path) -> Any:
    return json.loads((directory / "provenance.json").read_text())


def inodes(directory: Path, split: str) -> list[int]:
    return [path.stat().st_ino for path in shards(directory, split)]


@pytest.fixture
def train_only(small: Path, tmp_path: Path, data_dir: Path) -> Path:
    """A `manual_dir` with the train archive, from which a dataset is built."""
    manual_dir = stage_splits(small, tmp_path / "staged", "train")
    assert build(manual_dir, data_dir, *SHARDS).status == 0
    return manual_dir


# --- added -----------------------------------------------------------------------------------

# Archives of each dataset in the order in which they are staged.
CORPORA: dict[str, list[list[str]]] = {
    "imagenet2012": [
        ["ILSVRC2012_img_train.tar"],
        ["ILSVRC2012_img_val.tar"],
        ["ILSVRC2012_img_test_v10102019.tar", "ILSVRC2012_img_test_patch_v10102019.tar"],
    ],
    "imagenet2012_localization": [
        ["ILSVRC2012_img_val.tar", "ILSVRC2012_bbox_val_v3.tgz", "ILSVRC2012_img_train.tar"],
        ["ILSVRC2012_bbox_train_v2.tar.gz"],
    ],
    "imagenet2012_downsampled/8x8": [["Imagenet8_val_npz.zip"], ["Imagenet8_train_npz.zip"]],
}


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
@pytest.mark.parametrize("asked", CORPORA)
def test_what_is_added_to_is_what_is_built_at_once(
    asked: str, file_format: str, tmp_path: Path
) -> None:
    """The same files; only the provenance tells that several builds have made them."""
    source = DUMMY_DATA / asked.partition("/")[0]
    manual_dir, data_dir = tmp_path / "staged", tmp_path / "built"
    where = ["--manual-dir", str(manual_dir), "--file-format", file_format]
    kept: dict[str, list[int]] = {}
    entries: dict[str, Any] = {}
    for number, names in enumerate(CORPORA[asked]):
        stage(source, manual_dir, names)
        # A file format need not be named again.
        argv = ["build", asked, *(where[:2] if number else where), "--data-dir", str(data_dir)]
        outcome = command_line.run(*argv)
        assert outcome.status == 0, outcome.err
        [directory] = published(data_dir)
        for split, before in kept.items():
            assert inodes(directory, split) == before
            assert f"split {split} will be missing" not in outcome.err
            assert provenance(directory)["splits"][split] == entries[split]
        entries = provenance(directory)["splits"]
        kept = {split: inodes(directory, split) for split in entries}
        assert said(verified(directory)) == ""
        assert verified(directory).sealed
        assert (
            command_line.run(*argv).out == f"{full_name(directory)} is there already: {directory}\n"
        )
        assert published(data_dir) == [directory]
    once = tmp_path / "once"
    assert command_line.run("build", asked, *where, "--data-dir", str(once)).status == 0
    assert_same_files(files_of(directory), files_of(once / directory.relative_to(data_dir)))
    builds = provenance(directory)["builds"]
    assert len(builds) == len(CORPORA[asked])
    assert sorted(split for each in builds for split in each["splits"]) == sorted(entries)


def unpacked(dataset: str, directory: Path) -> list[list[Path]]:
    """A staged folder of a dataset, and what is in it of each split, train last."""
    if dataset == "tiny_imagenet":
        with zipfile.ZipFile(DUMMY_DATA / dataset / "tiny-imagenet-200.zip") as archive:
            archive.extractall(directory)
        root = directory / "tiny-imagenet-200"
        return [[root / "val"], [root / "test"], [root / "train"]]
    make_imagenet21k_winter21(directory, whole=None, p="folders")
    [root] = directory.iterdir()
    small = [path for path in root.iterdir() if path.name not in (P_TRAIN, P_VALIDATION)]
    return [[root / P_VALIDATION], [root / P_TRAIN, *small]]


@pytest.mark.parametrize("asked", ["tiny_imagenet", "imagenet21k_winter21/p"])
def test_folders_may_come_one_after_another(asked: str, tmp_path: Path) -> None:
    """Each is gone again when the next is there; nobody misses what is kept."""
    manual_dir, data_dir, away = tmp_path / "staged", tmp_path / "built", tmp_path / "away"
    parts = unpacked(asked, manual_dir)
    argv = ["build", asked, "--manual-dir", str(manual_dir)]
    assert command_line.run(*argv, "--data-dir", str(tmp_path / "once")).status == 0
    for paths in parts:
        for path in paths:
            (away / path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(away / path.parent.name / path.name)
    kept: list[str] = []
    for paths in parts:
        for path in paths:
            (away / path.parent.name / path.name).rename(path)
        outcome = command_line.run(*argv, "--data-dir", str(data_dir))
        assert outcome.status == 0, outcome.err
        [directory] = published(data_dir)
        for split in kept:
            assert f"split {split} will be missing" not in outcome.err
            assert f"{split} 0 of " not in outcome.err
        kept = list(provenance(directory)["splits"])
        for path in paths:
            path.rename(away / path.parent.name / path.name)
    assert len(provenance(directory)["builds"]) == len(parts)
    assert_same_files(
        files_of(directory), files_of(tmp_path / "once" / directory.relative_to(data_dir))
    )


@pytest.mark.parametrize("name", datasets.names())
def test_check_looks_where_a_build_publishes(name: str) -> None:
    assert str(datasets.get(name).builder().VERSION) == datasets.get(name).version


def full_name(directory: Path) -> str:
    return provenance(directory)["dataset"]


def test_the_provenance_says_which_build_made_which_split(
    train_only: Path, small: Path, data_dir: Path
) -> None:
    first = provenance(data_dir / DATASET)
    assert "builds" not in first
    stage_splits(small, train_only, "validation", "test")
    outcome = build(train_only, data_dir, *SHARDS, "--bad-images", "skip", "--decode")
    assert outcome.status == 0
    document = provenance(data_dir / DATASET)
    before, now = document["builds"]
    assert before == {
        "splits": ["train"],
        **{name: first[name] for name in ("built", "seconds", "bad_images", "decode", "versions")},
    }
    assert now["splits"] == ["validation", "test"]
    same = ("built", "seconds", "bad_images", "versions")
    assert {name: document[name] for name in same} == {name: now[name] for name in same}
    assert document["bad_images"] == "skip"
    # Only images of the last build were decoded.
    assert (before["decode"], now["decode"], document["decode"]) == (False, True, False)
    [source] = document["splits"]["validation"]["sources"]
    assert source["path"] == str(train_only / VAL)
    assert (
        "imagenet2012/5.1.0 is there without validation and test, staged by now: added to it; "
        "train kept unchanged" in outcome.err
    )
    assert outcome.summary["kept"] == "unchanged: train"
    assert "train  " not in outcome.err


def test_splits_that_are_not_staged_any_more_are_kept(
    train_only: Path, small: Path, tmp_path: Path, data_dir: Path
) -> None:
    later = stage_splits(small, tmp_path / "later", "validation")
    before = content(data_dir / DATASET)
    outcome = build(later, data_dir, *SHARDS)
    assert outcome.status == 0
    assert "train will be missing" not in outcome.err
    assert "test will be missing" in outcome.err
    after = content(data_dir / DATASET)
    assert {name: after[name] for name in before if "train" in name} == {
        name: before[name] for name in before if "train" in name
    }
    info = json.loads(after["dataset_info.json"])
    assert [split["name"] for split in info["splits"]] == ["train", "validation"]
    assert "is there already" in build(later, data_dir, "--strict").out


def test_copies_of_the_same_archives_have_other_times(
    train_only: Path, small: Path, data_dir: Path
) -> None:
    """The steward copied everything again, without its times."""
    stage_splits(small, train_only, "validation", "test")
    os.utime(train_only / TRAIN, (1, 1))
    assert build(train_only, data_dir, *SHARDS).status == 0
    assert sorted(provenance(data_dir / DATASET)["splits"]) == ["test", "train", "validation"]


def test_a_part_gets_a_part(train_only: Path, small: Path, tmp_path: Path) -> None:
    """With the same limit; to a whole dataset, no part is added."""
    part, whole = tmp_path / "part", tmp_path / "whole"
    limit = ["--max-examples-per-split", "2"]
    assert build(train_only, part, *limit).status == 0
    assert build(train_only, whole).status == 0
    stage_splits(small, train_only, "validation")
    assert build(train_only, part, *limit).status == 0
    splits = provenance(part / DATASET)["splits"]
    assert {split: told["examples"] for split, told in splits.items()} == {
        "train": 2,
        "validation": 2,
    }
    assert "is there already" in build(train_only, whole, *limit).out
    assert list(provenance(whole / DATASET)["splits"]) == ["train"]


def test_archives_are_copied_first_for_what_is_added_only(
    train_only: Path, small: Path, tmp_path: Path, data_dir: Path
) -> None:
    stage_splits(small, train_only, "validation")
    size = (train_only / VAL).stat().st_size
    outcome = build(train_only, data_dir, *SHARDS, "--stage", f"--scratch-dir={tmp_path}")
    assert outcome.status == 0
    assert re.search(rf"copy(ing)? .*{VAL}|{size / 1e3:.1f} kB", outcome.err), outcome.err
    assert "validation" in provenance(data_dir / DATASET)["splits"]
    assert not list(tmp_path.glob("*-staged/*"))


# --- by TensorFlow Datasets ------------------------------------------------------------------


def test_python_adds(train_only: Path, small: Path, data_dir: Path) -> None:
    import tensorflow_datasets as tfds

    stage_splits(small, train_only, "validation")
    builder = tfds.builder("imagenet2012", data_dir=data_dir)
    assert list(builder.info.splits) == ["train"]
    config = tfds.download.DownloadConfig(manual_dir=train_only, num_shards=2)
    builder.download_and_prepare(download_config=config)
    assert [result.split for result in builder.results] == ["validation"]
    assert list(builder.info.splits) == ["train", "validation"]
    assert len(list(builder.as_dataset(split="train+validation"))) == 9 + 5


def test_who_only_reads_is_not_bothered(train_only: Path, data_dir: Path) -> None:
    """Without archives, with none where TensorFlow Datasets looks for them, or with other ones."""
    import tensorflow_datasets as tfds

    before = content(data_dir / DATASET)
    builder = tfds.builder("imagenet2012", data_dir=data_dir)
    builder.download_and_prepare()
    config = tfds.download.DownloadConfig(manual_dir=data_dir / "nowhere")
    builder.download_and_prepare(download_config=config)
    loaded = tfds.load("imagenet2012", split="train", data_dir=data_dir, download=True)
    assert len(loaded) == 9
    assert content(data_dir / DATASET) == before


def test_tfds_build_adds(train_only: Path, small: Path, data_dir: Path) -> None:
    import subprocess
    import sys

    from support.processes import environment

    stage_splits(small, train_only, "validation")
    code = "from tensorflow_datasets.scripts.cli.main import launch_cli; launch_cli()"
    command = [sys.executable, "-c", code, "build", "imagenet2012", "--imports=imagenet_builders"]
    command += [f"--manual_dir={train_only}", f"--data_dir={data_dir}", "--num_shards=2"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert list(provenance(data_dir / DATASET)["splits"]) == ["train", "validation"]


# --- not added -------------------------------------------------------------------------------


def without_provenance(directory: Path) -> None:
    (directory / "provenance.json").unlink()


def without_checksums(directory: Path) -> None:
    document = provenance(directory)
    del document["splits"]["train"]["shard_crc32c"]
    (directory / "provenance.json").write_text(json.dumps(document))


def converted(directory: Path) -> None:
    path = directory / "dataset_info.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"alternativeFileFormats": ["array_record"]}))


def with_notes(directory: Path) -> None:
    (directory / "NOTES.txt").write_text("of the steward")


NOT_ADDABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "stock": (without_provenance, "it has no provenance.json with the checksums of its shards"),
    "unknown": (without_checksums, "does not tell the size and the checksum of each shard"),
    "converted": (converted, "it has its splits as array_record too"),
    "strange": (with_notes, "NOTES.txt in it is not the dataset's; move it elsewhere"),
}


@pytest.mark.parametrize("why", NOT_ADDABLE)
def test_what_cannot_be_added_is_said(
    why: str, train_only: Path, small: Path, data_dir: Path
) -> None:
    """By `build` and `check`; the dataset stays as it is, and `--overwrite` builds all."""
    change, reason = NOT_ADDABLE[why]
    directory = data_dir / DATASET
    change(directory)
    before = {path: path.read_bytes() for path in files_in(directory)}
    stage_splits(small, train_only, "validation")
    outcome = build(train_only, data_dir)
    assert outcome.status == 0
    assert "is there already" in outcome.out
    [warning] = outcome.warnings
    assert warning.startswith(
        f"{directory} is without validation, staged by now; it cannot be added: "
    )
    assert reason in warning
    assert warning.endswith("to build all that is staged anew, say --overwrite")
    strict = build(train_only, data_dir, "--strict")
    assert strict.status == 2
    assert strict.errors == [warning]
    assert {path: path.read_bytes() for path in files_in(directory)} == before
    checked = check(train_only, data_dir)
    assert checked["can_be_built"]
    [problem] = [each for each in checked["problems"] if each["path"] == str(directory)]
    assert reason in problem["cause"]
    assert "--overwrite" in problem["action"]
    assert checked["notes"] == []
    assert not check(train_only, data_dir, "--strict")["can_be_built"]
    assert build(train_only, data_dir, "--overwrite").status == 0
    assert list(provenance(directory)["splits"]) == ["train", "validation"]
    assert check(train_only, data_dir)["notes"] == []


def check(manual_dir: Path, data_dir: Path, *options: str) -> Any:
    where = [str(manual_dir), "imagenet2012", "--data-dir", str(data_dir)]
    outcome = command_line.run("check", *where, "--json", *options)
    document = json.loads(outcome.out)
    assert outcome.status == (0 if document["can_be_built"] else 1)
    return document


def test_check_says_what_a_build_adds_and_how_little_it_writes(
    train_only: Path, small: Path, data_dir: Path
) -> None:
    alone = check(stage_splits(small, data_dir.with_name("alone"), "validation"), data_dir)
    stage_splits(small, train_only, "validation")
    checked = check(train_only, data_dir)
    directory = data_dir / DATASET
    assert checked["notes"] == [
        f"{directory} has no validation, staged by now: a build adds it, and keeps train unchanged."
    ]
    assert checked["needs"]["output"]["bytes"] == alone["needs"]["output"]["bytes"]
    shown = command_line.run("check", str(train_only), "--data-dir", str(data_dir)).out
    assert "a build adds it, and keeps train unchanged." in " ".join(shown.split())
    assert build(train_only, data_dir, *SHARDS).status == 0
    assert check(train_only, data_dir)["notes"] == []


@pytest.mark.parametrize("deep", [(), ("--deep",)], ids=["plain", "deep"])
def test_check_says_that_a_kept_split_was_built_from_another_archive(
    deep: tuple[str, ...], train_only: Path, small: Path, data_dir: Path
) -> None:
    stage_splits(small, train_only, "validation")
    with open(train_only / TRAIN, "ab") as archive:
        archive.write(bytes(10240))
    checked = check(train_only, data_dir, *deep)
    assert checked["notes"] == []
    reason = "its train was built from other files than those that are staged now"
    assert any(each["cause"].startswith(reason) for each in checked["problems"])
    assert reason in build(train_only, data_dir, *SHARDS).err


def test_check_does_not_promise_to_add_where_an_archive_has_another_time(
    train_only: Path, small: Path, data_dir: Path
) -> None:
    stage_splits(small, train_only, "validation")
    os.utime(train_only / TRAIN, (1, 1))
    [note] = check(train_only, data_dir)["notes"]
    assert note.endswith(f"unchanged, if {TRAIN} is a copy of what it was built from.")


def with_more_shards(manual_dir: Path) -> tuple[str, ...]:
    return ("--num-shards", "3")


def with_another_archive(manual_dir: Path) -> tuple[str, ...]:
    changed = staged()
    changed.validation, changed.test, changed.patch = [], [], []
    name, _ = changed.train["n01440764"][0]
    changed.train["n01440764"][0] = (name, picture("another") + bytes(5_000))
    changed.write(manual_dir)
    return SHARDS


def with_other_names(manual_dir: Path) -> tuple[str, ...]:
    changed = staged()
    changed.validation, changed.test, changed.patch = [], [], []
    changed.train["n01440764"] = [
        (f"n01440764_{number}.JPEG", data)
        for number, (_, data) in enumerate(changed.train["n01440764"], start=101)
    ]
    changed.write(manual_dir)
    return SHARDS


DIFFERENT: dict[str, tuple[Callable[[Path], tuple[str, ...]], str]] = {
    "shards": (with_more_shards, "it has 2 shards of train, not 3 (--num-shards says how many)"),
    "archive": (with_another_archive, "its train was built from other files than those"),
    "names": (with_other_names, "what is in the files that its train was built from has changed"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_nothing_is_added_where_what_is_kept_would_differ_now(
    what: str, train_only: Path, small: Path, data_dir: Path
) -> None:
    """The message names two ways to go on, and both are."""
    change, reason = DIFFERENT[what]
    before = content(data_dir / DATASET)
    options = change(train_only)
    stage_splits(small, train_only, "validation")
    outcome = build(train_only, data_dir, *options)
    assert outcome.status == 0
    assert "is there already" in outcome.out
    told = [warning for warning in outcome.warnings if "is without validation" in warning]
    assert len(told) == 1
    assert f"{reason}" in told[0]
    strict = build(train_only, data_dir, *options, "--strict")
    assert strict.status != 0
    assert content(data_dir / DATASET) == before
    (train_only / TRAIN).rename(data_dir / "elsewhere.tar")
    assert build(train_only, data_dir, *options).status == 0
    assert list(provenance(data_dir / DATASET)["splits"]) == ["train", "validation"]
    (data_dir / "elsewhere.tar").rename(train_only / TRAIN)
    assert build(train_only, data_dir, *options, "--overwrite").status == 0
    assert "builds" not in provenance(data_dir / DATASET)


def test_another_file_format_is_still_an_error(
    train_only: Path, small: Path, data_dir: Path
) -> None:
    stage_splits(small, train_only, "validation")
    outcome = build(train_only, data_dir, "--file-format", "array_record")
    assert outcome.status == 2
    assert "is there already, as tfrecord" in outcome.err


def test_a_patch_that_is_staged_later_is_not_passed_over_in_silence(
    small: Path, data_dir: Path, tmp_path: Path
) -> None:
    """Nor are more files of a split that is there."""
    manual_dir = tmp_path / "staged"
    shutil.copytree(small, manual_dir)
    patch = (manual_dir / PATCH).rename(tmp_path / PATCH)
    assert build(manual_dir, data_dir).status == 0
    assert build(manual_dir, data_dir).warnings == []
    patch.rename(manual_dir / PATCH)
    outcome = build(manual_dir, data_dir)
    assert outcome.status == 0
    assert outcome.warnings == [
        f"{data_dir / DATASET} was built without {PATCH} of test, staged by now; to have all in "
        "it, build it anew with --overwrite"
    ]
    assert build(manual_dir, data_dir, "--strict").status == 2
    checked = command_line.run("check", str(manual_dir), "imagenet2012", f"--data-dir={data_dir}")
    assert f"{PATCH} of test, staged by now" in checked.out
    assert build(manual_dir, data_dir, "--overwrite").status == 0
    assert build(manual_dir, data_dir).warnings == []


def test_boxes_that_are_staged_later_are_not_added_in_silence(tmp_path: Path) -> None:
    """A dataset that can be built without them (`check` says the same)."""
    source = DUMMY_DATA / "imagenet2012_dogs"
    manual_dir, data_dir = tmp_path / "staged", tmp_path / "built"
    stage(source, manual_dir, ["ILSVRC2012_img_train_t3.tar"])
    argv = ["imagenet2012_dogs", "--manual-dir", str(manual_dir), "--data-dir", str(data_dir)]
    assert command_line.run("build", *argv).status == 0
    directory = data_dir / "imagenet2012_dogs" / "1.0.0"
    before = files_of(directory)
    stage(source, manual_dir, ["ILSVRC2012_bbox_train_dogs.tar.gz"])
    outcome = command_line.run("build", *argv)
    assert outcome.status == 0
    assert outcome.warnings == [
        f"{directory} was built without boxes of train, staged by now; to have all in it, build it "
        "anew with --overwrite"
    ]
    assert command_line.run("build", *argv, "--strict").status == 2
    checked = command_line.run("check", argv[2], argv[0], *argv[3:], "--json")
    [problem] = [
        each for each in json.loads(checked.out)["problems"] if each["path"] == str(directory)
    ]
    assert problem["found"] == "a dataset that was built without"
    assert_same_files(files_of(directory), before)
    assert command_line.run("build", *argv, "--overwrite").status == 0
    assert command_line.run("build", *argv).warnings == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_who_may_not_write_is_told_whom_to_ask(small: Path, open_path: Path) -> None:
    manual_dir = stage_splits(small, open_path / "staged", "train")
    data_dir = open_path / "built"
    assert build(manual_dir, data_dir).status == 0
    stage_splits(small, manual_dir, "validation")
    outcome = command_line.build_as_nobody(open_path, manual_dir, data_dir)
    assert outcome.status == 0, outcome
    [warning] = outcome.warnings
    # To build it anew needs the same permission.
    assert warning.endswith(f"you may not write to {data_dir / HOME}; ask its owner")


# --- damaged ---------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink, link, pipe])
def test_a_shard_that_is_not_what_it_was_is_not_kept(
    damage: Callable[[Path], None], train_only: Path, small: Path, data_dir: Path
) -> None:
    stage_splits(small, train_only, "validation")
    shard = shards(data_dir / DATASET, "train")[1]
    damage(shard)
    names = everything(data_dir)
    outcome = build(train_only, data_dir, *SHARDS)
    assert outcome.status == 1
    sentence = error(outcome.err)
    if damage is pipe:  # Before anything is read.
        assert "it is a FIFO; find out who put it there" in sentence
    else:
        assert sentence.startswith(f"{shard} is to be kept, but it ")
        assert "a build with --overwrite makes it anew" in sentence
    assert everything(data_dir) == names
    shard.unlink(missing_ok=True)
    assert build(train_only, data_dir, *SHARDS, "--overwrite").status == 0
    assert said(verified(data_dir / DATASET)) == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("whose", "words"),
    [
        ("*-of-*", "is to be kept, but it is another user's"),
        ("provenance.json", "belongs to user 12345"),
        (".", "belongs to user 12345"),
    ],
)
def test_what_another_user_has_made_is_not_published_as_ours(
    whose: str, words: str, train_only: Path, small: Path, data_dir: Path
) -> None:
    """They could have put in what they want, with the checksums of it."""
    stage_splits(small, train_only, "validation")
    before = content(data_dir / DATASET)
    for path in (data_dir / DATASET).glob(whose) if whose != "." else [data_dir / DATASET]:
        os.chown(path, 12345, -1)
    outcome = build(train_only, data_dir, *SHARDS)
    assert words in outcome.err
    assert content(data_dir / DATASET) == before


@either_way
def test_what_lies_on_another_file_system_is_copied(
    first: str, forks: Server, train_only: Path, small: Path, data_dir: Path, quick_path: Path
) -> None:
    """The version is a link to there; what it leads to is somebody's, and stays."""
    elsewhere = quick_path / "elsewhere"
    if os.stat(quick_path).st_dev == os.stat(data_dir).st_dev:
        pytest.skip("there is no other file system")
    before = content(data_dir / DATASET)
    shutil.move(data_dir / DATASET, elsewhere)
    (data_dir / DATASET).symlink_to(elsewhere)
    stage_splits(small, train_only, "validation")
    ended = forks.run(build_arguments(train_only, data_dir, *SHARDS), data_dir, first=first)
    assert ended.status == 0, ended
    assert not (data_dir / DATASET).is_symlink()
    assert content(elsewhere) == before
    assert said(verified(data_dir / DATASET)) == ""
    assert list(provenance(data_dir / DATASET)["splits"]) == ["train", "validation"]


def test_mode_and_group_are_those_asked_for(train_only: Path, small: Path, data_dir: Path) -> None:
    """Without, what is kept has the mode that somebody gave it."""
    for path in shards(data_dir / DATASET):
        path.chmod(0o440)
    stage_splits(small, train_only, "validation")
    assert build(train_only, data_dir, *SHARDS).status == 0
    modes = {
        split: {stat.S_IMODE(path.stat().st_mode) for path in shards(data_dir / DATASET, split)}
        for split in ("train", "validation")
    }
    assert modes["train"] == {0o440}
    assert modes["validation"] == {0o666 & ~umask()}
    stage_splits(small, train_only, "test")
    assert build(train_only, data_dir, *SHARDS, "--mode", "2775").status == 0
    directory = data_dir / DATASET
    assert {stat.S_IMODE(path.stat().st_mode) for path in files_in(directory)} == {0o664}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o2775


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# --- interrupted, and at once ----------------------------------------------------------------


def trials(
    forks: Server, small: Path, quick_path: Path, first: str = "", **more: Any
) -> tuple[Trials, Path]:
    """Builds that add to a dataset of the train split, with what must come of them."""
    manual_dir = stage_splits(small, quick_path / "staged", "train")
    before = built(forks, manual_dir, quick_path / "before", *SHARDS)
    stage_splits(small, manual_dir, "validation", "test")

    def prepare(data_dir: Path) -> None:
        shutil.copytree(quick_path / "before" / HOME, data_dir / HOME)

    def argv(data_dir: Path) -> list[str]:
        return build_arguments(manual_dir, data_dir, *SHARDS)

    prepare(quick_path / "expected")
    expected = built(forks, manual_dir, quick_path / "expected", *SHARDS)
    return (
        Trials(
            forks,
            argv,
            quick_path / "trials",
            expected,
            prepare=prepare,
            before=before,
            first=first,
            **more,
        ),
        manual_dir,
    )


@pytest.mark.slow
@either_way
def test_killed_while_splits_are_added(
    first: str, forks: Server, small: Path, quick_path: Path
) -> None:
    """Before any change of the file system: readers find the old one or the new one, whole."""
    tried, _ = trials(forks, small, quick_path, first)
    tried.kill_at_changes(tried.changes(), gap=bool(first))
    assert tried.killed == tried.tried > 50
    tried.assert_survived()


def test_killed_in_a_worker_or_while_it_publishes(
    forks: Server, small: Path, quick_path: Path
) -> None:
    """A few of these points, with processes."""
    tried, _ = trials(forks, small, quick_path, processes=True)
    changes = tried.changes()
    for number in range(0, len(changes), max(1, len(changes) // 8)):
        tried.kill_at(Point("change", number), changes[number])
    for number in (40, 400, 1_500):
        tried.kill_at(Point("line", number, where="worker"))
    assert tried.killed > 8
    tried.assert_survived()


def test_what_was_finished_is_not_written_again(
    forks: Server, small: Path, quick_path: Path
) -> None:
    _, manual_dir = trials(forks, small, quick_path)
    data_dir = quick_path / "built"
    shutil.copytree(quick_path / "before" / HOME, data_dir / HOME)
    argv = build_arguments(manual_dir, data_dir, *SHARDS)
    left_of_a_build(forks, argv, data_dir)
    ended = forks.run(argv, data_dir)
    assert ended.status == 0
    assert "already finished: 3 of 4 shards" in ended.err
    assert content(data_dir / DATASET) == content(quick_path / "expected" / DATASET)


def test_two_builds_add_the_same_once(forks: Server, small: Path, quick_path: Path) -> None:
    _, manual_dir = trials(forks, small, quick_path)
    data_dir = quick_path / "built"
    shutil.copytree(quick_path / "before" / HOME, data_dir / HOME)
    argv = build_arguments(manual_dir, data_dir, *SHARDS)
    holder = Held(forks, argv, data_dir)
    waiting = forks.start(argv, data_dir, first=OFTEN)
    wait_for(lambda: "waiting for it to end" in waiting.err.read_text())
    assert holder.end().status == 0
    published_first = (data_dir / DATASET).stat().st_ino
    ended = waiting.wait()
    assert ended.status == 0, ended
    assert "is there already" in ended.out
    assert (data_dir / DATASET).stat().st_ino == published_first
    assert content(data_dir / DATASET) == content(quick_path / "expected" / DATASET)


def test_what_was_begun_is_of_no_use_for_another_dataset(
    forks: Server, small: Path, quick_path: Path
) -> None:
    """The dataset that was added to is built anew in between."""
    _, manual_dir = trials(forks, small, quick_path)
    data_dir = quick_path / "built"
    shutil.copytree(quick_path / "before" / HOME, data_dir / HOME)
    argv = build_arguments(manual_dir, data_dir, *SHARDS)
    left_of_a_build(forks, argv, data_dir)
    changed = staged()
    changed.validation[0] = (val_name(3), picture("another"))
    changed.write(manual_dir)
    ended = forks.run(argv, data_dir)
    assert ended.status == 0
    assert ", of no use because " in ended.err
    assert said(verified(data_dir / DATASET)) == ""


def test_a_process_of_its_own_adds(train_only: Path, small: Path, data_dir: Path) -> None:
    """As a user runs it, with worker processes."""
    stage_splits(small, train_only, "validation")
    argv = build_arguments(train_only, data_dir, *SHARDS, "--workers", "2")
    done = run_cli(*argv)
    assert Path(done.stdout.strip()) == data_dir / DATASET
    assert said(verified(data_dir / DATASET)) == ""
