"""What is flushed to the storage."""

from __future__ import annotations

import os

import pytest


def flushes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes that are flushed from now on, one by one."""
    flushed: list[int] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        fsync(fd)
        flushed.append(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    return flushed
