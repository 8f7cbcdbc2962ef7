"""`imagenet-builders show`: it says how stock TFDS reads what was built, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import DUMMY_DATA
from support.processes import environment, run, run_cli

from imagenet_builders.cli.show import reading_call

# Stock TFDS alone: none of this package is imported.
_READ = """
import sys
import tensorflow_datasets as tfds
examples = eval(sys.argv[1])
assert "imagenet_builders" not in sys.modules
print(len(list(examples)))
"""


def build(name: str, data_dir: Path, *options: str) -> str:
    """What a build says."""
    manual_dir = f"--manual-dir={DUMMY_DATA / name.partition('/')[0]}"
    return run_cli("build", name, manual_dir, f"--data-dir={data_dir}", *options).stderr


def show(*arguments: str | Path) -> tuple[list[str], list[str]]:
    """What it prints, and what it says on stderr, where nobody tells TensorFlow to be silent."""
    env = environment()
    del env["TF_CPP_MIN_LOG_LEVEL"]
    command = [sys.executable, "-m", "imagenet_builders.cli", "show", *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize(
    ("file_format", "function"), [("tfrecord", "load"), ("array_record", "data_source")]
)
def test_the_call_that_it_shows_reads_the_dataset(
    file_format: str, function: str, tmp_path: Path
) -> None:
    data_dir = tmp_path / "büilt"
    build("tiny_imagenet", data_dir, "--file-format", file_format)
    sheet = tmp_path / "sheet"
    lines, said = show("tiny_imagenet", f"--data-dir={data_dir}", "--count=1", f"--out={sheet}")
    assert said == []
    assert lines[0].startswith("tiny_imagenet/1.0.0 in ")
    call = lines[1].removeprefix("  read it with ")
    assert call == f'tfds.{function}("tiny_imagenet", split="train", data_dir="{data_dir}")'
    assert lines[2] == "  splits: train, validation, test"
    readers = [line for line in lines if "readers" in line]
    # ArrayRecord is read in any order, by any number.
    assert readers == lines[3:4] * (file_format == "tfrecord")
    for line in readers:
        assert "whole shards: train 1, validation 1, test 1; for more, read it as a data" in line
        assert line.endswith("or build anew with --num-shards N --overwrite")
    counts = [line for line in lines if not line.startswith(" ")]
    assert re.fullmatch(r"train: (\d+) examples in 1 shard", counts[1])
    assert lines[-1] == f"contact sheet: {sheet}"
    assert sheet.read_bytes().startswith(b"\x89PNG")
    read = run([sys.executable, "-c", _READ, call], TF_CPP_MIN_LOG_LEVEL="3").stdout
    assert f"train: {int(read)} examples in 1 shard" in lines


def test_versions_and_configurations_are_in_the_call(tmp_path: Path) -> None:
    class Info:
        full_name = "imagenet2012_downsampled/8x8/1.0.0"
        splits = ("train", "validation")

        class file_format:  # noqa: N801  # As `DatasetInfo` has it.
            value = "tfrecord"

    directory = tmp_path / Info.full_name
    directory.mkdir(parents=True)
    call = f'tfds.load("{{}}", split="train", data_dir="{tmp_path}")'
    assert reading_call(Info, directory) == call.format("imagenet2012_downsampled/8x8")
    (directory.parent / "2.0.0").mkdir()
    assert reading_call(Info, directory) == call.format("imagenet2012_downsampled/8x8:1.0.0")
    moved = directory.rename(tmp_path / "moved")
    assert reading_call(Info, moved) == (
        f'tfds.builder_from_directory("{moved}").as_dataset(split="train")'
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["tiny_imagenet"], 1, "is not built: there is no version in .*tiny_imagenet; give"),
        (["imagenet2102"], 2, "no dataset 'imagenet2102' .is imagenet2012 meant..; there are"),
        (
            ["imagenet2012", "--out=/dev/null/x.png"],
            2,
            "--out /dev/null/x.png: there is no directory /dev/null; make it, or choose",
        ),
        (["imagenet2012:4.0.0"], 1, "imagenet2012:4.0.0 is not built: there is no version 4.0.0"),
        (["all"], 1, "there is no dataset of this package"),
        (["../x y"], 2, "is neither a dataset .* nor the directory of one"),
        (["/usr"], 1, "/usr: there is no dataset in this directory, for there is no dataset_info"),
        (["all", "--count", "0"], 2, "--count must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_shown_is_an_error_of_one_line(
    arguments: list[str], status: int, said: str, tmp_path: Path
) -> None:
    done = run_cli("show", *arguments, f"--data-dir={tmp_path}", check=False)
    assert (done.returncode, done.stdout) == (status, "")
    [line] = done.stderr.splitlines()
    assert re.match(rf"imagenet-builders: error: .*{said}", line)


def test_a_damaged_shard_is_told_of_without_what_tensorflow_calls_its_functions(
    tmp_path: Path,
) -> None:
    build("tiny_imagenet", tmp_path)
    [shard] = (tmp_path / "tiny_imagenet" / "1.0.0").glob("*-train*")
    shard.write_bytes(shard.read_bytes()[:20] + b"damaged" + shard.read_bytes()[27:])
    done = run_cli("show", "tiny_imagenet", f"--data-dir={tmp_path}", check=False)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.endswith(
        "1.0.0 cannot be read: corrupted record at 12; `imagenet-builders verify` says more"
    )


def test_an_incomplete_dataset_is_warned_of(tmp_path: Path) -> None:
    build("tiny_imagenet", tmp_path, "--max-examples-per-split", "2")
    lines, said = show("all", f"--data-dir={tmp_path}", "--count", "1")
    assert "train: 2 examples in 1 shard" in lines
    [warning] = said
    assert warning.startswith("imagenet-builders: warning: ")
    assert "is incomplete: it was built with max_examples_per_split=2" in warning
