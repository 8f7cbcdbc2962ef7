"""Small file systems of a test's own, mounted in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
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


@contextlib.contextmanager
def on_a_loop_device(directory: Path, kind: str) -> Iterator[Path]:
    """Mounts a new ext4 or XFS, of a sparse file, on a directory that it makes."""
    directory.mkdir()
    image = directory.with_name(f"{directory.name}.{kind}")
    with image.open("wb") as file:
        file.truncate(400 << 20)
    try:
        for command in (
            [f"mkfs.{kind}", "-q", str(image)],
            ["mount", "-o", "loop", str(image), str(directory)],
        ):
            _run_or_skip(command)
        try:
            yield directory
        finally:
            subprocess.run(["umount", "-l", str(directory)], check=True)
    finally:
        image.unlink()


@contextlib.contextmanager
def overlay(directory: Path, lower: Path) -> Iterator[Path]:
    """Mounts an overlay with an empty upper layer on a directory, which may be there.

    Args:
        directory: Where it is mounted; the upper layer is beside it.
        lower: The lower layer.
    """
    layers = [directory.with_name(f"{directory.name}.{name}") for name in ("upper", "work")]
    for path in (directory, *layers):
        path.mkdir(exist_ok=True)
    upper, work = layers
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    _run_or_skip(["mount", "-t", "overlay", "-o", options, "overlay", str(directory)])
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)
        for path in layers:
            shutil.rmtree(path)


@contextlib.contextmanager
def by_fuse(directory: Path, branch: Path) -> Iterator[tuple[Path, int]]:
    """Mounts a directory by FUSE (mergerfs) on another; yields that, and its server's process."""
    for path in (directory, branch):
        path.mkdir()
    if shutil.which("mergerfs") is None:
        pytest.skip("mergerfs is not installed")
    server = subprocess.Popen(
        ["mergerfs", "-f", str(branch), str(directory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            if os.path.ismount(directory):
                break
            if server.poll() is not None:
                pytest.skip("a FUSE file system cannot be mounted here")
            time.sleep(0.05)
        yield directory, server.pid
    finally:
        server.kill()
        server.wait()
        subprocess.run(["umount", "-l", str(directory)], check=False, stderr=subprocess.DEVNULL)


def _run_or_skip(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
