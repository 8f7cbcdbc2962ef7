"""Links that lead out of `manual_dir`: counted by owner, named by the first, and told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.command_line import run
from support.corpora.ilsvrc2012 import COUGAR, GOLDFISH, TENCH, picture, staged
from support.corpora.layouts import in_classes, write
from support.source_kinds import TRAIN

from imagenet_builders.locate import links
from imagenet_builders.locate.links import Link

MEMBER = 12_002


def test_links_within_a_directory_lead_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to(tmp_path / "b")
    assert links.leading_out(tmp_path, map(str, tmp_path.iterdir())) == {}


def test_links_that_lead_out_are_counted_by_owner(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in "ab":
        (inside / name).symlink_to("../outside")
    found = links.leading_out(inside, [str(inside / name) for name in "ab"])
    assert found == {os.geteuid(): Link(2, str(inside / "a"), str(tmp_path / "outside"))}
    assert links.from_json(links.to_json(found)) == found
    assert links.made_by_others(found, inside) == []


def test_a_directory_that_is_a_link_itself_has_all_that_is_in_it_inside(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "a").write_bytes(b"")
    (tmp_path / "volume" / "b").symlink_to("a")
    (tmp_path / "manual").symlink_to("volume")
    paths = [tmp_path / "manual" / "b", tmp_path / "elsewhere"]
    assert links.above(tmp_path / "manual", paths) == {}


def test_each_step_of_a_path_may_be_a_link(tmp_path: Path) -> None:
    manual = tmp_path / "manual"
    manual.mkdir()
    (tmp_path / "volume").mkdir()
    (manual / "train").symlink_to("../volume")
    [link] = links.above(manual, [manual / "train" / TENCH, manual / "train" / COUGAR]).values()
    assert link == Link(1, str(manual / "train"), str(tmp_path / "volume"))


def _of_a_member(path: Path, target: Path) -> None:
    path.symlink_to(target)
    os.lchown(path, MEMBER, MEMBER)


def _image(root: Path, private: Path) -> Path:
    write(root / "train", in_classes(TRAIN))
    _of_a_member(root / "train" / TENCH / f"{TENCH}_99.JPEG", private)
    return root / "train" / TENCH / f"{TENCH}_99.JPEG"


def _class_folder(root: Path, private: Path) -> Path:
    write(root / "train", in_classes(TRAIN))
    elsewhere = private.parent / GOLDFISH
    (root / "train" / GOLDFISH).rename(elsewhere)
    _of_a_member(root / "train" / GOLDFISH, elsewhere)
    return root / "train" / GOLDFISH


def _archive(root: Path, private: Path) -> Path:
    staged().write(root)
    archive = root / "ILSVRC2012_img_val.tar"
    archive.rename(private.parent / archive.name)
    _of_a_member(archive, private.parent / archive.name)
    return archive


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes links of another user")
@pytest.mark.parametrize("place", [_image, _class_folder, _archive])
def test_a_link_of_another_user_is_named_by_check_and_build(place, tmp_path: Path) -> None:
    """Each time, also where the index was kept; with --strict, it is an error."""
    root, private = tmp_path / "staged", tmp_path / "private" / "picture.jpg"
    root.mkdir()
    private.parent.mkdir(mode=0o700)
    private.write_bytes(picture("private"))
    link = place(root, private)
    where = (f"--data-dir={tmp_path / 'data'}", f"--scratch-dir={tmp_path / 'scratch'}")
    checked = run("check", str(root), "imagenet2012", *where)
    told = f"user {MEMBER} made, to {private.parent}"
    assert told in " ".join(checked.out.split()), checked.out
    assert str(link) in checked.out
    assert "can be built." in checked.out
    build = ("build", "imagenet2012", f"--manual-dir={root}", *where, "--workers=1")
    for more in ([], ["--overwrite"]):
        built = run(*build, *more)
        assert built.status == 0, built.err
        [warning] = [each for each in built.warnings if "is a link that" in each]
        assert warning.startswith(f"{link} is a link that {told}")
    strict = run(*build, "--overwrite", "--strict")
    assert strict.status == 1


def test_links_of_whoever_builds_are_told_without_a_warning(tmp_path: Path) -> None:
    root, volume = tmp_path / "staged", tmp_path / "volume"
    root.mkdir()
    write(volume / "train", in_classes(TRAIN))
    (root / "train").symlink_to(volume / "train")
    assert "is a link" not in run("check", str(root), "imagenet2012").out
    built = run("build", "imagenet2012", f"--manual-dir={root}", f"--data-dir={tmp_path / 'data'}")
    assert built.status == 0, built.err
    assert not [each for each in built.warnings if "is a link" in each or "leads out" in each]
    assert f"{root / 'train'} leads out of {root}, to {volume / 'train'}\n" in built.err
