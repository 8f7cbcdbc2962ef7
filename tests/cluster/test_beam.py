"""Builds whose work is done by Beam, in the ways it is asked for, and what can go wrong there."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support import runners
from support.building import build
from support.built_datasets import assert_same_files, files_of
from support.processes import environment, run

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import OptionError
from imagenet_builders.run.beam import options as beam_options


@pytest.mark.slow
def test_tfds_own_command_builds_with_beam(
    large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    done = run(
        [
            Path(sys.executable).parent / "tfds",
            "build",
            "--imports=imagenet_builders",
            "imagenet2012",
            f"--manual_dir={large_corpus}",
            f"--data_dir={tmp_path}",
            "--num_shards=8",
            f"--beam_pipeline_options={runners.PROCESSES},direct_num_workers=2",
        ]
    )
    assert_same_files(files_of(tmp_path / "imagenet2012/5.1.0"), large_built)
    assert "DirectRunner: write_shard: 24 work items done by 2 processes" in done.stderr


def test_the_python_interface_takes_a_runner_and_its_options(
    large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.direct.direct_runner import DirectRunner

    directory = build(
        Builder,
        large_corpus,
        tmp_path,
        num_shards=8,
        beam_runner=DirectRunner(),
        beam_options=PipelineOptions(["--direct_running_mode=in_memory"]),
    )
    assert_same_files(files_of(directory), large_built)


DOUBLED = """
import sys
from imagenet_builders.run.beam import workers as beam_workers
from imagenet_builders.cli import main

class Doubled(beam_workers.Pipeline):
    def __init__(self, settings, directory, items):
        super().__init__(settings, directory, items * 2)

beam_workers.Pipeline = Doubled
sys.exit(main(sys.argv[1:]))
"""


def test_work_items_that_run_twice_do_no_harm(
    large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    arguments = ["build", "imagenet2012", f"--manual-dir={large_corpus}", f"--data-dir={tmp_path}"]
    arguments += ["--num-shards=8", f"--beam-options={runners.IN_MEMORY}"]
    done = run([sys.executable, "-c", DOUBLED, *arguments])
    assert_same_files(files_of(Path(done.stdout.splitlines()[-1])), large_built)


STRAGGLING = """
import sys, threading, time
from pathlib import Path
from imagenet_builders.run.beam import workers as beam_workers
from imagenet_builders.run.beam.items import _job_in
from imagenet_builders.run.beam.seal import unsealed
from imagenet_builders.write import shard as shards
from imagenet_builders.cli import main

target = Path(sys.argv.pop(1))
threads = []

def straggle(directory, number, key, packages):
    name = f"{number}.job"
    content = unsealed(key, name, Path(directory, name).read_bytes())
    _, _, job = _job_in(content, frozenset(packages))
    try:
        # With all records written, and not yet under its name.
        shards.write_shard(job, lambda *done: writing.set() or wait()).result()
    except Exception as error:
        print("straggler:", type(error).__name__, file=sys.stderr)

writing = threading.Event()

def wait():
    while not target.exists():
        time.sleep(0.01)

class Straggling(beam_workers.Pipeline):
    def __init__(self, settings, directory, items):
        if "write_shard" in directory.path.name:
            threads.append(threading.Thread(target=straggle, args=items[0]))
            threads[-1].start()
            writing.wait()
        super().__init__(settings, directory, items)

beam_workers.Pipeline = Straggling
status = main(sys.argv[1:])
for thread in threads:
    thread.join()
sys.exit(status)
"""


def test_a_straggling_duplicate_of_an_item_leaves_nothing_in_the_dataset(
    large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    """As with speculative execution: a runner does not wait for the slower of two attempts."""
    target = tmp_path / "imagenet2012" / "5.1.0"
    arguments = ["build", "imagenet2012", f"--manual-dir={large_corpus}", f"--data-dir={tmp_path}"]
    arguments += ["--num-shards=8", f"--beam-options={runners.IN_MEMORY}"]
    done = run([sys.executable, "-c", STRAGGLING, target, *arguments])
    assert "straggler: TargetError" in done.stderr
    assert_same_files(files_of(target), large_built)
    assert sorted(path.name for path in target.parent.iterdir()) == ["5.1.0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_ends_early_leaves_no_process(
    large_corpus: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "imagenet_builders.cli", "build", "imagenet2012"]
    command += [f"--manual-dir={large_corpus}", f"--data-dir={tmp_path}"]
    command += ["--num-shards=8", f"--beam-options={runners.PROCESSES}"]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while len(children := beam_processes_of(process.pid)) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (-9 if number is signal.SIGKILL else 128 + number)
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not (tmp_path / "imagenet2012/5.1.0").exists()


def beam_processes_of(pid: int) -> list[psutil.Process]:
    """The process that runs the pipeline and those that it started, once these are workers."""
    names = ("run.beam.pipeline", "apache_beam.runners.worker.sdk_worker_main")
    found = psutil.Process(pid).children(recursive=True)
    return [
        p
        for p in found
        if p.cmdline()[0] != "/bin/sh" and any(n in str(p.cmdline()) for n in names)
    ]


def test_a_server_that_never_answers_is_given_up(
    tmp_path: Path, large_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and says nothing."""
    monkeypatch.setattr("imagenet_builders.run.beam.workers._TRIAL_SECONDS", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = f"runner=PortableRunner,job_endpoint=127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(OptionError, match="PortableRunner has done nothing in 5 s"):
            build(Builder, large_corpus, tmp_path, beam_options=beam_options.parse(options))
    assert not (tmp_path / "imagenet2012").exists()
