"""What a member of the steward's group can do to a build on Beam: nothing but end it.

The lock's file name has the token, so a member knows the name of the directory where the build's
processes exchange jobs: they can make it first, rename the steward's away and put another in its
place. The steward waits at the worst moment until the member has done so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clusters.dask import Cluster
from support.neighbours import STEWARD, STEWARDS, Done, World, as_user, world
from support.paths import DUMMY_DATA
from support.processes import environment_of_tests
from support.runners import IN_MEMORY, PROCESSES

from imagenet_builders.run.beam.data.document import Writer
from imagenet_builders.run.beam.seal import new_key, sealed

# Beam starts slowly, and many times as slowly on a busy machine.
_SECONDS = 600

# At a moment that the test asks for, says where the exchanged files are and waits.
STEWARD_WAITS = """
import os, sys, time
from pathlib import Path
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam import workers
from imagenet_builders.cli import main

moment, signals = sys.argv.pop(1), Path(sys.argv.pop(1))

def wait(path):
    (signals / "said").write_text(str(path))
    (signals / "said").rename(signals / "path")
    deadline = time.monotonic() + 300
    while not (signals / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.01)

make, start, get = PrivateDir.make.__func__, workers.Pipeline.__init__, workers.get_outcome

def waiting_make(cls, path, **named):
    if ".exchange-" in str(path):
        wait(path)
    return make(cls, path, **named)

def waiting_start(self, settings, directory, items):
    if "write_shard" in directory.path.name:
        wait(directory.path)
    start(self, settings, directory, items)

def waiting_get(directory, item, function):
    if "write_shard" in directory.path.name and not (signals / "go").exists():
        wait(directory.path)
    return get(directory, item, function)

if moment == "before it is made":
    PrivateDir.make = classmethod(waiting_make)
elif moment == "before the jobs are done":
    workers.Pipeline.__init__ = waiting_start
elif moment == "before the outcomes are read":
    workers.get_outcome = waiting_get
sys.exit(main(sys.argv[1:]))
"""

SHARDS = "--num-shards=2"


@pytest.fixture(params=STEWARDS, ids=["user", "root"])
def space(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param) as made:
        yield made


class Planted:
    """Leaves a mark as soon as it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.mark, "run")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the member knows.

    Attributes:
        space: The world.
        path: The directory of the jobs, or the one above, as the steward said it.
    """

    space: World
    path: Path

    @property
    def exchange(self) -> Path:
        """The directory that lies in the group's."""
        name = next(part for part in self.path.parts if ".exchange-" in part)
        return self.space.data_dir / "imagenet2012" / name

    @property
    def below(self) -> Path:
        """The directory of the jobs, from the exchange directory."""
        return self.path.relative_to(self.exchange)

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Files of jobs and outcomes as a member can forge them."""
        planted = pickle.dumps(Planted(self.space.root / "project" / "RUN"))
        out = Writer()
        job = out.finish({"function": "os:system", "prefetch": None, "job": "touch RUN"})
        for number in range(60):
            for kind, content in (("job", job), ("outcome", planted)):
                name = f"{number}.{kind}"
                forged = planted if number % 2 else content
                yield name, sealed(new_key(), name, forged) if number % 3 else forged


def as_a_directory(plan: Plan) -> None:
    """Open to all, and full of forged files."""
    directory = plan.exchange / plan.below
    directory.mkdir(parents=True)
    for name, content in plan.contents():
        (directory / name).write_bytes(content)
    for each in (plan.exchange, directory):
        each.chmod(0o777)


def as_fifos_and_links(plan: Plan) -> None:
    directory = plan.exchange / plan.below
    directory.mkdir(parents=True)
    for number in range(60):
        os.mkfifo(directory / f"{number}.job", 0o666)
        (directory / f"{number}.outcome").symlink_to(plan.space.home / "private.txt")
    (directory / "pipeline.error").symlink_to(plan.space.home / ".bashrc")
    (directory / "stop").symlink_to("/dev/zero")


def as_a_link_home(plan: Plan) -> None:
    plan.exchange.symlink_to(plan.space.home)


def as_a_link_to_forged_files(plan: Plan) -> None:
    other = plan.exchange.with_name("forged")
    directory = other / plan.below
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in plan.contents():
        (directory / name).write_bytes(content)
    plan.exchange.symlink_to(other)


def as_a_fifo(plan: Plan) -> None:
    os.mkfifo(plan.exchange, 0o666)


def as_nothing(plan: Plan) -> None:
    del plan


def as_another_directory_of_the_stewards(plan: Plan) -> None:
    """Which is the steward's alone; the member cannot look into it, but can rename it."""
    [building] = plan.exchange.parent.glob(".5.1.0.building-*")
    building.rename(plan.exchange)


Attack = Callable[[Plan], None]


@pytest.mark.parametrize(
    "attack", [as_a_directory, as_a_link_home, as_a_link_to_forged_files, as_a_fifo]
)
def test_the_directory_of_jobs_is_there_first(space: World, attack: Attack) -> None:
    done = attacked(space, "before it is made", attack)
    assert done.status == 1
    assert "is there already, made by somebody else" in done.error
    space.check("imagenet2012", SHARDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [
        as_a_directory,
        as_fifos_and_links,
        as_a_link_home,
        as_a_link_to_forged_files,
        as_a_fifo,
        as_nothing,
        as_another_directory_of_the_stewards,
    ],
)
@pytest.mark.parametrize("moment", ["before the jobs are done", "before the outcomes are read"])
def test_the_directory_of_jobs_is_exchanged(space: World, moment: str, attack: Attack) -> None:
    done = attacked(space, moment, attack, renamed=True)
    if moment == "before the outcomes are read" and done.status == 0:
        # All of them had been found in the steward's own directory, which is still open.
        assert space.version_of() is not None
        space.check("imagenet2012", SHARDS)
    else:
        ended(done, space)


@pytest.mark.slow
def test_it_is_exchanged_before_processes_of_beam_look_into_it(space: World) -> None:
    done = attacked(
        space, "before the jobs are done", as_a_directory, options=PROCESSES, renamed=True
    )
    ended(done, space)


@pytest.mark.slow
@pytest.mark.parametrize("attack", [as_a_directory, as_fifos_and_links])
def test_it_is_exchanged_before_workers_of_dask_look_into_it(space: World, attack: Attack) -> None:
    directory = space.root / "dask"
    directory.mkdir()
    os.chown(directory, space.steward, 0)
    cluster = Cluster(directory, as_user(space.steward))
    try:
        for _ in range(2):
            cluster.add_worker(**environment_of_tests({}))
        cluster.wait_for_workers(2)
        done = attacked(
            space, "before the jobs are done", attack, options=cluster.options, renamed=True
        )
    finally:
        cluster.stop()
    ended(done, space)


@pytest.mark.slow
def test_nobody_in_the_way_of_beam() -> None:
    with world(STEWARD) as space:
        done = attacked(space, "never", as_nothing)
        assert done.status == 0, done.err
        assert space.version_of() is not None
        space.check("imagenet2012", SHARDS)
        assert [path.name for path in (space.data_dir / "imagenet2012").iterdir()] == ["5.1.0"]


def ended(done: Done, space: World) -> None:
    """The build ended with a sentence about the directory, and nothing else happened."""
    space.check("imagenet2012", SHARDS)
    assert done.status == 1
    assert (
        "was removed, or another directory has its name now" in done.error
        or "what is read there must be written by user" in done.error
        # The incomplete dataset, which was put in its place.
        or "it or its directory was removed meanwhile" in done.error
    ), done.err
    assert space.version_of() is None


def attacked(
    space: World,
    moment: str,
    attack: Attack,
    *,
    options: str = IN_MEMORY,
    renamed: bool = False,
) -> Done:
    """A build during which the member does something at a moment."""
    signals = space.root / "signals"
    signals.mkdir()
    signals.chmod(0o777)
    arguments = ["build", "imagenet2012", SHARDS, f"--beam-options={options}"]
    where = [f"--manual-dir={DUMMY_DATA / 'imagenet2012'}", f"--data-dir={space.data_dir}"]
    command = [sys.executable, "-c", STEWARD_WAITS, moment, str(signals), *arguments, *where]
    with space.started(command) as process:
        if moment != "never":
            path = said(signals / "path", process)
            plan = Plan(space, path)
            space.member(lambda: exchanged(plan, attack, renamed=renamed))
            (signals / "go").touch()
        out, err = process.communicate(timeout=_SECONDS)
    assert "Traceback" not in err, err
    return Done(process.returncode, out, err)


def exchanged(plan: Plan, attack: Attack, *, renamed: bool) -> None:
    if renamed:
        plan.exchange.rename(plan.exchange.with_name("taken away"))
    attack(plan)


def said(path: Path, process: subprocess.Popen[str]) -> Path:
    deadline = time.monotonic() + _SECONDS
    while not path.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended first\n{process.communicate(timeout=0.05)[1]}")
        assert time.monotonic() < deadline
    return Path(path.read_text())
