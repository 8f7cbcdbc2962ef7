"""`check --speed`: how fast archives are read, and whether to copy them first."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from support.command_line import run, snapshot
from support.file_systems import mounted
from support.paths import DUMMY_DATA

from imagenet_builders.check import speed
from imagenet_builders.check.speed import Speed, measure


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than is measured at least, on a disk."""
    path = tmp_path_factory.mktemp("large") / "archive.tar"
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for _ in range(300):
            file.write(block)
        os.fsync(file.fileno())
    return path


def test_real_reads_are_measured_in_a_few_seconds(archive: Path, tmp_path: Path):
    before = snapshot(archive.parent)
    started = time.monotonic()
    found = measure([[archive], [archive]], tmp_path / "scratch" / "that is not there")
    assert time.monotonic() - started < 8  # 2.6 s; this machine may be busy.
    assert found.path == archive
    assert found.archives == archive.stat().st_size
    assert found.at_random > 0 < found.in_order
    assert found.apart is (archive.stat().st_dev != tmp_path.stat().st_dev)
    assert found.free is not None
    assert found.free > 0
    assert snapshot(archive.parent) == before
    assert not list(tmp_path.iterdir())


def test_random_reads_bypass_memory_where_they_can(archive: Path, tmp_path: Path):
    """Of an archive that is in memory as a whole, storage is measured all the same."""
    archive.read_bytes()
    try:
        os.close(os.open(archive, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        pytest.skip("the file system has no such reads")
    assert measure([[archive]], tmp_path).bypassed


def test_a_file_system_that_cannot_bypass_memory_is_measured_too(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(os, "O_DIRECT")
    found = measure([[archive]], tmp_path)
    assert not found.bypassed
    assert found.at_random > 0 < found.in_order
    assert any("perhaps from memory" in line for line in found.lines())


def test_scratch_on_another_file_system_is_recognised(archive: Path, tmp_path: Path):
    with mounted(tmp_path / "disk", "size=8m") as disk:
        found = measure([[archive]], disk / "imagenet_builders-0")
    assert found.apart
    assert found.free == 8 << 20


def test_small_archives_give_no_measurement(tmp_path: Path):
    (tmp_path / "small.tar").write_bytes(bytes(1000))
    nothing: list[list[list[Path]]] = [[[tmp_path / "small.tar"]], [[]], []]
    for files in nothing:
        found = measure(files, tmp_path)
        assert found.path is None
        assert not found.stage
        assert "nothing to measure" in found.advice


FAST, SLOW = 900e6, 100e6


@pytest.mark.parametrize(
    ("at_random", "apart", "free", "stage", "words"),
    [
        (FAST, True, 1 << 40, False, "build without --stage: reading at random is fast enough"),
        (FAST / 2, True, 1 << 40, False, "build without --stage"),
        (SLOW, True, 1 << 40, True, "copying 148 GB in order takes about 3 min"),
        (SLOW, True, 1 << 30, False, "has only 1.1 GB free for 148 GB; build with --stage and"),
        (SLOW, False, 1 << 40, False, "the scratch directory is on the same file system"),
    ],
)
def test_staging_is_advised_where_it_pays(
    at_random: float, apart: bool, free: int, stage: bool, words: str
):
    found = Speed(Path("/x.tar"), at_random, FAST, 148 * 10**9, free, apart)
    assert found.stage is stage
    assert words in found.advice
    assert found.document()["stage"] is stage


def test_check_reports_its_measurement(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speed, "_MIN_ARCHIVE_BYTES", 1)
    manual_dir = DUMMY_DATA / "imagenet2012"
    outcome = run("check", str(manual_dir), "imagenet2012", "--speed")
    assert outcome.status == 0, outcome
    largest = max(manual_dir.iterdir(), key=lambda path: path.stat().st_size)
    assert f"Reading {largest}:" in " ".join(outcome.out.split())  # Which may be folded there.
    assert "Advice: " in outcome.out
    outcome = run("check", str(manual_dir), "imagenet2012", "--speed", "--json")
    document = json.loads(outcome.out)
    assert document["speed"]["path"] == str(largest)
    assert document["speed"]["sequential_bytes_per_second"] > 0
    assert document["speed"]["archives_bytes"] == sum(
        path.stat().st_size for path in manual_dir.iterdir()
    )
    assert "speed" not in json.loads(run("check", str(manual_dir), "--json").out)


def test_sources_not_read_at_random_are_not_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speed, "_MIN_ARCHIVE_BYTES", 1)
    outcome = run("check", str(DUMMY_DATA / "imagenet21k_winter21"), "--speed", "--json")
    assert json.loads(outcome.out)["speed"]["path"] is None
