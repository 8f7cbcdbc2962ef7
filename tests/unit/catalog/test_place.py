"""A site takes the place of another in one step, and of nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from imagenet_builders.catalog import place
from imagenet_builders.errors import OptionError, TargetError


def make(out: Path, text: str) -> None:
    with place.new_site(out) as site:
        place.write(site / "a" / "index.html", text.encode())


def test_a_site_replaces_an_earlier_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "site"
    make(out, "one")
    (out / "a" / "old.html").write_text("")
    make(out, "two")
    assert (out / "a" / "index.html").read_text() == "two"
    assert not (out / "a" / "old.html").exists()
    assert place.is_catalog(out)
    assert os.listdir(tmp_path) == ["site"]


def test_after_an_error_the_earlier_one_is_there(tmp_path: Path) -> None:
    out = tmp_path / "site"
    make(out, "one")

    def fail() -> None:
        with place.new_site(out) as site:
            place.write(site / "index.html", b"two")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (out / "a" / "index.html").read_text() == "one"
    assert os.listdir(tmp_path) == ["site"]


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        make(tmp_path / "site", "one")
    finally:
        os.umask(before)
    modes = [
        stat.S_IMODE((tmp_path / "site" / name).stat().st_mode)
        for name in ("", "a", "a/index.html")
    ]
    assert modes == [0o750, 0o750, 0o640]


def test_what_came_in_its_place_meanwhile_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "site"

    def overtaken() -> None:
        with place.new_site(out) as site:
            place.write(site / "index.html", b"")
            out.mkdir()
            (out / "thesis.txt").write_text("mine")

    with pytest.raises(TargetError, match="became something else than a catalog"):
        overtaken()
    assert (out / "thesis.txt").read_text() == "mine"
    assert os.listdir(tmp_path) == ["site"]


def test_a_run_that_was_killed_between_two_steps_is_mended(tmp_path: Path) -> None:
    """As on a network file system, where two directories cannot be exchanged in one."""
    out, old = tmp_path / "site", tmp_path / ".site.old-0123abcd"
    make(out, "one")
    out.rename(old)
    with place.new_site(out) as site:
        assert (out / "a" / "index.html").read_text() == "one"  # Readers have it meanwhile.
        place.write(site / "index.html", b"two")
    make(old, "one")
    (tmp_path / ".site.old-0123abce").mkdir()
    (tmp_path / ".site.old-0123abce" / "thesis.txt").write_text("mine")
    make(out, "three")
    assert sorted(os.listdir(tmp_path)) == [".site.old-0123abce", "site"]


def test_a_site_of_the_same_name_that_is_made_now_is_not_tidied_up(tmp_path: Path) -> None:
    out = tmp_path / "site"
    with place.new_site(out) as first:
        place.write(first / "index.html", b"first")
        make(out, "second")
        assert (first / "index.html").read_bytes() == b"first"
    assert (out / "index.html").read_bytes() == b"first"


def test_where_it_may_be_put(tmp_path: Path) -> None:
    data_dir = tmp_path / "tfds"
    data_dir.mkdir()
    place.check(tmp_path / "new", data_dir)
    (tmp_path / "empty").mkdir()
    place.check(tmp_path / "empty", data_dir)
    place.check(data_dir / "site", data_dir)
    make(tmp_path / "site", "one")
    place.check(tmp_path / "site", data_dir)
    (tmp_path / "alias").symlink_to(tmp_path)
    for out in (data_dir, tmp_path, tmp_path / "alias", tmp_path / "alias" / "tfds"):
        with pytest.raises(OptionError, match="the datasets are in it"):
            place.check(out, data_dir)


def test_it_lies_in_no_dataset_wherever_the_way_to_it_leads(tmp_path: Path) -> None:
    dataset = tmp_path / "tfds" / "5.1.0"
    dataset.mkdir(parents=True)
    (dataset / "dataset_info.json").touch()
    (tmp_path / "link").symlink_to(dataset)
    place.check(dataset / ".." / "site", tmp_path / "data")
    with pytest.raises(OptionError, match="there is a dataset or an export in"):
        place.check(tmp_path / "link" / "site", tmp_path / "data")


def test_what_somebody_put_into_a_catalog_is_not_taken_away(tmp_path: Path) -> None:
    out, data_dir = tmp_path / "site", tmp_path / "tfds"
    make(out, "one")
    (out / ".DS_Store").write_text("")  # A file manager's, which nobody misses.
    place.check(out, data_dir)
    (out / ".htaccess").write_text("Require valid-user")
    with pytest.raises(OptionError, match=r"site: \.htaccess is in it, which no catalog put there"):
        place.check(out, data_dir)
    with pytest.raises(TargetError, match="became something else than a catalog"):
        make(out, "two")
    assert (out / ".htaccess").read_text() == "Require valid-user"
    assert (out / "a" / "index.html").read_text() == "one"


def test_a_link_is_not_replaced(tmp_path: Path) -> None:
    make(tmp_path / "site", "one")
    for name, leads_to in (("link", "site"), ("dangling", "none")):
        (tmp_path / name).symlink_to(leads_to)
        with pytest.raises(OptionError, match=f"{name} is a link, which is not replaced"):
            place.check(tmp_path / name, tmp_path / "tfds")


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"made_by": "somebody"}'])
def test_only_our_mark_makes_it_a_catalog(tmp_path: Path, content: bytes) -> None:
    mark = tmp_path / "site" / ".kept" / "catalog.json"
    mark.parent.mkdir(parents=True)
    mark.write_bytes(content)
    assert not place.is_catalog(tmp_path / "site")
