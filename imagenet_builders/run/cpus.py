"""The number of CPUs that a build may use, which is the default number of its workers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from imagenet_builders.options import BuildOptions


def usable_cpus() -> int:
    """CPUs that this process may use, by affinity and by cgroup quota (so Slurm is respected)."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cpus = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(cpus, _cgroup_quota() or cpus))


def worker_count(options: BuildOptions) -> int:
    """Number of worker processes: the one in the options, or one for each usable CPU."""
    return options.workers or usable_cpus()


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """CPUs granted by control groups (v2 or v1), or None without a quota."""
    quotas = []
    for directory in _cgroup_directories(root):
        with contextlib.suppress(OSError, ValueError):
            quota, period = (directory / "cpu.max").read_text().split()
            if quota != "max":
                quotas.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError):
            quota_us = int((directory / "cpu.cfs_quota_us").read_text())
            if quota_us > 0:
                quotas.append(quota_us / int((directory / "cpu.cfs_period_us").read_text()))
    return max(1, int(min(quotas))) if quotas else None


def _cgroup_directories(root: Path) -> Iterator[Path]:
    """The control groups of this process and those above them: a quota holds for all below it."""
    yield from (root, root / "cpu")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        directory = root / "cpu" if controllers else root
        for part in Path(path).parts[1:]:
            directory /= part
            yield directory
