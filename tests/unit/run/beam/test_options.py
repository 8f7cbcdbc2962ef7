"""Options of Beam that cannot be used are refused in one sentence, before any work."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from support import jobs_for_workers as jobs
from support.building import DUMMY_ARCHIVES, build
from support.clusters.ports import free_port
from support.processes import run
from support.runners import IN_MEMORY

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import OptionError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam import options as beam_options
from imagenet_builders.run.beam.items import get_outcome, put_job, run_item
from imagenet_builders.run.beam.seal import new_key


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


def test_tfds_download_config_with_a_bad_runner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="runner must be one of DaskRunner"):
        build(Builder, DUMMY_ARCHIVES, tmp_path, beam_runner="TrainRunner")
    assert not (tmp_path / "imagenet2012").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"beam_options": "runner=DaskRunner"}, "beam_options must be a `PipelineOptions`"),
        ({"beam_runner": 7}, "runner must be a runner of Beam or the name of one, not 7"),
    ],
)
def test_tfds_download_config_with_another_type_is_refused(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        build(Builder, DUMMY_ARCHIVES, tmp_path, **config)
    assert not (tmp_path / "imagenet2012").exists()


def test_a_missing_beam_is_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['apache_beam'] = None; from imagenet_builders.cli import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["build", "imagenet2012", "--manual-dir", str(tmp_path), "--beam-options", "x=1"]
    done = run([sys.executable, "-c", code, *arguments], check=False)
    assert done.returncode == 2
    assert "Apache Beam cannot be imported" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_direct_runner_does_not_reach_for_the_network(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Left to itself, Beam's DirectRunner first downloads another runner."""
    import apache_beam as beam

    directory, key = PrivateDir.make(tmp_path / "jobs"), new_key()
    settings = beam_options.check(None, beam_options.parse(IN_MEMORY), workers=1)
    with caplog.at_level(logging.INFO):
        pipeline = beam.Pipeline(runner=settings.new_runner(), options=settings.options_for(1))
        item = put_job(directory, 0, key, jobs.square, None, 3)
        _ = pipeline | beam.Create([item]) | beam.Map(run_item)
        pipeline.run().wait_until_finish()
    assert get_outcome(directory, item, jobs.square).result == 9
    directory.remove()
    assert "prism" not in caplog.text.lower()
