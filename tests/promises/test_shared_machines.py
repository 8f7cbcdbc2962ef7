"""A build among other users: their processes, files and permissions; and a lost terminal."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support.built_datasets import files_in
from support.command_line import DATASET, ERROR, HOME, NOTE, build_arguments, build_as_nobody
from support.corpora.ilsvrc2012 import staged
from support.killing.forks import Server
from support.killing.moments import (
    LOCK,
    OFTEN,
    SOON,
    WITHOUT_EXCHANGE,
    Held,
    at_publishing,
    error,
    left_of_a_build,
    wait_for,
)
from support.killing.remains import (
    content,
    differences,
    everything,
    incomplete_dir,
    inodes,
    make_tree,
)
from support.killing.trials import SHARDS
from support.paths import ROOT
from support.processes import environment

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")


# --- locks -----------------------------------------------------------------------------------


@as_root
def test_a_hidden_process_is_not_taken_for_dead() -> None:
    """Where /proc is mounted with hidepid, as on login nodes, other users' processes are hidden."""
    code = textwrap.dedent("""\
        import dataclasses, os, subprocess, sys
        from imagenet_builders.publish.holder import Holder
        parent = dataclasses.replace(Holder.me(), pid=os.getppid(), started=1)
        dead = subprocess.Popen(["true"])
        dead.wait()
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        assert not os.path.exists(f"/proc/{parent.pid}")
        print(parent.is_known_dead(), dataclasses.replace(parent, pid=dead.pid).is_known_dead())
        """)
    # A /proc of its own: remounting the machine's would change it for everybody.
    hidden = 'mount -t proc -o hidepid=2 proc /proc && "$@"; exit $?'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hidden, "sh"]
    done = subprocess.run(
        [*command, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout == "False True\n", done.stderr


def test_a_jump_of_the_clock_costs_no_lock(
    held: Held, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """Nor does a server, or a whole machine, that stood still: the holder is given time to beat."""
    jumped = data_dir.with_name("jumped")
    later = (
        "import os\nnow = lock.BuildLock._now\nlock.BuildLock._now = lambda self: "
        f"now(self) + 1e5 * os.path.exists({str(jumped)!r})\nlock.STALE_SECONDS = 60\n"
    )
    second = forks.start(build_arguments(small, data_dir, *SHARDS), data_dir, first=SOON + later)
    wait_for(lambda: "waiting" in second.err.read_text())
    jumped.touch()
    time.sleep(0.5)
    assert held.end().status == 0
    ended = second.wait()
    assert (ended.status, ended.out) == (0, f"{DATASET} is there already: {data_dir / DATASET}\n")
    assert differences(data_dir, expected) == []


def test_a_waiter_may_lose_its_own_file(
    held: Held, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """The holder removes it when a machine slept that waits."""
    argv = build_arguments(small, data_dir, *SHARDS)
    second = forks.start(argv, data_dir, first=OFTEN)
    wait_for(lambda: "waiting" in second.err.read_text())
    for _ in range(3):
        for path in (data_dir / HOME).glob(f"{LOCK.name}.*-{second.pid}-*"):
            path.unlink(missing_ok=True)
        time.sleep(0.1)
    assert held.end().status == 0
    assert second.wait().status == 0, second
    assert differences(data_dir, expected) == []


def test_a_suspended_holder_does_not_publish_before_its_successor_writes(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """The shards are where they were, but the other would find out only when it has built all."""
    argv = build_arguments(small, data_dir, *SHARDS)
    sleeper = Held(forks, argv, data_dir, SOON, "publish.exchange:flush_all")
    os.kill(sleeper.pid, signal.SIGSTOP)
    second = Held(forks, argv, data_dir, SOON, "plan.recipe:plan_splits")
    os.kill(sleeper.pid, signal.SIGCONT)
    ended = sleeper.end()
    assert ended.status == 1, ended
    assert "nothing was published, run the same command again" in ended.err
    assert not (data_dir / DATASET).exists()
    assert second.end().status == 0
    assert differences(data_dir, expected) == []


def test_a_build_killed_while_taking_the_lock_leaves_none(
    forks: Server, small: Path, data_dir: Path
) -> None:
    first = (
        "import os; link = os.link\n"
        "def link_and_end(*paths, **how): link(*paths, **how); os.kill(os.getpid(), 15)\n"
        "os.link = link_and_end\n"
    )
    assert forks.run(build_arguments(small, data_dir), data_dir, first=first).status == 143
    assert everything(data_dir) == []


# --- other users -----------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("shared", [False, True])
def test_another_users_finished_shards_do_not_block_a_build(
    shared: bool, forks: Server, open_path: Path
) -> None:
    """One may not look there; or may, if somebody has opened it, but not use what is there."""
    manual_dir, data_dir = staged().write(open_path / "staged"), open_path / "built"
    (data_dir / HOME).mkdir(parents=True)
    (data_dir / HOME).chmod(0o777)
    left_of_a_build(forks, build_arguments(manual_dir, data_dir), data_dir, shards=2)
    left = incomplete_dir(data_dir)
    for path in (left, *left.rglob("*")) if shared else ():
        path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))
    outcome = build_as_nobody(open_path, manual_dir, data_dir)
    assert outcome.status == 0, outcome
    theirs = f"2 finished shards of another user in {left} cannot be used here"
    private = f"{left} is an unfinished build of another user; it is left alone"
    assert (theirs if shared else private) in outcome.err
    assert (data_dir / DATASET).stat().st_uid == 65534
    assert left.exists() == (not shared)
    again = build_as_nobody(open_path, manual_dir, data_dir)
    assert (again.status, again.err) == (0, "")


@as_root
def test_a_forbidden_group_is_reported_before_the_work(open_path: Path) -> None:
    manual_dir, data_dir = staged().write(open_path / "staged"), open_path / "built"
    (data_dir / HOME).mkdir(parents=True)
    for path in (data_dir, data_dir / HOME):
        os.chown(path, 65534, -1)
    outcome = build_as_nobody(open_path, manual_dir, data_dir, options=("--group", "0"))
    assert outcome.status == 1, outcome
    [sentence] = outcome.errors
    assert "Operation not permitted" in sentence
    assert NOTE not in outcome.err  # No shard was made for nothing.
    assert everything(data_dir) == [str(HOME)]


@as_root
def test_a_dataset_that_its_owner_made_read_only_can_be_replaced(
    forks: Server, open_path: Path
) -> None:
    manual_dir, data_dir = staged().write(open_path / "staged"), open_path / "built"
    data_dir.mkdir()
    os.chown(data_dir, 65534, -1)
    assert build_as_nobody(open_path, manual_dir, data_dir).status == 0
    for path in (*(data_dir / DATASET).iterdir(), data_dir / DATASET):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    old = (data_dir / DATASET).stat().st_ino
    outcome = build_as_nobody(open_path / "again", manual_dir, data_dir, options=("--overwrite",))
    assert outcome.status == 0, outcome
    assert (data_dir / DATASET).stat().st_ino != old
    assert [path.name for path in (data_dir / HOME).iterdir()] == ["5.1.0"]


def test_files_keep_the_rights_of_an_acl(forks: Server, small: Path, data_dir: Path) -> None:
    """Where a directory has a default ACL, the umask does not count."""
    data_dir.mkdir()
    entries = [(0x01, 7), (0x04, 7), (0x10, 7), (0x20, 0)]  # Owner, group, mask, others.
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one, 2**32 - 1) for one in entries)
    try:
        os.setxattr(data_dir, "system.posix_acl_default", acl)
    except OSError as refused:
        pytest.skip(f"no ACLs here: {refused}")
    argv = build_arguments(small, data_dir)
    assert forks.run(argv, data_dir, first="import os; os.umask(0o077)").status == 0
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files_in(data_dir / DATASET)}
    assert modes == {0o660}


def test_only_files_with_our_names_are_removed(forks: Server, small: Path, data_dir: Path) -> None:
    theirs = [
        ".5.1.0.old-backup",
        ".5.1.0.building-mine",
        ".5.1.0.exchange-",
        "incomplete.my_5.1.0",
    ]
    for name in theirs:
        make_tree(data_dir / HOME / name, 1e6)
    assert forks.run(build_arguments(small, data_dir), data_dir).status == 0
    assert {path.name for path in (data_dir / HOME).iterdir()} == {*theirs, "5.1.0"}


def test_a_live_build_of_tfds_outlives_a_clock_that_is_ahead(
    forks: Server, small: Path, data_dir: Path
) -> None:
    live = data_dir / HOME / "incomplete.BBBBBB_5.1.0"
    make_tree(live, 60)
    ahead = "import time; now = time.time; time.time = lambda: now() + 7200"
    assert forks.run(build_arguments(small, data_dir), data_dir, first=ahead).status == 0
    assert live.exists()


# --- what is there ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", ["raise OSError(5, 'Input/output error')", "os.kill(os.getpid(), 15); time.sleep(5)"]
)
def test_the_old_dataset_comes_back_when_the_new_one_cannot_be_published(
    end: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """Where two cannot be exchanged in one step, as on NFS."""
    argv = build_arguments(small, data_dir, "--num-shards", "1")
    assert forks.run(argv, data_dir).status == 0
    before = content(data_dir / DATASET)
    first = (
        f"import os, time\n{WITHOUT_EXCHANGE}def rename(*paths): {end}\nexchange._rename = rename"
    )
    argv = build_arguments(small, data_dir, *SHARDS, "--overwrite")
    assert forks.run(argv, data_dir, first=first).status in (1, 143)
    assert content(data_dir / DATASET) == before
    assert sorted(os.listdir(data_dir / HOME)) == sorted(["5.1.0", incomplete_dir(data_dir).name])
    assert forks.run(argv, data_dir).status == 0
    assert differences(data_dir, expected) == []


def test_a_build_that_is_ended_right_after_it_has_published_keeps_nothing(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    argv = build_arguments(small, data_dir, *SHARDS)
    # With equal shards and within the same second, both would be the same in all.
    before = build_arguments(small, data_dir, "--num-shards", "1")
    assert forks.run(before, data_dir).status == 0
    first = (
        "import os, time\nfrom imagenet_builders.publish import exchange as publish\n"
        "exchange = publish._exchange\n"
        "def exchange_and_end(*paths):\n"
        "    exchange(*paths); os.kill(os.getpid(), 15); time.sleep(5)\n"
        "publish._exchange = exchange_and_end\n"
    )
    ended = forks.run([*argv, "--overwrite"], data_dir, first=first)
    assert ended.status == 143
    assert "are kept" not in ended.err
    assert differences(data_dir, expected) == []


@pytest.mark.parametrize("what", ["directory", "file", "link"])
def test_an_obstacle_at_the_target_is_reported_before_the_work(
    what: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    target = data_dir / DATASET
    target.parent.mkdir(parents=True)
    if what == "directory":
        make_tree(target, 0)
    elif what == "file":
        target.write_text("a file")
    else:
        target.symlink_to("nowhere")
    before = everything(data_dir)
    argv = build_arguments(small, data_dir, *SHARDS)
    ended = forks.run(argv, data_dir)
    assert ended.status == 1
    assert error(ended.err) == (
        f"{target} is there, but is no dataset: there is no dataset_info.json in it; look at it, "
        "then move it elsewhere or run the same command with --overwrite"
    )
    assert everything(data_dir) == before
    assert forks.run([*argv, "--overwrite"], data_dir).status == 0
    assert differences(data_dir, expected) == []


def test_a_partial_dataset_with_damaged_provenance_is_not_taken_for_the_whole(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    argv = build_arguments(small, data_dir, *SHARDS)
    assert forks.run([*argv, "--max-examples-per-split", "2"], data_dir).status == 0
    os.truncate(data_dir / DATASET / "provenance.json", 100)
    ended = forks.run(argv, data_dir)
    assert ended.status == 1
    assert "provenance.json is damaged or may not be read, so it is not known" in error(ended.err)
    assert forks.run([*argv, "--overwrite"], data_dir).status == 0
    assert differences(data_dir, expected) == []


@pytest.mark.parametrize("loss", ["path.unlink()", "os.truncate(path, 10)"])
def test_a_shard_that_somebody_removes_is_noticed(
    loss: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """As file systems are tidied of what is old, while shards of a former run wait for others."""
    first = (
        "import os\nfrom imagenet_builders.publish import provenance\n"
        "write = provenance.write_provenance\n"
        "def lose_and_write(directory, **others):\n"
        f"    path = min(directory.glob('*record*')); {loss}\n"
        "    return write(directory, **others)\n"
        "provenance.write_provenance = lose_and_write\n"
    )
    argv = build_arguments(small, data_dir, *SHARDS)
    ended = forks.run(argv, data_dir, first=first)
    assert ended.status == 1
    assert "imagenet2012-test.tfrecord-00000-of-00002 " in error(ended.err)
    assert not (data_dir / DATASET).exists()
    assert forks.run(argv, data_dir).status == 0
    assert differences(data_dir, expected) == []


def test_shards_unpacked_through_a_relative_directory_are_reused(
    forks: Server, data_dir: Path
) -> None:
    """Unpacked once more, it has another time, and is the same."""
    manual_dir = ROOT / "dummy_data" / "imagenet21k_winter21"
    argv = ["build", "imagenet21k_winter21/whole", "--manual-dir", str(manual_dir), *SHARDS]
    argv += ["--data-dir", str(data_dir), "--workers", "1", "--scratch-dir", "scratch"]
    data_dir.mkdir()
    first = f"import os; os.chdir({str(data_dir)!r})\n"
    ended = forks.run(argv, data_dir, first=first + at_publishing("os.kill(os.getpid(), 15)"))
    assert ended.status == 143
    shutil.rmtree(data_dir / "scratch")
    ended = forks.run(argv, data_dir, first=first)
    assert ended.status == 0, ended
    assert "already finished: 2 of " in ended.err


def test_files_unpacked_by_two_builds_stay_until_both_have_read_them(
    forks: Server, data_dir: Path
) -> None:
    """Into two data directories, by way of one scratch directory."""
    manual_dir = ROOT / "dummy_data" / "imagenet21k_winter21"
    scratch = data_dir.with_name("scratch")
    argv = ["build", "imagenet21k_winter21/whole", "--manual-dir", str(manual_dir)]
    argv += ["--workers", "1", "--scratch-dir", str(scratch), "--data-dir"]
    first = Held(forks, [*argv, str(data_dir / "1")], data_dir, before="plan.recipe:plan_splits")
    assert forks.run([*argv, str(data_dir / "2")], data_dir).status == 0
    assert list(scratch.rglob("winter21_whole.tar"))
    assert first.end().status == 0
    assert not list(scratch.rglob("winter21_whole.tar"))


# --- streams and signals ---------------------------------------------------------------------


def test_nohup_is_respected(forks: Server, small: Path, data_dir: Path, expected: dict) -> None:
    first = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    first += at_publishing(f"os.kill(os.getpid(), {int(signal.SIGHUP)}); time.sleep(0.1)")
    assert forks.run(build_arguments(small, data_dir, *SHARDS), data_dir, first=first).status == 0
    assert differences(data_dir, expected) == []


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-", "2>/dev/full", "2>&1 >&- | true"])
def test_a_build_survives_its_terminal(
    closed: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    left_of_a_build(forks, build_arguments(small, data_dir, *SHARDS), data_dir)
    kept = inodes(incomplete_dir(data_dir) / "shards")
    # What it says of them before it goes on is the first that is not heard.
    command = [sys.executable, "-m", "imagenet_builders.cli"]
    command += build_arguments(small, data_dir, *SHARDS)
    wait = "(" if "|" in closed else ""
    script = f'set -o pipefail; {wait}sleep 0.1; "$@"{" )" if wait else ""} {closed}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *command], env=environment(), check=False, timeout=60
    )
    assert done.returncode == 0
    assert differences(data_dir, expected) == []
    assert kept.items() <= inodes(data_dir / DATASET).items()


def test_a_tilde_means_the_home_directory(small: Path, data_dir: Path) -> None:
    """Which no shell makes a path of in `--data-dir=~/built`."""
    for command in (build_arguments(small, data_dir), ["verify", "imagenet2012"]):
        argv = [each for each in command if each not in ("--data-dir", str(data_dir))]
        done = subprocess.run(
            [sys.executable, "-m", "imagenet_builders.cli", *argv, "--data-dir=~/built"],
            capture_output=True,
            text=True,
            env=environment(HOME=str(data_dir.parent)),
            cwd=small,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert str(data_dir / DATASET) in done.stdout
        assert ERROR not in done.stderr
