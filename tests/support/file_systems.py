"""Small file systems of a test's own, mounted in memory."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(directory: Path, options: str) -> Iterator[Path]:
    """Mounts a small file system in memory, with options of tmpfs, on a directory that it makes."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def remount(directory: Path, options: str) -> None:
    """Changes the options of a mounted file system, such as its size."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(directory)], check=True)
