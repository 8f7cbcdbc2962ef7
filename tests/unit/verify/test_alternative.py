"""Datasets that TensorFlow Datasets' own `convert_format` has added a file format to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES, built_by_cli
from support.built_datasets import records, shards
from support.processes import run_cli
from support.verifying import copy, said, verified

pytest.importorskip("apache_beam")

OWN, ADDED = "tfrecord", "array_record"  # It converts TFRecords only.
ADVICE = "move it elsewhere, then run `tfds convert_format` again"


def convert(directory: Path, file_format: str, out_dir: Path | None = None) -> None:
    """What `tfds convert_format` calls."""
    from tensorflow_datasets.scripts.cli.convert_format_utils import convert_dataset

    convert_dataset(
        out_dir=os.fspath(out_dir) if out_dir else None,
        out_file_format=file_format,
        dataset_version_dir=os.fspath(directory),
        num_workers=1,
        fail_on_error=out_dir is None,  # It counts the shards of another directory then.
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two shards a split."""
    return built_by_cli(DUMMY_ARCHIVES, tmp_path_factory.mktemp("built"), "--num-shards=2")


@pytest.fixture(scope="module")
def both(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = copy(built, tmp_path_factory.mktemp("both"))
    convert(directory, ADDED)
    return directory


@pytest.fixture
def converted(both: Path, tmp_path: Path) -> Path:
    """A converted dataset that a test may change."""
    return copy(both, tmp_path)


def added_to(directory: Path, split: str = "*") -> list[Path]:
    return sorted(directory.glob(f"imagenet2012-{split}.{ADDED}-*"))


def test_shards_of_both_formats_are_right(converted: Path) -> None:
    assert len(added_to(converted)) == 6
    for decode in (False, True):
        verdict = verified(converted, decode=decode)
        assert said(verdict) == ""
        assert verdict.sealed
        assert verdict.file_format == OWN
        assert f"its shards as {ADDED} were compared with those as {OWN}, record by " in (
            " ".join(verdict.notes)
        )


def test_a_second_conversion_lists_the_format_twice(converted: Path) -> None:
    added_to(converted)[0].unlink()
    convert(converted, ADDED)
    info = json.loads((converted / "dataset_info.json").read_text())
    assert set(info["alternativeFileFormats"]) == {ADDED}
    assert said(verified(converted)) == ""


def test_a_dataset_of_stock_tfds_can_be_converted_too(converted: Path) -> None:
    """There are no checksums in it."""
    (converted / "provenance.json").unlink()
    assert said(verified(converted)) == ""


def test_a_shard_that_is_missing_is_told(converted: Path) -> None:
    shard = added_to(converted, "train")[1]
    shard.unlink()
    verdict = verified(converted)
    assert verdict.problem_count == 1
    assert f"{shard}: this shard is not there" in said(verdict)
    assert said(verdict).endswith("run `tfds convert_format` again")


def test_a_damaged_shard_is_told(converted: Path) -> None:
    shard = added_to(converted, "train")[1]
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    verdict = verified(converted)
    assert verdict.problem_count == 1
    assert said(verdict).startswith(f"{shard}, record ")
    assert said(verdict).endswith(ADVICE)


def test_a_pipe_is_not_waited_for(converted: Path) -> None:
    shard = added_to(converted, "test")[0]
    shard.unlink()
    os.mkfifo(shard)
    assert f"{shard}: this shard is not a file" in said(verified(converted))


CHANGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "order": lambda found: [found[1], found[0], *found[2:]],
    "fewer": lambda found: found[:-1],
    "more": lambda found: [*found, found[0]],
    "other": lambda found: [found[0][:-1] + bytes([found[0][-1] ^ 1]), *found[1:]],
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_examples_than_those_of_the_dataset_are_told(change: str, converted: Path) -> None:
    from array_record.python import array_record_module

    shard = added_to(converted, "train")[0]
    changed = CHANGES[change](records(shard))
    writer = array_record_module.ArrayRecordWriter(str(shard), "group_size:1")
    for record in changed:
        writer.write(record)
    writer.close()
    verdict = verified(converted)
    assert verdict.problem_count == 1
    original = shard.name.replace(ADDED, OWN)
    more = f"it has more records than {original}"
    other = f"it does not have the record that {original} has in this place"
    assert f"{shard}, record " in said(verdict)
    assert (more if change == "more" else other) in said(verdict)


def test_damage_of_the_dataset_itself_is_told_of_it_alone(
    converted: Path,
) -> None:
    shard = sorted(converted.glob(f"*-train.{OWN}-*"))[0]
    shard.unlink()
    verdict = verified(converted)
    assert {problem.path for problem in verdict.problems} <= {str(shard), str(converted)}


def test_nothing_else_of_the_description_may_differ(converted: Path) -> None:
    path = converted / "dataset_info.json"
    path.write_text(path.read_text().replace("Scale Visual", "Scale Visuel"))
    assert f"{path}: the file is not the one that was built" in said(verified(converted))


def test_a_format_that_cannot_be_read_is_named(built: Path, tmp_path: Path) -> None:
    """Parquet, of which TensorFlow Datasets 4.9.10 writes a part only."""
    directory = copy(built, tmp_path)
    convert(directory, "parquet")
    verdict = verified(directory)
    assert said(verdict) == ""
    notes = " ".join(verdict.notes)
    assert "its shards as parquet were not verified: this package cannot read them" in notes
    assert "not the dataset's" not in notes


def test_a_conversion_that_was_ended_is_not_called_debris(converted: Path, built: Path) -> None:
    """Its format is not listed yet; nobody is told to remove what belongs to somebody."""
    shutil.copy2(built / "dataset_info.json", converted)
    verdict = verified(converted)
    assert verdict.problem_count == 6
    assert (
        "move it elsewhere; if it was being converted, then run `tfds convert_format` again, with "
        "an absolute path" in said(verdict)
    )
    assert "remove it" not in said(verdict)
    convert(converted, ADDED)  # Every shard is there, so that it only lists them.


def test_a_dataset_that_was_converted_into_another_directory(built: Path, tmp_path: Path) -> None:
    """It lacks the names of the classes, which is said once, with where they are."""
    directory = tmp_path / "imagenet2012" / "5.1.0"
    original = built
    convert(original, "array_record", directory)
    verdict = verified(directory)
    assert {Path(problem.path).name for problem in verdict.problems} == {
        "label.labels.txt",
        "LICENSE",
    }
    assert verdict.problem_count == 2
    assert all(each.advice == f"copy it from {original}" for each in verdict.problems)
    for problem in verdict.problems:
        shutil.copy2(original / Path(problem.path).name, directory)
    verdict = verified(directory)
    assert said(verdict) == ""
    assert not verdict.sealed
    assert f"converted to another file format from {original}" in " ".join(verdict.notes)
    for split in ("train", "validation", "test"):
        found = [record for shard in shards(directory, split) for record in records(shard)]
        assert found == [r for shard in shards(original, split) for r in records(shard)]


def test_the_command_compares_with_processes(both: Path) -> None:
    directory = both
    done = run_cli("verify", directory, "--workers=2", "--json")
    assert json.loads(done.stdout)["ok"]
