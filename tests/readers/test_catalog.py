"""The snippets of the catalog's pages run as they stand there, with the libraries they are for."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import processes
from support.readers import Exported

from imagenet_builders.catalog.export_snippets import of_export
from imagenet_builders.catalog.metadata import describe
from imagenet_builders.catalog.model import Snippet
from imagenet_builders.catalog.snippets import of_dataset
from imagenet_builders.export import forms

_IMPORTED = re.compile(r"^(?:import|from) (\w+)", re.MULTILINE)


def python(snippets: tuple[Snippet, ...]) -> Iterator[Snippet]:
    return (each for each in snippets if each.language == "python")


def run(snippet: Snippet, tmp_path: Path) -> None:
    """Runs a snippet as a program of its own: workers that are spawned import its file."""
    for module in _IMPORTED.findall(snippet.text):
        found = importlib.util.find_spec(module)
        if found is None or (found.origin is None and module != "nvidia"):  # A folder of the tests.
            pytest.skip(f"needs {module}")
    script = tmp_path / "snippet.py"
    script.write_text(snippet.text)
    done = processes.run(
        [sys.executable, script],
        HOME=str(tmp_path),
        HF_HUB_OFFLINE="1",
        CUDA_VISIBLE_DEVICES="",
    )
    assert done.stdout.strip()


@pytest.mark.parametrize("tab", ["PyTorch", "JAX", "DALI", "timm"])
@pytest.mark.parametrize("name", ["tfrecord_dir", "array_record_dir"])
def test_a_dataset(name: str, tab: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    data_dir: Path = request.getfixturevalue(name)
    snippets = of_dataset(describe(data_dir / "imagenet2012" / "5.1.0"))
    chosen = [each for each in python(snippets) if each.tab == tab]
    assert chosen or (name == "array_record_dir" and tab in ("DALI", "timm"))
    for snippet in chosen:
        run(snippet, tmp_path)


@pytest.mark.parametrize("form", forms.names())
def test_an_export(form: str, exported: Exported, tmp_path: Path) -> None:
    directory = exported(form)
    document = json.loads((directory / "provenance.json").read_text())
    for snippet in python(of_export(directory, document)):
        run(snippet, tmp_path)
