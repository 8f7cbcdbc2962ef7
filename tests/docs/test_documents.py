"""What the documents say is there, and they keep their form."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from support.documents import DOCUMENTS, anchors, blocks, name_of
from support.paths import ROOT
from support.processes import run_cli

import imagenet_builders
from imagenet_builders import datasets

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_resolve(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        page = document.parent / path if path else document
        assert page.exists(), target
        assert not anchor or page.suffix != ".md" or anchor in anchors(page), target


def test_every_option_in_a_command_exists() -> None:
    """Of our own program; a command ends at the end of its line, unless that is continued."""
    known = {
        command: set(re.findall(r"--[a-z][a-z-]+", run_cli(command, "--help").stdout))
        for command in ("check", "build", "verify", "show")
    }
    seen = 0
    for document in DOCUMENTS:
        text = document.read_text().replace("\\\n", " ")
        for command, arguments in re.findall(
            r"imagenet-builders (check|build|verify|show)\b([^`\n]*)", text
        ):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", arguments):
                assert option in known[command], (name_of(document), command, option)
                seen += 1
    assert seen > 20


def test_the_readme_is_short_and_has_its_two_commands() -> None:
    assert len(README.splitlines()) <= 120
    marked = [block for block in blocks(ROOT / "README.md") if block.mark == "command"]
    assert [block.words for block in marked] == ["demo", "test"]


@pytest.mark.parametrize("page", [page for page in DECISIONS if page.stem != "index"], ids=name_of)
def test_a_decision_gives_its_reason_and_consequences(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == ["Context", "Decision", "Measured", "Consequences"]
    index = (page.parent / "index.md").read_text()
    title = page.read_text().splitlines()[0].removeprefix("# ")
    assert f"[{title}]({page.name})" in index
    assert f"decisions/{page.name}" in (ROOT / "mkdocs.yml").read_text()


def test_the_rule_of_rooms_is_the_one_that_is_checked() -> None:
    [contract, *_] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    page = (ROOT / "docs" / "contributor" / "architecture.md").read_text()
    [figure] = re.findall(r"```text\n(errors,.*?)```", page, re.DOTALL)
    on_page = [set(re.findall(r"\w+", layer)) for layer in figure.split("<")]
    assert on_page == [set(re.findall(r"\w+", layer)) for layer in reversed(contract["layers"])]
    of_the_table = set(re.findall(r"^\| `(\w+)(?:/|\.py)` \|", page, re.MULTILINE))
    assert of_the_table == set().union(*on_page)


def test_the_version_is_the_same_everywhere() -> None:
    version = imagenet_builders.__version__
    citation = (ROOT / "CITATION.cff").read_text()
    date = re.search(
        rf"^## \[{re.escape(version)}\] - ([0-9-]+)$",
        (ROOT / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )
    assert date
    assert f"\nversion: {version}\ndate-released: {date[1]}\n" in citation


@pytest.mark.parametrize("name", datasets.names())
def test_each_dataset_is_documented(name: str) -> None:
    [row] = re.findall(rf"^\| `{name}` \| .*$", README, re.MULTILINE)
    for config in datasets.get(name).configs:
        assert config.name is None or f"`{config.name}`" in row
        for split in config.splits:
            assert split.name in row
    page = (ROOT / "docs" / "researcher" / "datasets.md").read_text()
    for what in (
        f"## {name}",
        *(f"<!-- generated: {k} {name} -->" for k in ("description", "features")),
    ):
        assert f"\n{what}\n" in page
    assert f"\n| `{name}" in (ROOT / "docs" / "steward" / "layouts.md").read_text()
