"""All runners, each with what is its own: how it is made, asked for, and what it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam import options as beam_options
from imagenet_builders.run.beam.workers import BeamWorkers
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.local import LocalWorkers

IN_MEMORY = "runner=DirectRunner,direct_running_mode=in_memory,direct_num_workers=1"
PROCESSES = "runner=DirectRunner"


@dataclasses.dataclass(frozen=True)
class Runner:
    """A runner as its contract sees it.

    Attributes:
        make: Makes its workers; a directory is for what Beam's workers exchange.
        options: Options of a build that asks for it.
        told: What a build says that wrote 24 shards by it; nothing by default.
        in_this_process: Whether jobs are done here, so that nothing is pickled.
        is_cluster: Whether the workers are a cluster's, which goes on when the runner is done.
        killed: Regular expression of the error after a worker was killed; None where none can be
            killed (in this process) or somebody else sees to it (a cluster).
    """

    make: Callable[[Path], Workers]
    options: tuple[str, ...]
    told: str = ""
    in_this_process: bool = False
    is_cluster: bool = False
    killed: str | None = None


def in_this_process() -> Runner:
    return Runner(lambda _: LocalWorkers(1), ("--workers=1",), in_this_process=True)


def processes() -> Runner:
    return Runner(
        lambda _: LocalWorkers(2), ("--workers=2",), killed="a worker process was killed by SIGKILL"
    )


def beam(options: str, told: str, *, killed: str | None = None, is_cluster: bool = False) -> Runner:
    """Beam's runner of these options, in the form `name=value,name=value`."""
    return Runner(
        lambda job_dir: beam_workers(job_dir, options),
        ("--workers=2", f"--beam-options={options}"),
        told,
        is_cluster=is_cluster,
        killed=killed,
    )


def beam_workers(job_dir: Path, options: str) -> BeamWorkers:
    return BeamWorkers(
        beam_options.check(None, beam_options.parse(options), workers=2), PrivateDir.make(job_dir)
    )
