"""Turns runs into a table for people: medians, ratios within each round, and what to beware of."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence

from harness.rounds import TEMPERATURES, Run

# More than this left in (or missing from) the page cache, and a run is not what it is called.
CACHE_TOLERANCE = 0.01


def progress(run: Run) -> str:
    """What is said of a run as soon as it has been made."""
    cached = "?" if run.cached_before is None else f"{run.cached_before:.0%}"
    return (
        f"round {run.round + 1} {run.temperature} {run.contestant:<10} {run.seconds:7.2f} s  "
        f"(sync {run.sync_seconds:5.2f} s)  "
        f"user {run.user_seconds:6.2f} s  sys {run.system_seconds:6.2f} s  "
        f"peak {run.peak_bytes / 1e6:6.0f} MB  "
        f"(before: {cached} cached, CPUs {run.busy_before:.0%} busy)"
    )


def table(runs: Sequence[Run], names: Sequence[str], size: int) -> list[str]:
    """The results as a Markdown table, a line a contestant."""
    lines = [
        "| contestant | cold s | warm s | s / cp's s | stock's s / s | GB/s | CPU s: user + sys "
        "| peak MB | written besides |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        mine = [run for run in runs if run.contestant == name]
        times = {t: [r.seconds for r in mine if r.temperature == t] for t in TEMPERATURES}
        to_cp = [_ratio(runs, name, "cp", t, lambda a, b: a / b) for t in TEMPERATURES]
        to_stock = [_ratio(runs, name, "stock", t, lambda a, b: b / a) for t in TEMPERATURES]
        rates = [f"{size / 1e9 / statistics.median(times[t]):.2f}" for t in TEMPERATURES]
        cpu = [_cpu_seconds([r for r in mine if r.temperature == t]) for t in TEMPERATURES]
        cells = [
            name,
            *(_spread(times[temperature]) for temperature in TEMPERATURES),
            ", ".join(to_cp),
            ", ".join(to_stock),
            ", ".join(rates),
            ", ".join(cpu),
            f"{max(run.peak_bytes for run in mine) / 1e6:.0f}",
            _besides(mine),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cpu_seconds(runs: Sequence[Run]) -> str:
    user = statistics.median(run.user_seconds for run in runs)
    system = statistics.median(run.system_seconds for run in runs)
    return f"{user:.1f} + {system:.1f}"


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


def _ratio(
    runs: Sequence[Run],
    name: str,
    other: str,
    temperature: str,
    ratio: Callable[[float, float], float],
) -> str:
    """The median of the ratios of each round."""
    seconds = {
        (run.contestant, run.round): run.seconds for run in runs if run.temperature == temperature
    }
    ratios = [
        ratio(mine, seconds[other, number])
        for (contestant, number), mine in seconds.items()
        if contestant == name and (other, number) in seconds
    ]
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def _besides(runs: Sequence[Run]) -> str:
    """What was written beyond the product, and how much of it is still there at the end."""
    left = max(run.left_bytes for run in runs)
    written = [run.written_bytes for run in runs if run.written_bytes is not None]
    if len(written) < len(runs):
        return f"? ({left / 1e6:.1f} MB left)"
    # Pages are counted whole and a little is written by the interpreter, so a sum below zero or
    # of some megabytes means nothing.
    outputs = (run.output_bytes for run in runs)
    besides = max(max(0, size - output) for size, output in zip(written, outputs, strict=True))
    return f"{besides / 1e6:.0f} MB ({left / 1e6:.1f} MB left)"


def remarks(runs: Sequence[Run]) -> list[str]:
    """What a reader of the table has to know about these runs."""
    lines = [
        "Pairs are cold, warm. Ratios are medians of each round's ratio; memory is the largest sum "
        f"of {runs[0].memory.upper()} over the processes."
    ]
    busy = [run.busy_before for run in runs]
    lines.append(
        f"Before the runs, other programs used {statistics.median(busy):.0%} of the CPUs "
        f"(at most {max(busy):.0%})."
    )
    if any(run.cached_before is None for run in runs):
        lines.append("This system does not tell what is cached, so cold may not have been cold.")
    cold = [r.cached_before or 0 for r in runs if r.temperature == "cold"]
    if max(cold) > CACHE_TOLERANCE:
        lines.append(f"NOT COLD: up to {max(cold):.0%} of the archives could not be evicted.")
    warm = [1.0 if r.cached_before is None else r.cached_before for r in runs]
    warm = [share for share, run in zip(warm, runs, strict=True) if run.temperature == "warm"]
    if min(warm) < 1 - CACHE_TOLERANCE:
        lines.append(f"NOT WARM: as little as {min(warm):.0%} of the archives was cached.")
    if not same_shards(runs):
        lines.append("WRONG: the shards of ours and of stock differ in number, name or size.")
    return lines


def same_shards(runs: Sequence[Run]) -> bool:
    """Whether all that made a TFDS dataset made shards of the same names and sizes."""
    return len({json.dumps(run.shards) for run in runs if run.shards}) <= 1
