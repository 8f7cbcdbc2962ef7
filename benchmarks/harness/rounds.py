"""Lets the contestants build in turn, round by round, from a cold and from a warm page cache."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import contestants
from harness.errors import BenchmarkError
from harness.machine import busy_share
from harness.measuring import Measured, measure
from harness.page_cache import evict, mean_cached_share, read_through
from harness.storage import file_sizes, sync

TEMPERATURES = ("cold", "warm")


@dataclasses.dataclass(frozen=True)
class Run(Measured):
    """One build by one contestant: what it took, and what it made.

    Attributes:
        contestant: Its name.
        round: Counted from 0.
        temperature: `cold` or `warm`.
        cached_before: Share of the archives' pages in the page cache at the start; None if the
            system does not tell.
        busy_before: Share of the CPUs that others used just before, 0 to 1.
        output_bytes: Size of what it was to make.
        left_bytes: Size of files that it left anywhere else (an index cache, for instance).
        shards: Name and size of each shard, for those that make a TFDS dataset.
    """

    contestant: str
    round: int
    temperature: str
    cached_before: float | None
    busy_before: float
    output_bytes: int
    left_bytes: int
    shards: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """All but the list of shards."""
        fields = dataclasses.asdict(self)
        fields["shards"] = len(self.shards)
        return fields


class Bench:
    """Runs the contestants in turn.

    Args:
        work: Directory that all outputs go below.
        archives: The train and the validation archive.
        names: The contestants.
        rounds: How often each of them has its turn, cold and warm.
        program: See `contestants.command`.
    """

    def __init__(
        self, work: Path, archives: list[Path], *, names: list[str], rounds: int, program: str
    ):
        self._archives = archives
        self._size = sum(path.stat().st_size for path in archives)
        self._names = names
        self._rounds = rounds
        self._program = program
        self._outputs = work / f"outputs-{os.getpid()}"
        self._target = work
        # Builders see these two archives and no others, whatever lies beside them.
        self._manual = self._outputs / "manual"

    def runs(self) -> Iterator[Run]:
        """Each run as soon as it has been made."""
        self._manual.mkdir(parents=True)
        for path in self._archives:
            (self._manual / path.name).symlink_to(path)
        contestants.import_all_once()
        for number in range(self._rounds):
            for temperature in TEMPERATURES:
                for name in in_turn(self._names, number):
                    yield self._run_one(name, number, temperature)

    def remove_outputs(self) -> None:
        """Removes all that the contestants wrote."""
        shutil.rmtree(self._outputs, ignore_errors=True)

    def _run_one(self, name: str, number: int, temperature: str) -> Run:
        here = self._outputs / "run"
        product = here / "product"
        for directory in (product, here / "scratch", here / "tmp"):
            directory.mkdir(parents=True)
        command = contestants.command(
            name,
            self._archives,
            program=self._program,
            manual=self._manual,
            product=product,
            scratch=here / "scratch",
        )
        sync(self._target)
        time.sleep(0.5)
        busy = busy_share()
        for path in self._archives:
            (evict if temperature == "cold" else read_through)(path)
        cached = mean_cached_share(self._archives)

        log = self._outputs / f"{name}.log"
        measured = measure(
            name,
            command,
            log=log,
            cwd=here,
            environment=contestants.environment(here / "tmp"),
            then=lambda: sync(self._target),
        )
        output = file_sizes(contestants.dataset_directory(name, product))
        output_bytes = sum(output.values())
        if output_bytes < 0.9 * self._size:
            raise BenchmarkError(f"{name} made {output_bytes:,} bytes of {self._size:,}; see {log}")
        run = Run(
            contestant=name,
            round=number,
            temperature=temperature,
            cached_before=cached,
            busy_before=busy,
            **dataclasses.asdict(measured),
            output_bytes=output_bytes,
            left_bytes=sum(file_sizes(here).values()) - output_bytes,
            shards={path: size for path, size in output.items() if ".tfrecord" in path},
        )
        shutil.rmtree(here)
        sync(self._target)
        return run


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: another one begins, and every other round goes backwards.

    >>> in_turn(["a", "b", "c"], 0), in_turn(["a", "b", "c"], 1)
    (['a', 'b', 'c'], ['b', 'a', 'c'])
    """
    start = number % len(names)
    order = [*names[start:], *names[:start]]
    return [order[0], *order[:0:-1]] if number % 2 else order
