"""What programs say of quotas. `tests/promises/test_quotas.py` has quotas of real file systems."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import environment

from imagenet_builders.write import quota
from imagenet_builders.write.quota import Quota, Quotas
from imagenet_builders.write.space import check_space, room_in

# As quota 4.06 prints it with `-w -p -v --show-mntpoint --hide-device`. Source: its quota.c.
QUOTA = """\
Disk quotas for user ann (uid 12001): 
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
       /srv/a b      {used} {soft}  {hard}       0       5{star}    {soft_files}     {hard_files}       0
"""  # noqa: E501, W291
# Source: the manual of Lustre, "Setting quotas"; a name of more than 15 letters has its own line.
LUSTRE = """\
/mnt/lustre/scratch
                  1024*   900     1500    6d23h  12       10       100      -
"""


def said(used: str = "10240", soft: int = 0, hard: int = 51200, **files: object) -> str:
    values: dict[str, object] = {"soft_files": 0, "hard_files": 0, "star": " "} | files
    return QUOTA.format(used=used, soft=soft, hard=hard, **values)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        (said(), (40960 << 10, None)),
        (said(soft=20480), (40960 << 10, None)),  # It may be exceeded for some days.
        (said(soft=20480, hard=0), (10240 << 10, None)),
        (said("51201*", hard_files=100), (0, 95)),
        (said(hard=0), None),
        (said(hard=0, hard_files=4, star="*"), (None, 0)),
        (said("12345678901", hard=99999999999), (87654321098 << 10, None)),
        (said("none"), None),
        (said().replace("/srv/a b", "/srv"), None),
        ("", None),
        ("Disk quotas for user ann (uid 12001): none\n", None),
        ("/srv/a b 1 2 3\n", None),
        ("/srv/a b 1 2 -3 0 1 2 3 0\n", None),
        ("/srv/a b 1 2 9\x1b[2J 0 1 2 3 0\n", None),
    ],
)
def test_what_a_quota_leaves(text: str, limits: object) -> None:
    assert quota._limits(text, "/srv/a b") == limits


def test_what_a_quota_of_lustre_leaves() -> None:
    assert quota._limits(LUSTRE, "/mnt/lustre/scratch") == ((1500 - 1024) << 10, 88)


def test_the_tightest_of_the_groups_of_a_subvolume_counts() -> None:
    said = (
        "Qgroupid    Referenced    Exclusive  Max referenced  Max exclusive   Path \n"
        "--------    ----------    ---------  --------------  -------------   ---- \n"
        "0/256            16384        16384        52428800           none   sub\n"
        "1/1              16384        16384        31457280       31457281   <0 member qgroups>\n"
    )
    assert quota._of_subvolumes(said) == Quotas(
        (Quota("its subvolume", 31457280 - 16384, None),), are_seen=True
    )
    assert quota._of_subvolumes(said.replace("52428800", "none")[:270]).there == ()


def test_where_a_file_system_is_mounted_is_found() -> None:
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
        r"2 1 8:2 / /srv/a\040b rw shared:1 - xfs /dev/sdb rw,usrquota",
    ]
    assert list(quota._mounts(lines)) == [("/", "ext4"), ("/srv/a b", "xfs")]


def test_the_working_directory_and_the_path_offer_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may write there."""
    for name in ("quota", "btrfs", "lfs"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
        program.chmod(0o755)
    code = (
        "from imagenet_builders.write import quota; from pathlib import Path; "
        "quota.quotas_of(Path('/')); "
        "[quota._said(name) for name in ('quota', 'btrfs', 'lfs')]"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(PATH=f"{tmp_path}:.:{os.environ['PATH']}"),
        check=True,
        timeout=300,
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a file that root owns")
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o644])
def test_a_program_that_others_may_change_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setattr(quota, "_DIRECTORIES", (str(tmp_path),))
    shutil.copy("/bin/true", tmp_path / "quota")
    (tmp_path / "quota").chmod(0o755)
    assert quota._program("quota") == str(tmp_path / "quota")
    (tmp_path / "quota").chmod(mode)
    assert quota._program("quota") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a file that root owns")
@pytest.mark.parametrize("script", ["sleep 60", "exec sleep 60", "echo no >&2", "exit 3"])
def test_a_program_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(quota, "_DIRECTORIES", (str(tmp_path), "/bin", "/usr/bin"))
    monkeypatch.setattr(quota, "_SECONDS", 0.1)
    (tmp_path / "btrfs").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "btrfs").chmod(0o755)
    assert quota._said("btrfs", "qgroup") is None


def test_the_room_is_that_of_the_tightest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = room_in(tmp_path)
    assert (whole.quota, whole.files_quota) == (None, None)
    there = (Quota("user ann", 1 << 20, None), Quota("group some", 1 << 50, 7))
    monkeypatch.setattr(
        "imagenet_builders.write.space.quotas_of", lambda directory: Quotas(there, are_seen=True)
    )
    room = room_in(tmp_path)
    assert (room.free, room.quota) == (1 << 20, "user ann")
    assert (room.free_files, room.files_quota) == (7, "group some")
    with pytest.raises(Exception, match=r"has 1\.0 MB free under the quota of user ann, but 17\.8"):
        check_space(tmp_path, 1 << 20, 1)
