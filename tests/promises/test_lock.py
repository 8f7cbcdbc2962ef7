"""Of several builds of one dataset, one works and the others wait; nobody waits for the dead."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import DATASET, HOME, build_arguments
from support.corpora.ilsvrc2012 import staged
from support.killing.forks import Ended, Server
from support.killing.moments import LOCK, OFTEN, SOON, Held, wait_for
from support.killing.remains import content, differences, everything
from support.killing.trials import SHARDS

from imagenet_builders.publish import lock
from imagenet_builders.publish.holder import Holder
from imagenet_builders.publish.target import Target

WITHOUT_LINKS = (
    "import errno, os\n"
    "def link(*paths, **options): raise OSError(errno.EPERM, 'Operation not permitted', paths[0])\n"
    "os.link = link\n"
)


# --- at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("builders", [2, 4])
@pytest.mark.parametrize("first", ["", WITHOUT_LINKS], ids=["links", "no_links"])
def test_one_of_several_simultaneous_builds_does_the_work(
    builders: int, first: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    argv = build_arguments(small, data_dir, *SHARDS, "--workers", "2")
    started = [
        forks.start(argv, data_dir, first=first, processes=True, log=True) for _ in range(builders)
    ]
    ended = [running.wait() for running in started]
    assert [each.status for each in ended] == [0] * builders, ended
    said = sorted(each.out for each in ended)
    assert said == [f"{data_dir / DATASET}\n"] + [
        f"{DATASET} is there already: {data_dir / DATASET}\n"
    ] * (builders - 1)
    assert differences(data_dir, expected) == []


def test_four_that_replace_a_dataset_at_once_never_leave_readers_without(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    argv = build_arguments(small, data_dir, *SHARDS)
    assert forks.run(argv, data_dir).status == 0
    started = [forks.start([*argv, "--overwrite"], data_dir, first=SOON) for _ in range(4)]
    looked = 0
    while any(is_running(each.pid) for each in started):
        fd = os.open(data_dir / DATASET, os.O_RDONLY)  # There at every moment, and whole.
        try:
            assert {Path(name).parts[0] for name in expected} <= set(os.listdir(fd)) or os.stat(
                data_dir / DATASET
            ).st_ino != os.fstat(fd).st_ino
        finally:
            os.close(fd)
        looked += 1
    assert looked > 10
    ended = [each.wait() for each in started]
    assert [each.status for each in ended] == [0] * 4, ended
    assert differences(data_dir, expected) == []


def replaced_at_once(
    forks: Server,
    data_dir: Path,
    first: list[str],
    second: list[str],
    meanwhile: Callable[[], None] = lambda: None,
) -> tuple[Ended, bool]:
    """Two builds replace a dataset, and the second waits. Its end, and whether it published."""
    holder = Held(forks, [*first, "--overwrite"], data_dir)
    waiting = forks.start([*second, "--overwrite"], data_dir, first=OFTEN)
    wait_for(lambda: "waiting" in waiting.err.read_text())
    # So that the holder finishes, and the one that waits does not, it stands still meanwhile.
    os.kill(waiting.pid, signal.SIGSTOP)
    try:
        assert holder.end().status == 0
        there = (data_dir / DATASET).stat().st_ino
        meanwhile()
    finally:
        os.kill(waiting.pid, signal.SIGCONT)
    return waiting.wait(), (data_dir / DATASET).stat().st_ino != there


def test_a_waiting_overwrite_finds_the_dataset_replaced(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    argv = build_arguments(small, data_dir, *SHARDS)
    assert forks.run(argv, data_dir).status == 0
    second, built = replaced_at_once(forks, data_dir, argv, argv)
    assert (second.status, second.out) == (
        0,
        f"{DATASET} is there already: {data_dir / DATASET}\n",
    )
    assert not built
    assert second.err.splitlines()[-1] == (
        f"{DATASET} was built meanwhile by another process, from the same "
        "sources and with the same options; it is not built again"
    )
    assert differences(data_dir, expected) == []
    # One that comes when all is done wants it replaced once more.
    there = (data_dir / DATASET).stat().st_ino
    assert forks.run([*argv, "--overwrite"], data_dir).out == f"{data_dir / DATASET}\n"
    assert (data_dir / DATASET).stat().st_ino != there


@pytest.mark.parametrize(
    "options",
    [
        ("--num-shards", "3"),
        ("--file-format", "array_record"),
        ("--max-examples-per-split", "2"),
        ("--mode", "2770"),
    ],
    ids=lambda options: options[0],
)
def test_a_waiter_with_another_request_builds_afterwards(
    options: tuple[str, str], forks: Server, small: Path, data_dir: Path
) -> None:
    argv = build_arguments(small, data_dir)
    second, built = replaced_at_once(forks, data_dir, argv, [*argv, *options])
    assert second.status == 0, second.err
    assert built
    assert "meanwhile" not in second.err
    again = data_dir.with_name("again")
    argv = [*build_arguments(small, again), *options]
    assert forks.run(argv, again).status == 0
    assert content(data_dir / DATASET) == content(again / DATASET)


def test_a_waiter_builds_from_sources_that_changed_meanwhile(
    forks: Server, data_dir: Path, tmp_path: Path
) -> None:
    corpus = staged()
    manual_dir = corpus.write(tmp_path / "staged")
    argv = build_arguments(manual_dir, data_dir, *SHARDS)

    def change() -> None:
        corpus.validation.pop()
        corpus.write(manual_dir)

    second, built = replaced_at_once(forks, data_dir, argv, argv, change)
    assert (second.status, second.out) == (0, f"{data_dir / DATASET}\n")
    assert built
    assert len(recorded(data_dir)["validation"]["shard_bytes"]) == 2
    assert recorded(data_dir)["validation"]["examples"] == len(corpus.validation)


def test_a_waiter_does_not_accept_a_dataset_with_skipped_images(
    forks: Server, data_dir: Path, tmp_path: Path
) -> None:
    corpus = staged()
    corpus.validation[0] = (corpus.validation[0][0], b"no picture")
    argv = build_arguments(corpus.write(tmp_path / "staged"), data_dir, *SHARDS)
    skipping = [*argv, "--bad-images", "skip"]
    second, built = replaced_at_once(forks, data_dir, skipping, argv)
    assert second.status == 1
    assert not built
    [said] = [line for line in second.err.splitlines() if " error: " in line]
    assert str(corpus.validation[0][0]) in said
    second, built = replaced_at_once(forks, data_dir, skipping, skipping)
    assert (second.status, built) == (0, False)


def recorded(data_dir: Path) -> dict:
    return json.loads((data_dir / DATASET / "provenance.json").read_text())["splits"]


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_waiter_names_the_holder_and_finds_the_dataset_done(
    held: Held, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    second = forks.start(build_arguments(small, data_dir, *SHARDS), data_dir, first=OFTEN)
    wait_for(lambda: "waiting" in second.err.read_text())
    time.sleep(0.3)
    assert held.end().status == 0
    ended = second.wait()
    assert (ended.status, ended.out) == (0, f"{DATASET} is there already: {data_dir / DATASET}\n")
    [said] = ended.err.splitlines()
    assert re.fullmatch(
        rf"{DATASET} is being built by another process \(process {held.pid} on "
        rf"{os.uname().nodename}, since \S+Z\); waiting for it to end",
        said,
    )
    assert differences(data_dir, expected) == []


def test_a_waiter_explains_that_the_other_build_is_not_wanted(
    held: Held, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """What was built meanwhile is there, but in another format; as if it had always been."""
    argv = [*build_arguments(small, data_dir, *SHARDS), "--file-format", "array_record"]
    second = forks.start(argv, data_dir, first=OFTEN)
    wait_for(lambda: "waiting" in second.err.read_text())
    assert held.end().status == 0
    afterwards = forks.run(argv, data_dir)
    assert afterwards.status == 2
    assert second.wait().status == 2
    [said] = afterwards.err.splitlines()
    assert said == second.err.read_text().splitlines()[-1]
    assert "is there already, as tfrecord; build it as array_record with --overwrite" in said
    assert differences(data_dir, expected) == []


def test_a_waiter_for_a_partial_build_builds_the_whole(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    argv = build_arguments(small, data_dir, *SHARDS)
    first = Held(forks, [*argv, "--max-examples-per-split", "2"], data_dir)
    second = forks.start(argv, data_dir, first=OFTEN)
    wait_for(lambda: "waiting" in second.err.read_text())
    assert first.end().status == 0
    assert second.wait().status == 0
    assert differences(data_dir, expected) == []


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_no_wait_fails_at_once(
    by: str, held: Held, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    before = everything(data_dir)
    argv = build_arguments(small, data_dir, *SHARDS)
    first = "import os; os.environ['IMAGENET_BUILDERS_NO_WAIT'] = '1'"
    started = time.monotonic()
    if by == "flag":
        ended = forks.run([*argv, "--no-wait"], data_dir)
    else:
        ended = forks.run(argv, data_dir, first=first)
    assert time.monotonic() - started < 5
    assert ended.status == 1
    [said] = ended.err.splitlines()
    assert re.fullmatch(
        rf"imagenet-builders: error: {DATASET} is being built by another process "
        rf"\(process {held.pid} on {os.uname().nodename}, since \S+Z\); wait for it to end, or run "
        "without --no-wait",
        said,
    )
    assert everything(data_dir) == before
    assert held.end().status == 0
    assert differences(data_dir, expected) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_waiter_can_be_interrupted(
    number: signal.Signals, status: int, held: Held, forks: Server, small: Path, data_dir: Path
) -> None:
    before = everything(data_dir)
    second = forks.start(build_arguments(small, data_dir), data_dir)
    wait_for(lambda: "waiting" in second.err.read_text())
    os.kill(second.pid, number)
    assert second.wait().status == status
    assert everything(data_dir) == before
    assert held.end().status == 0


def test_another_version_or_dataset_is_not_waited_for(
    held: Held, forks: Server, data_dir: Path
) -> None:
    from support.paths import ROOT

    manual_dir = ROOT / "dummy_data" / "tiny_imagenet"
    where = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir)]
    assert forks.run(["build", "tiny_imagenet", "--no-wait", *where], data_dir).status == 0
    assert held.end().status == 0


# --- dead ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["", WITHOUT_LINKS], ids=["links", "no_links"])
def test_a_killed_holder_is_not_waited_for(
    first: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    argv = build_arguments(small, data_dir, *SHARDS)
    Held(forks, argv, data_dir, first).kill()
    assert (data_dir / LOCK).exists()
    started = time.monotonic()
    ended = forks.run([*argv, "--no-wait"], data_dir, first=first)
    assert time.monotonic() - started < 10
    assert ended.status == 0, ended
    assert "another process" not in ended.err
    assert differences(data_dir, expected) == []


def test_a_waiter_continues_when_the_holder_is_killed(
    held: Held, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    waiting = [
        forks.start(build_arguments(small, data_dir, *SHARDS), data_dir, first=OFTEN)
        for _ in range(3)
    ]
    wait_for(lambda: all("waiting" in each.err.read_text() for each in waiting))
    os.kill(held.pid, signal.SIGKILL)
    ended = [each.wait() for each in waiting]
    assert [each.status for each in ended] == [0] * 3, ended
    assert sum("is there already" in each.out for each in ended) == 2
    held.running.wait()
    assert differences(data_dir, expected) == []


def forged(path: Path, age: float = 0, **changes: object) -> None:
    """A lock as another machine would have made it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    there = {"host": "node17", "boot": "0-0", "pid": 4711, "token": "0123456789abcdef"}
    path.write_text(json.dumps(dataclasses.asdict(Holder.me()) | there | changes))
    os.utime(path, (time.time() - age,) * 2)


HERE = dataclasses.asdict(Holder.me())


@pytest.mark.parametrize(
    ("content_of_lock", "named"),
    [
        ({}, "process 4711 on node17"),
        ({"host": HERE["host"]}, "process 4711 on "),  # Two machines of one name,
        (
            {"host": HERE["host"], "boot": HERE["boot"], "namespace": "pid:[1]"},
            "4711",
        ),  # containers,
        ({"host": HERE["host"], "boot": "", "namespace": ""}, "4711"),  # a system that cannot tell,
        (b"", str(LOCK)),  # one who was just about to write,
        (b"\x00" * 300, str(LOCK)),
        (b'{"token": 1}', str(LOCK)),
        (b"[" * 5000, str(LOCK)),
    ],
)
def test_a_lock_of_another_machine_is_respected_until_it_is_stale(
    content_of_lock: dict | bytes,
    named: str,
    forks: Server,
    small: Path,
    data_dir: Path,
    expected: dict,
) -> None:
    argv = [*build_arguments(small, data_dir, *SHARDS), "--no-wait"]

    def make(age: float) -> None:
        if isinstance(content_of_lock, dict):
            forged(data_dir / LOCK, age, **content_of_lock)
        else:
            (data_dir / LOCK).parent.mkdir(parents=True, exist_ok=True)
            (data_dir / LOCK).write_bytes(content_of_lock)
            os.utime(data_dir / LOCK, (time.time() - age,) * 2)

    make(lock.STALE_SECONDS - 20)
    ended = forks.run(argv, data_dir)
    assert ended.status == 1, ended
    assert named in ended.err
    assert everything(data_dir) == [str(HOME), str(LOCK)]
    make(lock.STALE_SECONDS + 20)
    ended = forks.run(argv, data_dir)
    assert ended.status == 0, ended
    assert differences(data_dir, expected) == []


def test_a_reused_process_id_is_not_mistaken_for_the_dead_holder(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    forged(data_dir / LOCK, **HERE | {"pid": os.getpid(), "started": 1, "token": "f" * 16})
    argv = [*build_arguments(small, data_dir, *SHARDS), "--no-wait"]
    assert forks.run(argv, data_dir).status == 0
    assert differences(data_dir, expected) == []


def test_a_slow_build_keeps_its_lock(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    argv = build_arguments(small, data_dir, *SHARDS)
    holder = Held(forks, argv, data_dir, SOON)
    waiting = forks.start(argv, data_dir, first=SOON)
    time.sleep(2.5)  # Much more than it takes for a lock to be old.
    assert everything(data_dir).count(str(LOCK)) == 1
    assert holder.end().status == 0
    assert "is there already" in waiting.wait().out
    assert differences(data_dir, expected) == []


# --- asleep ----------------------------------------------------------------------------------


BEFORE = ["plan.recipe:plan_splits", "build.destination:check_space", "publish.exchange:flush_all"]


@pytest.mark.parametrize("options", [(), ("--max-examples-per-split", "4")], ids=["same", "other"])
@pytest.mark.parametrize("awake", ["during", "after"])
@pytest.mark.parametrize("asleep", BEFORE)
def test_a_suspended_holder_publishes_nothing_after_a_takeover(
    asleep: str,
    awake: str,
    options: tuple[str, ...],
    forks: Server,
    small: Path,
    data_dir: Path,
    expected: dict,
) -> None:
    """And does no harm to what the other has made by then, be it of the same plan or not."""
    argv = build_arguments(small, data_dir, *SHARDS)
    sleeper = Held(forks, [*argv, *options], data_dir, SOON, asleep)
    os.kill(sleeper.pid, signal.SIGSTOP)
    try:
        if awake == "during":
            second = Held(forks, argv, data_dir, SOON, "publish.exchange:flush_all")
            os.kill(sleeper.pid, signal.SIGCONT)
            first = sleeper.end()
            assert second.end().status == 0
        else:
            assert forks.run(argv, data_dir, first=SOON).status == 0
            os.kill(sleeper.pid, signal.SIGCONT)
            first = sleeper.end()
    finally:
        if is_running(sleeper.pid):
            os.kill(sleeper.pid, signal.SIGKILL)
    assert first.status == 1, first
    assert "nothing was published, run the same command again" in first.err
    assert "Traceback" not in first.err
    assert differences(data_dir, expected) == []


def test_a_lock_that_was_removed_is_noticed(held: Held, data_dir: Path) -> None:
    (data_dir / LOCK).unlink()
    ended = held.end()
    assert ended.status == 1
    assert f"its lock {data_dir / LOCK} was removed" in ended.err
    assert not (data_dir / DATASET).exists()


def test_the_reply_to_a_request_for_the_lock_may_be_lost(
    forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """An NFS client that asks again is told that the file exists: the one that it has made."""
    lost = (
        "import os; link = os.link\n"
        "def twice(*paths, **options): link(*paths, **options); link(*paths, **options)\n"
        "os.link = twice\n"
    )
    argv = [*build_arguments(small, data_dir, *SHARDS), "--no-wait"]
    assert forks.run(argv, data_dir, first=lost).status == 0
    assert differences(data_dir, expected) == []


@pytest.mark.parametrize("first", ["", WITHOUT_LINKS], ids=["links", "no_links"])
def test_there_are_never_two_holders(first: str, forks: Server, quick_path: Path) -> None:
    """Four processes want the lock again and again, and every other holder dies with it."""
    race = f"""
import os, random, sys, time
from pathlib import Path
{first}
from imagenet_builders.publish import lock
from imagenet_builders.publish.target import Target
lock._POLL_SECONDS = 0.001
target, inside = Target(Path({str(quick_path / "1.0.0")!r})), {str(quick_path / "inside")!r}
chosen = random.Random(os.getpid())
for _ in range(12):
    pid = os.fork()
    if pid == 0:
        held = lock.BuildLock(target, name="it", wait=True, announce=lambda text: None)
        held.__enter__()
        try:
            fd = os.open(inside, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            os._exit(3)
        time.sleep(chosen.random() / 500)
        held.check()
        os.close(fd)
        os.remove(inside)
        if chosen.random() < 0.5:
            held.__exit__(None, None, None)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        os._exit(3)
os._exit(0)
"""
    started = [forks.start([], quick_path, first=race) for _ in range(4)]
    ended = [each.wait() for each in started]
    assert [each.status for each in ended] == [0] * 4, ended
    target = Target(quick_path / "1.0.0")
    with lock.BuildLock(target, name="it", wait=True, announce=print):
        lock.clean_up(target)
    assert list(quick_path.iterdir()) == []
