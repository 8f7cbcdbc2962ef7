"""Quotas: what a user, a group or a subvolume may still write, as far as the system tells.

Those of projects, on ext4, XFS and Lustre, are in what `statvfs` says. For the others there is a
program of each family of file systems: `quota`, `lfs`, `btrfs`. Not every one of them answers
everybody; then it is said that quotas are not seen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import grp
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# Programs are looked for nowhere else, and run only if root alone can change them.
_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
# A server that does not answer is not waited for any longer.
_SECONDS = 5.0
_KIB = 1024

_BY_QUOTA = frozenset({"ext2", "ext3", "ext4", "xfs", "jfs", "gfs2", "ocfs2", "nfs", "nfs4"})
_BTRFS_ROW = re.compile(r"\d+/\d+\s+(\d+)\s+(\d+)\s+(\d+|none)\s+(\d+|none)(?:\s.*)?")


@dataclasses.dataclass(frozen=True)
class Quota:
    """What a quota leaves.

    Attributes:
        whose: Whose it is, in words.
        free: Bytes; None where it has no limit.
        free_files: Files; None where it has no limit.
    """

    whose: str
    free: int | None
    free_files: int | None


@dataclasses.dataclass(frozen=True)
class Quotas:
    """What is known of the quotas of a directory.

    Attributes:
        there: Those that have a limit.
        are_seen: Whether these are all: the system has told.
    """

    there: tuple[Quota, ...] = ()
    are_seen: bool = False


def quotas_of(directory: Path) -> Quotas:
    """The quotas that bind this process when it writes to a directory.

    Args:
        directory: An existing directory.

    Returns:
        Them; it never fails, and takes some seconds at most.
    """
    try:
        status = os.stat(directory)
        mount, kind = _mount_of(os.path.realpath(directory))
    except (OSError, ValueError):
        return Quotas()
    # In a directory with this bit, files get its group.
    group = status.st_gid if status.st_mode & stat.S_ISGID else os.getegid()
    if kind == "btrfs":
        place = os.path.realpath(directory)
        said = _said("btrfs", "qgroup", "show", "--raw", "-reF", place, none="quotas not enabled")
        return Quotas() if said is None else _of_subvolumes(said)
    if kind not in _BY_QUOTA and kind != "lustre":
        return Quotas()
    if os.geteuid() == 0:
        return Quotas(are_seen=True)  # Root is not bound.
    found: list[Quota] = []
    for flag, number, whose in (
        ("-u", os.geteuid(), f"user {_name_of_user(os.geteuid())}"),
        ("-g", group, f"group {_name_of_group(group)}"),
    ):
        said = _asked(kind, flag, number, mount)
        if said is None:
            return Quotas(tuple(found))
        limits = _limits(said, mount)
        if limits is not None:
            found.append(Quota(whose, *limits))
    return Quotas(tuple(found), are_seen=True)


def _asked(kind: str, flag: str, number: int, mount: str) -> str | None:
    """What the program of a file system says of a user's or group's quota; None for nothing."""
    if kind == "lustre":
        return _said("lfs", "quota", "-q", flag, str(number), mount)
    # `-v`: also where nothing is used yet. `-p`: no column is empty.
    more = ("-w", "-p", "-v", "--show-mntpoint", "--hide-device", f"--filesystem={mount}")
    return _said("quota", flag, *more, f"{number}")


def _limits(said: str, mount: str) -> tuple[int | None, int | None] | None:
    """Bytes and files that are left by the line of a file system; None if there is no limit.

    The columns are its name, then for blocks of 1 KiB, and for files: used, soft limit, limit,
    grace.
    What is used has a star behind it if it is too much, and brackets if it is a guess.
    """
    # `lfs` writes a long name on a line of its own.
    for line in re.sub(rf"{re.escape(mount)}\s*\n", f"{mount} ", said).splitlines():
        name, *columns = line.rsplit(maxsplit=8)
        if name.strip() != mount or len(columns) != 8:
            continue
        numbers = [re.fullmatch(r"\[?(\d+)\]?\*?", column) for column in columns]
        wanted = [numbers[at] for at in (0, 1, 2, 4, 5, 6)]
        if not all(wanted):
            return None
        used, soft, hard, files, soft_files, hard_files = (int(n[1]) for n in wanted if n)
        left = _left(used * _KIB, (hard or soft) * _KIB)
        left_files = _left(files, hard_files or soft_files)
        return None if left is None and left_files is None else (left, left_files)
    return None


def _left(used: int, limit: int) -> int | None:
    return max(0, limit - used) if limit else None


def _of_subvolumes(said: str) -> Quotas:
    """The quota groups of a subvolume of btrfs, from the table that `btrfs qgroup show` prints."""
    left = []
    for row in map(_BTRFS_ROW.fullmatch, map(str.strip, said.splitlines())):
        if row is not None:
            for used, limit in ((row[1], row[3]), (row[2], row[4])):
                if limit != "none":
                    left.append(max(0, int(limit) - int(used)))
    if not left:
        return Quotas(are_seen=True)
    return Quotas((Quota("its subvolume", min(left), None),), are_seen=True)


def _said(program: str, *arguments: str, none: str = "") -> str | None:
    """What a program of the system prints; None if it is not there, or cannot tell.

    Args:
        program: Its name.
        *arguments: Its arguments.
        none: With these words it complains that there are no quotas.
    """
    path = _program(program)
    if path is None:
        return None
    try:
        process = subprocess.Popen(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"LC_ALL": "C", "PATH": os.pathsep.join(_DIRECTORIES)},
        )
    except OSError:
        return None
    try:
        said, complaint = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        # One that waits for a server of files cannot be killed, and is left alone.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=1.0)
        return None
    if none and none in complaint.decode("utf-8", "replace"):
        return ""
    # `quota` ends with 1 also when a quota is used up.
    if complaint.strip() or (process.returncode and not said.strip() and program != "quota"):
        return None
    return said.decode("utf-8", "surrogateescape")


def _program(name: str) -> str | None:
    for directory in _DIRECTORIES:
        path = os.path.join(directory, name)
        with contextlib.suppress(OSError):
            status = os.stat(path)
            if (
                stat.S_ISREG(status.st_mode)
                and status.st_uid == 0
                and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
                and os.access(path, os.X_OK)
            ):
                return path
    return None


def _mount_of(path: str) -> tuple[str, str]:
    """Where the file system of a path is mounted, and its kind."""
    found = ("", "")
    with open("/proc/self/mountinfo", "rb") as file:
        for mount, kind in _mounts(file.read().decode("utf-8", "surrogateescape").splitlines()):
            is_above = path == mount or path.startswith(mount.rstrip("/") + "/")
            # Of several on one directory, the last is seen.
            if is_above and len(mount) >= len(found[0]):
                found = (mount, kind)
    return found


def _mounts(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Source: proc_pid_mountinfo(5); spaces and the like in names are octal numbers."""
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = before.split(" ")[4]
        yield re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), mount), after.split(" ")[0]


def _name_of_user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _name_of_group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
