"""The system calls that a layout costs, counted by strace: on NFS each is a round trip."""

from __future__ import annotations

import collections
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.corpora import layouts as layouts_corpus
from support.corpora import sites
from support.corpora.ilsvrc2012 import CLASSES, picture, val_name
from support.corpora.layouts import in_classes, write
from support.processes import environment

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")

# What one thread of a worker may do: build after build in one process would count together.
_BUILD = """\
import sys
from imagenet_builders.cli import main
sys.exit(main(["build", "imagenet2012", "--workers", "1", "--manual-dir", *sys.argv[1:]]))
"""
_CALL = re.compile(r'(?:\d+ +)?(\w+)\((?:AT_FDCWD, )?"([^"]*)"(.*)')
# Two surveys of four class folders, which tell whose they are, and a look for annotations.
LOOKED_INTO = 9
"""Class folders that are looked into besides, to tell annotations and other datasets."""
_STATS = {"stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink"}

Calls = collections.Counter[tuple[str, str]]


def traced(manual_dir: Path, data_dir: Path) -> Calls:
    """Calls by kind (`open`, `list`, `stat`) and path below what is staged."""
    log = data_dir.with_suffix(".strace")
    command = ["strace", "-f", "-qq", "-e", "trace=file", "-o", str(log), sys.executable, "-c"]
    arguments = [_BUILD, str(manual_dir), "--data-dir", str(data_dir)]
    done = subprocess.run(
        command + arguments,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    calls: Calls = collections.Counter()
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None or not match[2].startswith(f"{manual_dir}/"):
            continue
        path = match[2].removeprefix(f"{manual_dir}/").rstrip("/")
        if match[1] in _STATS:
            calls["stat", path] += 1
        elif match[1] in ("open", "openat"):
            calls["list" if "O_DIRECTORY" in match[3] else "open", path] += 1
    return calls


def images_of(per_class: int) -> tuple[dict[str, bytes], dict[str, bytes]]:
    train = {
        name: picture("one")
        for wnid in CLASSES
        for name in (f"{wnid}_{n}.JPEG" for n in range(per_class))
    }
    return train, {val_name(n): picture("one") for n in range(1, per_class + 1)}


def stage(root: Path, layout: str, per_class: int) -> Path:
    train, validation = images_of(per_class)
    pics = layouts_corpus.Pictures(root, train, validation)
    if layout == "archives":
        _archives(root, train, validation)
    elif layout == "squashfs":
        root.mkdir()
        layouts_corpus.write_squashfs(root / "train.sqsh", in_classes(train))
        layouts_corpus.write_squashfs(root / "val.sqsh", validation)
    elif layout == "webdataset":
        sites.timm(root, pics)
    elif layout == "tfrecord":
        sites.slim_itself(root, pics)
    elif layout == "class-tars":
        layouts_corpus.write_class_tars(root / "train", train)
    return root


def _archives(root: Path, train: dict[str, bytes], validation: dict[str, bytes]) -> None:
    from makers import archives

    inner = [
        (f"{wnid}.tar", archives.tar_bytes(members.items()))
        for wnid, members in layouts_corpus.by_class(train).items()
    ]
    archives.write_tar(root / "ILSVRC2012_img_train.tar", inner)
    archives.write_tar(root / "ILSVRC2012_img_val.tar", validation.items())


@pytest.mark.parametrize("layout", ["archives", "squashfs", "webdataset", "tfrecord", "class-tars"])
def test_archives_are_opened_a_few_times_however_many_images_there_are(layout: str, tmp_path: Path):
    few = traced(stage(tmp_path / "few", layout, 2), tmp_path / "few_built")
    many = traced(stage(tmp_path / "many", layout, 40), tmp_path / "many_built")
    assert few == many
    opens = [count for (kind, _), count in many.items() if kind == "open"]
    assert opens
    # First bytes, first member, first names, outer and inner headers, reading ahead, reading.
    assert max(opens) <= 7


@pytest.mark.parametrize("listed", [False, True])
def test_folders_cost_one_listing_each_and_one_stat_and_open_an_image(tmp_path: Path, listed: bool):
    train, validation = images_of(20)
    manual_dir = tmp_path / "staged"
    write(manual_dir / "train", in_classes(train))
    write(manual_dir / "val", validation)
    if listed:
        layouts_corpus.write_list(manual_dir / "train", "relative")
        layouts_corpus.write_list(manual_dir / "val", "absolute")
    images = [f"train/{name}" for name in in_classes(train)]
    images += [f"val/{name}" for name in validation]
    calls = traced(manual_dir, tmp_path / "built")
    for path in images:
        assert (calls["open", path], calls["stat", path]) == (1, 1), path
    listings = [calls["list", f"train/{wnid}"] for wnid in CLASSES]
    assert sum(listings) <= (0 if listed else len(CLASSES)) + LOOKED_INTO

    # The index is kept, and what is there has not changed.
    shutil.rmtree(tmp_path / "built" / "imagenet2012")
    again = traced(manual_dir, tmp_path / "built")
    for path in images:
        assert (again["open", path], again["stat", path]) == (1, 0), path
    assert sum(again["list", f"train/{wnid}"] for wnid in CLASSES) <= LOOKED_INTO
