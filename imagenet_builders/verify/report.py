"""Reports verdicts: as lines for people, and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from imagenet_builders.verify.verdict import Verdict
from imagenet_builders.words import counted, size_text


def lines(verdict: Verdict) -> list[str]:
    """Makes the lines that a person reads."""
    problems = counted(verdict.problem_count, "problem")
    word = f"WRONG, {problems}" if verdict.problem_count else "right"
    told = [f"{verdict.dataset} in {verdict.directory}: {word}"]
    for name, split in verdict.splits.items():
        labels = f" of {counted(split.classes, 'label')}" if split.classes else ""
        told.append(
            f"  {name}: {counted(split.examples, 'image')}{labels} in "
            f"{counted(split.shards, 'shard')}, {size_text(split.record_bytes)}"
        )
    told += [f"  note: {note}" for note in verdict.notes]
    told += [f"  problem: {problem.sentence}" for problem in verdict.problems]
    more = verdict.problem_count - len(verdict.problems)
    if more > 0:
        told.append(f"  and {counted(more, 'more problem')}")
    return told


def as_json(verdicts: Sequence[Verdict]) -> str:
    """Makes one document of all verdicts, named as in `Verdict`, `SplitVerdict` and `Problem`.

    Each verdict and the document itself also have `ok`, and each problem has its `sentence`.
    """
    document = {
        "ok": not any(verdict.problem_count for verdict in verdicts),
        "datasets": [_verdict(verdict) for verdict in verdicts],
    }
    return json.dumps(document, indent=1) + "\n"


def _verdict(verdict: Verdict) -> dict[str, Any]:
    entry = {"ok": not verdict.problem_count} | dataclasses.asdict(verdict)
    for problem, told in zip(verdict.problems, entry["problems"], strict=True):
        told["sentence"] = problem.sentence
    return entry
