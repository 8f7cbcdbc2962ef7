"""The closing words of a build."""

from __future__ import annotations

from collections.abc import Sequence

from imagenet_builders.words import counted, size_text
from imagenet_builders.write.results import SplitResult

_SINGULAR = {"boxes": "box", "images": "image", "annotations": "annotation"}
# Boxes that are counted among all boxes.
_IN_WORDS = {"boxes_not_named_by_a_class": "of them labelled by their image"}


def summary(
    name: str, results: Sequence[SplitResult], seconds: float, kept: Sequence[str] = ()
) -> list[str]:
    """The closing words of a build: a line for each split, and one for all of them.

    Args:
        name: What was built.
        results: The splits.
        seconds: How long it took.
        kept: Names of the splits that were there before.

    Returns:
        Its lines.
    """
    lines = [f"{name}:"]
    names = max((len(result.split) for result in results), default=0)
    images = [counted(result.examples, "image") for result in results]
    widest = max(map(len, images), default=0)
    for result, count in zip(results, images, strict=True):
        actions = [note.action for note in result.notes]
        lines.append(
            f"  {result.split:<{names}}  {count:>{widest}} "
            f"({actions.count('repaired')} repaired, {actions.count('skipped')} skipped), "
            f"{counted(len(result.shard_lengths), 'shard')}, {size_text(result.file_bytes)}"
        )
        names_of = sorted(result.counts, key=_place)
        counts = [_counted(result.counts[each], each) for each in names_of if result.counts[each]]
        if counts:
            lines.append(f"  {'':<{names}}  {', '.join(counts)}")
    if kept:
        lines.append(f"  kept unchanged: {', '.join(kept)}")
    before = sum(result.bytes_before for result in results)
    size = sum(result.file_bytes for result in results) - before
    rate = round(size / seconds) if seconds else 0
    more = f", and {size_text(before)} that were finished before" if before else ""
    lines.append(f"  {size_text(size)} in {seconds:.1f} s, {size_text(rate)}/s{more}")
    return lines


def _place(name: str) -> int:
    """Where a count is told: those of all boxes side by side, and the others behind them."""
    return ("boxes", *_IN_WORDS).index(name) if name in ("boxes", *_IN_WORDS) else 2


def _counted(count: int, name: str) -> str:
    """A number and what it counts, from a name such as `boxes_without_area`."""
    if name in _IN_WORDS:
        return f"{count:,} {_IN_WORDS[name]}"
    what, _, more = name.partition("_")
    return f"{counted(count, _SINGULAR.get(what, what), what)} {more.replace('_', ' ')}".rstrip()
