"""Work items of Beam pipelines: the same results, errors and bytes as in processes of our own.

The pipelines of most tests run in this process (Beam's `in_memory` mode): what is tested is what an
item does and what is made of it. Builds run with worker processes, and in `test_dask.py` on a
cluster.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from makers import ilsvrc2012_large
from support import jobs_for_workers as jobs
from support.building import build, built_by_cli
from support.built_datasets import shards
from support.processes import environment, run

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import BadImageError, OptionError, WorkerError
from imagenet_builders.run.beam import items
from imagenet_builders.run.beam import options as beam_options
from imagenet_builders.run.beam.items import get_outcome, put_job, run_item
from imagenet_builders.run.beam.workers import BeamWorkers

IN_MEMORY = "runner=DirectRunner,direct_running_mode=in_memory,direct_num_workers=1"
PROCESSES = "runner=DirectRunner"


def beam_workers(exchange: Path, options: str = IN_MEMORY) -> BeamWorkers:
    return BeamWorkers(beam_options.check(None, beam_options.parse(options), workers=2), exchange)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[BeamWorkers]:
    with beam_workers(tmp_path / "exchange") as workers:
        yield workers
    assert not (tmp_path / "exchange").exists()


# --- lists of jobs ---------------------------------------------------------------------------


def test_each_job_gives_its_result_at_its_position_and_progress_adds_up(
    workers: BeamWorkers,
) -> None:
    told: list[tuple[int, int]] = []
    results = dict(workers.run(jobs.count, range(9), report=lambda *done: told.append(done)))
    assert results == {number: number for number in range(9)}
    assert sorted(told) == [(number, 100 * number) for number in range(9)]


@pytest.mark.parametrize("number", [0, 1])
def test_there_may_be_one_job_or_none(workers: BeamWorkers, number: int) -> None:
    assert len(list(workers.run(jobs.square, range(number)))) == number


def test_each_job_is_prefetched_and_a_prefetch_may_fail(
    workers: BeamWorkers, tmp_path: Path
) -> None:
    files = [str(tmp_path / str(number)) for number in range(3)]
    list(workers.run(jobs.echo, files, prefetch=jobs.note))
    assert [Path(file).read_text() for file in files] == ["asked for\n"] * 3
    failing = jobs.fail_to_prefetch
    assert len(list(workers.run(jobs.echo, files, prefetch=failing))) == 3


def test_errors_travel_as_they_are_and_leave_nothing_over(
    workers: BeamWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="No space left") as full:
        list(workers.run(jobs.fail, ["/shard"] * 5))
    assert (full.value.errno, full.value.filename) == (28, "/shard")
    with pytest.raises(BadImageError) as bad:
        list(workers.run(jobs.find_a_bad_image, ["/train.tar"] * 2))
    assert str(bad.value) == "/train.tar, member 'a.JPEG', at byte 512: empty (0 bytes)"
    with pytest.raises(WorkerError, match="UnpicklableError: it holds a lock"):
        list(workers.run(jobs.fail_in_an_unpicklable_way, [0, 1]))
    with pytest.raises(TypeError):
        list(workers.run(jobs.return_the_unpicklable, [0, 1]))
    for function in jobs.unknown_to_workers(monkeypatch):
        with pytest.raises((ImportError, AttributeError), match="no_such"):
            list(workers.run(function, [0, 1]))
    assert list((tmp_path / "exchange").iterdir()) == []
    assert dict(workers.run(jobs.square, range(4))) == {0: 0, 1: 1, 2: 4, 3: 9}


def test_after_an_error_no_more_jobs_are_begun(workers: BeamWorkers, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        list(workers.run(jobs.fail_at_the_first, [str(tmp_path / "begun")] * 40))
    assert len((tmp_path / "begun").read_text()) < 20


# --- one work item ---------------------------------------------------------------------------


def test_an_item_that_is_done_again_finds_that_it_is_done(tmp_path: Path) -> None:
    item = put_job(tmp_path, 7, jobs.count_runs, None, str(tmp_path / "runs"))
    assert [run_item(item) for _ in range(3)] == [7, 7, 7]
    outcome = get_outcome(tmp_path, 7)
    assert (outcome.result, outcome.error) == (1, None)
    assert (outcome.host, outcome.pid) == (socket.gethostname(), os.getpid())


def test_an_item_may_be_done_twice_at_once(tmp_path: Path) -> None:
    item = put_job(tmp_path, 0, jobs.wait_for_another, None, str(tmp_path / "runs"))
    both = [threading.Thread(target=run_item, args=[item]) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert get_outcome(tmp_path, 0).result == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.job", "0.outcome", "runs"]


def test_what_passes_is_tried_again_and_what_does_not_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_PAUSES", (0.0, 0.0))
    for number, code in enumerate((errno.ESTALE, errno.ENOSPC)):
        job = (str(tmp_path / str(number)), code)
        run_item(put_job(tmp_path, number, jobs.fail_twice, None, job))
    stale, full = get_outcome(tmp_path, 0), get_outcome(tmp_path, 1)
    assert (stale.result, stale.error, stale.images) == (3, None, 1)
    assert isinstance(full.error, OSError)
    assert full.error.errno == errno.ENOSPC
    assert (tmp_path / "1").read_text() == "."


def test_a_machine_that_does_not_see_the_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="must be on a file system that all workers mount"):
        run_item((str(tmp_path / "elsewhere"), 0))


# --- worker processes of this machine --------------------------------------------------------


def test_a_worker_process_that_is_killed_is_an_error_and_no_hang(tmp_path: Path) -> None:
    """Beam itself waits for ever."""
    with (
        beam_workers(tmp_path / "exchange", PROCESSES) as workers,
        pytest.raises(WorkerError, match=r"worker process of Beam's DirectRunner died.*137"),
    ):
        list(workers.run(jobs.kill_itself, [signal.SIGKILL] * 2))
    assert psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)[1] == []


def test_the_direct_runner_does_not_reach_for_the_network(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Left to itself, Beam's DirectRunner first downloads another runner."""
    import apache_beam as beam

    settings = beam_options.check(None, beam_options.parse(IN_MEMORY), workers=1)
    with caplog.at_level(logging.INFO):
        pipeline = beam.Pipeline(runner=settings.new_runner(), options=settings.options_for(1))
        _ = (
            pipeline
            | beam.Create([put_job(tmp_path, 0, jobs.square, None, 3)])
            | beam.Map(run_item)
        )
        pipeline.run().wait_until_finish()
    assert get_outcome(tmp_path, 0).result == 9
    assert "prism" not in caplog.text.lower()


# --- builds ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("manual")
    ilsvrc2012_large.make_large_corpus(directory, gigabytes=0.02, classes=5, test_fraction=0.05)
    return directory


@pytest.fixture(scope="module")
def local(manual_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = built_by_cli(manual_dir, tmp_path_factory.mktemp("local"), "--num-shards=8")
    assert len(shards(directory)) == 24
    return content(directory)


def content(directory: Path) -> dict[str, bytes]:
    """All files of a built dataset but the one that says when it was built."""
    names = {path.name for path in directory.iterdir()} - {"provenance.json"}
    return {name: (directory / name).read_bytes() for name in names}


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert sorted(found) == sorted(expected)
    assert [name for name in sorted(expected) if found[name] != expected[name]] == []


# An index of so little is otherwise made in one piece.
SMALL_BATCHES = """
import sys
from imagenet_builders.sources import tar_images
from imagenet_builders.cli import main

tar_images.BATCH_BYTES = 1 << 20
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_processes_of_beam_write_the_same_bytes(
    manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    arguments = ["build", "imagenet2012", f"--manual-dir={manual_dir}", f"--data-dir={tmp_path}"]
    arguments += ["--num-shards=8", "--workers=2", f"--beam-options={PROCESSES}"]
    done = run([sys.executable, "-c", SMALL_BATCHES, *arguments])
    assert_same(content(Path(done.stdout.splitlines()[-1])), local)
    assert "DirectRunner: write_shard: 24 work items done by 2 processes" in done.stderr
    # Also the index was made by work items.
    assert "DirectRunner: class_images:" in done.stderr


@pytest.mark.slow
def test_tfds_own_command_builds_with_beam(
    manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    done = run(
        [
            Path(sys.executable).parent / "tfds",
            "build",
            "--imports=imagenet_builders",
            "imagenet2012",
            f"--manual_dir={manual_dir}",
            f"--data_dir={tmp_path}",
            "--num_shards=8",
            f"--beam_pipeline_options={PROCESSES},direct_num_workers=2",
        ]
    )
    assert_same(content(tmp_path / "imagenet2012/5.1.0"), local)
    assert "DirectRunner: write_shard: 24 work items done by 2 processes" in done.stderr


def test_the_python_interface_takes_a_runner_and_its_options(
    manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.direct.direct_runner import DirectRunner

    directory = build(
        Builder,
        manual_dir,
        tmp_path,
        num_shards=8,
        beam_runner=DirectRunner(),
        beam_options=PipelineOptions(["--direct_running_mode=in_memory"]),
    )
    assert_same(content(directory), local)


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


def test_work_items_that_are_done_twice_do_no_harm(
    manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    arguments = ["build", "imagenet2012", f"--manual-dir={manual_dir}", f"--data-dir={tmp_path}"]
    arguments += ["--num-shards=8", f"--beam-options={IN_MEMORY}"]
    done = run([sys.executable, "-c", DOUBLED, *arguments])
    assert_same(content(Path(done.stdout.splitlines()[-1])), local)


STRAGGLING = """
import pickle, sys, threading, time
from pathlib import Path
from imagenet_builders.run.beam import workers as beam_workers
from imagenet_builders.write import shard as shards
from imagenet_builders.cli import main

target = Path(sys.argv.pop(1))
threads = []

def straggle(directory, number):
    _, _, job = pickle.loads(Path(directory, f"{number}.job").read_bytes())
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
        if "write_shard" in directory.name:
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


def test_an_item_that_still_runs_when_its_like_is_done_leaves_nothing_in_the_dataset(
    manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    """As with speculative execution: a runner does not wait for the slower of two attempts."""
    target = tmp_path / "imagenet2012" / "5.1.0"
    arguments = ["build", "imagenet2012", f"--manual-dir={manual_dir}", f"--data-dir={tmp_path}"]
    arguments += ["--num-shards=8", f"--beam-options={IN_MEMORY}"]
    done = run([sys.executable, "-c", STRAGGLING, target, *arguments])
    assert "straggler: TargetError" in done.stderr
    assert_same(content(target), local)
    assert sorted(path.name for path in target.parent.iterdir()) == ["5.1.0"]


def test_an_error_of_a_work_item_is_the_same_sentence(manual_dir: Path, tmp_path: Path) -> None:
    """A source that changes after it was indexed, seen by whoever writes a shard."""
    damaged = tmp_path / "manual"
    damaged.mkdir()
    for path in manual_dir.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    archive = damaged / "ILSVRC2012_img_val.tar"
    data = bytearray(archive.read_bytes())
    start = data.index(b"\xff\xd8\xff")
    data[start : start + 64] = bytes(64)
    archive.write_bytes(data)
    said = []
    for options in ([], [f"--beam-options={PROCESSES}"]):
        done = run(
            [
                *(sys.executable, "-m", "imagenet_builders.cli", "build", "imagenet2012"),
                *(f"--manual-dir={damaged}", f"--data-dir={tmp_path / 'data'}", *options),
            ],
            check=False,
        )
        assert done.returncode == 1
        said += [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(said) == 2
    assert said[0] == said[1]
    assert str(archive) in said[0]
    assert not (tmp_path / "data/imagenet2012/5.1.0").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_ends_early_leaves_no_process(
    manual_dir: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "imagenet_builders.cli", "build", "imagenet2012"]
    command += [f"--manual-dir={manual_dir}", f"--data-dir={tmp_path}"]
    command += ["--num-shards=8", f"--beam-options={PROCESSES}"]
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


# --- options that cannot be used -------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "must be Beam's flags without their dashes"),
        ("runner=DirectRunner, two words", "must be Beam's flags without their dashes"),
        ("runner=TrainRunner", "runner must be one of DaskRunner, "),
        ("runner=no.such.Runner", "cannot be imported"),
        ("runner=", "runner in beam_options has no value"),
        ("runner=DirectRunner,runner=DaskRunner", "runner is more than once"),
        ("runner=builtins.int", "runner must be a runner of Beam"),
        ("runner", "argument --runner: expected one argument"),
        ("direct_num_worker=2", "have no option direct_num_worker"),
        ("runner=DirectRunner,direct_num_workers=two", "invalid int value: 'two'"),
        ("runner=DirectRunner,direct_num_workers=-1", "direct_num_workers must be at least 1"),
        ("runner=DirectRunner,direct_running_mode=threads", "invalid choice: 'threads'"),
        ("runner=DaskRunner", "needs dask_client_address=tcp://host:port"),
        ("runner=DaskRunner,dask_client_address=tcp://127.0.0.1:PORT", "does not answer"),
        ("runner=DaskRunner,dask_scheduler_file=/no/such/file", "file=/no/such/file is not there"),
        ("runner=DaskRunner,dask_scheduler_file=SILENT", "does not say where a scheduler is"),
        ("runner=DaskRunner,dask_npartitions=0", "dask_npartitions must be at least 1"),
        ("runner=PortableRunner", "needs job_endpoint=host:port"),
        ("runner=PortableRunner,job_endpoint=127.0.0.1:PORT", "nothing answers at job_endpoint"),
        ("runner=PortableRunner,job_endpoint=localhost", "must be host:port"),
        ("runner=PortableRunner,job_endpoint=localhost:99999", "must be host:port"),
        ("runner=PortableRunner,job_endpoint=..:80", "nothing answers at job_endpoint"),
        ("runner=PortableRunner,job_endpoint=[::1]:PORT", "nothing answers at job_endpoint"),
        ("runner=FlinkRunner,flink_master=http://127.0.0.1:PORT", "answers at flink_master"),
    ],
)
def test_a_bad_option_is_one_sentence_before_any_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: str, said: str
) -> None:
    from imagenet_builders import cli

    (tmp_path / "silent.json").write_text("{}")
    options = options.replace("PORT", str(free_port()))
    options = options.replace("SILENT", str(tmp_path / "silent.json"))
    if "dask" in options:
        options += ",dask_connection_timeout=2"
    manual = tmp_path / "manual"
    manual.mkdir()
    arguments = ["build", "imagenet2012", "--manual-dir", str(manual)]
    arguments += ["--data-dir", str(tmp_path / "data"), "--beam-options", options]
    assert cli.main(arguments) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("imagenet-builders: error: ")
    assert said in line
    assert not (tmp_path / "data").exists()


def test_tfds_download_config_with_a_bad_runner_is_refused(tmp_path: Path, manual_dir: Path):
    with pytest.raises(OptionError, match="runner must be one of DaskRunner"):
        build(Builder, manual_dir, tmp_path, beam_runner="TrainRunner")
    assert not (tmp_path / "imagenet2012").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"beam_options": "runner=DaskRunner"}, "beam_options must be a `PipelineOptions`"),
        ({"beam_runner": 7}, "runner must be a runner of Beam or the name of one, not 7"),
    ],
)
def test_tfds_download_config_with_something_else_is_refused(
    tmp_path: Path, manual_dir: Path, config: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        build(Builder, manual_dir, tmp_path, **config)
    assert not (tmp_path / "imagenet2012").exists()


def test_a_server_that_is_no_job_server_is_given_up(
    tmp_path: Path, manual_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and says nothing."""
    monkeypatch.setattr("imagenet_builders.run.beam.workers._TRIAL_SECONDS", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = f"runner=PortableRunner,job_endpoint=127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(OptionError, match="PortableRunner has done nothing in 5 s"):
            build(Builder, manual_dir, tmp_path, beam_options=beam_options.parse(options))
    assert not (tmp_path / "imagenet2012").exists()


def test_without_beam_one_sentence_says_so(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['apache_beam'] = None; from imagenet_builders.cli import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["build", "imagenet2012", "--manual-dir", str(tmp_path), "--beam-options", "x=1"]
    done = run([sys.executable, "-c", code, *arguments], check=False)
    assert done.returncode == 2
    assert "Apache Beam cannot be imported" in done.stderr
    assert len(done.stderr.splitlines()) == 1
