"""`check` on the layouts of real sites: the same sources and numbers as a build finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.checking import checked, problem, row
from support.command_line import run
from support.corpora import layouts as layouts_corpus
from support.corpora import sites
from support.corpora.ilsvrc2012 import staged
from support.corpora.layouts import pictures
from support.corpora.sites import SITES, WITHOUT_TEST

from imagenet_builders.options import BuildOptions


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, or makes, anything of the user's."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.mark.parametrize("site", SITES)
def test_a_sites_verdict_agrees_with_its_build(site: str, tmp_path: Path) -> None:
    SITES[site](tmp_path / "staged", pictures("imagenet2012"))
    arguments = ("imagenet2012", "--workers", "1", "--data-dir", str(tmp_path / "out"))
    quick = checked(tmp_path / "staged", *arguments, status=0)
    deep = checked(tmp_path / "staged", *arguments, "--deep", status=0)
    for split in ("train", "validation", "test"):
        looked = row(quick, split, preferred=True)
        walked = row(deep, split, preferred=True)
        if split == "test" and site in WITHOUT_TEST:
            assert looked["verdict"] == walked["verdict"] == "missing"
            continue
        assert looked["verdict"] in ("ok", "odd")
        assert walked["images_found"] > 0
        assert looked["images_found"] in (None, walked["images_found"])


def test_source_selects_the_kind_that_is_checked(tmp_path: Path) -> None:
    sites.official(tmp_path, pictures("imagenet2012"))
    sites.image_folder(tmp_path, pictures("imagenet2012"))
    assert row(checked(tmp_path, status=0), "train", preferred=True)["kind"] == "tar"
    document = checked(tmp_path, "imagenet2012", "--source", "folders", status=0)
    assert row(document, "train", preferred=True)["kind"] == "folders"
    document = checked(tmp_path, "imagenet2012", "--source", "squashfs", status=1)
    said = problem(document, severity="error")
    assert "something staged as squashfs, not only" in said["expected"]
    assert BuildOptions(source="squashfs").source == "squashfs"


def folders(tmp_path: Path) -> Path:
    sites.image_folder(tmp_path, pictures("imagenet2012"))
    return tmp_path / "train" / "n01440764"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("notes.txt", "a file that is no image"),
        ("more/", "a directory among images"),
        ("../n01484850/", "a class folder without an image"),
    ],
)
def test_folders_a_build_refuses_are_reported_unbuildable(
    tmp_path: Path, name: str, said: str
) -> None:
    path = folders(tmp_path) / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.touch()
    document = checked(tmp_path, "imagenet2012", status=1)
    found = problem(document, severity="error")
    assert (found["path"], found["found"]) == (os.path.normpath(path), said)
    out = str(tmp_path / "built")
    outcome = run("build", "imagenet2012", "--manual-dir", str(tmp_path), "--data-dir", out)
    assert outcome.status == 1, "and a build refuses it indeed"


def test_many_refused_files_are_one_problem(tmp_path: Path) -> None:
    for folder in (folders(tmp_path), tmp_path / "train" / "n02105855"):
        (folder / "notes.txt").touch()
    found = problem(checked(tmp_path, "imagenet2012", status=1), severity="error")
    assert found["path"].endswith("train/n01440764/notes.txt")
    assert "1 more such thing, the last " in found["found"]
    assert found["found"].endswith("n02105855/notes.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_valid_list_is_counted(tmp_path: Path, encoding: str) -> None:
    folders(tmp_path)
    layouts_corpus.write_list(tmp_path / "train", "dotted")
    path = tmp_path / "train_files.txt"
    path.write_bytes(path.read_text().encode(encoding))
    if encoding == "utf-8":
        document = checked(tmp_path, "imagenet2012", status=0)
        assert row(document, "train")["images_found"] == len(pictures("imagenet2012").train)
        return
    document = checked(tmp_path, "imagenet2012", "--data-dir", str(tmp_path), status=1)
    assert problem(document, severity="error", expected="a list of")["path"] == str(path)


def test_a_squashfs_image_with_too_few_files_is_odd(tmp_path: Path) -> None:
    sites.hyak(tmp_path / "staged", pictures("imagenet2012"))
    document = checked(tmp_path / "staged", status=0)
    found = problem(document, path="train.sqsh")
    assert found["expected"] == "1,281,167 images"
    assert found["found"].endswith(" images")
    assert row(document, "train")["verdict"] == "odd"


def test_the_train_folder_itself_gets_a_hint_at_the_directory_above(tmp_path: Path) -> None:
    train = folders(tmp_path).parent
    found = problem(checked(train, status=0), cause="a directory too low")
    assert found["found"] == f"the train split of imagenet2012 in {tmp_path}"
    (tmp_path / "n").mkdir()
    train.rename(tmp_path / "n" / "winter21_whole")
    document = checked(tmp_path / "n" / "winter21_whole", status=0)
    assert not [one for one in document["problems"] if "too low" in one["cause"]]


def test_an_unreadable_folder_is_not_called_half_a_copy(open_path: Path) -> None:
    folders(open_path)
    staged().write(open_path)
    (open_path / "train").chmod(0)
    code = (
        "import os, sys\n"
        "from imagenet_builders import cli\n"
        "cli.main(['check', sys.argv[1], '--json'])\n"
        "print('warmed up')\n"
        "if os.getuid() == 0:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(cli.main(['check', sys.argv[1], '--json']))\n"
    )
    command = [sys.executable, "-c", code, str(open_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (open_path / "train").chmod(0o755)
    document = json.loads(done.stdout.partition("warmed up\n")[2])
    found = problem(document, found="cannot be read: Permission denied")
    assert found["path"] == str(open_path / "train")
    assert (found["cause"], found["severity"]) == ("its permissions", "warning")
