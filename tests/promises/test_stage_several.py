"""`--stage` of several datasets by one command, and of what is staged in folders."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from pathlib import Path

import pytest
from support import built_datasets, command_line
from support.builds_with_stage import (
    FOLDERS,
    copies,
    opened_files,
    published,
    same_with_and_without,
    warned,
)
from support.corpora import ilsvrc2012 as corpus
from support.corpora import layouts as layouts_corpus
from support.corpora import sites
from support.corpora.ilsvrc2012 import TRAIN, VAL
from support.paths import DUMMY_DATA

from imagenet_builders.options import BuildOptions
from imagenet_builders.scratch import copy_dirs
from imagenet_builders.scratch.copy import copy_to_scratch
from imagenet_builders.scratch.space import make_scratch
from imagenet_builders.scratch.to_copy import ToCopy

BOXES = ("ILSVRC2012_bbox_train_v2.tar.gz", "ILSVRC2012_bbox_val_v3.tgz")
DOGS = "ILSVRC2012_img_train_t3.tar"
THREE = "imagenet2012 imagenet2012_dogs imagenet2012_localization"


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """Three datasets in one directory; two of them are made of the same images."""
    for name in ("imagenet2012_localization", "imagenet2012_dogs"):
        shutil.copytree(DUMMY_DATA / name, tmp_path / "family", dirs_exist_ok=True)
    return tmp_path / "family"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def arguments(manual_dir: Path, data_dir: Path, scratch: Path, datasets: str = THREE) -> list[str]:
    where = [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}", f"--scratch-dir={scratch}"]
    return ["build", *datasets.split(), *where, "--stage"]


def read_of(family: Path, names: list[str]) -> Counter[str]:
    """How often each archive was opened."""
    return Counter(Path(name).name for name in names if Path(name).parent == family)


# --- archives that datasets share ----------------------------------------------------------------


def test_a_shared_archive_is_copied_once(family: Path, tmp_path: Path, scratch: Path):
    read: list[str] = []
    with opened_files(read):
        outcome = command_line.run(*arguments(family, tmp_path / "built", scratch, "all"))
    assert outcome.status == 0, outcome.err
    assert read_of(family, read) == {path.name: 1 for path in family.iterdir()}
    assert "imagenet2012_localization: copying 4 files of " in outcome.err
    assert not list(scratch.glob("*/staged"))
    for name in THREE.split():
        assert list((tmp_path / "built" / name).rglob("provenance.json"))


def test_datasets_built_from_shared_copies_are_the_same(family: Path, tmp_path: Path):
    same_with_and_without(family, tmp_path, dataset=THREE)


def test_a_link_counts_as_the_archive_it_points_to(family: Path, tmp_path: Path, scratch: Path):
    """As TFDS has it: a directory for each dataset, so that what they share is linked."""
    for name in ("imagenet2012", "imagenet2012_localization"):
        (tmp_path / "by_name" / name).mkdir(parents=True)
        for archive in (TRAIN, VAL, *(BOXES if name.endswith("localization") else ())):
            (tmp_path / "by_name" / name / archive).symlink_to(family / archive)
    argv = arguments(tmp_path / "by_name", tmp_path / "built", scratch, "all")
    outcome = command_line.run(*argv, "--add-name-to-manual-dir")
    assert outcome.status == 0, outcome.err
    assert " are there already)" in outcome.err.partition("localization: copying 4 files of ")[2]
    assert not list(scratch.glob("*/staged"))


def test_copies_for_a_later_dataset_survive_an_error_in_between(
    family: Path, tmp_path: Path, scratch: Path
):
    good = (family / DOGS).read_bytes()
    (family / DOGS).write_bytes(good[: len(good) // 2])
    argv = arguments(family, tmp_path / "built", scratch)
    outcome = command_line.run(*argv)
    assert outcome.status == 1
    [kept] = scratch.glob("*/staged/imagenet2012_localization-*")
    assert (
        f"imagenet-builders: note: copies for a dataset that was to be built later are kept in "
        f"{kept}; " in outcome.err
    )
    assert set(copies(scratch)) == {TRAIN, VAL, DOGS, "ILSVRC2012_bbox_train_dogs.tar.gz"}
    (family / DOGS).write_bytes(good)
    read: list[str] = []
    with opened_files(read):
        outcome = command_line.run(*argv)
    assert outcome.status == 0, outcome.err
    assert read_of(family, read) == dict.fromkeys([DOGS, *BOXES], 1)
    assert not list(scratch.glob("*/staged"))


def test_no_copy_is_kept_for_an_existing_dataset(family: Path, tmp_path: Path, scratch: Path):
    argv = arguments(family, tmp_path / "built", scratch, "imagenet2012_localization")
    assert command_line.run(*argv).status == 0
    outcome = command_line.run(*arguments(family, tmp_path / "built", scratch))
    assert outcome.status == 0
    assert "imagenet2012_localization/1.0.0 is there already" in outcome.out
    assert not list(scratch.glob("*/staged"))


def test_an_existing_dataset_passes_copies_on_to_the_next(
    family: Path, tmp_path: Path, scratch: Path
):
    # The first is built, the second is there by then, the third needs what both need.
    datasets = "imagenet2012 imagenet2012 imagenet2012_localization"
    read: list[str] = []
    with opened_files(read):
        outcome = command_line.run(*arguments(family, tmp_path / "built", scratch, datasets))
    assert outcome.status == 0
    assert read_of(family, read)[TRAIN] == 1
    assert not list(scratch.glob("*/staged"))


def test_an_archive_that_changes_between_two_datasets_is_copied_again(
    family: Path, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    from imagenet_builders.publish.session import BuildSession

    publish = BuildSession.publish

    def then_change(self: BuildSession, *, replace: bool) -> None:
        publish(self, replace=replace)
        with contextlib.suppress(FileExistsError):
            (tmp_path / "changed").mkdir()
            (family / VAL).touch()

    monkeypatch.setattr(BuildSession, "publish", then_change)
    read: list[str] = []
    with opened_files(read):
        outcome = command_line.run(*arguments(family, tmp_path / "built", scratch))
    assert outcome.status == 0
    assert {TRAIN: 1, VAL: 2}.items() <= read_of(family, read).items()


def test_copies_in_use_by_another_build_are_kept(family: Path, tmp_path: Path, scratch: Path):
    """What cannot be handed on is copied again; here, not even that can be done."""
    argv = arguments(family, tmp_path / "built", scratch)
    options = BuildOptions(scratch_dir=str(scratch))
    of_builds = make_scratch(options.scratch_for(scratch), options)
    name = copy_dirs.name_of("imagenet2012_localization", family)
    held = copy_dirs.lock(of_builds, name)
    outcome = command_line.run(*argv)
    held.close()
    assert outcome.status == 1
    assert "another build is using the copies there at this moment" in outcome.err
    assert (tmp_path / "built" / "imagenet2012_dogs").exists()
    assert not copies(scratch)


# --- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("site", "folders"), [("image_folder", ["train", "val"]), ("kaggle", [])])
def test_folders_are_read_in_place_with_one_warning(site: str, folders: list[str], tmp_path: Path):
    manual_dir = tmp_path / "staged"
    sites.SITES[site](manual_dir, layouts_corpus.pictures("imagenet2012"))
    outcome = same_with_and_without(manual_dir, tmp_path)
    [said] = [line for line in warned(outcome) if FOLDERS in line]
    assert said.startswith(f"imagenet-builders: warning: imagenet2012: {FOLDERS}, because reading ")
    assert all(str(manual_dir / folder) in said for folder in folders)
    assert "copying" not in outcome.err


@pytest.mark.parametrize("where", [".", "ILSVRC2012"])
@pytest.mark.parametrize("listed", [False, True])
def test_folders_beside_archives_are_read_in_place(where: str, listed: bool, tmp_path: Path):
    root = tmp_path / "staged" / where
    pictures = layouts_corpus.pictures("imagenet2012")
    sites.official(root, pictures)
    (root / VAL).unlink()
    (root / corpus.TEST).unlink()
    layouts_corpus.write(root / "val", layouts_corpus.in_classes(pictures.validation))
    layouts_corpus.write(root / "test" / "test", pictures.test)  # A folder in the folder.
    if listed:
        layouts_corpus.write_list(root / "val", "absolute")
    outcome = same_with_and_without(tmp_path / "staged", tmp_path)
    assert "copying 1 file of " in outcome.err
    [said] = [line for line in warned(outcome) if FOLDERS in line]
    assert f"{root / 'val'}, {root / 'test' / 'test'};" in said
    assert not [line for line in outcome.err.splitlines() if "error" in line]
    sources = built_datasets.provenance(tmp_path / "with")["validation"]["sources"]
    assert {Path(each["path"]).parent for each in sources} <= {root / "val", root}


def test_boxes_in_folders_are_read_in_place(tmp_path: Path):
    manual_dir = tmp_path / "staged"
    pictures = layouts_corpus.pictures("imagenet2012_localization")
    sites.nci_flat(manual_dir, pictures)
    for archive in (TRAIN, VAL):
        shutil.copy(DUMMY_DATA / "imagenet2012_localization" / archive, manual_dir)
    outcome = same_with_and_without(manual_dir, tmp_path, dataset="imagenet2012_localization")
    assert "copying 2 files of " in outcome.err


def test_all_datasets_build_where_some_are_in_folders(tmp_path: Path):
    """A tree of a real site: archives, folders of others, npz files, class tars."""
    family = sites.nibi_family(tmp_path / "staged")
    (family / "ILSVRC2012" / TRAIN).unlink()
    outcome = same_with_and_without(family, tmp_path, dataset="all")
    of_folders = [line.split(": ")[2] for line in warned(outcome) if FOLDERS in line]
    assert of_folders == ["imagenet2012", "tiny_imagenet"]
    built = {Path(path).parts[0] for path in published(tmp_path / "with")}
    assert {"imagenet2012", "imagenet2012_dogs", "tiny_imagenet"} < built


def test_nothing_is_written_through_a_link_in_the_place_of_a_copy(tmp_path: Path, scratch: Path):
    """Such as an earlier version left, for a folder that is staged as archives now."""
    manual_dir = layouts_corpus.write(
        tmp_path / "staged",
        {"a.tar": b"a", "train/n01440764/x.JPEG": b"x", "train/n01440764.tar": b"tar"},
    )
    before = command_line.snapshot(manual_dir)
    copy = copy_to_scratch(manual_dir, ToCopy((manual_dir / "a.tar",)), scratch / "s", "x")
    [of_a] = map(Path, copy.files.values())
    (of_a.parent / "train").symlink_to(manual_dir / "train")
    copy.close()
    tars = ToCopy((manual_dir / "train" / "n01440764.tar",))
    copy = copy_to_scratch(manual_dir, tars, scratch / "s", "x")
    [of_tar] = map(Path, copy.files.values())
    assert of_tar == of_a.parent / "train" / "n01440764.tar"
    assert not of_tar.parent.is_symlink()
    assert of_tar.read_bytes() == b"tar"
    assert copies(scratch) == {"train/n01440764.tar": of_tar}
    copy.remove()
    copy.close()
    assert command_line.snapshot(manual_dir) == before
    assert not list(scratch.rglob("*/*"))
