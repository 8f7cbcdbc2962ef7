"""A Dask scheduler and workers, processes of their own, over TCP."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from support.processes import environment


class Cluster:
    """A Dask scheduler and workers on this machine.

    Args:
        directory: Where they leave their files.
        as_user: The beginning of a command that runs as another user; `directory` is theirs.

    Attributes:
        address: Of the scheduler, as `tcp://host:port`.
        workers: The worker processes.
    """

    def __init__(self, directory: Path, as_user: Sequence[str] = ()):
        self._directory = directory
        self._as_user = as_user
        self._scheduler_file = directory / "scheduler.json"
        arguments = ["--host=127.0.0.1", "--port=0", f"--scheduler-file={self._scheduler_file}"]
        self.scheduler = self._start("scheduler", *arguments)
        self.workers: list[psutil.Process] = []
        try:
            # It is there for a moment before it says anything.
            wait_until(lambda: self._file_size() > 0)
            self.address: str = json.loads(self._scheduler_file.read_text())["address"]
        except BaseException:
            self.stop()
            raise

    def _file_size(self) -> int:
        return self._scheduler_file.stat().st_size if self._scheduler_file.exists() else 0

    def add_worker(self, **changes: str) -> psutil.Process:
        # Without a nanny, which would start another worker for one that is killed.
        arguments = [self.address, "--nthreads=1", "--no-nanny", "--host=127.0.0.1"]
        arguments += [f"--local-directory={self._directory}"]
        self.workers.append(self._start("worker", *arguments, **changes))
        return self.workers[-1]

    def wait_for_workers(self, count: int = 2) -> None:
        """Workers join when they have started up; a build does not wait for more than one."""
        from distributed import Client

        with Client(self.address, timeout=30) as client:
            client.wait_for_workers(count, timeout=60)

    def _start(self, kind: str, *arguments: str, **changes: str) -> psutil.Process:
        return psutil.Popen(
            [
                *self._as_user,
                sys.executable,
                "-m",
                "distributed.cli.dask_" + kind,
                "--no-dashboard",
                *arguments,
            ],
            env=environment(**changes),
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=open(self._directory / f"{kind}.log", "ab"),
        )

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([*self.workers, self.scheduler], timeout=20)

    @property
    def options(self) -> str:
        """The options of a pipeline that runs on this cluster."""
        return f"runner=DaskRunner,dask_client_address={self.address}"


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits until something is so; fails if it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
