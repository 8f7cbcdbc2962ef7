"""Readers find a whole dataset at every moment, old or new, with the requested modes."""

from __future__ import annotations

import grp
import importlib.metadata
import json
import os
import platform
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest
from support.built_datasets import files_in, records_by_split, split_info
from support.command_line import DATASET, HOME, build_arguments
from support.corpora.ilsvrc2012 import TEST, VAL, picture, staged, val_name
from support.killing.forks import Server
from support.killing.moments import WITHOUT_EXCHANGE, at_publishing, built, error
from support.killing.remains import content, differences
from support.killing.trials import SHARDS, damage_is_survived
from support.paths import DUMMY_DATA

import imagenet_builders

either_way = pytest.mark.parametrize("first", ["", WITHOUT_EXCHANGE], ids=["swap", "no_swap"])


# --- replaced --------------------------------------------------------------------------------


def test_readers_find_a_whole_dataset_at_every_moment(
    forks: Server, small: Path, quick_path: Path
) -> None:
    """While it is replaced, again and again, by one with other shards."""
    data_dir, stop = quick_path / "built", quick_path / "stop"
    built(forks, small, data_dir, "--num-shards", "1")
    reader = subprocess.Popen(
        [sys.executable, "-c", reader_of_one_directory(), data_dir / DATASET, stop],
        stdout=subprocess.PIPE,
        text=True,
    )
    for number in range(6):
        built(forks, small, data_dir, "--num-shards", str(2 - number % 2), "--overwrite")
    stop.touch()
    out, _ = reader.communicate(timeout=30)
    assert reader.returncode == 0
    assert len(json.loads(out)) == 2
    assert [path.name for path in (data_dir / HOME).iterdir()] == ["5.1.0"]


def reader_of_one_directory() -> str:
    """A reader that holds the directory open, which the swap does not take away from it at once.

    One that opens file after file by its path may begin with the old and end with the new dataset;
    no builder can help that.
    """
    return textwrap.dedent("""\
        import json, os, sys
        path, stop = sys.argv[1:]
        seen = {}
        while not os.path.exists(stop):
            directory = os.open(path, os.O_RDONLY)  # There is one at every moment.
            try:
                there = os.listdir(directory)
                fd = os.open("dataset_info.json", os.O_RDONLY, dir_fd=directory)
                with os.fdopen(fd) as file:
                    document = json.load(file)
                counts = sum(len(each["shardLengths"]) for each in document["splits"])
                shards = [name for name in there if "record-" in name]
                same = os.fstat(directory).st_ino == os.stat(path).st_ino
                assert len(shards) == counts or not same, (there, counts)
                seen[counts] = seen.get(counts, 0) + 1
            except FileNotFoundError:  # What is replaced is removed in the end.
                assert os.fstat(directory).st_ino != os.stat(path).st_ino
            finally:
                os.close(directory)
        print(json.dumps(seen))
        """)


@either_way
def test_the_old_one_stays_until_the_new_one_is_finished(
    first: str, forks: Server, tmp_path: Path, data_dir: Path
) -> None:
    manual_dir = staged().write(tmp_path / "staged")
    before = built(forks, manual_dir, data_dir)
    changed = staged()
    changed.validation[0] = (val_name(3), picture("another"))
    changed.write(manual_dir)
    argv = build_arguments(manual_dir, data_dir, "--overwrite")
    failing = first + at_publishing("raise OSError(28, 'No space left on device')")
    ended = forks.run(argv, data_dir, first=failing)
    assert ended.status == 1
    assert content(data_dir / DATASET) == before
    ended = forks.run(argv, data_dir, first=first)
    assert ended.status == 0, ended
    assert "already finished: 3 of " in ended.err
    new = built(forks, manual_dir, tmp_path / "new")
    assert differences(data_dir, new) == []
    assert new != before


def test_without_an_exchange_the_next_build_repairs_a_kill_in_between(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """By the next build, whatever that is asked to do."""
    for options, outcome in (((), "before"), (("--overwrite",), "expected")):
        before = built(forks, small, data_dir, "--overwrite", "--num-shards", "1")
        killed = WITHOUT_EXCHANGE + (
            "import os\n"
            "rename = exchange._rename\n"
            "exchange._rename = lambda *arguments: os.kill(os.getpid(), 9)\n"
        )
        argv = build_arguments(small, data_dir, *SHARDS)
        assert forks.run([*argv, "--overwrite"], data_dir, first=killed).status == -9
        assert not (data_dir / DATASET).exists()
        ended = forks.run([*argv, *options], data_dir, first=WITHOUT_EXCHANGE)
        assert ended.status == 0, ended
        assert content(data_dir / DATASET) == (before if outcome == "before" else expected)
        assert not list((data_dir / HOME).glob(".5.1.0.old-*"))


def test_a_half_removed_old_dataset_never_returns(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """Killed while it removed the old one; then somebody removes the new one too."""
    built(forks, small, data_dir, "--num-shards", "1")
    killed = (
        "import os, shutil\n"
        "from imagenet_builders.publish import exchange as publish\n"
        "def rmtree(path, dir_fd=None, **options):\n"
        "    path = path if dir_fd is None else f'/proc/self/fd/{dir_fd}/{path}'\n"
        "    for name in sorted(os.listdir(path))[-2:]:\n"
        "        one = os.path.join(path, name)\n"
        "        shutil_rmtree(one) if os.path.isdir(one) else os.remove(one)\n"
        "    os.kill(os.getpid(), 9)\n"
        "shutil_rmtree, shutil.rmtree = shutil.rmtree, rmtree\n"
    )
    argv = build_arguments(small, data_dir, *SHARDS)
    for first in ("", WITHOUT_EXCHANGE):
        ended = forks.run([*argv, "--overwrite"], data_dir, first=first + killed)
        assert ended.status == -9
        shutil.rmtree(data_dir / DATASET)
        assert forks.run(argv, data_dir).status == 0
        assert differences(data_dir, expected) == []


@either_way
def test_a_version_directory_that_is_a_link_is_replaced(
    first: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """Where it leads to is somebody's, and stays."""
    elsewhere = data_dir.with_name("elsewhere")
    before = built(forks, small, data_dir, "--num-shards", "1")
    shutil.move(data_dir / DATASET, elsewhere)
    (data_dir / DATASET).symlink_to(elsewhere)
    argv = build_arguments(small, data_dir, *SHARDS)
    assert "is there already" in forks.run(argv, data_dir).out
    assert forks.run([*argv, "--overwrite"], data_dir, first=first).status == 0
    assert not (data_dir / DATASET).is_symlink()
    assert differences(data_dir, expected) == []
    assert content(elsewhere) == before


# --- in the way ------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs", ["dataset", "directory", "file", "link"])
def test_whatever_appears_at_the_target_meanwhile_is_left_alone(
    theirs: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    target = data_dir / DATASET
    made = data_dir.with_name("theirs")
    if theirs == "dataset":
        another = data_dir.with_name("another")
        assert built(forks, small, another, *SHARDS) == expected
        shutil.move(another / DATASET, made)
    elif theirs == "directory":
        made.mkdir()
        (made / "something").touch()
    elif theirs == "file":
        made.write_text("a file")
    else:
        made.symlink_to("nowhere")
    ended = forks.run(
        build_arguments(small, data_dir, *SHARDS),
        data_dir,
        first=at_publishing(f"os.rename({str(made)!r}, {str(target)!r})"),
    )
    assert ended.status == 1
    assert error(ended.err) == (
        f"{target} appeared while this dataset was built, made by another program; nothing was "
        "changed; look at it, then move it elsewhere or run the same command with --overwrite"
    )
    match theirs:
        case "dataset":
            assert content(target) == expected
        case "directory":
            assert [path.name for path in target.iterdir()] == ["something"]
        case "file":
            assert target.read_text() == "a file"
        case "link":
            assert os.readlink(target) == "nowhere"
    # What the message says does what it promises.
    argv = build_arguments(small, data_dir, *SHARDS, "--overwrite")
    ended = forks.run(argv, data_dir)
    assert ended.status == 0, ended
    assert differences(data_dir, expected) == []


def test_an_empty_directory_does_not_block_a_build(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    (data_dir / DATASET).mkdir(parents=True)
    assert forks.run(build_arguments(small, data_dir, *SHARDS), data_dir).status == 0
    assert differences(data_dir, expected) == []


def test_the_reply_to_the_last_rename_may_be_lost(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """An NFS client that asks again is told that there is a directory: the one just renamed."""
    lost = (
        "import errno, os, pathlib\n"
        "rename = pathlib.Path.rename\n"
        "def rename_and_fail(self, target):\n"
        "    rename(self, target)\n"
        "    if str(target).endswith('/5.1.0'):\n"
        "        raise OSError(errno.ENOTEMPTY, 'Directory not empty', str(self))\n"
        "pathlib.Path.rename = rename_and_fail\n"
    )
    argv = build_arguments(small, data_dir, *SHARDS)
    assert forks.run(argv, data_dir, first=lost).status == 0
    assert differences(data_dir, expected) == []


# --- parts -----------------------------------------------------------------------------------


def test_a_partial_dataset_is_replaced_by_the_whole(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    part = [*build_arguments(small, data_dir), "--max-examples-per-split", "2"]
    assert forks.run(part, data_dir).status == 0
    assert split_info(data_dir)["train"] == [2]
    assert "is there already" in forks.run(part, data_dir).out
    assert forks.run([*part[:-1], "3"], data_dir).status == 0
    assert split_info(data_dir)["train"] == [3]
    whole = build_arguments(small, data_dir, *SHARDS)
    assert forks.run(whole, data_dir).status == 0
    assert differences(data_dir, expected) == []
    # A part of what is there whole is there.
    assert "is there already" in forks.run(part, data_dir).out
    assert differences(data_dir, expected) == []


@pytest.mark.parametrize("limit", [0, 1])
def test_a_partial_dataset_built_from_python_warns_and_is_replaced(
    limit: int, small: Path, data_dir: Path
) -> None:
    import tensorflow_datasets as tfds
    from support.building import build

    from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder

    build(Builder, small, data_dir, max_examples_per_split=limit)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tfds.builder("imagenet2012", data_dir=data_dir).as_dataset()
        tfds.load("imagenet2012", data_dir=data_dir, download=False)
    said = [each for each in told if "is incomplete: " in str(each.message)]
    assert len(said) == 2
    for each in said:
        assert issubclass(each.category, UserWarning)
        assert f"built with max_examples_per_split={limit}, " in str(each.message)
    build(Builder, small, data_dir)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = tfds.load("imagenet2012", split="train", data_dir=data_dir, download=False)
    assert len(loaded) == 9


def test_a_split_is_not_lost_by_mistake(
    forks: Server, small: Path, tmp_path: Path, data_dir: Path
) -> None:
    before = built(forks, small, data_dir)
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for path in small.iterdir():
        if path.name != TEST and "patch" not in path.name:
            (fewer / path.name).symlink_to(path)
    argv = build_arguments(fewer, data_dir, "--overwrite")
    ended = forks.run(argv, data_dir)
    assert ended.status == 2
    assert error(ended.err) == (
        f"{data_dir / DATASET} has the splits test, train, validation, but test cannot be built "
        "from what is staged now; stage what is missing, or build with --allow-fewer-splits to "
        "drop it"
    )
    assert differences(data_dir, before) == []
    assert forks.run([*argv, "--allow-fewer-splits"], data_dir).status == 0
    assert sorted(split_info(data_dir)) == ["train", "validation"]
    # And with the environment's word for it.
    (fewer / VAL).unlink()
    allow = "import os; os.environ['IMAGENET_BUILDERS_ALLOW_FEWER_SPLITS'] = '1'"
    assert forks.run(argv, data_dir).status == 2
    assert forks.run(argv, data_dir, first=allow).status == 0
    assert sorted(split_info(data_dir)) == ["train"]


def test_replacing_a_partial_dataset_must_not_lose_splits(
    forks: Server, small: Path, tmp_path: Path, data_dir: Path
) -> None:
    """A part that was built to try has all its splits too."""
    part = [*build_arguments(small, data_dir), "--max-examples-per-split", "2"]
    assert forks.run(part, data_dir).status == 0
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    (fewer / VAL).symlink_to(small / VAL)
    assert forks.run(build_arguments(fewer, data_dir), data_dir).status == 2
    assert sorted(split_info(data_dir)) == ["test", "train", "validation"]


# --- modes -----------------------------------------------------------------------------------


def modes(data_dir: Path) -> dict[str, set[str]]:
    """Modes of the directories made and of the files of the dataset."""
    dataset = data_dir / DATASET
    folders = [path for path in dataset.rglob("*") if path.is_dir()]
    directories = {
        f"{stat.S_IMODE(p.stat().st_mode):o}" for p in (dataset, dataset.parent, *folders)
    }
    files = {f"{stat.S_IMODE(path.stat().st_mode):o}" for path in files_in(dataset)}
    return {"directories": directories, "files": files}


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
@pytest.mark.parametrize(
    ("umask", "directories", "files"),
    [(0o077, "700", "600"), (0o002, "775", "664"), (0o027, "750", "640"), (0o022, "755", "644")],
)
def test_modes_follow_the_umask(
    umask: int,
    directories: str,
    files: str,
    file_format: str,
    forks: Server,
    small: Path,
    data_dir: Path,
) -> None:
    argv = build_arguments(small, data_dir, "--file-format", file_format)
    assert forks.run(argv, data_dir, first=f"import os; os.umask({umask})").status == 0
    assert modes(data_dir) == {"directories": {directories}, "files": {files}}


def other_group() -> int:
    """A group that this process may give files to and that is not its own."""
    groups = [group.gr_gid for group in grp.getgrall()] if os.getuid() == 0 else os.getgroups()
    others = [group for group in groups if group != os.getgid()]
    if not others:
        pytest.skip("this user is in no other group")
    return others[0]


def groups(data_dir: Path) -> set[int]:
    dataset = data_dir / DATASET
    return {path.stat().st_gid for path in (dataset.parent, dataset, *dataset.rglob("*"))}


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
def test_a_setgid_directory_passes_its_group_on(
    options: tuple[str, ...], forks: Server, small: Path, data_dir: Path
) -> None:
    """With the setgid bit of a project's directory, and the umask that goes with it."""
    group = other_group()
    data_dir.mkdir()
    os.chown(data_dir, -1, group)
    data_dir.chmod(0o2775)
    for _ in range(1 + len(options)):
        argv = build_arguments(small, data_dir, *options)
        assert forks.run(argv, data_dir, first="import os; os.umask(0o002)").status == 0
        assert modes(data_dir) == {"directories": {"2775"}, "files": {"664"}}
        assert groups(data_dir) == {group}


@pytest.mark.parametrize(
    ("mode", "directories", "files"),
    [("2775", "2775", "664"), ("0755", "755", "644"), ("700", "700", "600")],
)
def test_mode_sets_the_modes(
    mode: str, directories: str, files: str, forks: Server, small: Path, data_dir: Path
) -> None:
    group = other_group()
    argv = build_arguments(small, data_dir, "--mode", mode, "--group", str(group))
    assert forks.run(argv, data_dir, first="import os; os.umask(0o077)").status == 0
    assert modes(data_dir) == {"directories": {directories}, "files": {files}}
    assert groups(data_dir) == {group}
    assert stat.S_IMODE(data_dir.stat().st_mode) == int(directories, 8)


def test_a_replaced_dataset_keeps_its_mode_and_group(
    forks: Server, small: Path, data_dir: Path
) -> None:
    """Only what is built is given away, not the directory that it is built in."""
    group = other_group()
    data_dir.mkdir(mode=0o711)
    data_dir.chmod(0o711)
    argv = build_arguments(small, data_dir, "--mode", "2775", "--group", str(group))
    assert forks.run(argv, data_dir).status == 0
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o711
    assert data_dir.stat().st_gid == os.getgid()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--mode", "444"),
            "--mode must be an octal mode with all rights for the owner, such as 2775, not 444",
        ),
        (
            ("--mode", "10777"),
            "--mode must be an octal mode with all rights for the owner, such as 2775, not",
        ),
        (
            ("--group", "no such group"),
            "--group must be the name or number of a group here, not 'no such group'",
        ),
    ],
)
def test_an_impossible_mode_or_group_is_an_error(
    options: tuple[str, ...], said: str, forks: Server, small: Path, data_dir: Path
) -> None:
    ended = forks.run(build_arguments(small, data_dir, *options), data_dir)
    assert ended.status == 2
    assert error(ended.err).startswith(said)
    assert not data_dir.exists()


# --- provenance ------------------------------------------------------------------------------


def test_provenance_holds_sources_plans_and_checksums(
    forks: Server, small: Path, data_dir: Path
) -> None:
    import google_crc32c

    built(forks, small, data_dir, *SHARDS)
    dataset = data_dir / DATASET
    document = json.loads((dataset / "provenance.json").read_text())
    assert document["dataset"] == DATASET
    assert document["max_examples_per_split"] is None
    assert document["versions"] == {
        "imagenet-builders": imagenet_builders.__version__,
        "tensorflow-datasets": importlib.metadata.version("tensorflow-datasets"),
        "python": platform.python_version(),
    }
    assert 0 <= document["seconds"] < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["built"])
    found = records_by_split(data_dir)
    for split, told in document["splits"].items():
        assert told["examples"] == len(found[split])
        assert told["bytes"] == sum(map(len, found[split]))
        assert re.search(r"\btar\b", told["layout"]), told["layout"]
        shards = sorted(dataset.glob(f"*-{split}.tfrecord-*"))
        assert told["shard_bytes"] == [path.stat().st_size for path in shards]
        assert told["shard_crc32c"] == [
            f"{google_crc32c.value(path.read_bytes()):08x}" for path in shards
        ]
        assert re.fullmatch("[0-9a-f]{32}", told["plan"])
        for source in told["sources"]:
            status = os.stat(source["path"])
            assert (source["size"], source["mtime_ns"]) == (status.st_size, status.st_mtime_ns)


def test_a_resumed_build_has_the_same_provenance(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    first = at_publishing("os.kill(os.getpid(), 15); time.sleep(5)")
    ended = forks.run(build_arguments(small, data_dir, *SHARDS), data_dir, first=first)
    assert ended.status == 128 + signal.SIGTERM
    started = time.time()
    assert built(forks, small, data_dir, *SHARDS) == expected
    path = data_dir / DATASET / "provenance.json"
    assert path.stat().st_mtime >= started - 1


# --- damaged sources -------------------------------------------------------------------------

DATASETS = sorted(path.name for path in DUMMY_DATA.glob("*imagenet*") if path.is_dir())


@pytest.mark.parametrize("name", DATASETS)
def test_a_damaged_archive_never_leads_to_a_wrong_dataset(
    name: str, forks: Server, quick_path: Path
) -> None:
    """Either it is refused with one sentence, or what is published is found right."""
    chosen = random.Random(name)
    ends, wrong = set[str](), list[str]()
    for number in range(12):
        end, found = damage_is_survived(forks, DUMMY_DATA / name, quick_path / str(number), chosen)
        ends.add(end)
        wrong += found
    assert wrong == []
    assert "refused" in ends
