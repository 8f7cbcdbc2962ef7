"""Arguments that several commands take, and how they are spelled."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from imagenet_builders.datasets import BUILDER_MODULES

_SIZE = re.compile(r"([0-9]+)\s*([KMGT]i?)?B?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12} | {
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


def dataset(text: str) -> tuple[str, str | None]:
    """A dataset and perhaps one of its configurations (a `type` of argparse)."""
    name, slash, config = text.partition("/")
    if (name not in BUILDER_MODULES and text != "all") or bool(slash) != bool(config):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {', '.join(sorted(BUILDER_MODULES))}, all"
        )
    return name, config or None


def asked_for(datasets: Sequence[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The datasets asked for; `all` stands for each of them."""
    asked: list[tuple[str, str | None]] = []
    for name, config in datasets:
        asked += (
            [(each, None) for each in sorted(BUILDER_MODULES)]
            if name == "all"
            else [(name, config)]
        )
    return asked


def with_dashes(argv: Sequence[str]) -> list[str]:
    """Accepts TFDS's spelling: `--manual_dir` for `--manual-dir`."""
    dashed = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        if name.startswith("--"):
            name = name.replace("_", "-")
        dashed.append(name + equals + value)
    return dashed


def size(text: str) -> int:
    """A number of bytes (a `type` of argparse)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500MiB or 1GB")
    number = int(match[1]) * _FACTORS[(match[2] or "").lower()]
    if number == 0:
        raise argparse.ArgumentTypeError("a shard cannot have a size of 0")
    return number


def mode(text: str) -> int:
    """Access rights, as chmod takes them in octal (a `type` of argparse)."""
    try:
        return int(text, 8)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a mode such as 2775") from None
