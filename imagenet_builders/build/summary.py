"""The closing words of a build."""

from __future__ import annotations

from collections.abc import Sequence

from imagenet_builders.write.results import SplitResult


def summary(name: str, results: Sequence[SplitResult], seconds: float) -> str:
    """The closing words of a build, a line a split and one for all of it.

    Args:
        name: What was built.
        results: The splits.
        seconds: How long it took.

    Returns:
        Some lines of text.
    """
    lines = [f"{name}:"]
    for result in results:
        actions = [note.action for note in result.notes]
        lines.append(
            f"  {result.split:<12}{result.examples:>12,} images "
            f"({actions.count('repaired')} repaired, {actions.count('skipped')} skipped), "
            f"{len(result.shard_lengths):,} shards, {result.file_bytes / 1e9:.3f} GB"
        )
        counts = [f"{n:,} {what.replace('_', ' ')}" for what, n in result.counts.items() if n]
        if counts:
            lines.append(f"  {'':<12}{'':>12} {', '.join(counts)}")
    size = sum(result.file_bytes for result in results) / 1e9
    rate = size / seconds if seconds else 0.0
    lines.append(f"  {size:.3f} GB in {seconds:.1f} s, {rate:.2f} GB/s")
    return "\n".join(lines)
