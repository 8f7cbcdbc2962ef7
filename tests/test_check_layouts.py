"""`check` on the layouts of real sites: the same sources and numbers as a build finds."""

from __future__ import annotations

from pathlib import Path

import layouts_corpus
import pytest
from checking import checked, problem, row
from layouts_corpus import SITES, WITHOUT_TEST, pictures

from imagenet_builders.options import BuildOptions


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, or makes, anything of the user's."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.mark.parametrize("site", SITES)
def test_a_site_is_checked_as_it_is_built(site: str, tmp_path: Path) -> None:
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


def test_the_kind_asked_for_is_what_is_checked(tmp_path: Path) -> None:
    layouts_corpus.official(tmp_path, pictures("imagenet2012"))
    layouts_corpus.image_folder(tmp_path, pictures("imagenet2012"))
    assert row(checked(tmp_path, status=0), "train", preferred=True)["kind"] == "tar"
    document = checked(tmp_path, "imagenet2012", "--source", "folders", status=0)
    assert row(document, "train", preferred=True)["kind"] == "folders"
    document = checked(tmp_path, "imagenet2012", "--source", "squashfs", status=1)
    said = problem(document, severity="error")
    assert "something staged as squashfs, not only" in said["expected"]
    assert BuildOptions(source="squashfs").source == "squashfs"
