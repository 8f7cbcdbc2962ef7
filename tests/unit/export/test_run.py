"""Exports: who waits for another is told what for, and what is flushed to the storage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support.flushing import flushes

from imagenet_builders.errors import BusyError, TargetError
from imagenet_builders.export import forms
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.options import BuildOptions
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.publish.lock import BuildLock
from imagenet_builders.publish.target import Target


def test_another_export_to_the_same_place_is_told_by_the_place(built: Path, tmp_path: Path) -> None:
    """That may be of another dataset, or in another form."""
    out = tmp_path / "out"
    source, options = BuiltSource("imagenet2012", built.parents[1]), BuildOptions(wait=False)
    with (
        BuildLock(Target(out), name="another", wait=False, announce=print),
        pytest.raises(BusyError) as caught,
    ):
        export(source, forms.get("webdataset"), out, options)
    assert str(caught.value).startswith(f"{out} is being built by another process (process ")
    assert not out.exists()


@pytest.mark.parametrize("form", ["slim", "imagefolder", "huggingface"])
def test_each_file_is_flushed_once_and_each_directory_at_last(
    built: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = BuiltSource("imagenet2012", built.parents[1]), tmp_path / "out"
    flushed = flushes(monkeypatch)
    moved: list[int] = []
    replace = PrivateDir.replace

    def noted(directory: PrivateDir, name: str, other: str) -> None:
        replace(directory, name, other)
        moved.append(len(flushed))

    monkeypatch.setattr(PrivateDir, "replace", noted)
    export(source, forms.get(form), out, BuildOptions(workers=1))
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        tells_of_all = path.suffix in (".json", ".md", ".txt", ".bin")
        assert flushed.count(path.stat().st_ino) == (2 if tells_of_all else 1), path
    directories = [out, *(path for path in out.rglob("*") if path.is_dir())]
    assert all(path.stat().st_ino in flushed[moved[-1] :] for path in directories)
    assert out.parent.stat().st_ino == flushed[-1]


def test_files_whose_mode_is_given_are_flushed_afterwards(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = BuiltSource("imagenet2012", built.parents[1]), tmp_path / "out"
    flushed = flushes(monkeypatch)
    given: dict[int, int] = {}
    chmod = os.chmod

    def noted(path: int | str, mode: int, **how: Any) -> None:
        chmod(path, mode, **how)
        if isinstance(path, int):
            given[os.fstat(path).st_ino] = len(flushed)

    monkeypatch.setattr(os, "chmod", noted)
    export(source, forms.get("webdataset"), out, BuildOptions(workers=1, mode=0o750))
    for path in (path for path in out.rglob("*") if path.is_file()):
        assert path.stat().st_mode & 0o777 == 0o640
        assert path.stat().st_ino in flushed[given[path.stat().st_ino] :]


def test_a_file_that_nobody_wrote_is_found_among_those_that_are_moved(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect = IncompleteDir.expect

    def plant(incomplete: IncompleteDir, *names: Any, **more: Any) -> None:
        (incomplete.place / "foreign").write_bytes(b"")
        expect(incomplete, *names, **more)

    monkeypatch.setattr(IncompleteDir, "expect", plant)
    source, out = BuiltSource("imagenet2012", built.parents[1]), tmp_path / "out"
    with pytest.raises(TargetError, match="foreign is a file that this build did not put there"):
        export(source, forms.get("slim"), out, BuildOptions(workers=1))
    assert not out.exists()
