"""A build that ends early: what the same command reuses, repeats and leaves behind."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import DATASET, HOME, NOTE, build_arguments
from support.corpora.ilsvrc2012 import TENCH, TEST, TRAIN, VAL, picture, staged
from support.killing.forks import Point, Server
from support.killing.moments import WITHOUT_EXCHANGE, built, left_of_a_build
from support.killing.remains import (
    content,
    differences,
    everything,
    incomplete_dir,
    inodes,
    make_tree,
)
from support.killing.trials import SHARDS, Trials

from imagenet_builders.words import counted

IN_PIECES = "from imagenet_builders.write import new_file; new_file._MAX_BYTES = 1"


def command(manual_dir: Path, *options: str) -> Callable[[Path], list[str]]:
    return lambda data_dir: build_arguments(manual_dir, data_dir, *SHARDS, *options)


# --- killed ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_before_any_change_of_the_file_system(
    forks: Server, small: Path, expected: dict, quick_path: Path
) -> None:
    """Whatever state the disk is left in, the rerun ends with the same bytes, and no debris."""
    trials = Trials(forks, command(small), quick_path, expected, first=IN_PIECES)
    trials.kill_at_changes(trials.changes())
    assert trials.killed == trials.tried > 80
    trials.assert_survived()


def test_killed_in_the_middle_of_a_write(
    forks: Server, small: Path, expected: dict, quick_path: Path
) -> None:
    trials = Trials(forks, command(small), quick_path, expected, first=IN_PIECES)
    writes = sum(change.startswith("write") for change in trials.changes())
    for number in range(0, writes, 2):
        trials.kill_at(Point("torn", number))
    assert trials.killed == trials.tried > 10
    trials.assert_survived()


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_workers_killed_at_random_lines(
    file_format: str, forks: Server, small: Path, quick_path: Path
) -> None:
    argv = command(small, "--file-format", file_format, "--workers", "2")
    (quick_path / "expected").mkdir()
    expected = built(forks, small, quick_path / "expected", *argv(quick_path)[6:])
    trials = Trials(forks, argv, quick_path, expected, processes=True)
    chosen = random.Random(5)
    for _ in range(5):
        number = int(10 ** chosen.uniform(1, 3.3))
        which = chosen.choice([signal.SIGKILL, signal.SIGTERM])
        trials.kill_at(Point("line", number, which, where="worker"))
    trials.assert_survived()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ended_at_random_lines(
    number: signal.Signals, forks: Server, small: Path, expected: dict, quick_path: Path
) -> None:
    """A time limit, or Ctrl-C: an exception anywhere, and then the ways out of all blocks."""
    trials = Trials(forks, command(small), quick_path, expected, first=IN_PIECES)
    chosen = random.Random(int(number))
    for _ in range(10):
        trials.kill_at(Point("line", chosen.randrange(30_000), number))
    for _ in range(10):  # In the frame of the build, which is only few lines.
        files = ("session.py", "exchange.py", "incomplete.py", "lock.py", "durable.py")
        trials.kill_at(Point("line", chosen.randrange(1_200), number, files=files))
    assert trials.killed > trials.tried // 2
    trials.assert_survived()


@pytest.mark.slow
def test_killed_while_a_dataset_is_replaced(
    forks: Server, small: Path, expected: dict, quick_path: Path
) -> None:
    """Readers always find a whole one, the old or the new; debris of the old goes."""
    before = built(forks, small, quick_path / "before", "--num-shards", "3")
    for first, gap in ((IN_PIECES, False), (WITHOUT_EXCHANGE, True)):
        for again in ("--overwrite", "--no-wait"):
            done = before if again == "--no-wait" else expected
            trials = Trials(
                forks,
                command(small, "--overwrite"),
                quick_path / f"{gap}{again}",
                expected,
                prepare=lambda data_dir: shutil.copytree(
                    quick_path / "before", data_dir, dirs_exist_ok=True
                ),
                before=before,
                first=first,
                again=command(small, again),
                either=[done, expected],
            )
            changes = trials.changes()
            published = max(
                number
                for number, change in enumerate(changes)
                if re.search(r"^exchange |/shards \S*/5\.1\.0$", change)
            )
            # Before that, without --overwrite, the old one is what is wanted, and finished shards
            # wait for who asks for the new one.
            begin = published - 4 if again == "--overwrite" else published + 1
            trials.kill_at_changes(changes, begin, gap=gap)
            trials.assert_survived()


def test_killed_while_another_plan_replaces_finished_shards(
    forks: Server, small: Path, expected: dict, quick_path: Path
) -> None:
    def prepare(data_dir: Path) -> None:
        left_of_a_build(forks, build_arguments(small, data_dir, "--num-shards", "3"), data_dir)

    trials = Trials(forks, command(small), quick_path / "trials", expected, prepare=prepare)
    changes = trials.changes()
    begins = next(n for n, each in enumerate(changes) if "open" in each and "build.json" in each)
    trials.kill_at_changes(changes[: begins + 1])
    trials.assert_survived()


# --- continued -------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_finished_shards_and_indexes_are_not_made_again(
    file_format: str, forks: Server, small: Path, tmp_path: Path
) -> None:
    argv = build_arguments(small, tmp_path, *SHARDS, "--file-format", file_format)
    left_of_a_build(forks, argv, tmp_path)
    before = inodes(incomplete_dir(tmp_path) / "shards")
    assert len(before) >= 3
    indexes = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.index.arrow")}
    assert len(indexes) == 3
    ended = forks.run(argv, tmp_path, log=True)
    assert ended.status == 0, ended
    assert f"{DATASET}: already finished: {len(before)} of " in ended.err
    after = inodes(tmp_path / DATASET)
    assert len(after) == 6
    assert {name: after[name] for name in before} == before
    assert {path: path.stat().st_mtime_ns for path in indexes} == indexes
    assert sum(change.startswith("writev") for change in ended.changes) <= 6 - len(before)


@pytest.mark.parametrize(
    ("which", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_time_limit_keeps_finished_shards_and_says_so(
    which: signal.Signals, status: int, forks: Server, small: Path, expected: dict, tmp_path: Path
) -> None:
    argv = build_arguments(small, tmp_path, *SHARDS)
    ended = left_of_a_build(forks, argv, tmp_path, which)
    assert ended.status == status
    directory = incomplete_dir(tmp_path) / "shards"
    kept = inodes(directory)
    assert len(kept) >= 3
    assert (
        f"{NOTE}kept {counted(len(kept), 'finished shard')} of {DATASET} in {directory}; "
        "run the same command again to continue\n"
    ) in ended.err
    assert_only_finished(tmp_path, set(kept))
    assert forks.run(argv, tmp_path).status == 0
    assert differences(tmp_path, expected) == []
    after = inodes(tmp_path / DATASET)
    assert {name: after[name] for name in kept} == kept


def assert_only_finished(data_dir: Path, names: set[str]) -> None:
    """Nothing but these shards and what belongs to them is there."""
    left = incomplete_dir(data_dir)
    files = {str(path.relative_to(left)) for path in left.rglob("*") if path.is_file()}
    assert files == {"build.json"} | {
        each for name in names for each in (f"shards/{name}", f"marks/{name}.done")
    }
    assert list((data_dir / HOME).iterdir()) == [left]


def other_source(manual_dir: Path) -> None:
    changed = staged()
    changed.train, changed.test, changed.patch = {}, [], []
    changed.validation[0] = (changed.validation[0][0], picture("another"))
    changed.in_outer = lambda members: []
    changed.write(manual_dir)


def older_source(manual_dir: Path) -> None:
    """The same size and name, but another time."""
    os.utime(manual_dir / TRAIN, (1, 1))


def fewer_splits(manual_dir: Path) -> None:
    (manual_dir / TEST).unlink()
    for path in manual_dir.glob("*test*"):
        path.unlink()


@pytest.mark.parametrize(
    ("change", "options", "first", "said"),
    [
        (other_source, (), "", "the files that split validation is built from have changed"),
        (older_source, (), "", "the files that split train is built from have changed"),
        (fewer_splits, (), "", "its splits were train, validation, test and are train, validation"),
        (None, ("--num-shards", "3"), "", "the number of shards of train was 2 and is 3"),
        (
            None,
            ("--max-examples-per-split", "3"),
            "",
            "the number of examples of train was 9 and is 3",
        ),
        (
            None,
            ("--file-format", "array_record"),
            "",
            "its file format was 'tfrecord' and is 'array_record'",
        ),
        (
            None,
            (),
            "import imagenet_builders; imagenet_builders.__version__ = '99.1'",
            r"its imagenet-builders was '[0-9a-z.]+' and is '99.1'",
        ),
        (
            None,
            (),
            "from imagenet_builders.write import marks; marks.FORMAT = 99",
            "another version of this package wrote down what is in them",
        ),
    ],
    ids=["source", "time", "splits", "shards", "examples", "format", "version", "marks"],
)
def test_shards_of_another_plan_are_not_used(
    change: Callable[[Path], None] | None,
    options: tuple[str, ...],
    first: str,
    said: str,
    forks: Server,
    tmp_path: Path,
) -> None:
    manual_dir = staged().write(tmp_path / "staged")
    left_of_a_build(forks, build_arguments(manual_dir, tmp_path / "a", *SHARDS), tmp_path / "a")
    if change is not None:
        change(manual_dir)
    outcomes = [
        forks.run(
            build_arguments(manual_dir, tmp_path / name, *SHARDS, *options),
            tmp_path / name,
            first=first,
        )
        for name in ("a", "b")
    ]
    assert [ended.status for ended in outcomes] == [0, 0], outcomes
    words = r"removed \d finished shards? of an earlier build, of no use because "
    assert re.search(words + said, outcomes[0].err), outcomes[0].err
    assert "finished" not in outcomes[1].err
    assert content(tmp_path / "a" / DATASET) == content(tmp_path / "b" / DATASET)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")


def test_the_same_files_staged_elsewhere_continue_a_build(
    forks: Server, expected: dict, tmp_path: Path
) -> None:
    """As on another node, to whose disk the archives are copied first."""
    one = staged().write(tmp_path / "one")
    left_of_a_build(forks, build_arguments(one, tmp_path / "b", *SHARDS), tmp_path / "b")
    shutil.move(one, tmp_path / "two")
    ended = forks.run(build_arguments(tmp_path / "two", tmp_path / "b", *SHARDS), tmp_path / "b")
    assert ended.status == 0, ended
    assert re.search("already finished: [3-6] of ", ended.err)


def test_a_shard_without_its_bad_images_is_not_reused_under_the_policy_fail(
    forks: Server, tmp_path: Path
) -> None:
    bad = staged()
    bad.train[TENCH][0] = (bad.train[TENCH][0][0], b"")
    manual_dir = bad.write(tmp_path / "staged")
    data_dir = tmp_path / "built"
    skip = build_arguments(manual_dir, data_dir, *SHARDS, "--bad-images", "skip")
    left_of_a_build(forks, skip, data_dir)
    ended = forks.run(build_arguments(manual_dir, data_dir, *SHARDS), data_dir)
    assert ended.status == 1
    assert re.search("error: .*n01440764_7.JPEG.*empty", ended.err)
    assert not (data_dir / DATASET).exists()
    assert forks.run(skip, data_dir).status == 0
    document = json.loads((data_dir / DATASET / "provenance.json").read_text())
    assert len(document["splits"]["train"]["skipped"]) == 1
    assert [path.name for path in (data_dir / HOME).iterdir()] == ["5.1.0"]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def with_holes(path: Path) -> None:
    """As some file systems leave a file after the power is gone."""
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [cut, flip, empty, with_holes, Path.unlink])
def test_a_damaged_shard_or_mark_is_made_again(
    damage: Callable[[Path], None], forks: Server, small: Path, expected: dict, tmp_path: Path
) -> None:
    for kind in ("shard", "mark", "build"):
        data_dir = tmp_path / kind
        argv = build_arguments(small, data_dir, *SHARDS)
        left_of_a_build(forks, argv, data_dir, shards=4)
        left = incomplete_dir(data_dir)
        first = left / "shards" / min(inodes(left / "shards"))
        damage(
            {
                "shard": first,
                "mark": left / "marks" / f"{first.name}.done",
                "build": left / "build.json",
            }[kind]
        )
        ended = forks.run(argv, data_dir)
        assert ended.status == 0, ended
        assert differences(data_dir, expected) == []
        finished = re.search("already finished: ([0-9]) of ", ended.err)
        # One is lost with its mark, all are with what says what they are of.
        assert bool(finished) == (kind != "build")


@pytest.mark.parametrize(
    "mark",
    [b"null", b"[]", b'"text"', b"{}", b'{"notes": [{"x": 1}]}', b'{"notes": null}', b"\xff\xfe"],
)
def test_a_nonsensical_mark_is_ignored(
    mark: bytes, forks: Server, small: Path, expected: dict, tmp_path: Path
) -> None:
    argv = build_arguments(small, tmp_path, *SHARDS)
    left_of_a_build(forks, argv, tmp_path)
    for path in (incomplete_dir(tmp_path) / "marks").glob("*.done"):
        path.write_bytes(mark)
    assert forks.run(argv, tmp_path).status == 0
    assert differences(tmp_path, expected) == []


@pytest.mark.parametrize("name", ["examples", "record_bytes", "file_bytes", "number", "notes"])
def test_a_changed_mark_is_ignored(
    name: str, forks: Server, small: Path, expected: dict, tmp_path: Path
) -> None:
    """What it says is published, so it has to be what was written."""
    argv = build_arguments(small, tmp_path, *SHARDS)
    left_of_a_build(forks, argv, tmp_path)
    for path in (incomplete_dir(tmp_path) / "marks").glob("*.done"):
        text = path.read_text()
        changed = re.sub(
            rf'"{name}": (\d+|\[\])',
            lambda match: match[0][:-2] + ('["x"]' if match[1] == "[]" else f"{match[0][-2]}8"),
            text,
        )
        assert changed != text
        path.write_text(changed)
    assert forks.run(argv, tmp_path).status == 0
    assert differences(tmp_path, expected) == []


def test_an_error_finishes_shards_in_progress_before_the_build_ends(
    forks: Server, tmp_path: Path
) -> None:
    """On slow storage, a shard is still being confirmed when another one's image is found bad."""
    bad = staged()
    bad.test[-1] = (bad.test[-1][0], b"")  # In the split that is written last.
    bad.patch = []
    manual_dir = bad.write(tmp_path / "staged")
    data_dir = tmp_path / "built"
    slow = (
        "import os, time\nfsync = os.fsync\nos.fsync = lambda fd: (time.sleep(0.2), fsync(fd))[1]\n"
    )
    ended = forks.run(build_arguments(manual_dir, data_dir, *SHARDS), data_dir, first=slow)
    assert ended.status == 1
    directory = incomplete_dir(data_dir) / "shards"
    names = {path.name for path in directory.iterdir()}
    assert f"kept {counted(len(names), 'finished shard')} of" in ended.err
    assert_only_finished(data_dir, names)


# --- debris of others ------------------------------------------------------------------------


def test_dead_builds_of_tfds_are_removed_and_live_ones_are_not(
    forks: Server, small: Path, tmp_path: Path
) -> None:
    home = tmp_path / HOME
    dead, live = home / "incomplete.AAAAAA_5.1.0", home / "incomplete.BBBBBB_5.1.0"
    at_work = home / "incomplete.CCCCCC_5.1.0"
    make_tree(dead, 7200)
    make_tree(live, 60)
    make_tree(at_work, 7200)
    (at_work / "still writing").touch()
    os.utime(at_work, (1, 1))
    theirs = [
        home / "incomplete.DDDDDD_5.0.0",  # Of another version,
        tmp_path / "mnist" / "incomplete.EEEEEE_5.1.0",  # of another dataset,
        tmp_path / "mnist" / ".5.1.0.building-0123456789abcdef",
        home / ".5.0.0.building-0123456789abcdef",
        home / ".5.0.0.old-1234",
        home / "5.0.0",
        home / "incomplete.notes",
        home / "my_5.1.0",
    ]
    for path in theirs:
        make_tree(path, 1e6)
    ended = forks.run(build_arguments(small, tmp_path, *SHARDS), tmp_path)
    assert ended.status == 0
    assert f"removed {dead}, left by a build of TensorFlow Datasets that was killed" in ended.err
    assert not dead.exists()
    for path in (live, at_work, *theirs):
        assert (path / "imagenet2012-train.tfrecord-00000-of-00002").exists(), path


def test_a_killed_build_of_tfds_itself_is_recognized(
    forks: Server, small: Path, tmp_path: Path
) -> None:
    """The name that this package looks for is the one that TFDS gives."""
    from tensorflow_datasets.core.utils import file_utils

    (tmp_path / HOME).mkdir()
    with file_utils.incomplete_dir(tmp_path / DATASET) as made:
        left = Path(made)
        shutil.copytree(left, tmp_path / "copy")
    shutil.move(tmp_path / "copy", left)
    (left / "imagenet2012-train.tfrecord").touch()
    for path in (left / "imagenet2012-train.tfrecord", left):
        os.utime(path, (1, 1))
    assert forks.run(build_arguments(small, tmp_path, *SHARDS), tmp_path).status == 0
    assert not left.exists()


# --- sources that change ---------------------------------------------------------------------


@pytest.fixture
def after_the_index() -> Callable[[str], str]:
    """Code for the build that does something to the sources when they have been indexed."""

    def first(what: str) -> str:
        return (
            "import os, pathlib\n"
            "from imagenet_builders.plan import recipe\n"
            "plan = recipe.plan_splits\n"
            "def plan_and_change(*arguments):\n"
            "    plans = plan(*arguments)\n"
            f"    {what}\n"
            "    return plans\n"
            "recipe.plan_splits = plan_and_change\n"
        )

    return first


@pytest.mark.parametrize("name", [TRAIN, VAL, TEST])
@pytest.mark.parametrize(
    "what",
    [
        "data = bytearray(path.read_bytes()); data[1500] ^= 1; path.write_bytes(data)",
        "os.truncate(path, path.stat().st_size // 2)",
        "path.unlink()",
        "path.rename(str(path) + '.old'); path.write_bytes(b'x' * 100_000)",
    ],
    ids=["changed", "cut", "removed", "replaced"],
)
def test_a_source_that_changes_during_the_build_is_an_error(
    name: str, what: str, after_the_index: Callable[[str], str], forks: Server, tmp_path: Path
) -> None:
    manual_dir = staged().write(tmp_path / "staged")
    data_dir = tmp_path / "built"
    first = after_the_index(f"path = pathlib.Path({str(manual_dir / name)!r}); {what}")
    ended = forks.run(build_arguments(manual_dir, data_dir, *SHARDS), data_dir, first=first)
    assert ended.status == 1, ended
    [sentence] = [
        line for line in ended.err.splitlines() if line.startswith("imagenet-builders: error: ")
    ]
    assert str(manual_dir / name) in sentence
    assert not (data_dir / DATASET).exists()
    assert "Traceback" not in ended.err
    # Put back as it should be, it can be built, and nothing of the changed source is in it.
    sound = staged().write(tmp_path / "staged")
    again = built(forks, sound, data_dir, *SHARDS)
    fresh = built(forks, sound, tmp_path / "fresh", *SHARDS)
    assert again == fresh
    assert [path.name for path in (data_dir / HOME).iterdir()] == ["5.1.0"]


def test_a_file_in_a_folder_that_changes_during_the_build_is_an_error(
    after_the_index: Callable[[str], str], forks: Server, tmp_path: Path
) -> None:
    """An image of a folder is a source too."""
    from support.corpora.tiny_imagenet import IMAGE, stage

    manual_dir = stage(tmp_path / "staged", unpacked=True)
    image = f"pathlib.Path({str(manual_dir / IMAGE)!r})"
    first = after_the_index(f"path = {image}; path.write_bytes(path.read_bytes()[:-9])")
    where = ["--manual-dir", str(manual_dir), "--data-dir", str(tmp_path / "built")]
    ended = forks.run(["build", "tiny_imagenet", *where], tmp_path / "built", first=first)
    assert ended.status == 1, ended
    assert str(manual_dir / IMAGE) in ended.err
    assert not (tmp_path / "built" / "tiny_imagenet" / "1.0.0").exists()
