"""Two exports to one place: who waits is told what for."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_builders.errors import BusyError
from imagenet_builders.export import forms
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.options import BuildOptions
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
