"""Quotas of real file systems: `check` and a build count them, and say whose they are."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.paths import DUMMY_DATA
from support.processes import run_cli, run_python

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")

SOURCES = DUMMY_DATA / "imagenet2012"

USER, GROUP, PROJECT = 12001, 12000, 7
LIMIT = "20"  # MiB, of which a build needs some for itself.


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes a file system in a file and mounts it."""
    with contextlib.ExitStack() as stack:

        def make(command: list[str], options: str) -> Path:
            program = shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin")
            if program is None:
                pytest.skip(f"{command[0]} is not installed")
            image, place = tmp_path / "image", tmp_path / "mounted"
            image.touch()
            os.truncate(image, 400 << 20)
            place.mkdir()
            subprocess.run([program, *command[1:], image], check=True, capture_output=True)
            done = subprocess.run(
                ["mount", "-o", f"loop,{options}", image, place], capture_output=True, check=False
            )
            if done.returncode:
                pytest.skip(f"this kernel cannot mount {command[0]} with {options}")
            stack.callback(lambda: subprocess.run(["umount", "-l", place], check=True))
            place.chmod(0o777)
            return place

        yield make


def does(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]}: {done.stderr or done.stdout}")


def needs(data_dir: Path) -> dict[str, Any]:
    """What a check says of the directory for datasets."""
    done = run_cli("check", SOURCES, "--data-dir", data_dir, "--json", check=False)
    output: dict[str, Any] = json.loads(done.stdout)["needs"]["output"]
    return output


# The room of a directory, as a user who is not root sees it.
_SEEN = f"""
import json, os, sys
from pathlib import Path
from imagenet_builders.write.space import room_in
os.chdir(sys.argv[1])  # What is above it is root's.
os.setgroups([]); os.setgid({GROUP}); os.setuid({USER})
print(json.dumps(vars(room_in(Path()))))
"""


def test_a_quota_of_btrfs_is_counted_and_stops_a_build_before_it_writes(
    loop: Callable[..., Path],
) -> None:
    place = loop(["mkfs.btrfs", "-q", "-f"], "rw")
    sub = place / "sub"
    does("btrfs", "subvolume", "create", sub)
    whole = needs(sub / "data")
    assert (whole["quota"], whole["quotas_seen"]) == (None, True)
    does("btrfs", "quota", "enable", place)
    does("btrfs", "qgroup", "limit", f"{LIMIT}M", sub)
    output = needs(sub / "data")
    # The file system itself says nothing of it.
    assert os.statvfs(sub).f_bavail * os.statvfs(sub).f_frsize > 100 << 20
    assert 0 < output["free_bytes"] <= int(LIMIT) << 20
    assert (output["quota"], output["quotas_seen"]) == ("its subvolume", True)
    text = run_cli("check", SOURCES, "--data-dir", sub / "data").stdout
    assert "MB free under the quota of its subvolume" in text
    does("btrfs", "qgroup", "limit", "8M", sub)
    done = run_cli(
        "build", "imagenet2012", "--manual-dir", SOURCES, "--data-dir", sub / "data", check=False
    )
    assert done.returncode == 1
    assert "MB free under the quota of its subvolume, but 1" in done.stderr
    assert "free some space, or choose another --data-dir" in done.stderr


def test_who_may_not_ask_for_quotas_is_told_that_they_are_not_seen(
    loop: Callable[..., Path],
) -> None:
    place = loop(["mkfs.btrfs", "-q", "-f"], "rw")
    assert "quotas not seen" not in run_cli("check", SOURCES, "--data-dir", place).stdout
    assert json.loads(run_python(_SEEN, place))["quotas_seen"] is False


_WITH_QUOTAS = {
    "ext4": (
        ["mkfs.ext4", "-q", "-F", "-O", "quota,project", "-E",
         "quotatype=usrquota:grpquota:prjquota"],
        "usrquota,grpquota,prjquota",
    ),
    "xfs": (["mkfs.xfs", "-q", "-f"], "uquota,gquota,pquota"),
}  # fmt: skip


@pytest.mark.parametrize("kind", _WITH_QUOTAS)
@pytest.mark.parametrize(("flag", "number"), [("-u", USER), ("-g", GROUP)])
def test_quotas_of_users_and_groups_are_counted(
    loop: Callable[..., Path], kind: str, flag: str, number: int
) -> None:
    place = loop(*_WITH_QUOTAS[kind])
    does("setquota", flag, str(number), "0", f"{int(LIMIT) << 10}", "0", "50", place)
    whose = "user" if flag == "-u" else "group"
    room = json.loads(run_python(_SEEN, place))
    assert 0 < room["free"] <= int(LIMIT) << 20
    assert 0 < room["free_files"] <= 50
    assert (room["quota"].split()[0], room["quotas_seen"]) == (whose, True)


@pytest.mark.parametrize("kind", _WITH_QUOTAS)
def test_quotas_of_projects_are_counted(loop: Callable[..., Path], kind: str) -> None:
    place = loop(*_WITH_QUOTAS[kind])
    (place / "data").mkdir()
    does("chattr", "-p", str(PROJECT), "+P", place / "data")
    does("setquota", "-P", str(PROJECT), "0", f"{int(LIMIT) << 10}", "0", "50", place)
    output = needs(place / "data")
    assert 0 < output["free_bytes"] <= int(LIMIT) << 20
    assert 0 < output["free_files"] <= 50
