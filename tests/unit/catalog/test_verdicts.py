"""What `verify` found is remembered for its user, and nothing that somebody else wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from imagenet_builders.catalog import entry, verdicts
from imagenet_builders.verify.dataset import verify_dataset
from imagenet_builders.verify.verdict import Verdict


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imagenet_builders" / "verdicts"


def test_a_verdict_comes_back(built: Path, tmp_path: Path) -> None:
    assert verdicts.last(built) is None
    verdicts.remember(built, verify_dataset(built, workers=1), is_export=False)
    found = verdicts.last(built)
    assert found is not None
    assert found.verified.ok
    assert found.identity == entry.read(built, False).identity
    assert verdicts.last(built.parent) is None
    link = tmp_path / "link"
    link.symlink_to(built)
    assert verdicts.last(link) == found
    assert entry.read(link, False).identity == found.identity


def test_what_is_not_sound_does_not(built: Path, cache: Path) -> None:
    verdicts.remember(built, Verdict("x", str(built)), is_export=False)
    [file] = cache.iterdir()
    whole = json.loads(file.read_text())
    for content in (b"", b"[]", json.dumps(whole | {"version": 0}).encode()):
        file.write_bytes(content)
        assert verdicts.last(built) is None
    file.unlink()
    os.mkfifo(file)
    assert verdicts.last(built) is None


def test_a_directory_that_others_may_write_is_not_read(built: Path, cache: Path) -> None:
    verdicts.remember(built, Verdict("x", str(built)), is_export=False)
    cache.chmod(0o777)
    assert verdicts.last(built) is None


def test_a_cache_that_cannot_be_written_is_no_error(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    verdicts.remember(built, Verdict("x", str(built)), is_export=False)
    assert verdicts.last(built) is None
    verdicts.remember(tmp_path, Verdict("x", str(tmp_path)), is_export=True)
