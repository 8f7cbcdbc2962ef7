"""The documents of the project, and the fenced blocks in them."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from pathlib import Path

from support.paths import ROOT

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "benchmarks" / "README.md",
        ROOT / "dummy_data" / "README.md",
        ROOT / "imagenet_builders" / "labels" / "README.md",
    ]
)

_FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>[a-z ]+): (?P<words>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        document: Its document, relative to the checkout.
        language: What follows the fence.
        code: The lines in it.
        mark: The kind of the comment right before it: `not run`, `needs`, `command`, or empty.
        words: What the comment says.
    """

    document: str
    language: str
    code: str
    mark: str
    words: str


def name_of(document: Path) -> str:
    """A document's path relative to the checkout."""
    return document.relative_to(ROOT).as_posix()


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    return [
        Block(
            name_of(document),
            match["language"],
            textwrap.dedent(match["code"]),
            match["mark"] or "",
            match["words"] or "",
        )
        for match in _FENCE.finditer(document.read_text())
    ]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
