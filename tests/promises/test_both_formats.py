"""Both file formats in one pass: two datasets, each as if it had been built by itself."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import command_line, engine_builds
from support.built_datasets import assert_same_files, files_of, shards, without_times
from support.command_line import DATASET, HOME, Outcome
from support.corpora.ilsvrc2012 import TRAIN
from support.killing.forks import Server
from support.killing.remains import everything
from support.killing.trials import SHARDS
from support.processes import blocking, run_cli, run_python
from support.verifying import said, verified

from imagenet_builders.build import steps
from imagenet_builders.build.destination import Destination
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.publish.target import Target
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.write.outputs import array_record, tfrecord

BOTH = "--file-format=tfrecord,array_record"


def arguments(manual_dir: Path, root: Path, *options: str) -> list[str]:
    """The command that builds both: TFRecord in `a`, ArrayRecord in `b`."""
    where = f"--array-record-dir={root / 'b'}"
    return command_line.build_arguments(manual_dir, root / "a", BOTH, where, *SHARDS, *options)


def build(manual_dir: Path, root: Path, *options: str) -> Outcome:
    return command_line.run(*arguments(manual_dir, root, *options))


@pytest.fixture(scope="module")
def alone(small: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of each dataset, built by itself."""
    root = tmp_path_factory.mktemp("alone")
    found = {}
    for name, file_format in (("a", "tfrecord"), ("b", "array_record")):
        option = f"--file-format={file_format}"
        assert command_line.build(small, root / name, option, *SHARDS).status == 0
        found[name] = files_of(root / name / DATASET)
    return found


@pytest.fixture(scope="module")
def both(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("both")
    outcome = build(small, root)
    assert outcome.status == 0, outcome
    assert outcome.out.splitlines() == [str(root / name / DATASET) for name in "ab"]
    assert "imagenet2012/5.1.0 as tfrecord:" in outcome.err
    assert "imagenet2012/5.1.0 as array_record:" in outcome.err
    return root


def assert_whole(root: Path, alone: dict[str, dict[str, bytes]]) -> None:
    """Both are there, right, as if built alone, and nothing else is."""
    for name, expected in alone.items():
        assert_same_files(files_of(root / name / DATASET), expected)
        assert said(verified(root / name / DATASET)) == ""
        assert os.listdir(root / name / HOME) == ["5.1.0"]


def test_each_is_as_if_built_by_itself(both: Path, alone: dict[str, dict[str, bytes]]) -> None:
    assert_whole(both, alone)
    documents = [
        without_times((both / name / DATASET / "provenance.json").read_bytes()) for name in "ab"
    ]
    for split in documents[0]["splits"]:
        first, second = (document["splits"][split] for document in documents)
        same = set(first) - {"shard_bytes", "shard_crc32c", "index_crc32c"}
        assert {key: first[key] for key in same} == {key: second[key] for key in same}


def test_stock_readers_read_both(both: Path) -> None:
    code = f"""{blocking("imagenet_builders")}
import json
import tensorflow_datasets as tfds
a, b = sys.argv[1:]
loaded = tfds.load("imagenet2012", split="train", data_dir=a)
source = tfds.data_source("imagenet2012", split="train", data_dir=b)
again = [tfds.builder_from_directory(f"{{root}}/imagenet2012/5.1.0") for root in (a, b)]
print(json.dumps([
    [each["file_name"].decode() for each in loaded.as_numpy_iterator()],
    [each["file_name"].decode() for each in source],
    [each["file_name"].decode() for each in again[0].as_dataset("train").as_numpy_iterator()],
    [each["file_name"].decode() for each in again[1].as_data_source("train")],
]))
"""
    first, *others = json.loads(run_python(code, both / "a", both / "b"))
    assert len(first) > 5
    assert others == [first] * 3


def test_the_same_command_again_leaves_both_as_they_are(both: Path, small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in both.rglob("*-of-*")}
    outcome = build(small, both)
    assert outcome.out.count("is there already") == 2
    assert {path: path.stat().st_mtime_ns for path in both.rglob("*-of-*")} == before


def test_images_are_read_once(tmp_path: Path) -> None:
    """Each example is made once; those of a shard that one format has, for the other alone."""
    made: list[int] = []

    def counting(rows: Any, *others: Any) -> Iterator[Any]:
        made.append(rows.num_rows)
        return engine_builds.make_examples(rows, *others)

    recipe = engine_builds.make_recipe(tmp_path, [1000] * 30)
    plan = engine_builds.planned(recipe, 3)
    recipe = dataclasses.replace(recipe, examples=counting)

    def written(token: str) -> list[IncompleteDir]:
        places = [
            destination(tmp_path / output.name, output, token)
            for output in (tfrecord.OUTPUT, array_record.OUTPUT)
        ]
        with LocalWorkers(1) as workers:
            results = steps.write_everywhere(
                [recipe], [plan], places, name="x", options=BuildOptions(), workers=workers
            )
        assert [result.examples for [result] in results] == [30, 30]
        return [place.incomplete for place in places]

    first, second = written("0" * 16)
    assert made == [10, 10, 10]
    (second.shards / "x-train.array_record-00001-of-00003").unlink()
    for incomplete in (first, second):
        (incomplete.shards / f"x-train.{incomplete.path.parent.name}-00002-of-00003").unlink()
    written("1" * 16)
    assert made == [10] * 5


def destination(directory: Path, output: Any, token: str) -> Destination:
    directory.mkdir(exist_ok=True)
    incomplete = IncompleteDir(Target(directory / "1"), token)
    incomplete.open({"made": "here"})

    def shard_path(split: str, number: int, count: int) -> Path:
        return incomplete.shards / f"x-{split}.{output.suffix}-{number:05}-of-{count:05}"

    return Destination("x", incomplete, output, shard_path)


# --- one of them, or a part of it ------------------------------------------------------------


@pytest.mark.parametrize("there", ["a", "b"])
def test_where_one_is_there_the_other_is_built(
    there: str, both: Path, small: Path, tmp_path: Path, alone: dict[str, dict[str, bytes]]
) -> None:
    shutil.copytree(both / there, tmp_path / there)
    before = (tmp_path / there / DATASET).stat().st_ino
    outcome = build(small, tmp_path)
    assert outcome.status == 0, outcome
    assert f"is there already: {tmp_path / there / DATASET}" in outcome.out
    assert (tmp_path / there / DATASET).stat().st_ino == before
    assert_whole(tmp_path, alone)


def test_splits_are_added_to_both(
    small: Path, tmp_path: Path, alone: dict[str, dict[str, bytes]]
) -> None:
    manual_dir = tmp_path / "staged"
    manual_dir.mkdir()
    shutil.copy2(small / TRAIN, manual_dir)
    assert build(manual_dir, tmp_path).status == 0
    shutil.copytree(small, manual_dir, dirs_exist_ok=True)
    outcome = build(manual_dir, tmp_path)
    assert outcome.status == 0, outcome
    assert outcome.err.count("kept unchanged: train") == 2
    assert_whole(tmp_path, alone)


def test_both_are_replaced(small: Path, tmp_path: Path, alone: dict[str, dict[str, bytes]]) -> None:
    assert (
        command_line.run(
            *command_line.build_arguments(
                small,
                tmp_path / "a",
                BOTH,
                f"--array-record-dir={tmp_path / 'b'}",
                "--num-shards=1",
            )
        ).status
        == 0
    )
    assert build(small, tmp_path, "--overwrite").status == 0
    assert_whole(tmp_path, alone)


def test_killed_between_the_two_publications(
    forks: Server, small: Path, tmp_path: Path, alone: dict[str, dict[str, bytes]]
) -> None:
    """The first is there, the other's shards are finished, and the same command publishes it."""
    second = (
        "import os\n"
        "from imagenet_builders.publish import exchange\n"
        "publish, published = exchange.publish, []\n"
        "def one(*arguments, **more):\n"
        "    if published: os._exit(9)\n"
        "    publish(*arguments, **more)\n"
        "    published.append(1)\n"
        "exchange.publish = one\n"
    )
    argv = arguments(small, tmp_path)
    assert forks.run(argv, tmp_path / "a", first=second).status == 9
    assert said(verified(tmp_path / "a" / DATASET)) == ""
    assert not (tmp_path / "b" / DATASET).exists()
    before = (tmp_path / "a" / DATASET).stat().st_ino
    ended = forks.run(argv, tmp_path / "a")
    assert ended.status == 0, ended
    assert f"{DATASET}: already finished: 6 of 6 shards" in ended.err
    assert (tmp_path / "a" / DATASET).stat().st_ino == before
    assert_whole(tmp_path, alone)


@pytest.mark.parametrize("after", range(1, 12, 2))
def test_killed_on_the_way(
    after: int, forks: Server, small: Path, tmp_path: Path, alone: dict[str, dict[str, bytes]]
) -> None:
    """Files that are finished are not written again, in either format."""
    count = (
        "import os\n"
        "from imagenet_builders.write import shard as shards\n"
        "finish, finished = shards._finish, []\n"
        "def counting(*job):\n"
        "    result = finish(*job)\n"
        "    finished.append(job)\n"
        f"    if len(finished) == {after}: os._exit(9)\n"
        "    return result\n"
        "shards._finish, shards._FINISHED_AT_ONCE = counting, 1\n"
    )
    argv = arguments(small, tmp_path)
    assert forks.run(argv, tmp_path / "a", first=count).status == 9
    inodes = {
        path.name: path.stat().st_ino
        for path in tmp_path.glob(f"*/{HOME}/.*.building-*/shards/*-of-*")
    }
    assert len(inodes) == after
    ended = forks.run(argv, tmp_path / "a")
    assert ended.status == 0, ended
    found = {path.name: path.stat().st_ino for path in tmp_path.glob(f"*/{DATASET}/*-of-*")}
    assert {name: found[name] for name in inodes} == inodes
    assert_whole(tmp_path, alone)


def test_each_may_be_gone_on_with_alone(
    forks: Server, small: Path, tmp_path: Path, alone: dict[str, dict[str, bytes]]
) -> None:
    first = (
        "import os\n"
        "from imagenet_builders.publish import exchange\n"
        "exchange.publish = lambda *arguments, **more: os._exit(9)\n"
    )
    assert forks.run(arguments(small, tmp_path), tmp_path / "a", first=first).status == 9
    for name, file_format in (("b", "array_record"), ("a", "tfrecord")):
        argv = command_line.build_arguments(
            small, tmp_path / name, f"--file-format={file_format}", *SHARDS
        )
        ended = forks.run(argv, tmp_path / name)
        assert "already finished: 6 of 6 shards" in ended.err
    assert_whole(tmp_path, alone)


def test_a_bad_image_ends_both_and_is_left_out_of_both(small: Path, tmp_path: Path) -> None:
    from support.corpora.ilsvrc2012 import TENCH, picture, staged

    bad = staged()
    bad.train = {**bad.train, TENCH: [(f"{TENCH}_7.JPEG", picture("x")[:-200])]}
    manual_dir = bad.write(tmp_path / "staged")
    outcome = build(manual_dir, tmp_path)
    assert outcome.status == 1
    [error] = [line for line in outcome.err.splitlines() if "error: " in line]
    assert f"{TENCH}_7.JPEG'" in error
    assert not list(tmp_path.glob(f"*/{DATASET}"))
    assert build(manual_dir, tmp_path, "--bad-images=skip").status == 0
    for name in "ab":
        document = json.loads((tmp_path / name / DATASET / "provenance.json").read_text())
        assert [note["key"] for note in document["splits"]["train"]["skipped"]] == [
            f"{TENCH}_7.JPEG"
        ]
        assert said(verified(tmp_path / name / DATASET)) == ""


# --- who asks, and how -----------------------------------------------------------------------


def test_in_python(small: Path, tmp_path: Path, alone: dict[str, dict[str, bytes]]) -> None:
    import tensorflow_datasets as tfds

    options = BuildOptions(array_record_dir=str(tmp_path / "b"))
    builder = Builder(data_dir=tmp_path / "a", options=options)
    config = tfds.download.DownloadConfig(manual_dir=small, num_shards=2)
    builder.download_and_prepare(download_config=config, file_format="array_record,tfrecord")
    assert_whole(tmp_path, alone)
    assert builder.beside is not None
    assert len(builder.results) == len(builder.beside.results) == 3
    first = next(iter(builder.as_dataset(split="train").as_numpy_iterator()))
    assert builder.beside.as_data_source("train")[0]["file_name"] == first["file_name"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([BOTH], "choose another for ArrayRecord with --array-record-dir"),
        (
            ["--array-record-dir=/tmp/b"],
            "array_record_dir /tmp/b is given, but only one file format; ask for both "
            "(--file-format tfrecord,array_record), or leave --array-record-dir out",
        ),
        (
            ["--array-record-dir=/tmp/b", "--file-format=array_record"],
            "array_record_dir /tmp/b is given, but only one file format",
        ),
        ([BOTH, "--array-record-dir={a}"], "is the same directory as --data-dir"),
        ([BOTH, "--array-record-dir={a}/x/.."], "is the same directory as --data-dir"),
        ([BOTH, "--array-record-dir={link}"], "is the same directory as --data-dir"),
        ([BOTH, "--array-record-dir="], "--array-record-dir must name a directory, not be empty"),
        (
            [BOTH, "--array-record-dir=gs://bucket/x"],
            "--array-record-dir must be a directory in a file system, not gs://bucket/x",
        ),
    ],
)
def test_what_cannot_be_is_said(
    options: list[str], words: str, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    filled = [each.format(a=tmp_path / "a", link=tmp_path / "link") for each in options]
    outcome = command_line.run(*command_line.build_arguments(small, tmp_path / "a", *filled))
    assert outcome.status == 2
    assert words in outcome.err
    assert everything(tmp_path / "a") == []


def test_a_dataset_may_not_be_a_link_to_that_in_the_other_format(
    small: Path, tmp_path: Path
) -> None:
    (tmp_path / "a" / "imagenet2012").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "imagenet2012").symlink_to(tmp_path / "a" / "imagenet2012")
    outcome = build(small, tmp_path)
    assert outcome.status == 2
    assert f"{tmp_path / 'b' / DATASET} is the same directory as" in " ".join(outcome.err.split())
    assert not list((tmp_path / "a" / "imagenet2012").iterdir())


@pytest.mark.parametrize(
    ("formats", "words"),
    [
        ("tfrecord,tfrecord", "must name each file format once, not 'tfrecord,tfrecord'"),
        ("tfrecord,", "must be one of tfrecord, array_record, not ''"),
        ("tfrecord,parquet", "must be one of tfrecord, array_record, not 'parquet'"),
    ],
)
def test_what_is_no_format_is_said(formats: str, words: str, small: Path, tmp_path: Path) -> None:
    argv = command_line.build_arguments(small, tmp_path / "a", f"--file-format={formats}")
    done = run_cli(*argv, check=False)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())


def test_the_same_in_python_is_an_error_before_any_work(small: Path, tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=small)
    for options, asked in (
        (BuildOptions(), "tfrecord,array_record"),
        (BuildOptions(array_record_dir=str(tmp_path / "a")), "tfrecord,array_record"),
        (BuildOptions(array_record_dir=str(tmp_path / "b")), "tfrecord"),
        (BuildOptions(array_record_dir=str(tmp_path / "b")), None),
        (BuildOptions(array_record_dir=str(tmp_path / "b")), "tfrecord,avro"),
    ):
        builder = Builder(data_dir=tmp_path / "a", options=options)
        with pytest.raises(OptionError):
            builder.download_and_prepare(download_config=config, file_format=asked)
    assert not list(tmp_path.rglob("*"))


def test_what_is_there_in_the_other_format_is_said(small: Path, tmp_path: Path) -> None:
    assert command_line.build(small, tmp_path / "a", "--file-format=array_record").status == 0
    outcome = build(small, tmp_path)
    assert f"{tmp_path / 'a' / DATASET} is there already, as array_record" in outcome.err
    assert outcome.status == 2
    assert not (tmp_path / "b" / DATASET).exists()


def test_with_beam(small: Path, tmp_path: Path, alone: dict[str, dict[str, bytes]]) -> None:
    outcome = build(small, tmp_path, "--beam-options=runner=DirectRunner")
    assert outcome.status == 0, outcome
    assert_whole(tmp_path, alone)
    assert len(shards(tmp_path / "a" / DATASET)) == len(shards(tmp_path / "b" / DATASET)) == 6
