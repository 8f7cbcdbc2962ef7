"""The reference has each key of the JSON documents, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support import command_line
from support.paths import DUMMY_DATA, ROOT

REFERENCE = ROOT / "docs" / "reference"
ARCHIVES = DUMMY_DATA / "imagenet2012"


def keys(page: str, heading: str, table: int = 0) -> set[str]:
    """The names in the first column of a table below a heading."""
    text = (REFERENCE / page).read_text().replace("\r", "")
    below = re.split(r"^#+ ", text.split(f"# {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"(?:^\|.*\n)+", below, re.MULTILINE)[table].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("built")
    outcome = command_line.build(ARCHIVES, data_dir)
    assert outcome.status == 0, outcome.err
    return data_dir


def document(*arguments: str) -> Any:
    return json.loads(command_line.run(*arguments).out)


def test_the_document_of_check(tmp_path: Path) -> None:
    page = "json-documents.md"
    found = document("check", str(ARCHIVES), "--json", "--speed", f"--data-dir={tmp_path}")
    assert keys(page, "The document of check") == found.keys()
    assert keys(page, "sources") == found["sources"][0].keys()
    assert keys(page, "problems") == found["problems"][0].keys()
    assert keys(page, "speed") == found["speed"].keys()
    needs = (REFERENCE / page).read_text().split("### needs\n")[1].split("###")[0]
    assert set(found["needs"]) | set(found["needs"]["output"]) == set(
        re.findall(r"`(\w+)`", needs.replace("`scratch` is for copies", ""))
    )


def test_the_document_of_verify(data_dir: Path) -> None:
    page = "json-documents.md"
    [shard] = (data_dir / "imagenet2012" / "5.1.0").glob("*-test.*")
    whole = shard.read_bytes()
    try:
        shard.write_bytes(whole[:-1])
        found = document("verify", "imagenet2012", f"--data-dir={data_dir}", "--json")
    finally:
        shard.write_bytes(whole)
    [verdict] = found["datasets"]
    assert keys(page, "The document of verify") == found.keys()
    assert keys(page, "datasets") == verdict.keys()
    assert keys(page, "datasets", 1) == verdict["problems"][0].keys()
    [row] = [
        line
        for line in (REFERENCE / page).read_text().splitlines()
        if line.startswith("| `splits`")
    ]
    of_split = set(re.findall(r"`(\w+)`", row)) - {"splits", "dataset_info"}
    assert of_split == verdict["splits"]["train"].keys()


def test_provenance(data_dir: Path) -> None:
    [path] = data_dir.rglob("provenance.json")
    found = json.loads(path.read_text())
    assert keys("files.md", "provenance.json") == found.keys()
    assert keys("files.md", "provenance.json", 1) == found["splits"]["train"].keys()
