"""What is known of the official archives, and the hashes that are remembered."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from imagenet_builders import datasets, labels
from imagenet_builders.locate import hash_cache
from imagenet_builders.locate.official import official_archives

FACTS = json.loads((ROOT / "checksums" / "archives.json").read_text())


def test_each_number_has_its_source() -> None:
    figures = ("bytes", "size_text", "md5", "sha256", "images", "members", "member_md5")
    for entry in FACTS["archives"]:
        for figure in figures:
            if entry.get(figure):
                assert entry["sources"].get(figure), (entry["name"], figure)


def test_datasets_consist_of_known_archives_and_cite_their_numbers() -> None:
    for dataset in datasets.every():
        assert dataset.archives <= set(official_archives())
        assert all(split.source for config in dataset.configs for split in config.splits)


def test_hashes_are_hexadecimal_and_of_one_archive_each() -> None:
    seen: dict[str, str] = {}
    for archive in official_archives().values():
        for algorithm, digits in (("md5", 32), ("sha256", 64)):
            for digest in archive.hashes.get(algorithm, ()):
                assert re.fullmatch(rf"[0-9a-f]{{{digits}}}", digest), archive.name
                assert seen.setdefault(digest, archive.name) == archive.name
        assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in archive.member_md5.values())


def test_numbers_agree_with_those_of_tensorflow_datasets() -> None:
    datasets = pytest.importorskip("tensorflow_datasets.core.utils.resource_utils")
    root = Path(datasets.__file__).parent.parent.parent / "datasets"
    known = official_archives()
    compared = 0
    for name in ("imagenet2012", "imagenet_resized"):
        for line in (root / name / "checksums.tsv").read_text().splitlines():
            url, size, sha256, *_ = line.split()
            archive = known.get(url.rpartition("/")[2])
            if archive is not None:
                assert (archive.size, archive.sha256) == (int(size), sha256)
                compared += 1
    assert compared >= 11


def test_the_parts_of_a_split_add_up_to_its_images() -> None:
    known = official_archives()
    splits = {
        (dataset.name, config.name, split.name): split
        for dataset in datasets.every()
        for config in dataset.configs
        for split in config.splits
    }
    for size in (8, 16, 32, 64):
        config = f"{size}x{size}"
        parts = [f"Imagenet{size}_train_npz.zip"]
        if size == 64:
            parts = [f"Imagenet64_train_part{part}_npz.zip" for part in (1, 2)]
        train = splits["imagenet2012_downsampled", config, "train"]
        assert sum(known[part].images or 0 for part in parts) == train.images == 1_281_167
    assert sum(labels.train_counts().values()) == known["ILSVRC2012_img_train.tar"].images
    tiny = [each.images or 0 for (name, *_), each in splits.items() if name == "tiny_imagenet"]
    assert sum(tiny) == known["tiny-imagenet-200.zip"].images


def test_a_size_rounded_by_a_page_matches_in_decimal_or_binary_units() -> None:
    test = official_archives()["ILSVRC2012_img_test_v10102019.tar"]
    assert test.has_size(13_000_000_000)
    assert test.has_size(13_642_000_000)  # 12.7 GiB.
    assert test.has_size(61_440) is False
    assert official_archives()["imagenet21k_resized.tar.gz"].has_size(1) is None


# --- remembered hashes -----------------------------------------------------------------------

HASHES = {"md5": "0" * 32, "sha256": "1" * 64}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "imagenet_builders" / "hashes.json"


def test_hashes_are_remembered_for_an_unchanged_file(cache: Path) -> None:
    assert hash_cache.known_hashes("/data/train.tar", 10, 20) == {}
    assert hash_cache.remember("/data/train.tar", 10, 20, HASHES)
    assert cache.is_file()
    assert hash_cache.known_hashes("/data/train.tar", 10, 20) == HASHES
    for size, mtime_ns in ((11, 20), (10, 21)):
        assert hash_cache.known_hashes("/data/train.tar", size, mtime_ns) == {}
    assert hash_cache.known_hashes("/data/val.tar", 10, 20) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"version": 2, "files": {}}',
        b'{"version": 1, "files": {"/data/train.tar": {"size": "10"}}}',
        b'{"version": 1, "files": {"/data/train.tar": {"size": 10, "mtime_ns": 20, "md5": "x"}}}',
    ],
)
def test_a_damaged_cache_counts_as_none(cache: Path, content: bytes) -> None:
    cache.parent.mkdir(mode=0o700)
    cache.touch(mode=0o600)
    cache.write_bytes(content)
    assert hash_cache.known_hashes("/data/train.tar", 10, 20) == {}
    assert hash_cache.remember("/data/train.tar", 10, 20, HASHES)
    assert hash_cache.known_hashes("/data/train.tar", 10, 20) == HASHES


def test_a_cache_that_cannot_be_written_is_no_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache.parents[1] / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1] / "file"))
    assert not hash_cache.remember("/data/train.tar", 10, 20, HASHES)


@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_a_cache_that_others_may_write_to_is_not_used_but_another_one(
    cache: Path, mode: int
) -> None:
    assert hash_cache.remember("/data/train.tar", 10, 20, HASHES)
    cache.parent.chmod(mode)
    before = cache.read_bytes()
    assert hash_cache.known_hashes("/data/train.tar", 10, 20) == {}
    for size in (11, 12):
        assert hash_cache.remember("/data/train.tar", size, 20, HASHES)
        assert hash_cache.known_hashes("/data/train.tar", size, 20) == HASHES
    assert len(list(cache.parents[1].iterdir())) == 2
    assert cache.read_bytes() == before


@pytest.mark.parametrize("kind", ["link", "FIFO", "mode 666"])
def test_what_is_not_our_own_file_in_the_cache_is_replaced(
    cache: Path, kind: str, tmp_path: Path
) -> None:
    assert hash_cache.remember("/data/train.tar", 10, 20, HASHES)
    for name in ("hashes.json", "lock"):
        path = cache.with_name(name)
        path.rename(tmp_path / name)
        if kind == "link":
            path.symlink_to(tmp_path / name)
        elif kind == "FIFO":
            os.mkfifo(path)
        else:
            path.write_bytes((tmp_path / name).read_bytes())
            path.chmod(0o666)
    before = (tmp_path / "hashes.json").read_bytes()
    assert hash_cache.known_hashes("/data/train.tar", 10, 20) == {}
    assert hash_cache.remember("/data/train.tar", 11, 20, HASHES)
    assert hash_cache.known_hashes("/data/train.tar", 11, 20) == HASHES
    assert (tmp_path / "hashes.json").read_bytes() == before


def test_several_processes_remember_at_once(cache: Path) -> None:
    code = (
        "import sys; from imagenet_builders.locate import hash_cache as c\n"
        "for n in range(20): c.remember(f'/data/{sys.argv[1]}-{n}', n, n, "
        f"{HASHES!r})"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abc"]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(json.loads(cache.read_text())["files"]) == 60
