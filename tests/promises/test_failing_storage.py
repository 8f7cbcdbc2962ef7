"""A storage that fails is called so: the first error is told, and what is finished is named.

The storage fails for real: a file system on a loop device is shut down, as the kernel does when a
disk fails, and the server of a FUSE file system is killed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.command_line import DATASET, ERROR, NOTE, build_arguments
from support.file_systems import by_fuse, on_a_loop_device
from support.killing.forks import Ended, Server
from support.killing.moments import SOON, at_publishing
from support.killing.remains import differences
from support.killing.trials import SHARDS

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount file systems")

pytestmark = needs_root


# Source: FS_IOC_SHUTDOWN and FS_SHUTDOWN_FLAGS_NOLOGFLUSH in Linux' uapi/linux/ext4.h.
def shut_down(directory: Path) -> str:
    """Code that shuts a file system down: from now on, it gives EIO."""
    return (
        "import fcntl, os, struct\n"
        f"fd = os.open({str(directory)!r}, os.O_RDONLY)\n"
        "fcntl.ioctl(fd, 0x8004587D, struct.pack('I', 2)); os.close(fd)\n"
    )


def killing(pid: int) -> str:
    """Code that kills a process, and waits for the end of what it served."""
    return f"import os, time; os.kill({pid}, 9); time.sleep(0.2)\n"


def after_shards(code: str, *, processes: bool) -> str:
    """Code for a build that runs some more when two shards are finished."""
    if processes:
        return (
            "from imagenet_builders.run import local\n"
            "receive, finished = local.LocalWorkers._receive, []\n"
            "def receive_and_more(self, connection):\n"
            "    kind, content = receive(self, connection)\n"
            "    if kind == 'result':\n"
            "        finished.append(content)\n"
            f"        if len(finished) == 2: exec({code!r}, {{}})\n"
            "    return kind, content\n"
            "local.LocalWorkers._receive = receive_and_more\n"
        )
    return (
        "from imagenet_builders.write import shard as shards\n"
        "finish, finished = shards._finish, []\n"
        "def counting(*job):\n"
        "    result = finish(*job)\n"
        "    finished.append(job)\n"
        f"    if len(finished) == 2: exec({code!r}, {{}})\n"
        "    return result\n"
        "shards._finish, shards._FINISHED_AT_ONCE = counting, 1\n"
    )


def assert_told(ended: Ended, data_dir: Path, reason: str) -> None:
    """One sentence about the storage, and where the finished shards are."""
    assert ended.status == 1, ended
    assert "Traceback" not in ended.err
    assert "was stopped for more than" not in ended.err
    assert "by another process" not in ended.err
    [said] = [line for line in ended.err.splitlines() if line.startswith(ERROR)]
    assert reason in said, said
    assert f"{data_dir}/" in said
    assert said.endswith(", then run the same command again")
    [kept] = [line for line in ended.err.splitlines() if line.startswith(NOTE)]
    assert f"finished shards of {DATASET} are left as they are in {data_dir}/" in kept
    assert "/shards, which cannot be looked at now" in kept
    assert kept.endswith("run the same command again to continue")


@pytest.mark.parametrize("processes", [False, True], ids=["here", "workers"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_disk_that_fails_while_shards_are_written(
    kind: str, processes: bool, forks: Server, small: Path, tmp_path: Path, expected: dict
) -> None:
    with on_a_loop_device(tmp_path / "disk", kind) as disk:
        argv = [*build_arguments(small, disk / "built", *SHARDS), "--workers", "2"]
        first = after_shards(shut_down(disk), processes=processes)
        ended = forks.run(argv, disk / "built", first=first, processes=processes)
        assert_told(ended, disk / "built", "the storage reported an error")
        # As after a power loss: what was not flushed, such as what the lock says, is gone.
        for command in (f"umount {disk}", f"mount -o loop {disk}.{kind} {disk}"):
            subprocess.run(command.split(), check=True)
        ended = forks.run(argv, disk / "built", first=SOON)
        assert ended.status == 0, ended
        assert differences(disk / "built", expected) == []


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_disk_that_fails_at_the_end(
    kind: str, forks: Server, small: Path, tmp_path: Path, expected: dict
) -> None:
    with on_a_loop_device(tmp_path / "disk", kind) as disk:
        argv = build_arguments(small, disk / "built", *SHARDS)
        ended = forks.run(argv, disk / "built", first=at_publishing(shut_down(disk)))
        assert_told(ended, disk / "built", "the storage reported an error")


@pytest.mark.parametrize("processes", [False, True], ids=["here", "workers"])
def test_a_file_system_whose_server_is_killed(
    processes: bool, forks: Server, small: Path, tmp_path: Path, expected: dict
) -> None:
    data_dir = tmp_path / "fuse" / "built"
    argv = [*build_arguments(small, data_dir, *SHARDS), "--workers", "2"]
    with by_fuse(tmp_path / "fuse", tmp_path / "branch") as (_, server):
        first = after_shards(killing(server), processes=processes)
        ended = forks.run(argv, data_dir, first=first, processes=processes)
        assert_told(ended, data_dir, "its file system or its server is not reached any more")
        again = forks.run(argv, data_dir)
        assert again.status == 1
        assert "Transport endpoint is not connected" in again.err, again
    data_dir = tmp_path / "branch" / "built"
    ended = forks.run([*build_arguments(small, data_dir, *SHARDS), "--workers", "2"], data_dir)
    assert ended.status == 0, ended
    assert differences(data_dir, expected) == []
