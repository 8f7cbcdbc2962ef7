"""What claims to be huge is refused, or handled, in little memory: each build with limits.

`docs/decisions/bounds.md` states the bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hostile.bombs import BOMBS, GB, MB
from support.hostile.server import Server, published

ADDRESS_SPACE = 4 * GB
"""Hard limit of each process; half of it is reserved by threads and libraries and never used."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hostile")) as started:
        yield started


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * bomb.slow) for name, bomb in BOMBS.items()],
)
def test_a_bomb_takes_little_memory(name: str, server: Server, tmp_path: Path):
    bomb = BOMBS[name]
    bomb.stage(tmp_path / "staged")
    where = [f"--manual-dir={tmp_path / 'staged'}", f"--data-dir={tmp_path / 'data'}"]
    checked = server.bounded(["check", str(tmp_path / "staged"), "--deep"], ADDRESS_SPACE)
    assert checked["status"] in (0, 1), checked["said"]
    assert checked["peak"] < bomb.peak
    found = server.bounded(["build", bomb.dataset, *where, "--workers=1"], ADDRESS_SPACE)
    print(f"{name}: {found['peak'] / MB:.0f} MB, {found['seconds']:.1f} s")
    print(found["said"])
    assert found["peak"] < bomb.peak
    if bomb.sentence is None:
        assert found["status"] == 0
        assert len(published(tmp_path / "data")) == 1
        return
    assert found["status"] == 1
    [sentence] = [line for line in found["said"].splitlines() if line.startswith(_ERROR)]
    assert re.search(bomb.sentence, sentence)
    assert published(tmp_path / "data") == []


_ERROR = "imagenet-builders: error: "
