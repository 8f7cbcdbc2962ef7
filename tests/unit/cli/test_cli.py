"""The command line: what it accepts, what it says and where, and how it ends when it is stopped."""

from __future__ import annotations

import functools
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from makers import pictures
from support import command_line
from support.built_datasets import records_by_split, split_info
from support.command_line import (
    DATASET,
    assert_nothing_published,
    build,
    build_arguments,
    refused,
    run,
)
from support.corpora import ilsvrc2012 as corpus
from support.corpora.ilsvrc2012 import TEST, TRAIN, VAL, picture, staged
from support.terminals import Terminal

import imagenet_builders


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small staged corpus."""
    return staged().write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A train archive of 180 MB: enough to be worth processes, and to be caught at work."""
    image = pictures.with_comment(picture("large"), "x" * 60_000)
    image = pictures.with_comment(image, "y" * 60_000)
    large = staged()
    large.train = {
        wnid: [(f"{wnid}_{number}.JPEG", image) for number in range(500)] for wnid in large.train
    }
    large.validation, large.test = [], []
    large.patch = []
    return large.write(tmp_path_factory.mktemp("large"))


def process(arguments: list[str], **options) -> subprocess.Popen[str]:
    """Starts the command line in a process of its own."""
    command = [sys.executable, "-m", "imagenet_builders.cli", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(command, **options)


# --- arguments -------------------------------------------------------------------------------


def test_help_names_the_commands_and_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--help"], ["build", "--version"]),
        (["build", "--help"], ["imagenet2012", "--manual-dir", "--bad-images", "--verbose"]),
    ):
        with pytest.raises(SystemExit) as ended:
            run_unredirected(arguments)
        assert ended.value.code == 0
        out = capsys.readouterr().out
        assert all(word in out for word in said)


def run_unredirected(arguments: list[str]) -> int:
    from imagenet_builders import cli

    return cli.main(arguments)


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_unredirected(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"imagenet-builders {imagenet_builders.__version__}\n"


def test_a_directory_with_nothing_of_any_dataset_is_told_of_once(tmp_path: Path) -> None:
    where = ("--manual-dir", str(tmp_path), "--data-dir", str(tmp_path / "tfds"))
    for options, kind in (((), ""), (("--source", "zip"), " as zip")):
        outcome = run("build", "all", *where, *options)
        assert outcome.status == 1
        said = f"no dataset can be built of what is staged{kind} in {tmp_path}; "
        [sentence] = outcome.err.splitlines()
        assert said in sentence
    outcome = run("build", "all", "--manual-dir", str(tmp_path / "none"), *where[2:])
    assert outcome.status == 1
    assert "none does not exist" in outcome.err


@pytest.mark.parametrize(("arguments", "is_program"), [("", True), ("['--version']", False)])
def test_a_process_that_ends_does_not_look_for_garbage_once_more(
    arguments: str, is_program: bool
) -> None:
    code = (
        "import gc; from imagenet_builders.cli import main\n"
        f"try: main({arguments})\n"
        "except SystemExit: print(gc.get_freeze_count() > 0)"
    )
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(is_program)


def test_arguments_are_checked_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys; from imagenet_builders.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(*sorted({'numpy', 'pyarrow', 'tensorflow', 'tensorflow_datasets'} & {*sys.modules}))"
    )
    refused = build_arguments(Path("x"), Path("y"), "--workers", "0")
    for arguments in (["--version"], ["catalog", "--help"], refused):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["bild"], "invalid choice: 'bild'"),
        (["build", "--manual-dir", "x"], "DATASET"),
        (["check"], "required: MANUAL_DIR$"),
        (["build", "imagenet2013", "--manual-dir", "x"], "imagenet2013.*imagenet2012"),
        (["build", "imagenet2021", "--manual-dir", "x"], "is imagenet2012 meant"),
        (["build", "imagenet2012/", "--manual-dir", "x"], "imagenet2012/"),
        (["build", "imagenet2012"], "--manual-dir"),
        (
            ["build", "imagenet2012", "--manual-dir", "x", "--num-shards", "two"],
            "num-shards.*'two'",
        ),
        (
            ["build", "imagenet2012", "--manual-dir", "x", "--max-shard-size", "ten"],
            "500MiB or 1GB",
        ),
        (
            ["build", "imagenet2012", "--manual-dir", "x", "--max-shard-size", "-1"],
            "max-shard-size",
        ),
        (["build", "imagenet2012", "--manual-dir", "x", "--max-shard-size", "1.5G"], "'1.5G'"),
        (["build", "imagenet2012", "--manual-dir", "x", "--max-shard-size", "1PB"], "'1PB'"),
        (["build", "imagenet2012", "--manual-dir", "x", "--file-format", "csv"], "tfrecord"),
        (
            ["build", "imagenet2012", "--manual-dir", "x", "--file-format", "parquet"],
            "must be one of tfrecord, array_record, not 'parquet': TensorFlow Datasets 4.9.10 "
            "writes only a part of the examples of a Parquet shard, 600 of 2,563",
        ),
    ],
)
def test_an_unparsable_argument_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_unredirected(arguments)
    assert ended.value.code == 2
    assert re.search(said, capsys.readouterr().err.rstrip(), re.DOTALL)


@pytest.mark.parametrize("columns", [30, 40, 70])
def test_what_is_said_of_arguments_breaks_between_words(columns: int) -> None:
    terminal = Terminal(["build", "imagenet2021", "--manual-dir", "x"], columns)
    assert terminal.wait() == 2
    lines = terminal.text.splitlines()
    assert max(map(len, lines)) <= columns
    assert (
        "there is no dataset 'imagenet2021' (is imagenet2012 meant?); there are imagenet12k, "
        "imagenet2012, imagenet2012_dogs," in " ".join(" ".join(lines).split())
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "x"], "--workers must be a whole number from 1 to 1024, not 'x'"),
        (["--workers", "0"], "--workers must be a whole number from 1 to 1024, not 0"),
        (["--workers", "-3"], "--workers must be a whole number from 1 to 1024, not -3"),
        (["--workers", "5000"], "--workers must be a whole number from 1 to 1024, not 5000"),
        (["--workers", ""], "--workers must be a whole number from 1 to 1024, not ''"),
        (["--bad-images", "drop"], "--bad-images must be one of fail, skip, not 'drop'"),
        (["--num-shards", "0"], "--num-shards must be at least 1, not 0"),
        (["--max-examples-per-split", "0"], "--max-examples-per-split must be at least 1, not 0"),
        (["--scratch-dir", ""], "--scratch-dir must name a directory, not be empty"),
        (
            ["--scratch-dir", "gs://bucket/x"],
            "--scratch-dir must be a directory in a file system, "
            "not gs://bucket/x; choose one on a local disk",
        ),
        (
            ["--mode", "-1"],
            "--mode must be an octal mode with all rights for the owner, such as 2775, not -1",
        ),
        (
            ["--mode", "rwx"],
            "--mode must be an octal mode with all rights for the owner, such as 2775, not 'rwx'",
        ),
        (["--group", "²"], "--group must be the name or number of a group here, not '²'"),
        (
            ["--group", "4294967295"],
            "--group must be the name or number of a group here, not '4294967295'",
        ),
    ],
)
def test_an_invalid_value_is_an_error_of_one_line(
    options: list[str], said: str, manual_dir: Path, tmp_path: Path
) -> None:
    outcome = build(manual_dir, tmp_path, *options)
    assert outcome.status == 2
    assert outcome.errors == [said]
    assert list(tmp_path.iterdir()) == []


def test_more_shards_than_examples_are_an_error(manual_dir: Path, tmp_path: Path) -> None:
    sentence = refused(build(manual_dir, tmp_path, "--num-shards", "6"), tmp_path)
    assert sentence == ("5 examples cannot be cut into 6 shards; ask for fewer shards")


def test_the_spelling_of_tfds_is_accepted(manual_dir: Path, tmp_path: Path) -> None:
    outcome = run(
        "build",
        "imagenet2012",
        f"--manual_dir={manual_dir}",
        "--data_dir",
        str(tmp_path / "built_here"),
        "--num_shards=2",
        "--file_format=tfrecord",
        "--bad_images=fail",
    )
    assert outcome.status == 0, outcome.err
    assert split_info(tmp_path / "built_here")["train"] == [4, 5]


@pytest.mark.parametrize("name", ["under_score", "with=sign", "with space", "ümläut", "-dash"])
def test_paths_are_taken_literally(name: str, manual_dir: Path, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "staged").symlink_to(manual_dir)
    outcome = run(
        "build",
        "imagenet2012",
        f"--manual_dir={tmp_path / name / 'staged'}",
        f"--data_dir={tmp_path / name / 'built'}",
    )
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"{tmp_path / name / 'built' / DATASET}\n"


def test_max_examples_per_split_limits_each_split(manual_dir: Path, tmp_path: Path) -> None:
    assert build(manual_dir, tmp_path, "--max-examples-per-split", "2").status == 0
    assert split_info(tmp_path) == {"train": [2], "validation": [2], "test": [2]}


def test_file_format_selects_array_record(manual_dir: Path, tmp_path: Path) -> None:
    assert build(manual_dir, tmp_path, "--file-format", "array_record").status == 0
    [shard] = (tmp_path / DATASET).glob("*-train.*")
    assert shard.name == "imagenet2012-train.array_record-00000-of-00001"
    assert split_info(tmp_path)["train"] == [9]


# --- what it says ----------------------------------------------------------------------------


def test_the_last_line_on_stdout_is_the_directory_of_the_dataset(
    manual_dir: Path, tmp_path: Path
) -> None:
    outcome = build(manual_dir, tmp_path)
    assert outcome.status == 0
    assert outcome.out == f"{tmp_path / DATASET}\n"
    assert outcome.summary["train"].startswith("9 images (0 repaired, 0 skipped), 1 shard, ")


def test_an_existing_dataset_is_left_alone(manual_dir: Path, tmp_path: Path) -> None:
    assert build(manual_dir, tmp_path).status == 0
    before = command_line.snapshot(tmp_path)
    outcome = run(*build_arguments(tmp_path / "not there any more", tmp_path))
    assert outcome.status == 0
    assert outcome.out == f"{DATASET} is there already: {tmp_path / DATASET}\n"
    assert outcome.err == ""
    assert command_line.snapshot(tmp_path) == before


def test_one_split_is_enough_and_missing_ones_give_a_warning(tmp_path: Path) -> None:
    train_only = staged()
    train_only.validation, train_only.test, train_only.patch = [], [], []
    manual_dir = train_only.write(tmp_path / "staged")
    for attempt in ("first", "second"):  # A warning given once is not withheld the next time.
        outcome = build(manual_dir, tmp_path / attempt)
        assert outcome.status == 0
        *missing, incomplete = outcome.warnings
        assert incomplete.startswith(f"{manual_dir / TRAIN} (official archives, tar): expected the")
        assert missing == [
            f"split validation will be missing: there is no {manual_dir / VAL}",
            f"split test will be missing: there is no {manual_dir / TEST} or "
            f"{manual_dir / 'ILSVRC2012_img_test.tar'}",
        ]
        assert split_info(tmp_path / attempt) == {"train": [9]}


@pytest.mark.parametrize(("verbose", "shown"), [((), False), (("--verbose",), True)])
def test_a_traceback_is_shown_on_request_only(
    verbose: tuple[str, ...], shown: bool, tmp_path: Path
) -> None:
    archive = staged().write(tmp_path / "staged") / TRAIN
    os.truncate(archive, 700)
    outcome = build(tmp_path / "staged", tmp_path / "built", *verbose)
    assert outcome.status == 1
    assert ("Traceback (most recent call last)" in outcome.err) == shown
    assert outcome.err.splitlines()[-1].startswith(f"{command_line.ERROR}{archive}, ")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "WORKERS",
            "0",
            "IMAGENET_BUILDERS_WORKERS must be a whole number from 1 to 1024, not 0",
        ),
        (
            "WORKERS",
            "many",
            "IMAGENET_BUILDERS_WORKERS must be a whole number from 1 to 1024, not 'many'",
        ),
        ("STRICT", "maybe", "IMAGENET_BUILDERS_STRICT must be 1 or 0, not 'maybe'"),
        (
            "MODE",
            "9",
            "IMAGENET_BUILDERS_MODE must be an octal mode with all rights for the owner, such as "
            "2775, not '9'",
        ),
        (
            "BAD_IMAGES",
            "drop",
            "IMAGENET_BUILDERS_BAD_IMAGES must be one of fail, skip, not 'drop'",
        ),
    ],
)
def test_an_invalid_value_in_the_environment_is_an_error(
    name: str, value: str, said: str, manual_dir: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv(f"IMAGENET_BUILDERS_{name}", value)
    outcome = build(manual_dir, tmp_path)
    assert outcome.status == 2
    assert outcome.errors == [said]


def test_flags_take_precedence_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = staged()
    bad.train[corpus.TENCH][0] = (bad.train[corpus.TENCH][0][0], b"")
    manual_dir = bad.write(tmp_path / "staged")
    monkeypatch.setenv("IMAGENET_BUILDERS_BAD_IMAGES", "skip")
    monkeypatch.setenv("IMAGENET_BUILDERS_SCRATCH_DIR", str(tmp_path / "scratch"))
    monkeypatch.setenv("IMAGENET_BUILDERS_WORKERS", "3")
    assert build(manual_dir, tmp_path / "built").status == 0
    assert split_info(tmp_path / "built")["train"] == [8]
    assert len(list((tmp_path / "scratch").rglob("*.index.arrow"))) == 3
    assert not list((tmp_path / "built").glob(".imagenet_builders*"))
    refused(build(manual_dir, tmp_path / "other", "--bad-images", "fail"), tmp_path / "other")


def test_datasets_go_to_the_default_directory_of_tfds(manual_dir: Path, tmp_path: Path) -> None:
    arguments = ["build", "imagenet2012", "--manual-dir", str(manual_dir)]
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "default")}
    out, err = process(arguments, env=environment).communicate(timeout=60)
    assert out == f"{tmp_path / 'default' / DATASET}\n", err
    assert len(records_by_split(tmp_path / "default")["train"]) == 9


def test_an_unwritable_target_is_an_error(open_path: Path) -> None:
    manual_dir = staged().write(open_path / "staged")
    (open_path / "built").mkdir()
    (open_path / "built").chmod(0o555)
    outcome = command_line.build_as_nobody(open_path, manual_dir, open_path / "built")
    sentence = refused(outcome, open_path / "built")
    assert sentence.startswith(str(open_path / "built"))
    assert f"belongs to user {os.getuid()}, mode 555, so you may not write there" in sentence


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("imagenet2012/5.0.0", "imagenet2012 has no configurations, so leave out '5.0.0'"),
        ("imagenet21k_winter21/q", "imagenet21k_winter21 has the configurations whole, p, not 'q'"),
        ("imagenet2012_downsampled/33x33", "8x8, 16x16, 32x32, 64x64, not '33x33'"),
    ],
)
def test_an_unknown_configuration_is_named_before_anything_is_imported(
    asked: str, said: str, tmp_path: Path
) -> None:
    code = (
        "import sys; from imagenet_builders.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "assert not {'tensorflow', 'tensorflow_datasets', 'numpy'} & {*sys.modules}\n"
        "sys.exit(status)"
    )
    places = ["--manual-dir", str(tmp_path), "--data-dir", str(tmp_path / "built")]
    done = subprocess.run(
        [sys.executable, "-c", code, "build", asked, *places],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert said in line
    assert not (tmp_path / "built").exists()


def test_a_target_that_is_a_file_is_an_error(manual_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "built").write_text("a file")
    outcome = build(manual_dir, tmp_path / "built")
    assert outcome.status == 1
    [sentence] = outcome.errors
    assert str(tmp_path / "built") in sentence
    assert (tmp_path / "built").read_text() == "a file"


# --- terminals and logs ----------------------------------------------------------------------


def test_a_log_gets_a_few_plain_lines(large: Path, tmp_path: Path) -> None:
    """Nothing that only a terminal understands, and nothing from the libraries underneath."""
    child = process(build_arguments(large, tmp_path, "--workers", "2"))
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert out == f"{tmp_path / DATASET}\n"
    assert "\r" not in err
    assert "\x1b" not in err
    lines = err.splitlines()
    assert [line.startswith(command_line.WARNING) for line in lines] == [True] * 3 + [False] * 3
    assert lines[3] == f"{DATASET}:"
    assert re.fullmatch(
        r"  train +1,500 images \(0 repaired, 0 skipped\), 2 shards, 18\d MB", lines[4]
    )
    assert re.fullmatch(r"  18\d MB in \d+\.\d s, [\d.]+ [MG]B/s", lines[5])


def test_a_terminal_gets_a_bar(large: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (25, 132))
    child = process(build_arguments(large, tmp_path, "--workers", "2"), stderr=theirs)
    os.close(theirs)
    said = b"".join(read_all(ours)).decode()
    assert child.wait(timeout=60) == 0, said
    parts = re.split(r"[\r\n]+", said)
    bars = [part for part in parts if f"{DATASET}: " in part and "%" in part and "image" in part]
    assert "\r" in said
    for bar in bars:
        assert re.match(
            r"(\d+:\d\d:\d\d (left|in all)|time unknown|finishing|stalled for \S+) +\d+%", bar
        ), bar
        assert re.search(r"[\d,]+ of 1,500 images", bar), bar
    assert bars
    assert "?B" not in said


def read_all(descriptor: int) -> Iterator[bytes]:
    """What is written to the other end of a terminal, until nobody has that open."""
    try:
        while select.select([descriptor], [], [], 60)[0]:
            data = os.read(descriptor, 1 << 16)
            if not data:
                return
            yield data
    except OSError:  # EIO: how Linux says that the other end was closed.
        return
    finally:
        os.close(descriptor)


# --- stopped ---------------------------------------------------------------------------------


def wait_for(what: Callable[[], bool], child: subprocess.Popen[str]) -> None:
    """Waits, with little rest, for something to happen while a process runs."""
    ends = time.monotonic() + 60
    while not what():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < ends
        time.sleep(0.0005)


def writing(data_dir: Path) -> bool:
    """Whether a shard is being written."""
    return any((data_dir / "imagenet2012").glob(".5.1.0.building-*/marks/.*.partial"))


@pytest.mark.parametrize(
    ("number", "status", "to_all"),
    [
        pytest.param(signal.SIGINT, 130, False, id="int_to_it_alone"),
        pytest.param(signal.SIGTERM, 143, False, id="term_to_it_alone"),
        pytest.param(signal.SIGINT, 130, True, id="int_to_all"),
        pytest.param(signal.SIGTERM, 143, True, id="term_to_all"),
    ],
)
def test_a_stopped_build_leaves_nothing(
    number: signal.Signals, status: int, to_all: bool, large: Path, tmp_path: Path
) -> None:
    """Ctrl-C and Slurm's `scancel` reach all processes; `kill` reaches one."""
    arguments = build_arguments(large, tmp_path, "--workers", "2", "--num-shards", "6")
    before = command_line.snapshot(large)
    child = process(arguments, start_new_session=True)
    wait_for(lambda: writing(tmp_path), child)
    workers = psutil.Process(child.pid).children(recursive=True)
    assert len(workers) == 2
    started = time.monotonic()
    (os.killpg if to_all else os.kill)(child.pid, number)
    out, err = child.communicate(timeout=30)
    assert time.monotonic() - started < 5
    # Told at the same time as the others, it may learn of a worker's death first.
    assert child.returncode in ({status, 1} if to_all else {status}), err
    assert out == ""
    assert "Traceback" not in err
    said = [line for line in err.splitlines() if not line.startswith(command_line.WARNING)]
    assert len(said) <= 1
    assert psutil.wait_procs(workers, timeout=5)[1] == []
    assert_nothing_published(tmp_path)
    assert command_line.snapshot(large) == before


def has_two_workers(parent: psutil.Process) -> bool:
    return len(parent.children()) == 2


def test_ctrl_c_while_workers_start_shows_no_traceback(large: Path, tmp_path: Path) -> None:
    for delay in (0.05, 0.12):
        child = process(build_arguments(large, tmp_path, "--workers", "2"), start_new_session=True)
        parent = psutil.Process(child.pid)
        wait_for(functools.partial(has_two_workers, parent), child)
        workers = parent.children()
        time.sleep(delay)
        os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=30)
        assert child.returncode == 130
        assert psutil.wait_procs(workers, timeout=5)[1] == []
        assert_nothing_published(tmp_path)
        assert "Traceback" not in err


def test_a_stopped_build_can_be_run_again(large: Path, tmp_path: Path) -> None:
    arguments = build_arguments(large, tmp_path, "--workers", "2", "--num-shards", "6")
    child = process(arguments)
    wait_for(lambda: writing(tmp_path), child)
    child.kill()
    child.communicate(timeout=30)
    assert not (tmp_path / DATASET).exists()
    again = process(arguments)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert sum(split_info(tmp_path)["train"]) == 1500
    assert len(set(records_by_split(tmp_path)["train"])) == 1500


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_the_next_build_removes_what_a_killed_one_left(
    number: signal.Signals, large: Path, tmp_path: Path
) -> None:
    arguments = build_arguments(large, tmp_path, "--workers", "2", "--num-shards", "6")
    child = process(arguments)
    wait_for(lambda: writing(tmp_path), child)
    child.send_signal(number)
    child.communicate(timeout=30)
    assert run(*arguments).status == 0
    assert [path.name for path in (tmp_path / "imagenet2012").iterdir()] == ["5.1.0"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_is_killed_ends_the_build_with_one_sentence(
    number: signal.Signals, large: Path, tmp_path: Path
) -> None:
    """As the kernel does when memory runs out."""
    child = process(build_arguments(large, tmp_path, "--workers", "2", "--num-shards", "6"))
    wait_for(lambda: writing(tmp_path), child)
    workers = psutil.Process(child.pid).children()
    os.kill(workers[0].pid, number)
    out, err = child.communicate(timeout=30)
    said = [line for line in err.splitlines() if not line.startswith(command_line.WARNING)]
    sentence = refused(command_line.Outcome(child.returncode, out, "\n".join(said)), tmp_path)
    assert sentence.startswith(f"a worker process was killed by {number.name}")
    assert psutil.wait_procs(workers, timeout=5)[1] == []
