"""Each form of export has snippets, and they run as they stand on its page."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import run_python

from imagenet_builders.catalog.export_snippets import FORMS, of_export
from imagenet_builders.catalog.model import Snippet
from imagenet_builders.export import forms


def snippets(directory: Path) -> dict[str, Snippet]:
    document = json.loads((directory / "provenance.json").read_text())
    return {each.title: each for each in of_export(directory, document)}


def test_every_form_has_snippets() -> None:
    assert set(FORMS) == set(forms.names())


def test_webdataset(exported: Callable[[str], Path]) -> None:
    directory = exported("webdataset")
    there = snippets(directory)
    assert '"wds/imagenet1k"' in there["Its reader of WebDataset"].text
    size, label = run_python(there["WebDataset"].text).rsplit(maxsplit=1)
    assert size.startswith("(")
    assert 0 <= int(label) < 1000


def test_slim(exported: Callable[[str], Path]) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # In this process, which may have TensorFlow already.
        exec(snippets(exported("slim"))["Its records"].text, {})
    assert ", 3) " in said.getvalue()


def test_dali_index(exported: Callable[[str], Path]) -> None:
    assert run_python(snippets(exported("dali-index"))["The indexes"].text) == "3\n"


def test_imagefolder(exported: Callable[[str], Path]) -> None:
    directory = exported("imagefolder")
    assert f'ImageFolder("{directory}/train")' in snippets(directory)["ImageFolder"].text


@pytest.mark.skipif(shutil.which("sqfstar") is None, reason="needs squashfs-tools")
def test_squashfs(exported: Callable[[str], Path]) -> None:
    directory = exported("squashfs")
    there = snippets(directory)
    assert f"{directory}/imagenet2012.squashfs" in there["Mount it, as any user"].text
    command = there["What is in it"].text
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "squashfs-root/train" in done.stdout


def test_all_are_python_and_printable(exported: Callable[[str], Path]) -> None:
    for form in ("webdataset", "slim", "dali-index", "imagefolder", "huggingface"):
        for snippet in snippets(exported(form)).values():
            assert "<<" not in snippet.text
            if snippet.language == "python":
                compile(snippet.text, snippet.title, "exec")


def test_what_somebody_else_wrote_has_the_plain_ones(tmp_path: Path) -> None:
    for document in (
        {"form": "hologram"},
        {"form": "webdataset", "splits": {}},
        {"form": "slim", "splits": {"train": None}},
        {"form": "webdataset", "splits": {"train": {"files": [[]]}}},
    ):
        titles = [each.title for each in of_export(tmp_path, document)]
        assert titles[-2:] == ["The files", "Verify it"]
