"""Measures index, plan and shard jobs of an ImageNet-21k of full size, without its pictures.

    python benchmarks/scale.py --dir /scratch

19,167 class tars with 13,153,500 headers are made in `--dir` (14 GB of disk; the bodies are holes),
and 1/8, 1/4, 1/2 and all of them are indexed and planned by the dataset's own builder, in a new
process each. Nothing is built. The tars are dropped from the page cache before they are indexed,
because to read from storage costs CPU time as well. CPU time, not time, is what is compared: others
may use the machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import contestants, sparse_tars
from harness.errors import BenchmarkError
from harness.machine import busy_share, describe_machine
from harness.measuring import MemorySampler
from harness.page_cache import evict
from harness.storage import need_space

sys.path.insert(0, str(contestants.ROOT))

PARTS = (1, 2, 4, 8)
"""Eighths of the classes."""

INDEX, PLAN, JOBS, AGAIN = "index", "plan", "a shard's job", "index, cached"
JOBS_MADE = 64

TARGETS = (
    (INDEX, "CPU µs a member", 25),
    (PLAN, "CPU s", 60),
    (JOBS, "MB to ship", 1),
)
PEAK_TARGET_GB = 3
GROWTH_TARGET = 0.10


@dataclasses.dataclass(frozen=True)
class Stage:
    """What one stage took.

    Attributes:
        seconds: By the clock.
        cpu_seconds: Of all processes, in user mode and in the kernel.
        system_seconds: The kernel's part of it.
        peak_bytes: Of all processes, with what earlier stages left.
        facts: What else the stage tells of itself.
    """

    seconds: float
    cpu_seconds: float
    system_seconds: float
    peak_bytes: int
    facts: dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    if arguments.stages_of:
        _stages(Path(arguments.stages_of), Path(arguments.scratch), arguments.workers)
        return 0
    made = arguments.dir / "imagenet_builders_scale"
    if not made.is_dir():
        need = sparse_tars.MEMBERS * sparse_tars.BYTES_ON_DISK + 2e9
        need_space(arguments.dir, need, advice="free some, or name another --dir")
    try:
        _make(made)
        for line in describe_machine(arguments.dir, ["tensorflow-datasets", "pyarrow"]).values():
            print(line)
        print(f"{busy_share():.0%} of the CPUs were busy with other programs just before")
        parts = {}
        for eighths in PARTS:
            parts[eighths] = _measure(made, eighths, arguments)
            print(_lines(eighths, parts[eighths]), flush=True)
        print(_growth(parts))
        print(_verdict(parts))
        if arguments.json:
            plain = {
                eighths: {name: dataclasses.asdict(stage) for name, stage in stages.items()}
                for eighths, stages in parts.items()
            }
            arguments.json.write_text(json.dumps(plain, indent=1))
    finally:
        if not arguments.keep:
            shutil.rmtree(made, ignore_errors=True)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--keep", action="store_true", help="use the tars again next time")
    parser.add_argument("--rounds", type=int, default=1, help="the least CPU time of so many")
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="write all numbers there")
    parser.add_argument("--stages-of", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    arguments.dir = arguments.dir.resolve()
    if min(arguments.workers, arguments.rounds) < 1:
        parser.error("numbers must be at least 1")
    return arguments


def _make(made: Path) -> None:
    """Makes the tars, and a manual_dir of links for every part of them."""
    from imagenet_builders import labels

    if (made / "complete").exists():
        return
    shutil.rmtree(made, ignore_errors=True)
    wnids = labels.wnids("imagenet21k_winter21")
    whole = made / "8" / "tars"
    whole.mkdir(parents=True)
    started = time.monotonic()
    sparse_tars.make(whole, wnids, sparse_tars.class_sizes())
    for eighths in PARTS[:-1]:
        part = made / str(eighths) / "tars"
        part.mkdir(parents=True)
        for wnid in wnids[:: 8 // eighths]:
            os.link(whole / f"{wnid}.tar", part / f"{wnid}.tar")
    (made / "complete").touch()
    print(f"{len(wnids):,} tars made in {time.monotonic() - started:.0f} s", flush=True)


# --- in a process of its own -----------------------------------------------------------------


def _stages(manual_dir: Path, scratch: Path, workers: int) -> None:
    """Goes through the stages of a build as far as its shards, and prints what each took."""
    import warnings

    import numpy as np
    import tensorflow_datasets as tfds

    from imagenet_builders.datasets.imagenet21k_winter21 import (
        imagenet21k_winter21_dataset_builder as dataset,
    )
    from imagenet_builders.options import BuildOptions
    from imagenet_builders.plan import index as index_lib
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.plan import SplitPlan, plan_split
    from imagenet_builders.run.local import LocalWorkers

    warnings.simplefilter("ignore")  # Classes are missing from all parts but the whole.
    options = BuildOptions(workers=workers, scratch_dir=str(scratch))
    builder = dataset.Builder(config="whole", data_dir=scratch / "out", options=options)
    count_shards = tfds.download.DownloadConfig().get_shard_config().get_number_shards
    with LocalWorkers(workers) as pool:
        room = BuildContext(scratch, options, pool)
        is_cached = any(scratch.glob("*.index.arrow"))

        def index() -> Any:
            [recipe] = builder.split_recipes(manual_dir, room)
            return recipe, {"members": len(recipe.index)}

        def plan() -> tuple[SplitPlan, dict[str, float]]:
            made = plan_split(
                recipe.split,
                recipe.index,
                count_shards=count_shards,
                example_sizes=recipe.example_sizes(recipe.index),
            )
            return made, {"shards": made.shard_count}

        def jobs() -> tuple[None, dict[str, float]]:
            some = np.linspace(0, planned.shard_count - 1, JOBS_MADE).astype(int).tolist()
            sizes, files = [], []
            for number in some:
                # All of a `ShardJob` that grows; the rest of it is a path and some names.
                rows, of = planned.shard(number)
                sizes.append(len(pickle.dumps((index_lib.to_bytes(rows), of))))
                files.append(len(of))
            return None, {"jobs": len(some), "bytes": max(sizes), "files": max(files)}

        recipe, _ = _stage(AGAIN if is_cached else INDEX, index)
        planned, _ = _stage(PLAN, plan)
        _stage(JOBS, jobs)


def _stage(name: str, work: Callable[[], tuple[Any, dict[str, float]]]) -> tuple[Any, Any]:
    seconds, (user, system) = time.monotonic(), _cpu_seconds()
    result, facts = work()
    seconds, (user_then, system_then) = time.monotonic() - seconds, _cpu_seconds()
    system = system_then - system
    took = {"cpu_seconds": user_then - user + system, "system_seconds": system}
    print(json.dumps({"stage": name, "seconds": seconds, **took, "facts": facts}), flush=True)
    return result, facts


def _cpu_seconds() -> tuple[float, float]:
    """CPU time of this process and its workers so far: in user mode, and in the kernel."""
    import psutil

    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    times = [process.cpu_times() for process in processes]
    return sum(each.user for each in times), sum(each.system for each in times)


# --- in the process that measures ------------------------------------------------------------


def _measure(made: Path, eighths: int, arguments: argparse.Namespace) -> dict[str, Stage]:
    """The stages of a part: first with a new index, then with the one that is kept."""
    best: dict[str, Stage] = {}
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory(dir=made, prefix="scratch-") as scratch:
            for path in (made / str(eighths) / "tars").iterdir():
                evict(path)
            for _ in ("new", "kept"):
                for name, stage in _run(made / str(eighths), scratch, arguments.workers):
                    if name not in best or stage.cpu_seconds < best[name].cpu_seconds:
                        peak = max(stage.peak_bytes, best.get(name, stage).peak_bytes)
                        best[name] = dataclasses.replace(stage, peak_bytes=peak)
    return best


def _run(manual_dir: Path, scratch: str, workers: int) -> Iterator[tuple[str, Stage]]:
    command = [sys.executable, __file__, "--stages-of", str(manual_dir), "--scratch", scratch]
    environment = contestants.environment()
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [*command, "--workers", str(workers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment,
            text=True,
        ) as process,
    ):
        sampler = MemorySampler(process.pid)
        assert process.stdout is not None
        sampler.start()
        try:
            for line in process.stdout:
                told = json.loads(line)
                name = told.pop("stage")
                sampler.sample()  # A stage may be over before its first.
                yield name, Stage(**told, peak_bytes=sampler.peak_bytes)
                sampler.peak_bytes = 0
        finally:
            sampler.stop()
            process.stdout.close()
            status = process.wait()
            if status:
                said.seek(0)
                raise BenchmarkError(f"the stages ended with status {status}:\n{said.read()}")


def _lines(eighths: int, stages: dict[str, Stage]) -> str:
    members = int(stages[INDEX].facts["members"])
    lines = [f"\n{eighths}/8: {members:,} members"]
    for name, stage in stages.items():
        each = f", {stage.cpu_seconds / members * 1e6:.2f} µs a member" if name != JOBS else ""
        facts = ", ".join(f"{value:,} {what}" for what, value in stage.facts.items())
        lines.append(
            f"  {name:<14}{stage.seconds:7.1f} s, CPU {stage.cpu_seconds:.1f} s (kernel "
            f"{stage.system_seconds:.1f}{each}), peak {stage.peak_bytes / 1e9:.2f} GB; {facts}"
        )
    return "\n".join(lines)


def _growth(parts: dict[int, dict[str, Stage]]) -> str:
    """CPU time a member in each part, as a share of that in the whole."""
    lines = ["\nCPU time a member, whole = 1 (linear growth is 1 everywhere):"]
    for name in (INDEX, AGAIN, PLAN):
        each = {k: s[name].cpu_seconds / s[INDEX].facts["members"] for k, s in parts.items()}
        lines.append(
            f"  {name:<14}" + "  ".join(f"{k}/8: {v / each[8]:.3f}" for k, v in each.items())
        )
    return "\n".join(lines)


def _verdict(parts: dict[int, dict[str, Stage]]) -> str:
    whole = parts[8]
    found = {
        INDEX: whole[INDEX].cpu_seconds / whole[INDEX].facts["members"] * 1e6,
        PLAN: whole[PLAN].cpu_seconds,
        JOBS: whole[JOBS].facts["bytes"] / 1e6,
    }
    lines = [
        f"  {name}: {found[name]:.2f} {unit}, wanted at most {most}" for name, unit, most in TARGETS
    ]
    each = {
        eighths: sum(stages[name].cpu_seconds for name in (INDEX, PLAN))
        / stages[INDEX].facts["members"]
        for eighths, stages in parts.items()
    }
    growth = max(abs(one / each[8] - 1) for one in each.values())
    lines.append(
        f"  index and plan, a member: within {growth:.0%} of the whole's in each part, wanted "
        f"within {GROWTH_TARGET:.0%}"
    )
    peak = max(stage.peak_bytes for stage in whole.values()) / 1e9
    lines.append(f"  peak: {peak:.2f} GB, wanted at most {PEAK_TARGET_GB}")
    return "\n".join(["", *lines])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"scale: {error}")
