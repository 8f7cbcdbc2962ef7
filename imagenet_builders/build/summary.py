"""The closing words of a build."""

from __future__ import annotations

from collections.abc import Sequence

from imagenet_builders.words import counted, size_text
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
            f"  {result.split:<12}{counted(result.examples, 'image'):>19} "
            f"({actions.count('repaired')} repaired, {actions.count('skipped')} skipped), "
            f"{counted(len(result.shard_lengths), 'shard')}, {size_text(result.file_bytes)}"
        )
        counts = [f"{n:,} {what.replace('_', ' ')}" for what, n in result.counts.items() if n]
        if counts:
            lines.append(f"  {'':<12}{'':>12} {', '.join(counts)}")
    size = sum(result.file_bytes for result in results)
    rate = round(size / seconds) if seconds else 0
    lines.append(f"  {size_text(size)} in {seconds:.1f} s, {size_text(rate)}/s")
    return "\n".join(lines)
