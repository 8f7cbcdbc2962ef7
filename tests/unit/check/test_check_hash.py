"""`check --hash`: the official hashes, the site's own lists, and what is remembered."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import built_datasets, command_line
from support.checking import check, checked, problem, row, stage
from support.corpora.ilsvrc2012 import TRAIN, VAL
from support.paths import DUMMY_DATA

from imagenet_builders.check import hashing, site_lists
from imagenet_builders.locate.hash_cache import known_hashes
from imagenet_builders.locate.official import OfficialArchive


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, or makes, anything of the user's."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.fixture
def ilsvrc(tmp_path: Path) -> Path:
    return stage(tmp_path / "staged", "imagenet2012")


def digest(path: Path, algorithm: str) -> str:
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()


def same_content(path: Path, **changes: object) -> OfficialArchive:
    """An official archive that is this file."""
    known: dict[str, Any] = {
        "name": path.name,
        "size": path.stat().st_size,
        "md5": digest(path, "md5"),
        "sha256": digest(path, "sha256"),
        "images": None,
    }
    return OfficialArchive(**(known | changes))


def damage(path: Path) -> None:
    """Changes a byte of a picture, and neither size nor time of last modification."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(3000)
        byte = file.read(1)
        file.seek(3000)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_hashes_are_right_for_any_file_size(tmp_path: Path) -> None:
    for size in (0, 1, (8 << 20) - 1, 8 << 20, (16 << 20) + 5):
        path = tmp_path / str(size)
        path.write_bytes(os.urandom(min(size, 1000)) * (size // 1000 + 1))
        os.truncate(path, size)
        read: list[int] = []
        [hashed] = hashing.hash_files([path], threads=2, report=read.append)
        assert hashed.hashes == {name: digest(path, name) for name in ("md5", "sha256")}
        assert (hashed.size, sum(read), hashed.remembered) == (size, size, False)


def test_an_official_archive_is_recognised_by_its_hash(
    ilsvrc: Path, official: Callable[..., None]
) -> None:
    official(
        same_content(ilsvrc / TRAIN),
        # One known hash that it has among several is enough.
        same_content(
            ilsvrc / VAL, md5="0" * 32, sha256=None, more_md5=(digest(ilsvrc / VAL, "md5"),)
        ),
    )
    document = checked(ilsvrc, "--hash", status=0)
    train = row(document, "train")
    assert train["verdict"] == row(document, "validation")["verdict"] == "official"
    assert train["images_found"] == 1_281_167  # What has the official bytes is not counted.
    assert train["hashes"] == {
        str(ilsvrc / TRAIN): {name: digest(ilsvrc / TRAIN, name) for name in ("md5", "sha256")}
    }
    # Without --hash, what is remembered is said again.
    assert row(checked(ilsvrc, status=0), "train")["verdict"] == "official"


def test_an_official_size_with_another_hash_is_damage(
    ilsvrc: Path, official: Callable[..., None]
) -> None:
    archive = same_content(ilsvrc / TRAIN)
    official(archive)
    damage(ilsvrc / TRAIN)
    document = checked(ilsvrc, "--hash", status=1)
    said = problem(document, severity="error")
    assert said["path"] == str(ilsvrc / TRAIN)
    assert said["expected"] == f"MD5 {archive.md5}, the official one"
    assert said["found"] == f"MD5 {digest(ilsvrc / TRAIN, 'md5')}"
    assert said["cause"] == "bytes changed on the way or on the disk"
    assert row(document, "train")["verdict"] == "bad"
    # Not only while it is asked for: what is known to be damaged is not forgotten.
    assert checked(ilsvrc, status=1)


def test_another_edition_with_its_own_size_is_no_error(ilsvrc: Path) -> None:
    document = checked(ilsvrc, "--hash", status=0)
    assert row(document, "train")["verdict"] == "odd"
    assert row(document, "train")["hashes"]


def test_a_hashed_file_is_remembered_and_not_read_again(ilsvrc: Path, tmp_path: Path) -> None:
    first = row(checked(ilsvrc, "--hash", status=0), "train")["hashes"]
    damage(ilsvrc / TRAIN)
    # With its old size and time it is taken for what it was: so nothing was read.
    assert row(checked(ilsvrc, "--hash", status=0), "train")["hashes"] == first
    status = (ilsvrc / TRAIN).stat()
    known = known_hashes(ilsvrc / TRAIN, status.st_size, status.st_mtime_ns)
    assert {str(ilsvrc / TRAIN): known} == first
    os.utime(ilsvrc / TRAIN)
    assert row(checked(ilsvrc, "--hash", status=0), "train")["hashes"] != first


LISTS = {
    "ILSVRC2012.md5": "{md5}  {name}\n",
    "MD5SUMS": "# made by the site\r\n{md5} *./{name}\r\n",
    "md5sum.txt": "{MD5}  /old/place/{name}\n",
    "SHA256SUMS": "{sha256}  {name}\n",
    "site.sha256": "SHA256 ({name}) = {sha256}\n",
    "checksums.txt": "MD5({name})= {md5}\nnot a line of a list\n",
    "{name}.md5": "{md5}\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_sites_own_list_is_honoured(ilsvrc: Path, name: str) -> None:
    digests = {each: digest(ilsvrc / TRAIN, each) for each in ("md5", "sha256")}
    words = {**digests, "MD5": digests["md5"].upper(), "name": TRAIN}
    (ilsvrc / name.format(**words)).write_text(LISTS[name].format(**words))
    document = checked(ilsvrc, "imagenet2012", "--hash", status=0)
    assert row(document, "train")["verdict"] == "listed"
    assert row(document, "validation")["verdict"] == "odd"
    damage(ilsvrc / TRAIN)
    os.utime(ilsvrc / TRAIN)
    document = checked(ilsvrc, "imagenet2012", "--hash", status=1)
    said = problem(document, severity="error")
    algorithm = "sha256" if "sha256" in name.lower() else "md5"
    assert digests[algorithm] in said["expected"]
    assert f"by {ilsvrc / name.format(**words)}, line " in said["expected"]
    assert digest(ilsvrc / TRAIN, algorithm) in said["found"]
    assert said["cause"] == "the file was damaged or replaced after the list was made"
    assert row(document, "train")["verdict"] == "bad"


def test_a_list_above_the_archives_is_found_and_files_of_other_names_are_hashed(
    tmp_path: Path,
) -> None:
    stage(tmp_path / "ILSVRC2012", "imagenet2012")
    shards = tmp_path / "wds"
    shards.mkdir()
    shard = shards / "imagenet1k-validation-00.tar"
    shard.write_bytes((DUMMY_DATA / "imagenet2012" / VAL).read_bytes())
    (tmp_path / "MD5SUMS").write_text(
        f"{digest(shard, 'md5')}  wds/{shard.name}\n"
        f"{digest(tmp_path / 'ILSVRC2012' / TRAIN, 'md5')}  {TRAIN}\n"
        f"{'0' * 32}  notes.txt\n"
    )
    document = checked(tmp_path, "imagenet2012", "--hash", status=0)
    assert row(document, "train", preferred=True)["verdict"] == "listed"
    spare = row(document, "validation", preferred=False)
    assert (spare["kind"], spare["verdict"]) == ("webdataset", "spare")
    assert list(spare["hashes"]) == [str(shard)]


def test_a_list_that_contradicts_the_official_hash_is_itself_wrong(
    ilsvrc: Path, official: Callable[..., None]
) -> None:
    official(same_content(ilsvrc / TRAIN))
    (ilsvrc / "MD5SUMS").write_text(f"{'0' * 32}  {TRAIN}\n")
    document = checked(ilsvrc, "--hash", status=0)
    said = problem(document, expected="MD5SUMS, line 1")
    assert said["severity"] == "warning"
    assert said["found"].endswith(", the official one")
    assert row(document, "train")["verdict"] == "official"


def test_an_invalid_list_is_reported_and_ignored(ilsvrc: Path) -> None:
    (ilsvrc / "train.md5").write_bytes(b"\0\1\2" * 100)
    document = checked(ilsvrc, "--hash", status=0)
    said = problem(document, path="train.md5")
    assert (said["severity"], said["found"]) == ("warning", "this is not a list of hashes")


def test_unpacked_npz_files_are_compared_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, official: Callable[..., None]
) -> None:
    folder = tmp_path / "Imagenet32_val_npz"
    with zipfile.ZipFile(
        DUMMY_DATA / "imagenet2012_downsampled" / "Imagenet32_val_npz.zip"
    ) as archive:
        archive.extractall(folder)
    [npz] = folder.rglob("*.npz")
    document = checked(tmp_path, "--hash", status=0)
    # Nobody's size says that it is another edition: that is for people to judge.
    said = problem(document, path="val_data.npz")
    assert said["severity"] == "warning"
    assert "a8c04a389f2649841fb7a01720da9dd9" in said["expected"]
    members = {"val_data.npz": digest(npz, "md5")}
    official(OfficialArchive("Imagenet32_val_npz.zip", 1, None, None, None, member_md5=members))
    document = checked(tmp_path, "--hash", status=0)
    assert row(document, "validation")["verdict"] == "official"


def test_a_damaged_archive_is_not_read_to_its_end(ilsvrc: Path) -> None:
    os.truncate(ilsvrc / TRAIN, 100_000)
    document = checked(ilsvrc, "--hash", status=1)
    assert row(document, "train")["hashes"] == {}
    assert row(document, "validation")["hashes"]


def test_a_short_hash_check_without_a_terminal_writes_no_progress(ilsvrc: Path) -> None:
    outcome = check(ilsvrc, "--hash")
    assert outcome.status == 0
    assert outcome.err == ""  # No terminal, and less than a minute.


def test_a_file_that_changes_while_hashed_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "growing.tar"
    path.write_bytes(bytes(20 << 20))

    def grow(_: int) -> None:
        with open(path, "ab") as file:
            file.write(b"x")

    [hashed] = hashing.hash_files([path], threads=1, report=grow)
    assert "changed while it was read" in str(hashed.error)
    assert hashing.remembered(path) is None


def test_escaped_names_in_lists_are_read(tmp_path: Path) -> None:
    odd = tmp_path / "a\\b\nc.tar"
    odd.write_bytes(b"x")
    (tmp_path / "MD5SUMS").write_text(f"\\{digest(odd, 'md5')}  a\\\\b\\nc.tar\n")
    found, unreadable = site_lists.listed_hashes([tmp_path], [odd])
    assert unreadable == []
    assert [line.digest for line in found[odd]] == [digest(odd, "md5")]


def test_check_works_when_the_cache_cannot_be_written(
    ilsvrc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert row(checked(ilsvrc, "--hash", status=0), "train")["hashes"]
    assert command_line.snapshot(tmp_path / "file") == {}


def test_known_hashes_are_kept_in_the_provenance(ilsvrc: Path, tmp_path: Path) -> None:
    check(ilsvrc, "--hash")
    os.utime(ilsvrc / VAL, (1, 1))  # Another file, as far as can be told.
    assert command_line.build(ilsvrc, tmp_path / "built").status == 0
    splits = built_datasets.provenance(tmp_path / "built")
    [train] = [one for one in splits["train"]["sources"] if one["path"] == str(ilsvrc / TRAIN)]
    assert (train["md5"], train["sha256"]) == (
        digest(ilsvrc / TRAIN, "md5"),
        digest(ilsvrc / TRAIN, "sha256"),
    )
    for source in splits["validation"]["sources"]:
        assert set(source) == {"path", "size", "mtime_ns"}
