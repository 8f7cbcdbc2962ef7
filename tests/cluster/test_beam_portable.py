"""Builds over Beam's portability framework: a job service and a worker pool, as processes.

It is what Flink and Spark are driven by: the pipeline goes to a job service as a message, and work
items come to workers over gRPC. This job service is Beam's own, in Python, on this machine.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from makers import ilsvrc2012_large
from support.building import built_by_cli
from support.built_datasets import shards
from support.processes import environment, run

pytestmark = pytest.mark.slow


def wait_for_port(process: psutil.Popen, port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=5).close()
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


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
        return (
            f"--beam-options=runner=PortableRunner,job_endpoint=localhost:{self.job_port},"
            f"environment_type=EXTERNAL,environment_config={pool}"
        )

    def workers(self) -> list[psutil.Process]:
        return [child for each in self.processes for child in each.children(recursive=True)]

    def stop(self) -> None:
        everything = [*self.workers(), *self.processes]
        for process in everything:
            process.kill()
        psutil.wait_procs(everything, timeout=20)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path)
    try:
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("manual")
    ilsvrc2012_large.make_large_corpus(directory, gigabytes=0.04, classes=5, test_fraction=0.05)
    return directory


def content(directory: Path) -> dict[str, bytes]:
    """All files of a built dataset but the one that says when it was built."""
    names = {path.name for path in directory.iterdir()} - {"provenance.json"}
    return {name: (directory / name).read_bytes() for name in names}


def command(manual_dir: Path, data_dir: Path, *options: str) -> list[str | Path]:
    start = [sys.executable, "-m", "imagenet_builders.cli", "build", "imagenet2012"]
    return [*start, f"--manual-dir={manual_dir}", f"--data-dir={data_dir}", *options]


def test_a_build_through_a_job_service_has_the_same_bytes_also_after_its_workers_died(
    servers: Servers, manual_dir: Path, tmp_path: Path
) -> None:
    local = content(built_by_cli(manual_dir, tmp_path / "local", "--num-shards=8"))
    data_dir = tmp_path / "data"
    build = command(manual_dir, data_dir, "--num-shards=8", servers.options(servers.add_pool()))
    process = subprocess.Popen(
        build, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(data_dir.rglob("write_shard-*/*.outcome")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for worker in servers.workers():
        worker.send_signal(signal.SIGKILL)
    # This job service waits for ever for a worker that died, where Flink and Spark start another.
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 128 + signal.SIGTERM)  # It may have been done already.
    assert "Traceback" not in said
    done = run(build)
    directory = data_dir / "imagenet2012" / "5.1.0"
    assert len(shards(directory)) == 24
    assert content(directory) == local
    assert [path.name for path in directory.parent.iterdir()] == ["5.1.0"]
    assert "by 1 process on 1 machine" in done.stderr or process.returncode == 0


def test_what_is_wrong_with_servers_or_workers_is_one_sentence_before_any_work(
    servers: Servers, manual_dir: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "imagenet_builders.py").write_text("raise ImportError('not installed here')\n")
    path = os.pathsep.join([str(hidden), environment()["PYTHONPATH"]])
    for pool, said in [
        (servers.add_pool(PYTHONPATH=path), "not installed here"),
        (f"localhost:{free_port()}", "onnection refused"),
    ]:
        done = run(command(manual_dir, tmp_path / "data", servers.options(pool)), check=False)
        assert done.returncode == 2
        trial, sentence = done.stderr.splitlines()
        assert trial == "imagenet-builders: trying the PortableRunner with one work item"
        assert sentence.startswith("imagenet-builders: error: the Beam pipeline on PortableRunner")
        assert said in sentence
        assert not (tmp_path / "data").exists()
