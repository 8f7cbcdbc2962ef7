"""A page of an export says what its provenance and our tables say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from imagenet_builders.catalog import export_entry
from imagenet_builders.errors import DatasetError

FORMS = ("webdataset", "imagefolder", "slim", "dali-index", "huggingface")


@pytest.mark.parametrize("form", FORMS)
def test_an_export(form: str, exported: Callable[[str], Path]) -> None:
    directory = exported(form)
    entry, files = export_entry.entry_of(export_entry.read(directory), "slug", None)
    assert (entry.full_name, entry.made_by, entry.form) == ("imagenet2012/5.1.0", "export", form)
    assert {split.name: split.examples for split in entry.splits} == {
        "train": 24,
        "validation": 12,
        "test": 6,
    }
    there = [path for path in directory.rglob("*") if path.is_file()]
    assert entry.file_count == len(there)
    listed = sum(path.stat().st_size for path in there) - entry.size
    assert 0 <= listed < 300_000  # But for those that tell of all of it.
    assert entry.citation.startswith("@article{ILSVRC15")
    assert "ILSVRC" in entry.description
    assert entry.terms is not None
    assert entry.no_statistics is not None
    assert len(entry.classes) == 1000
    matched = [path for each in files.sets for path in _matched(directory, each.includes)]
    assert set(there) - set(matched) - {directory / each.name for each in files.small} == {
        directory / "provenance.json"
    }


def _matched(directory: Path, patterns: tuple[str, ...]) -> list[Path]:
    """As Croissant's patterns match, in which `*` is any text."""
    import fnmatch

    names = (path for path in directory.rglob("*") if path.is_file())
    return [
        path
        for path in names
        if any(fnmatch.fnmatch(str(path.relative_to(directory)), each) for each in patterns)
    ]


@pytest.mark.parametrize(
    "document",
    [{"form": "x"}, {"form": "x", "dataset": 7}, {"form": "x", "dataset": "a/b/c/d"}],
)
def test_one_that_does_not_say_of_what_it_is(tmp_path: Path, document: dict[str, object]) -> None:
    (tmp_path / "provenance.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match="does not say of which dataset"):
        export_entry.read(tmp_path)


def test_what_is_damaged_is_passed_over(tmp_path: Path) -> None:
    document = {
        "form": "hologram",
        "dataset": "other/1.0.0",
        "splits": {"train": None, "test": {"examples": "x"}, "validation": {"files": [None, []]}},
        "files": ["a"],
    }
    (tmp_path / "provenance.json").write_text(json.dumps(document))
    entry, _ = export_entry.entry_of(export_entry.read(tmp_path), "slug", None)
    assert (entry.splits, entry.terms, entry.classes, entry.description) == ((), None, (), "")


@pytest.mark.parametrize("form", ["webdataset", "imagefolder", "squashfs"])
def test_it_is_another_one_when_its_files_have_changed(
    form: str, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    """A verdict that was about other files is not shown as one on these."""
    if form == "squashfs" and shutil.which("sqfstar") is None:
        pytest.skip("sqfstar is not installed")
    directory = tmp_path / "export"
    shutil.copytree(exported(form), directory)
    before = export_entry.read(directory).identity
    assert export_entry.read(directory).identity == before
    file = next(path for path in directory.iterdir() if path.is_file() and path.name[0] != "p")
    file.write_bytes(file.read_bytes() + b"x")
    assert export_entry.read(directory).identity != before
