"""What a bomb is, and all that there are by name.

A bomb stages itself in a directory; the error that names it must match its sentence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

MB, GB = 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True)
class Bomb:
    """A source made to take memory.

    Attributes:
        dataset: What is built of it.
        stage: Stages it.
        sentence: Regular expression of what is said; None if it is to be built.
        peak: Bytes that no process of the build may have resident, this one's imports among them.
        slow: Whether staging it takes seconds.
    """

    dataset: str
    stage: Callable[[Path], object]
    sentence: str | None
    peak: int = 400 * MB
    slow: bool = False


BOMBS: dict[str, Bomb] = {}


def bomb(
    dataset: str, sentence: str | None, **more: Any
) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    def register(stage: Callable[[Path], object]) -> Callable[[Path], object]:
        name = stage.__name__.removeprefix("_").replace("_", " ")
        BOMBS[name] = Bomb(dataset, stage, sentence, **more)
        return stage

    return register
