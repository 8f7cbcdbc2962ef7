"""Chooses the runner of a build: processes on this machine, or a Beam runner if one is given."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import Any

from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.options import BuildOptions, default_scratch
from imagenet_builders.run.cpus import worker_count
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources.reader import keep_files_open


def make_workers(
    options: BuildOptions, download_config: Any, job_dir: Path, manual_dir: Path
) -> Workers:
    """The workers that the options and TensorFlow Datasets' `DownloadConfig` ask for.

    Args:
        options: How to build.
        download_config: A `tfds.download.DownloadConfig`; of interest are `beam_runner` and
            `beam_options`, as `tfds build --beam_pipeline_options` sets them.
        job_dir: Directory for the jobs of Beam's workers. It is made, in one that is there.
        manual_dir: Where the archives are; all workers must see it.

    Returns:
        The workers, to be used in a `with` block.

    Raises:
        OptionError: Beam, its runner, or a server of that cannot be used, or has workers that
            cannot do the work.
        TargetError: `job_dir` is there already.
    """
    if not uses_beam(download_config):
        return LocalWorkers(worker_count(options), on_start=keep_files_open)
    from imagenet_builders.run.beam import options as beam_options
    from imagenet_builders.run.beam.workers import BeamWorkers

    job_dir = as_workers_see(job_dir, download_config)
    manual_dir = as_workers_see(manual_dir, download_config)
    seen = [str(manual_dir), str(job_dir)]
    # The directory of a file system that is not mounted may be there, empty.
    with contextlib.suppress(OSError), os.scandir(manual_dir) as entries:
        seen += [entry.path for entry in itertools.islice(entries, 1)]
    jobs = PrivateDir.make(job_dir)
    try:
        settings = beam_options.check(
            download_config.beam_runner,
            download_config.beam_options,
            workers=worker_count(options),
            seen=seen,
        )
        workers = BeamWorkers(settings, jobs)
        if not settings.is_checked:
            workers.run_trial_item(seen)
    except BaseException:
        jobs.remove()
        raise
    return workers


def uses_beam(download_config: Any) -> bool:
    """Whether a Beam runner, or options for one, are given."""
    return download_config.beam_runner is not None or download_config.beam_options is not None


def shared_scratch(options: BuildOptions, download_config: Any, data_dir: Path) -> Path:
    """The scratch directory's name; with Beam, of one that the machines of a cluster share.

    All workers read what is unpacked there. `$SLURM_TMPDIR` and `$TMPDIR` belong to one machine, so
    with Beam they are not the default.

    Args:
        options: How to build.
        download_config: As for `make_workers`.
        data_dir: Where datasets go.

    Returns:
        The directory as it should be called; see `BuildOptions.scratch_for`.
    """
    if uses_beam(download_config) and options.scratch_dir is None:
        return as_workers_see(default_scratch(data_dir), download_config)
    return as_workers_see(options.scratch_for(data_dir), download_config)


def as_workers_see(path: Path, download_config: Any) -> Path:
    """The path; with Beam absolute, because workers on other machines are in other directories."""
    return path.absolute() if uses_beam(download_config) else path
