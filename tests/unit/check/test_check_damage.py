"""`check` on damaged archives: a verdict or a problem in words, whatever the bytes are."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import command_line
from support.checking import stage
from support.corpora import ilsvrc2012 as corpus
from support.corpora.layouts import pictures
from support.corpora.sites import SITES
from support.paths import DUMMY_DATA

from imagenet_builders.check import near_names, site_lists
from imagenet_builders.locate.official import official_archives
from imagenet_builders.sources import folder_counts, tar_counts

ARCHIVES = sorted(
    path
    for path in DUMMY_DATA.glob("*/*")
    if path.suffix in (".tar", ".zip", ".gz", ".tgz") and path.is_file()
)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, or makes, anything of the user's."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes with something wrong with them."""
    changed = bytearray(data)
    kind = chance.choice(["flip", "flips", "cut", "cut in blocks", "zeros", "junk", "header"])
    if kind == "flip":
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif kind == "flips":
        for _ in range(50):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    elif kind == "cut":
        del changed[chance.randrange(len(changed)) :]
    elif kind == "cut in blocks":
        del changed[chance.randrange(len(changed) // 512 + 1) * 512 :]
    elif kind == "zeros":
        start = chance.randrange(len(changed))
        end = min(len(changed), start + chance.randrange(5000))
        changed[start:end] = bytes(end - start)
    elif kind == "junk":
        changed += chance.randbytes(chance.randrange(1, 3000))
    else:
        # Where headers and directories are: at the beginning, and at the end.
        for _ in range(3):
            at = chance.randrange(min(1024, len(changed)))
            changed[at if chance.random() < 0.5 else -1 - at] = chance.randrange(256)
    return bytes(changed)


def look(directory: Path, *options: str) -> dict:
    """The document of a check, which ends with 0 or 1 and nothing worse."""
    outcome = command_line.run("check", str(directory), *options, "--json")
    assert outcome.status in (0, 1)
    assert "Traceback" not in outcome.err
    document: dict = json.loads(outcome.out)
    assert document["can_be_built"] is (outcome.status == 0)
    assert all(problem["found"] and problem["action"] for problem in document["problems"])
    return document


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_check_never_crashes_on_damage(archive: Path, tmp_path: Path) -> None:
    chance = random.Random(archive.name)
    data = archive.read_bytes()
    for _ in range(12):
        (tmp_path / archive.name).write_bytes(damaged(data, chance))
        look(tmp_path)


@pytest.mark.parametrize("dataset", ["imagenet2012", "imagenet2012_localization", "tiny_imagenet"])
def test_a_deep_check_never_crashes_on_damage(dataset: str, tmp_path: Path) -> None:
    chance = random.Random(dataset)
    for number in range(12):
        directory = stage(tmp_path / str(number), dataset)
        victim = chance.choice(sorted(directory.iterdir()))
        victim.write_bytes(damaged(victim.read_bytes(), chance))
        document = look(directory, "--deep", "--workers", "1", "--data-dir", str(tmp_path / "out"))
        assert document["sources"]
        shutil.rmtree(directory)


@pytest.mark.parametrize("site", ["hyak", "timm", "nibi", "kaggle", "class_archives"])
def test_a_deep_check_never_crashes_on_a_damaged_site(site: str, tmp_path: Path) -> None:
    chance = random.Random(site)
    SITES[site](tmp_path / "staged", pictures("imagenet2012"))
    files = [path for path in sorted((tmp_path / "staged").rglob("*")) if path.is_file()]
    options = ("imagenet2012", "--deep", "--workers", "1", "--data-dir", str(tmp_path / "out"))
    for _ in range(8):
        victim = chance.choice([path for path in files if path.stat().st_size])
        data = victim.read_bytes()
        victim.write_bytes(damaged(data, chance))
        assert look(tmp_path / "staged", *options)["sources"]
        victim.write_bytes(data)


def test_a_deep_check_finds_hidden_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_counts, "_MAX_HEADERS", 3)
    directory = stage(tmp_path / "staged", "imagenet2012")
    archive = directory / corpus.VAL
    data = bytearray(archive.read_bytes())
    offset, _ = corpus.member_offsets(archive, corpus.val_name(7))
    data[offset] ^= 0x20
    archive.write_bytes(data)
    quick = look(directory, "imagenet2012")
    assert quick["can_be_built"]
    unread = {row["split"]: row["unread"] for row in quick["sources"]}
    assert unread["validation"] == f"the names after the first 3 in {archive}"
    document = look(directory, "imagenet2012", "--deep", "--data-dir", str(tmp_path / "out"))
    assert not document["can_be_built"]
    [error] = [each for each in document["problems"] if each["severity"] == "error"]
    assert error["path"] == str(archive)
    assert f"at byte {offset:,}" in error["found"]


def test_a_damaged_split_does_not_keep_the_others_from_a_deep_check(tmp_path: Path) -> None:
    directory = stage(tmp_path / "staged", "imagenet2012")
    os.truncate(directory / corpus.TRAIN, 100_000)
    document = look(directory, "imagenet2012", "--deep", "--data-dir", str(tmp_path / "out"))
    found = {row["split"]: (row["verdict"], row["images_found"]) for row in document["sources"]}
    assert found == {"train": ("bad", None), "validation": ("odd", 12), "test": ("odd", 6)}
    # It is said once: what a look has found needs no walk.
    assert len([each for each in document["problems"] if each["severity"] == "error"]) == 1


def test_a_deep_check_needs_no_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; from imagenet_builders.cli import main\n"
        "status = main(['check', *sys.argv[1:]])\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'apache_beam'}\n"
        "print('imported:', *sorted(heavy & {*sys.modules}))\n"
        "sys.exit(status)"
    )
    options = ["--add-name-to-manual-dir", "--deep", "--data-dir", str(tmp_path), "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-c", code, str(DUMMY_DATA), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


def test_a_clean_deep_check_leaves_the_index_for_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagenet_builders.plan.index import IndexCache

    directory, data_dir = stage(tmp_path / "staged", "imagenet2012"), tmp_path / "out"
    document = look(directory, "imagenet2012", "--deep", "--data-dir", str(data_dir))
    found = {row["split"]: row["images_found"] for row in document["sources"]}
    assert found == {"train": 24, "validation": 12, "test": 6}

    def no_new_one(self: IndexCache, path: Path, index: object) -> bool:
        raise AssertionError(f"indexed again: {path}")

    monkeypatch.setattr(IndexCache, "save", no_new_one)
    assert command_line.build(directory, data_dir).status == 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=600))
def test_any_list_of_hashes_is_read_without_a_crash(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    directory = tmp_path_factory.getbasetemp() / "lists"
    directory.mkdir(exist_ok=True)
    (directory / "MD5SUMS").write_bytes(data)
    site_lists.listed_hashes([directory], [directory / "ILSVRC2012_img_train.tar"])
    folder_counts.in_list(directory / "MD5SUMS")


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(official_archives())),
    prefix=st.sampled_from(["", "Copy of ", "."]),
    suffix=st.sampled_from(["", ".part", " (2)", ".1", ".tar", ".AbC123", "~", ".gz"]),
    upper=st.booleans(),
)
def test_names_close_to_official_ones_are_recognised(
    tmp_path_factory: pytest.TempPathFactory, name: str, prefix: str, suffix: str, upper: bool
) -> None:
    directory = tmp_path_factory.getbasetemp() / "names"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    changed = prefix + (name.upper() if upper else name) + suffix
    (directory / changed).write_bytes(b"x")
    found = near_names.unusual_names([directory], [])
    if changed in official_archives():
        assert found == []
    for one in found:
        assert one.path == directory / changed
        assert one.sentence
        assert one.action
    if suffix == ".part" and prefix == "":
        [one] = found
        assert one.unfinished
        assert os.path.splitext(one.official)[0].partition(".")[0] == name.partition(".")[0]
