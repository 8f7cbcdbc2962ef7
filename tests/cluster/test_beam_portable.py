"""Builds over Beam's portability framework: a job service and a worker pool, as processes.

It is what Flink and Spark are driven by: the pipeline goes to a job service as a message, and work
items come to workers over gRPC. This job service is Beam's own, in Python, on this machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.built_datasets import files_of, shards
from support.clusters.portable import Servers
from support.clusters.ports import free_port
from support.processes import environment, run

pytestmark = pytest.mark.slow


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path)
    try:
        yield servers
    finally:
        servers.stop()


def command(manual_dir: Path, data_dir: Path, *options: str) -> list[str | Path]:
    start = [sys.executable, "-m", "imagenet_builders.cli", "build", "imagenet2012"]
    return [*start, f"--manual-dir={manual_dir}", f"--data-dir={data_dir}", *options]


def test_a_build_through_a_job_service_gives_the_same_bytes_even_after_its_workers_died(
    servers: Servers, large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    build = command(
        large_corpus,
        data_dir,
        "--num-shards=8",
        f"--beam-options={servers.options(servers.add_pool())}",
    )
    process = subprocess.Popen(
        build, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(data_dir.rglob("write_shard-*/*.outcome")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for worker in servers.workers():
        worker.send_signal(signal.SIGKILL)
    # This job service never stops waiting for a dead worker; Flink and Spark start another.
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 128 + signal.SIGTERM)  # It may have been done already.
    assert "Traceback" not in said
    done = run(build)
    directory = data_dir / "imagenet2012" / "5.1.0"
    assert len(shards(directory)) == 24
    assert files_of(directory) == large_built
    assert [path.name for path in directory.parent.iterdir()] == ["5.1.0"]
    assert "by 1 process on 1 machine" in done.stderr or process.returncode == 0


def test_bad_servers_or_workers_are_one_sentence_before_any_work(
    servers: Servers, large_corpus: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "imagenet_builders.py").write_text("raise ImportError('not installed here')\n")
    path = os.pathsep.join([str(hidden), environment()["PYTHONPATH"]])
    for pool, said in [
        (servers.add_pool(PYTHONPATH=path), "not installed here"),
        (f"localhost:{free_port()}", "onnection refused"),
    ]:
        done = run(
            command(large_corpus, tmp_path / "data", f"--beam-options={servers.options(pool)}"),
            check=False,
        )
        assert done.returncode == 2
        trial, sentence = done.stderr.splitlines()
        assert trial == "trying the PortableRunner with one work item"
        assert sentence.startswith("imagenet-builders: error: the Beam pipeline on PortableRunner")
        assert said in sentence
        assert not list((tmp_path / "data").glob("imagenet2012*"))
