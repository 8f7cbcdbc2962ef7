"""What a source unpacks for a build: by all workers, once, and gone when the dataset is built."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from support.built_datasets import shards
from support.command_line import run
from support.corpora.layouts import packed, pictures
from support.corpora.sites import compressed, hugging_face, packed_class_archives

from imagenet_builders.scratch import means

PICTURES = pictures("imagenet2012")


def build(staged: Path, root: Path, *options: str) -> tuple[int, str, dict[str, bytes]]:
    where = [f"--manual-dir={staged}", f"--data-dir={root}", f"--scratch-dir={root}-scratch"]
    outcome = run("build", "imagenet2012", *where, *options)
    files = {}
    if outcome.status == 0:
        files = {path.name: path.read_bytes() for path in shards(Path(outcome.out.split()[-1]))}
    return outcome.status, outcome.err, files


def unpacked(root: Path) -> list[str]:
    return sorted(path.name for path in Path(f"{root}-scratch").rglob("unpacked-*/*"))


@pytest.mark.parametrize("site", [hugging_face, packed_class_archives, compressed])
def test_worker_processes_unpack_to_the_same_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: object
) -> None:
    assert callable(site)
    site(tmp_path / "staged", PICTURES)
    monkeypatch.setattr(means, "_SMALL_BYTES", 0)
    status, said, files = build(tmp_path / "staged", tmp_path / "two", "--workers=2")
    assert status == 0, said
    _, _, expected = build(PICTURES.official, tmp_path / "one", "--workers=1")
    assert files == expected
    assert unpacked(tmp_path / "two") == []


def test_what_was_unpacked_stays_when_a_build_fails_and_is_used_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = tmp_path / "staged"
    compressed(staged, PICTURES)
    [validation] = staged.glob("ILSVRC2012_img_val*")
    whole = validation.read_bytes()
    validation.write_bytes(whole[:-50])
    status, said, _ = build(staged, tmp_path / "data", "--workers=1")
    assert status == 1
    assert validation.name in said
    assert "cut off" in said
    assert "ILSVRC2012_img_train.tar" in unpacked(tmp_path / "data")
    validation.write_bytes(whole)
    status, said, files = build(staged, tmp_path / "data", "--workers=1")
    assert status == 0, said
    assert "split train: unpacking" not in said
    assert "split validation: unpacking" in said
    assert files
    assert unpacked(tmp_path / "data") == []


def test_too_little_space_is_an_error_before_anything_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed(tmp_path / "staged", PICTURES)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    status, said, _ = build(tmp_path / "staged", tmp_path / "data", "--workers=1")
    assert status == 2
    assert "has 1.0 kB free, but" in said
    assert "are needed to unpack" in said
    assert [name for name in unpacked(tmp_path / "data") if name.endswith(".tar")] == []


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagenet_builders.scratch.gunzip._ALWAYS_ALLOWED", 1 << 20)
    (tmp_path / "staged").mkdir()
    train = (PICTURES.official / "ILSVRC2012_img_train.tar").read_bytes()
    bomb = gzip.compress(train + bytes(64 << 20))
    (tmp_path / "staged" / "ILSVRC2012_img_train.tar.gz").write_bytes(bomb)
    status, said, _ = build(tmp_path / "staged", tmp_path / "data", "--workers=1")
    assert status == 1
    assert "more than 3 times its size" in said


def test_check_says_how_much_scratch_space_is_needed(tmp_path: Path) -> None:
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(
        packed((PICTURES.official / "ILSVRC2012_img_val.tar").read_bytes(), "xz")
    )
    outcome = run("check", str(tmp_path))
    assert outcome.status == 0, outcome.out
    assert "scratch   " in outcome.out
    size = (tmp_path / "ILSVRC2012_img_val.tar").stat().st_size
    [line] = [line for line in outcome.out.splitlines() if line.startswith("  scratch")]
    assert float(line.split()[1]) == pytest.approx(1.1 * size / 1e3, rel=0.02)
