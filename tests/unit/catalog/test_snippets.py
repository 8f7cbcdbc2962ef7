"""The snippets of a page run as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import environment, run_python

from imagenet_builders.catalog.metadata import describe
from imagenet_builders.catalog.model import Snippet
from imagenet_builders.catalog.snippets import of_dataset, python_text, shell_path

HERE = ("TensorFlow", "PyTorch", "shell")
"""The tabs with snippets that need nothing but what the tests have; see `tests/readers`."""

OTHERS = re.compile(r"^(?:import|from) (?:torch|timm|grain|jax|nvidia)\b", re.MULTILINE)


def run(snippet: Snippet) -> str:
    if snippet.language == "python":
        return run_python(snippet.text)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", snippet.text],
        capture_output=True,
        text=True,
        env=environment(PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin"),
        check=False,
    )
    assert done.returncode == 0, f"{snippet.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def runnable(directory: Path) -> dict[str, Snippet]:
    snippets = of_dataset(describe(directory))
    return {each.title: each for each in snippets if not OTHERS.search(each.text)}


_TFDS, _ANY_ORDER = (
    "With TensorFlow Datasets, from any program",
    "In any order, without a framework",
)


@pytest.mark.slow
def test_snippets_run(built: Path) -> None:
    snippets = runnable(built)
    assert {each.tab for each in snippets.values()} == set(HERE)
    said = {title: run(snippet) for title, snippet in snippets.items()}
    assert "3) " in said[_TFDS]
    assert said[_ANY_ORDER].startswith("24 (")
    assert "imagenet2012/5.1.0" in said["What is in it"]
    assert said["Verify it"].splitlines()[0].endswith(": right")


def test_snippets_of_array_record_run(array_record: Path) -> None:
    snippets = runnable(array_record)
    assert run(snippets[_TFDS]).startswith("24 (")
    assert run(snippets[_ANY_ORDER]).startswith("24 (")


def test_snippets_of_a_dataset_with_boxes_run(boxes: Path) -> None:
    assert run(runnable(boxes)[_ANY_ORDER]).startswith("12 (")


def test_the_libraries_that_read_a_format_have_a_tab(built: Path, array_record: Path) -> None:
    tabs = {each.tab for each in of_dataset(describe(built))}
    assert tabs == {"TensorFlow", "PyTorch", "JAX", "DALI", "timm", "shell"}
    tabs = {each.tab for each in of_dataset(describe(array_record))}
    assert tabs == {"TensorFlow", "PyTorch", "JAX", "shell"}


def test_python_snippets_are_python(built: Path, array_record: Path) -> None:
    for directory in (built, array_record):
        for snippet in of_dataset(describe(directory)):
            assert "<<" not in snippet.text
            if snippet.language == "python":
                compile(snippet.text, snippet.title, "exec")


def test_without_the_index_dali_has_no_tab(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "imagenet2012" / "5.1.0"))
    shutil.rmtree(copy / "dali_index")
    assert "DALI" not in {each.tab for each in of_dataset(describe(copy))}


@pytest.mark.parametrize("place", ["moved here", "qu\"o'te/$(touch x)", "é\u202e\x1b"])
def test_a_dataset_that_was_moved_is_read_where_it_is(
    built: Path, tmp_path: Path, place: str
) -> None:
    copy = Path(shutil.copytree(built, tmp_path / place))
    snippets = runnable(copy)
    assert "builder_from_directory" in snippets[_TFDS].text
    for snippet in snippets.values():
        assert all(line.isprintable() for line in snippet.text.splitlines())
    assert run(snippets[_ANY_ORDER]).startswith("24 (")
    assert "dataset_info.json" in run(snippets["The files"])


def test_a_dataset_of_others_has_the_snippets_that_work(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "imagenet2012" / "5.1.0"))
    for name in ("features.json", "dataset_info.json"):
        text = (copy / name).read_text()
        text = text.replace("tfrecord", "riegeli").replace("text_feature.Text", "hologram.Hologram")
        (copy / name).write_text(text)
    tabs = [each.tab for each in of_dataset(describe(copy))]
    assert tabs == ["TensorFlow", "shell"]


def test_texts_are_quoted() -> None:
    assert python_text('a"b') == '"a\\"b"'
    assert eval(python_text("a\u202e😀\udcff")) == "a\u202e😀\udcff"
    assert shell_path(Path("/plain/path")) == "/plain/path"
