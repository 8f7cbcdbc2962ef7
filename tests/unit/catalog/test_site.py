"""Pages have names of their own, and damage costs one page at most."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagenet_builders.catalog import place
from imagenet_builders.catalog.site import Wishes, _slugs, make
from imagenet_builders.publish.provenance import digest_of


def test_every_page_has_a_name_that_no_other_has() -> None:
    names = [
        "a-1.0.0",
        "a-1.0.0",
        "A-1.0.0",
        "assets",
        "index.html",
        "é/ü",
        "..",
        ".kept",
        "x" * 300,
    ]
    slugs = list(_slugs(names))
    assert slugs[:4] == ["a-1.0.0", "a-1.0.0-2", "A-1.0.0-3", "assets-2"]
    assert len({slug.lower() for slug in slugs}) == len(names)
    for slug in slugs:
        assert slug.isascii()
        assert "/" not in slug
        assert not slug.startswith(".")
        assert len(slug) <= 110


HUGE = 10**400
SOURCE = {"path": "/a.tar", "size": HUGE}
PART = {"classes": [], "of_classes": 1, "images": {}, "of_images": "1", "known_as": None}


def nested(depth: int) -> dict[str, Any]:
    """Features in features in features."""
    made: dict[str, Any] = {}
    for _ in range(depth):
        made = {"featuresDict": {"features": {"deep": made}}}
    return made


DAMAGE = {
    "huge bytes": ("dataset_info.json", ("splits", 0, "numBytes"), str(HUGE)),
    "no number": ("dataset_info.json", ("splits", 0, "numBytes"), float("inf")),
    "endless shard": ("dataset_info.json", ("splits", 0, "shardLengths"), [float("inf")]),
    "huge shard": ("dataset_info.json", ("splits", 0, "shardLengths"), [str(10**25)]),
    "hidden name": ("dataset_info.json", ("splits", 0, "filepathTemplate"), "\0{SPLIT}"),
    "half a letter": ("dataset_info.json", ("splits", 0, "filepathTemplate"), "\ud800"),
    "classes": (
        "features.json",
        ("featuresDict", "features", "label", "classLabel", "numClasses"),
        float("inf"),
    ),
    "shape": (
        "features.json",
        ("featuresDict", "features", "image", "image", "shape", "dimensions"),
        [float("inf")],
    ),
    "depth": ("features.json", ("featuresDict", "features", "deep"), nested(200)),
    "features": ("features.json", ("featuresDict", "features", "\ud800"), {"image": {}}),
    "part": ("provenance.json", ("splits", "train", "part"), PART),
    "sources": ("provenance.json", ("splits", "train", "sources"), [SOURCE]),
    "versions": ("provenance.json", ("versions",), {"\ud800": [[[]]]}),
}


def damage(path: Path, where: tuple[str | int, ...], value: Any) -> None:
    """Gives a document in JSON another value somewhere, and its digest."""
    document: Any = json.loads(path.read_text())
    inner = document
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    if "self" in document:
        document["self"] = digest_of(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_a_row_or_a_page(name: str, built: Path, tmp_path: Path) -> None:
    directory = tmp_path / "tfds" / "imagenet2012" / "5.1.0"
    shutil.copytree(built, directory)
    file, where, value = DAMAGE[name]
    damage(directory / file, where, value)
    site = make(tmp_path / "tfds", tmp_path / "site", Wishes(images=1))
    assert len(site.entries) + len(site.faults) == 1
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("splits", "train", "files", 0), ["\ud800", 1]),
        (("splits", "train", "files", 0), ["x" * 300, float("inf")]),
        (("splits", "train", "examples"), HUGE),
        (("splits", "train", "bytes"), HUGE),
        (("files", "x" * 300), "0" * 64),
        (("files", "\0"), "0" * 64),
    ],
)
def test_a_damaged_export_is_a_row_or_a_page(
    where: tuple[str | int, ...], value: Any, exported: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(exported("webdataset"), tmp_path / "tfds" / "wds")
    damage(tmp_path / "tfds" / "wds" / "provenance.json", where, value)
    site = make(tmp_path / "tfds", tmp_path / "site", Wishes())
    assert len(site.entries) + len(site.faults) == 1


def test_what_could_not_be_read_is_read_again(built: Path, tmp_path: Path) -> None:
    directory = tmp_path / "tfds" / "imagenet2012" / "5.1.0"
    shutil.copytree(built, directory)
    shard = sorted(directory.glob("*-train.*"))[0]
    status, content = shard.stat(), shard.read_bytes()
    shard.write_bytes(bytes(len(content)))
    make(tmp_path / "tfds", tmp_path / "site", Wishes())
    # As another user who may read it, or with a library that was not there.
    shard.write_bytes(content)
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    [entry] = make(tmp_path / "tfds", tmp_path / "site", Wishes()).entries
    assert entry.no_statistics is None


def test_catalogs_that_are_made_at_once_are_all_whole(tmp_path: Path) -> None:
    (tmp_path / "tfds").mkdir()
    out, failed = tmp_path / "site", []

    def run() -> None:
        try:
            make(tmp_path / "tfds", out, Wishes())
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert place.is_catalog(out)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["site", "tfds"]
