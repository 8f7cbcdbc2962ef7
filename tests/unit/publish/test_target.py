"""The names beside a dataset: of an export, its own name may be any."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_builders.publish.target import Target

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("name", ["5.1.0", "*", "x[1]", "what?"])
def test_a_directory_finds_what_its_own_builds_have_left(name: str, tmp_path: Path) -> None:
    target, other = Target(tmp_path / name), Target(tmp_path / "other")
    own, stock = target.incomplete(TOKEN), tmp_path / f"incomplete.ABCDEF_{name}"
    for path in (own, stock, other.incomplete(TOKEN), tmp_path / "incomplete.ABCDEF_other"):
        path.mkdir()
    assert target.incompletes() == target.all_ours() == [own]
    assert target.stock_incompletes() == [stock]
