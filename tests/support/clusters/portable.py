"""What Flink and Spark are to Beam: a job service that takes pipelines, and pools of workers.

Both are Beam's own, in Python, as processes of this machine; work items come to workers over gRPC.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from support.clusters.ports import free_port, wait_for_port
from support.processes import environment


class Servers:
    """A job service, and as many pools of workers as are asked for."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "servers.log"
        self.processes: list[psutil.Popen] = []
        self.job_port = free_port()
        service = "apache_beam.runners.portability.local_job_service_main"
        self._start(service, f"--port={self.job_port}", wait_for=self.job_port)

    def add_pool(self, **changes: str) -> str:
        """Starts a pool of workers; its address."""
        port = free_port()
        pool = "apache_beam.runners.worker.worker_pool_main"
        self._start(pool, f"--service_port={port}", wait_for=port, **changes)
        return f"localhost:{port}"

    def _start(self, module: str, *arguments: str, wait_for: int, **changes: str) -> None:
        # A pool starts its workers as `python`.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        process = psutil.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment(PATH=path, **changes),
            cwd=self._log.parent,
            stdout=subprocess.DEVNULL,
            stderr=open(self._log, "ab"),  # noqa: SIM115
        )
        self.processes.append(process)
        wait_for_port(process, wait_for)

    def options(self, pool: str) -> str:
        """The options of a pipeline whose items this pool of workers does."""
        return (
            f"runner=PortableRunner,job_endpoint=localhost:{self.job_port},"
            f"environment_type=EXTERNAL,environment_config={pool}"
        )

    def workers(self) -> list[psutil.Process]:
        return [child for each in self.processes for child in each.children(recursive=True)]

    def stop(self) -> None:
        everything = [*self.workers(), *self.processes]
        for process in everything:
            process.kill()
        psutil.wait_procs(everything, timeout=20)
