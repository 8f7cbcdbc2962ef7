"""Full, failing or read-only storage ends a build with one sentence; finished shards stay."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import file_systems
from support.command_line import (
    DATASET,
    ERROR,
    HOME,
    NOTE,
    build,
    build_arguments,
    build_as_nobody,
    snapshot,
)
from support.corpora.ilsvrc2012 import staged
from support.file_systems import remount
from support.killing.forks import Ended, Server
from support.killing.moments import built
from support.killing.remains import content, differences, everything, incomplete_dir
from support.killing.trials import SHARDS

from imagenet_builders.words import counted

SIZE = 24 << 20
PAGE = 4096


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts file systems in memory, each with options of tmpfs."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()
        yield lambda options: stack.enter_context(
            file_systems.mounted(tmp_path / f"mounted{next(numbers)}", options)
        )


@pytest.fixture(params=["tfrecord", "array_record"])
def file_format(request: pytest.FixtureRequest) -> str:
    return request.param


def refused(ended: Ended, data_dir: Path) -> str:
    """The one sentence with which a build ended, that says what is kept and how to go on."""
    assert ended.status == 1, ended
    assert "Traceback" not in ended.err, ended.err
    lines = ended.err.splitlines()
    [sentence] = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    assert sentence.isprintable()
    assert str(data_dir) in sentence, sentence
    assert "run the same command again" in sentence, sentence
    notes = [line.removeprefix(NOTE) for line in lines if line.startswith(NOTE)]
    left = list((data_dir / HOME).glob(".5.1.0*")) if (data_dir / HOME).is_dir() else []
    shards = list((incomplete_dir(data_dir) / "shards").iterdir()) if left else []
    if shards:
        [note] = notes
        assert note.startswith(f"kept {counted(len(shards), 'finished shard')} of {DATASET} in ")
        assert note.endswith("; run the same command again to continue")
        assert len(left) == 1
    else:
        assert notes == []
        assert left == []
    return sentence


def then(code: str, function: str = "check_space") -> str:
    """Code for a build that does something right after the space was found to suffice."""
    return (
        "import os, pathlib\n"
        "from imagenet_builders.build import destination as engine\n"
        f"check = engine.{function}\n"
        "def check_then(*arguments):\n"
        "    check(*arguments)\n"
        f"    {code}\n"
        f"engine.{function} = check_then\n"
    )


def fill(path: Path, pages: int) -> str:
    """Somebody else fills the file system but for so many pages."""
    filler = f"pathlib.Path({str(path / 'filler')!r})"
    return then(
        f"size = (os.statvfs({str(path)!r}).f_bavail - {pages}) * {PAGE}; "
        f"{filler}.write_bytes(bytes(size))"
    )


def use_inodes(path: Path, left: int) -> str:
    """Somebody else makes files until so many can still be made."""
    directory = path / "filler"
    return then(
        f"os.mkdir({str(directory)!r}); "
        f"n = os.statvfs({str(path)!r}).f_favail - {left}; "
        f"[os.mknod({str(directory)!r} + '/' + str(i)) for i in range(n)]"
    )


# --- full ------------------------------------------------------------------------------------


def test_a_build_resumes_after_the_disk_fills_up_at_any_stage(
    forks: Server, small: Path, expected: dict, mounted: Callable[[str], Path]
) -> None:
    """In a shard, a mark, the metadata: all is kept that is finished, and gone on with."""
    path = mounted(f"size={SIZE}")
    data_dir = path / "built"
    argv = build_arguments(small, data_dir, *SHARDS)
    failed: set[str] = set()
    kept: set[int] = set()
    pages = 0
    while True:
        ended = forks.run(argv, data_dir, first=fill(path, pages))
        if ended.status == 0:
            break
        sentence = refused(ended, data_dir)
        assert "No space left on device; the file system is full; free some space" in sentence
        failed.add(Path(sentence.partition(" cannot be written")[0]).name)
        kept.add(len(list((data_dir / HOME).glob(".5.1.0.building-*/shards/*"))))
        if pages % 2:  # Room is made, or it is made larger.
            (path / "filler").unlink()
        else:
            remount(path, f"size={2 * SIZE}")
        assert forks.run(argv, data_dir).status == 0
        assert differences(data_dir, expected) == []
        (path / "filler").unlink(missing_ok=True)
        remount(path, f"size={SIZE}")
        shutil.rmtree(data_dir)
        pages += 1
        assert pages < 60
    assert pages > 10
    assert {0, 6} <= kept, kept
    assert len(failed) > 4, failed


def test_a_build_resumes_after_inodes_run_out_at_any_stage(
    forks: Server, small: Path, expected: dict, mounted: Callable[[str], Path]
) -> None:
    path = mounted(f"size={SIZE},nr_inodes=120")
    data_dir = path / "built"
    argv = build_arguments(small, data_dir, *SHARDS)
    left = 0
    while True:
        ended = forks.run(argv, data_dir, first=use_inodes(path, left))
        if ended.status == 0:
            break
        assert re.search(
            r"; its file system is out of inodes, not of space: all but \d+ of 120 are in use "
            r"\(`df -i`\), and \d\d\.\d MB are free; remove files that nobody needs, of whatever "
            "size, then run the same command again",
            refused(ended, data_dir),
        )
        shutil.rmtree(path / "filler")
        assert forks.run(argv, data_dir).status == 0
        assert differences(data_dir, expected) == []
        shutil.rmtree(data_dir)
        left += 1
        assert left < 40
    assert left > 10


@pytest.mark.parametrize("pages", [0, 5, 14])
def test_workers_and_other_formats_survive_a_full_disk(
    pages: int,
    file_format: str,
    forks: Server,
    small: Path,
    tmp_path: Path,
    mounted: Callable[[str], Path],
) -> None:
    path = mounted(f"size={SIZE}")
    data_dir = path / "built"
    options = ("--file-format", file_format, "--workers", "2")
    argv = build_arguments(small, data_dir, *SHARDS, *options)
    ended = forks.run(argv, data_dir, first=fill(path, pages), processes=True)
    assert "No space left on device" in refused(ended, data_dir)
    (path / "filler").unlink()
    assert forks.run(argv, data_dir, processes=True).status == 0
    assert (
        differences(data_dir, built(forks, small, tmp_path / "expected", *SHARDS, *options)) == []
    )


def test_an_existing_dataset_survives_a_full_disk(
    forks: Server, small: Path, mounted: Callable[[str], Path]
) -> None:
    path = mounted(f"size={SIZE}")
    data_dir = path / "built"
    before = built(forks, small, data_dir, "--num-shards", "1")
    argv = build_arguments(small, data_dir, *SHARDS, "--overwrite")
    assert forks.run(argv, data_dir, first=fill(path, 12)).status == 1
    assert content(data_dir / DATASET) == before


@pytest.mark.parametrize("pages", range(6))
def test_a_disk_that_is_full_beforehand_is_one_error(
    pages: int, forks: Server, small: Path, mounted: Callable[[str], Path], tmp_path: Path
) -> None:
    """Even the lock cannot be made. An index that cannot be kept is no reason to fail."""
    path = mounted("size=1m")
    (path / "filler").write_bytes(bytes((1 << 20) - pages * PAGE))
    ended = forks.run(build_arguments(small, path / "built", *SHARDS), path / "built")
    sentence = refused(ended, path / "built")
    assert "No space left on device" in sentence or "still to be written" in sentence
    assert not (path / "built" / HOME).exists()


# --- asked before ----------------------------------------------------------------------------


def test_too_little_space_is_reported_before_anything_is_written(
    forks: Server, small: Path, mounted: Callable[[str], Path]
) -> None:
    path = mounted("size=8m")
    data_dir = path / "built"
    ended = forks.run(build_arguments(small, data_dir, *SHARDS), data_dir, log=True)
    assert re.fullmatch(
        rf"{data_dir}/imagenet2012/\S+ has [78]\.\d MB free, but 16\.\d MB are still to be "
        "written; free some space, or choose another --data-dir, then run the same command again",
        refused(ended, data_dir),
    )
    assert not any("record-" in change for change in ended.changes)
    assert everything(data_dir) == []


def test_too_few_inodes_are_reported_before_anything_is_written(
    forks: Server, small: Path, mounted: Callable[[str], Path]
) -> None:
    path = mounted(f"size={SIZE},nr_inodes=40")
    data_dir = path / "built"
    ended = forks.run(build_arguments(small, data_dir, *SHARDS), data_dir, log=True)
    assert re.fullmatch(
        rf"{data_dir}/imagenet2012/\S+ has room for \d\d more files \(inodes\), but 50 are needed; "
        "remove files that nobody needs, of whatever size, or choose another --data-dir, then run "
        "the same command again",
        refused(ended, data_dir),
    )
    assert not any("record-" in change for change in ended.changes)


def test_finished_shards_need_no_space_again(
    forks: Server, tmp_path: Path, mounted: Callable[[str], Path]
) -> None:
    """Only what is still to be written is asked for."""
    from makers import pictures
    from support.corpora.ilsvrc2012 import picture

    large = staged()
    image = pictures.with_comment(picture("large"), "x" * 60_000)
    large.train = {
        wnid: [(f"{wnid}_{number}.JPEG", image) for number in range(25)] for wnid in large.train
    }
    manual_dir = large.write(tmp_path / "large")  # 4.5 MB
    path = mounted(f"size={20 << 20}")
    data_dir = path / "built"
    argv = build_arguments(manual_dir, data_dir, "--num-shards", "4")
    assert "still to be written" in refused(forks.run(argv, data_dir), data_dir)
    remount(path, f"size={22 << 20}")
    stop = (
        "import os\nfrom imagenet_builders.write import shard as shards\nfinish = shards._finish\n"
        "def finish_and_stop(*job):\n"
        "    result = finish(*job)\n"
        "    if result.split == 'train' and result.number == 3: os.kill(os.getpid(), 15)\n"
        "    return result\n"
        "shards._finish = finish_and_stop\n"
    )
    assert forks.run(argv, data_dir, first=stop).status == 143
    remount(path, f"size={22 << 20}")
    assert forks.run(argv, data_dir).status == 0


def test_a_full_scratch_directory_does_not_fail_a_build(
    forks: Server, small: Path, expected: dict, tmp_path: Path, mounted: Callable[[str], Path]
) -> None:
    """An index that cannot be kept is made again the next time."""
    scratch = mounted("size=64k")
    for pages in (16, 15, 14):
        (scratch / "filler").write_bytes(bytes(pages * PAGE))
        data_dir = tmp_path / f"built{pages}"
        argv = build_arguments(small, data_dir, *SHARDS, "--scratch-dir", str(scratch))
        assert forks.run(argv, data_dir).status == 0
        assert differences(data_dir, expected) == []
        assert not list(scratch.rglob("*.partial"))
        shutil.rmtree(scratch / f"imagenet_builders-{os.getuid()}", ignore_errors=True)


def test_a_scratch_directory_too_small_to_unpack_into_is_one_error(
    forks: Server, tmp_path: Path, mounted: Callable[[str], Path]
) -> None:
    from support.paths import ROOT

    scratch, data_dir = mounted("size=64k"), tmp_path / "built"
    manual_dir = ROOT / "dummy_data" / "imagenet21k_winter21"
    argv = ["build", "imagenet21k_winter21/whole", "--manual-dir", str(manual_dir)]
    argv += ["--data-dir", str(data_dir)]
    ended = forks.run([*argv, "--scratch-dir", str(scratch)], data_dir)
    assert ended.status == 2
    assert "Traceback" not in ended.err
    [sentence] = [line for line in ended.err.splitlines() if line.startswith(ERROR)]
    assert str(scratch) in sentence
    remount(scratch, f"size={SIZE}")
    assert forks.run([*argv, "--scratch-dir", str(scratch)], data_dir).status == 0
    assert [path for path in scratch.rglob("*") if path.is_file()] == list(
        scratch.rglob("*.index.arrow")
    )


# --- limits of the process -------------------------------------------------------------------


@pytest.mark.parametrize("processes", [False, True], ids=["here", "workers"])
@pytest.mark.parametrize("limit", [64, 1700, 3000, 5000])
def test_a_limit_on_file_sizes_is_one_error(
    limit: int,
    processes: bool,
    file_format: str,
    forks: Server,
    small: Path,
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "built"
    options = ("--file-format", file_format, "--workers", "2")
    argv = build_arguments(small, data_dir, *SHARDS, *options)
    # What this process says goes to files as well.
    # Nor may Python keep what it compiles: it takes a part of it for the whole.
    first = (
        "import os, resource, sys; sys.dont_write_bytecode = True; "
        "os.environ['PYTHONDONTWRITEBYTECODE'] = '1'; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {1 << 30}))"
    )
    ended = forks.run(argv, data_dir, first=first, processes=processes)
    if limit < 600:  # There is no room for the sentence either, nor for a lock.
        assert ended.status != 0
    else:
        sentence = refused(ended, data_dir)
        assert "File too large" in sentence
        assert "raise `ulimit -f`" in sentence
    assert not (data_dir / DATASET).exists()
    assert forks.run(argv, data_dir).status == 0
    assert (
        differences(data_dir, built(forks, small, tmp_path / "expected", *SHARDS, *options)) == []
    )


@pytest.mark.parametrize("limit", [256, 40, 24])
def test_a_limit_on_open_files_is_one_error_or_none(
    limit: int, forks: Server, small: Path, tmp_path: Path, expected: dict
) -> None:
    data_dir = tmp_path / "built"
    argv = build_arguments(small, data_dir, *SHARDS, "--workers", "4")
    first = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, 4096))"
    for processes in (False, True):
        ended = forks.run(argv, data_dir, first=first, processes=processes)
        if limit == 256:
            assert ended.status == 0, ended
        if ended.status == 0:
            assert differences(data_dir, expected) == []
            shutil.rmtree(data_dir)
        else:
            assert ended.err.count(ERROR) == 1
            assert "Too many open files" in ended.err
            assert not (data_dir / DATASET).exists()
            assert forks.run(argv, data_dir).status == 0
            assert differences(data_dir, expected) == []
            shutil.rmtree(data_dir)


# --- errors of the storage -------------------------------------------------------------------


def failing(call: str, number: int, error: str) -> str:
    """Code after which the n-th call of a function of `os`, for a file of the build, fails."""
    return (
        "import errno, itertools, os\n"
        f"call, numbers = os.{call}, itertools.count()\n"
        "def concerned(path):\n"
        "    if isinstance(path, int):\n"
        "        try: path = os.readlink(f'/proc/self/fd/{path}')\n"
        "        except OSError: return False\n"
        f"        if {call == 'close'} and not path.endswith('.partial'): return False\n"
        "    path = os.fspath(path)\n"
        "    ours = ('shards/', 'marks/', '/proc/self/')\n"
        "    return '/imagenet2012/' in path or path.startswith(ours)\n"
        "def fail(path, *others, **named):\n"
        f"    if concerned(path) and next(numbers) == {number}:\n"
        f"        {'call(path)' if call == 'close' else 'pass'}\n"
        f"        raise OSError(errno.{error}, os.strerror(errno.{error}))\n"
        "    return call(path, *others, **named)\n"
        f"os.{call} = fail\n"
    )


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        ("fsync", "EIO", "Input/output error; the storage reported an error"),
        ("write", "EIO", "Input/output error; the storage reported an error"),
        ("writev", "EDQUOT", "Disk quota exceeded; your quota there is used up"),
        ("close", "EDQUOT", "Disk quota exceeded; your quota there is used up"),
        ("rename", "EIO", "Input/output error; the storage reported an error"),
        ("mkdir", "EDQUOT", "Disk quota exceeded; your quota there is used up"),
        ("open", "EIO", "Input/output error; the storage reported an error"),
        ("chmod", "EIO", "Input/output error; the storage reported an error"),
    ],
)
def test_a_storage_error_at_any_call_is_one_error(
    call: str, error: str, said: str, forks: Server, small: Path, expected: dict, tmp_path: Path
) -> None:
    """One sentence, or no harm done; nothing that is wrong is published, and it can be gone on."""
    failed = 0
    for number in (0, 1, 2, 3, 5, 9, 14, 22, 35):
        data_dir = tmp_path / f"built{number}"
        argv = build_arguments(small, data_dir, *SHARDS)
        argv += ["--mode", "755"] if call == "chmod" else []
        ended = forks.run(argv, data_dir, first=failing(call, number, error))
        if ended.status == 0:
            assert content(data_dir / DATASET) == expected
        else:
            failed += 1
            assert "Traceback" not in ended.err, (number, ended.err)
            [sentence] = [line for line in ended.err.splitlines() if line.startswith(ERROR)]
            assert said in sentence, (number, sentence)
            assert "run the same command again" in sentence
        assert forks.run(argv, data_dir).status == 0
        assert differences(data_dir, expected) == [], number
        shutil.rmtree(data_dir)
    assert failed > 0


# --- not to be written to --------------------------------------------------------------------


def test_a_read_only_target_is_one_error(
    forks: Server, small: Path, mounted: Callable[[str], Path]
) -> None:
    path = mounted(f"size={SIZE}")
    data_dir = path / "built"
    remount(path, "ro")
    sentence = refused(forks.run(build_arguments(small, data_dir), data_dir), data_dir)
    assert "Read-only file system; the file system is mounted read-only" in sentence
    remount(path, "rw")
    (data_dir / HOME).mkdir(parents=True)
    remount(path, "ro")
    sentence = refused(forks.run(build_arguments(small, data_dir), data_dir), data_dir)
    assert "Read-only file system; the file system is mounted read-only" in sentence


def test_a_dataset_on_a_read_only_file_system_is_found(
    forks: Server, small: Path, mounted: Callable[[str], Path]
) -> None:
    path = mounted(f"size={SIZE}")
    data_dir = path / "built"
    built(forks, small, data_dir, *SHARDS)
    (data_dir / HOME / ".5.1.0.building-0123456789abcdef").mkdir()  # Debris.
    remount(path, "ro")
    ended = forks.run(build_arguments(small, data_dir), data_dir)
    assert (ended.status, ended.err) == (0, "")
    assert "is there already" in ended.out
    remount(path, "rw")
    assert forks.run(build_arguments(small, data_dir), data_dir).status == 0
    assert [each.name for each in (data_dir / HOME).iterdir()] == ["5.1.0"]


def test_archives_on_a_read_only_file_system_build(
    forks: Server, expected: dict, tmp_path: Path, mounted: Callable[[str], Path]
) -> None:
    manual_dir = staged().write(mounted(f"size={SIZE}"))
    remount(manual_dir, "ro")
    before = snapshot(manual_dir)
    data_dir = tmp_path / "built"
    assert forks.run(build_arguments(manual_dir, data_dir, *SHARDS), data_dir).status == 0
    assert snapshot(manual_dir) == before


@pytest.mark.parametrize("which", ["dataset", "version's parent"])
def test_a_target_without_write_permission_is_one_error(which: str, open_path: Path) -> None:
    manual_dir = staged().write(open_path / "staged")
    data_dir = open_path / "built"
    (data_dir / HOME).mkdir(parents=True)
    data_dir.chmod(0o755)
    (data_dir / HOME).chmod(0o555)
    if which == "dataset":
        (data_dir / HOME).rmdir()
        data_dir.chmod(0o555)
    outcome = build_as_nobody(open_path, manual_dir, data_dir)
    assert outcome.status == 1
    [sentence] = outcome.errors
    where = data_dir if which == "dataset" else data_dir / HOME
    assert sentence.startswith(f"{where} belongs to user {os.getuid()}, mode 555, so you may not")


def test_a_dataset_of_another_user_is_found(open_path: Path) -> None:
    """With debris that only its owner may remove."""
    if os.getuid() != 0:
        pytest.skip("only root may become somebody else")
    manual_dir = staged().write(open_path / "staged")
    data_dir = open_path / "built"
    assert build(manual_dir, data_dir).status == 0
    debris = data_dir / HOME / ".5.1.0.building-0123456789abcdef"
    debris.mkdir()
    outcome = build_as_nobody(open_path, manual_dir, data_dir)
    assert outcome.status == 0, outcome
    assert outcome.errors == []
    assert "is there already" in outcome.out
    assert debris.exists()
    assert os.listdir(data_dir / DATASET)
