"""The way to a directory: whose links are followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagenet_builders.files.way import ForeignLinkError, open_way

OTHER = 12_002

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives links to somebody else")


def leads_to(path: Path, directory: Path) -> bool:
    fd = open_way(path)
    try:
        return os.path.samestat(os.fstat(fd), directory.stat())
    finally:
        os.close(fd)


def test_own_links_are_followed(tmp_path: Path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "relative").symlink_to("a/../a")
    (tmp_path / "absolute").symlink_to(tmp_path / "relative")
    assert leads_to(inner, inner)
    assert leads_to(tmp_path / "absolute" / "b", inner)


def test_links_in_a_circle_and_files_are_errors(tmp_path: Path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "file").touch()
    for name in ("one", "file", "missing"):
        with pytest.raises(OSError, match=name):
            open_way(tmp_path / name)


@as_root
@pytest.mark.parametrize(("mode", "follows"), [(0o2775, False), (0o1777, False), (0o755, True)])
def test_a_link_of_somebody_else_counts_where_only_the_owner_writes(
    tmp_path: Path, mode: int, follows: bool
):
    shared, inner = tmp_path / "shared", tmp_path / "inner"
    shared.mkdir()
    shared.chmod(mode)
    inner.mkdir()
    (shared / "link").symlink_to(inner)
    os.lchown(shared / "link", OTHER, OTHER)
    (tmp_path / "mine").symlink_to(shared / "link")
    for path in (shared / "link", tmp_path / "mine"):
        if follows:
            assert leads_to(path, inner)
            continue
        with pytest.raises(ForeignLinkError, match=f"is a link that user {OTHER} has made"):
            open_way(path)
    os.chown(shared, OTHER, OTHER)  # Its owner's.
    assert leads_to(shared / "link", inner)
