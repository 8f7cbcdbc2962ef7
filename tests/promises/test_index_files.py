"""The index files beside TFRecord shards: what DALI needs, and nobody else sees.

The oracle is the rule of NVIDIA's `tfrecord2idx`, followed here byte by byte in each shard.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support import command_line
from support.built_datasets import shards
from support.command_line import DATASET
from support.corpora.ilsvrc2012 import TRAIN, VAL, staged
from support.killing.forks import Server
from support.killing.moments import at_publishing, left_of_a_build
from support.killing.remains import content, everything
from support.killing.trials import SHARDS
from support.processes import blocking, run_python
from support.verifying import copy, said, verified, without_checksums, write_frames

from imagenet_builders.export import forms
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.options import BuildOptions

FOLDER = "dali_index"


def by_rule(shard: Path) -> str:
    """What `tfrecord2idx` writes: where each frame begins, and all its bytes."""
    lines, at, data = "", 0, shard.read_bytes()
    while at < len(data):
        size = 8 + 4 + int.from_bytes(data[at : at + 8], "little") + 4
        lines += f"{at} {size}\n"
        at += size
    assert at == len(data)
    return lines


def assert_indexed(directory: Path) -> None:
    """Each shard has its index, which is right, and there are no others."""
    found = {path.name: path.read_text() for path in (directory / FOLDER).iterdir()}
    assert found == {f"{shard.name}.idx": by_rule(shard) for shard in shards(directory)}
    assert said(verified(directory)) == ""


@pytest.fixture(scope="module")
def dataset(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("built")
    assert command_line.build(small, data_dir, *SHARDS).status == 0
    return data_dir / DATASET


def without_index(dataset: Path, target: Path) -> Path:
    """A dataset as earlier versions have built it."""
    old = copy(dataset, target)
    shutil.rmtree(old / FOLDER)
    path = old / "provenance.json"
    document = json.loads(path.read_text())
    for split in document["splits"].values():
        del split["index_crc32c"]
    del document["self"]
    path.write_text(json.dumps(document, indent=1) + "\n")
    return old


def test_every_shard_has_the_index_that_dali_wants(dataset: Path) -> None:
    assert len(shards(dataset)) > 3
    assert_indexed(dataset)


def test_an_array_record_dataset_has_none(small: Path, tmp_path: Path) -> None:
    assert command_line.build(small, tmp_path, "--file-format=array_record").status == 0
    assert not (tmp_path / DATASET / FOLDER).exists()
    document = json.loads((tmp_path / DATASET / "provenance.json").read_text())
    assert document["splits"]["train"]["index_crc32c"] is None
    assert said(verified(tmp_path / DATASET)) == ""


def test_stock_readers_do_not_see_it(dataset: Path) -> None:
    """In all their ways to look into a directory of a version, or of a dataset."""
    code = f"""{blocking("imagenet_builders")}
import json
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder
from tensorflow_datasets.core.utils import file_utils, py_utils, version
data_dir, directory = sys.argv[1:]
builder = tfds.builder_from_directory(directory)
print(json.dumps([
    [each.tfds_name() for each in file_utils.list_datasets_in_data_dir(data_dir)],
    [str(each) for each in version.list_all_versions(directory.rpartition("/")[0])],
    [str(each) for each in file_utils.list_dataset_versions(directory.rpartition("/")[0])],
    sorted(py_utils.list_info_files(directory)),
    {{split: len(list(tfds.load("imagenet2012", split=split, data_dir=data_dir)))
      for split in builder.info.splits}},
    sum(split.num_examples for split in builder.info.splits.values()),
]))
"""
    data_dir = dataset.parents[1]
    names, versions, others, infos, sizes, total = json.loads(run_python(code, data_dir, dataset))
    assert (names, versions, others) == (["imagenet2012:5.1.0"], ["5.1.0"], ["5.1.0"])
    assert infos == ["dataset_info.json", "features.json", "provenance.json"]
    assert sum(sizes.values()) == total


# --- verify ----------------------------------------------------------------------------------


def first_index(directory: Path) -> Path:
    return min((directory / FOLDER).iterdir())


def of_another(directory: Path) -> None:
    first, second, *_ = sorted((directory / FOLDER).iterdir())
    shutil.copy(second, first)


def extra(directory: Path) -> None:
    (directory / FOLDER / "imagenet2012-train.tfrecord-00009-of-00010.idx").write_text("0 20\n")


def a_file(directory: Path) -> None:
    shutil.rmtree(directory / FOLDER)
    (directory / FOLDER).touch()


def fifo(directory: Path) -> None:
    first_index(directory).unlink()
    os.mkfifo(first_index(directory).with_name("x"))
    (directory / FOLDER / "x").rename(directory / FOLDER / MISSING)


MISSING = "imagenet2012-test.tfrecord-00000-of-00002.idx"

DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (
        lambda directory: flipped(first_index(directory)),
        "the index is not that of its shard, from its line 1 on; expected '0 ",
    ),
    "of another": (of_another, "the index is not that of its shard"),
    "cut": (
        lambda directory: os.truncate(first_index(directory), 0),
        "the index is not that of its shard, from its line 1 on; expected '0 ",
    ),
    "missing": (lambda directory: first_index(directory).unlink(), "this index is missing"),
    "all missing": (
        lambda directory: shutil.rmtree(directory / FOLDER),
        "the directory with the index of each shard is missing",
    ),
    "a file": (
        a_file,
        "this is no directory, and has the name of the one with the index of each shard",
    ),
    "extra": (extra, "this file is the index of no shard; move it elsewhere"),
    "a FIFO": (fifo, "this index is not a file of one: it is a FIFO"),
}


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("checksums", [True, False], ids=["checksums", "records only"])
def test_verify_finds_what_is_wrong(
    damage: str, checksums: bool, dataset: Path, tmp_path: Path
) -> None:
    damaged = copy(dataset, tmp_path)
    if not checksums:
        without_checksums(damaged)
    DAMAGE[damage][0](damaged)
    verdict = verified(damaged)
    assert DAMAGE[damage][1] in said(verdict)
    assert verdict.problem_count == 1


def test_a_lost_index_is_made_again_as_verify_says(dataset: Path, tmp_path: Path) -> None:
    """Without building anew, which may take hours for a few kilobytes."""
    damaged = copy(dataset, tmp_path / "damaged")
    lost = first_index(damaged)
    content = lost.read_bytes()
    lost.unlink()
    assert "`imagenet-builders export` makes all indexes from the shards" in said(verified(damaged))
    out = tmp_path / "out"
    export(
        BuiltSource(str(damaged), tmp_path), forms.get("dali-index"), out, BuildOptions(workers=1)
    )
    lost.write_bytes((out / lost.name).read_bytes())
    assert lost.read_bytes() == content
    assert said(verified(damaged)) == ""


def test_a_right_index_of_a_dataset_that_was_not_built_with_it_is_no_problem(
    dataset: Path, tmp_path: Path
) -> None:
    old = without_index(dataset, tmp_path)
    assert said(verified(old)) == ""
    (old / FOLDER).mkdir()
    shard = shards(old)[0]
    index = old / FOLDER / f"{shard.name}.idx"
    index.write_text(by_rule(shard))
    assert said(verified(old)) == ""
    index.write_text("0 20\n")
    assert "the index is not that of its shard" in said(verified(old))


def test_an_index_is_right_where_its_shard_is_not(dataset: Path, tmp_path: Path) -> None:
    damaged = copy(dataset, tmp_path)
    shard = shards(damaged, "train")[0]
    write_frames(shard, [b"no example"])
    problems = [problem.path for problem in verified(damaged).problems]
    assert str(shard) in problems
    assert not [path for path in problems if FOLDER in path]


# --- builds that end, add and replace --------------------------------------------------------


def test_a_build_that_goes_on_has_all_of_them(
    forks: Server, small: Path, dataset: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "built"
    argv = command_line.build_arguments(small, data_dir, *SHARDS)
    left_of_a_build(forks, argv, data_dir)
    ended = forks.run(argv, data_dir, first=at_publishing("os._exit(9)"))
    assert ended.status == 9
    ended = forks.run(argv, data_dir)
    assert ended.status == 0, ended
    assert "already finished" in ended.err
    assert content(data_dir / DATASET).keys() == content(dataset).keys()
    assert_indexed(data_dir / DATASET)
    assert everything(data_dir) == everything(dataset.parents[1])


@pytest.mark.parametrize("with_index", [True, False])
def test_splits_that_are_kept_keep_theirs_or_get_them(
    with_index: bool, small: Path, dataset: Path, tmp_path: Path
) -> None:
    manual_dir, data_dir = tmp_path / "staged", tmp_path / "built"
    manual_dir.mkdir()
    shutil.copy2(small / TRAIN, manual_dir)
    assert command_line.build(manual_dir, data_dir, *SHARDS).status == 0
    if not with_index:
        there = without_index(data_dir / DATASET, tmp_path / "old")
        shutil.rmtree(data_dir / DATASET)
        there.rename(data_dir / DATASET)
    shutil.copytree(small, manual_dir, dirs_exist_ok=True)
    outcome = command_line.build(manual_dir, data_dir, *SHARDS)
    assert outcome.status == 0, outcome
    assert "train kept unchanged" in outcome.err
    assert_indexed(data_dir / DATASET)
    document = json.loads((data_dir / DATASET / "provenance.json").read_text())
    expected = json.loads((dataset / "provenance.json").read_text())
    assert [split["index_crc32c"] for split in document["splits"].values()] == [
        split["index_crc32c"] for split in expected["splits"].values()
    ]


def test_a_file_of_somebody_elses_among_them_is_not_taken_along(
    small: Path, tmp_path: Path
) -> None:
    manual_dir, data_dir = tmp_path / "staged", tmp_path / "built"
    manual_dir.mkdir()
    shutil.copy2(small / TRAIN, manual_dir)
    assert command_line.build(manual_dir, data_dir, *SHARDS).status == 0
    theirs = data_dir / DATASET / FOLDER / "notes.txt"
    theirs.write_text("mine")
    shutil.copy2(small / VAL, manual_dir)
    outcome = command_line.build(manual_dir, data_dir, *SHARDS)
    assert f"{FOLDER}/notes.txt in it is not the dataset's; move it elsewhere" in outcome.err
    assert theirs.read_text() == "mine"


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        ("pathlib.Path(place, 'x.idx').touch()", "dali_index/x.idx is a file that this build"),
        ("os.mkdir(place + '/x')", "dali_index/x is a directory that this build"),
        ("os.mkfifo(place + '/x')", "dali_index/x is a FIFO that this build"),
    ],
)
def test_what_somebody_puts_among_them_is_not_published(
    planted: str, words: str, forks: Server, small: Path, tmp_path: Path
) -> None:
    """Only a process of the steward's own can; the directory is closed to all others."""
    data_dir = tmp_path / "built"
    data_dir.mkdir()
    first = (
        "import os, pathlib\n"
        "from imagenet_builders.publish import session\n"
        "finish = session.IncompleteDir.finish\n"
        "def planted(self, access):\n"
        f"    place = str(self.shards / {FOLDER!r})\n"
        f"    {planted}\n"
        "    finish(self, access)\n"
        "session.IncompleteDir.finish = planted\n"
    )
    argv = command_line.build_arguments(small, data_dir, *SHARDS)
    ended = forks.run(argv, data_dir, first=first)
    assert words in ended.err
    assert not (data_dir / DATASET).exists()
    ended = forks.run(argv, data_dir)
    assert ended.status == 0, ended
    assert_indexed(data_dir / DATASET)


def test_an_index_that_is_lost_on_the_way_is_missed(
    forks: Server, small: Path, tmp_path: Path
) -> None:
    """On file systems for scratch data, programs remove old files."""
    data_dir = tmp_path / "built"
    data_dir.mkdir()
    first = (
        "from imagenet_builders.build import finished\n"
        "check = finished._check_shards\n"
        "def lost(kept, results, shard_path, incomplete, index):\n"
        f"    min((incomplete.shards / {FOLDER!r}).iterdir()).unlink()\n"
        "    check(kept, results, shard_path, incomplete, index)\n"
        "finished._check_shards = lost\n"
    )
    argv = command_line.build_arguments(small, data_dir, *SHARDS)
    ended = forks.run(argv, data_dir, first=first)
    assert ".idx cannot be written: No such file or directory" in ended.err
    assert forks.run(argv, data_dir).status == 0
    assert_indexed(data_dir / DATASET)


def test_mode_of_the_directory(small: Path, tmp_path: Path) -> None:
    assert command_line.build(small, tmp_path, *SHARDS, "--mode=2775").status == 0
    folder = tmp_path / DATASET / FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2775
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o664}


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to somebody without rights")
def test_a_dataset_whose_directories_are_read_only_is_replaced(
    forks: Server, open_path: Path
) -> None:
    manual_dir, data_dir = staged().write(open_path / "staged"), open_path / "built"
    data_dir.mkdir()
    os.chown(data_dir, 65534, -1)
    build = command_line.build_as_nobody
    assert build(open_path, manual_dir, data_dir).status == 0
    for path in (*(data_dir / DATASET).rglob("*"), data_dir / DATASET):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    outcome = build(open_path / "again", manual_dir, data_dir, options=("--overwrite",))
    assert outcome.status == 0, outcome
    assert [path.name for path in (data_dir / DATASET).parent.iterdir()] == ["5.1.0"]
    assert_indexed(data_dir / DATASET)
