"""What the documents say is there, and what they show is true."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from support.building import run_cli
from support.paths import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, heading = target.partition("#")
        assert (document.parent / path).exists(), target
        assert path or heading in headings, target


def test_the_python_of_the_readme_is_true() -> None:
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried >= 3
    assert failed == 0


def test_every_option_that_is_documented_is_there() -> None:
    """Of our own command: `check`, `build`, `verify` and `show`."""
    known = set()
    for command in ("check", "build", "verify", "show"):
        known |= set(re.findall(r"--[a-z][a-z-]+", run_cli(command, "--help").stdout))
    ours = (ROOT / "README.md").read_text()
    for block in re.findall(r"imagenet-builders (?:check|build|verify|show)[^`]*", ours):
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", block.split("\n\n")[0]))
        assert options <= known, block
    table = re.findall(r"^\| (`--[^|]*) \|", ours, re.MULTILINE)
    assert len(table) > 10
    for cell in table:
        assert set(re.findall(r"--[a-z][a-z-]+", cell)) <= known, cell
