"""Measures the pool of worker processes against `loky`, which this project does not need.

    python benchmarks/worker_pool.py

The page `docs/decisions/worker-pool.md` cites the figures.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from imagenet_builders.run.local import LocalWorkers

WORKERS = 2
SMALL_JOBS = 20_000
LARGE_JOBS = 400
LARGE_BYTES = 400_000  # As the job of a shard.
READ_AHEAD_JOBS = 40
READ_SECONDS = WORK_SECONDS = 0.05

Run = Callable[..., Iterator[Any]]


def size(job: bytes, report: object) -> int:
    return len(job)


def work(job: Path, report: object) -> float:
    """Waits until what it reads is there, then works; the storage is a sleep."""
    if not job.exists():
        read(job)
    time.sleep(WORK_SECONDS)
    return 0.0


def read(job: Path) -> None:
    time.sleep(READ_SECONDS)
    job.touch()


def stay(job: Path, report: object) -> None:
    (job / str(os.getpid())).touch()
    time.sleep(20)


def ours(function: Any, jobs: Iterable[Any], prefetch: Any = None) -> Iterator[Any]:
    with LocalWorkers(WORKERS) as workers:
        yield from (result for _, result in workers.run(function, jobs, prefetch=prefetch))


def loky(function: Any, jobs: Iterable[Any], prefetch: Any = None) -> Iterator[Any]:
    with importlib.import_module("loky").ProcessPoolExecutor(WORKERS) as executor:
        yield from executor.map(function, jobs, [None] * len(list(jobs)))


def cost(run: Run, *arguments: Any) -> str:
    """Wall time of a run, and processor time of this process and its children."""

    def processor() -> tuple[float, float]:
        own, children = (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime

    before, started = processor(), time.monotonic()
    list(run(*arguments))
    seconds = time.monotonic() - started
    own, children = (after - first for first, after in zip(before, processor(), strict=True))
    return f"{seconds:6.2f} s, processor: {own:5.2f} s here, {children:5.2f} s in workers"


def survivors(name: str) -> str:
    """How long workers live whose parent is killed while they work."""
    with tempfile.TemporaryDirectory() as directory:
        parent = subprocess.Popen([sys.executable, __file__, name, directory])
        while len(os.listdir(directory)) < WORKERS:
            time.sleep(0.01)
        workers = [psutil.Process(int(pid)) for pid in os.listdir(directory)]
        parent.send_signal(signal.SIGKILL)
        started = time.monotonic()
        parent.wait()
        _, alive = psutil.wait_procs(workers, timeout=60)
        return f"{time.monotonic() - started:.1f} s" if not alive else "more than 60 s"


def main() -> None:
    for name, run in (("ours", ours), ("loky", loky)):
        small, large = [b"x"] * SMALL_JOBS, [bytes(LARGE_BYTES)] * LARGE_JOBS
        print(name)
        print(f"  start, {WORKERS} jobs      ", cost(run, size, [b"x"] * WORKERS))
        print(f"  {SMALL_JOBS:,} small jobs   ", cost(run, size, small))
        print(f"  {LARGE_JOBS} jobs of 400 kB  ", cost(run, size, large))
        with tempfile.TemporaryDirectory() as directory:
            files = [Path(directory, str(number)) for number in range(READ_AHEAD_JOBS)]
            print("  reading ahead      ", cost(run, work, files, read))
        print("  workers outlive a killed parent by", survivors(name))


if __name__ == "__main__":
    import worker_pool  # Functions of a script could not be found by workers.

    if len(sys.argv) > 1:
        run = {"ours": worker_pool.ours, "loky": worker_pool.loky}[sys.argv[1]]
        list(run(worker_pool.stay, [Path(sys.argv[2])] * WORKERS))
    else:
        worker_pool.main()
