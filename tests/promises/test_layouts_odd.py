"""What is missing, odd or damaged in a site's copy: a sentence that says where and what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.built_datasets import provenance  # A fixture is used by its name.
from support.command_line import (  # A fixture is used by its name.
    Outcome,
    assert_nothing_published,
    build,
    build_as_nobody,
    run,
)
from support.corpora import layouts as layouts_corpus
from support.corpora import sites
from support.corpora.ilsvrc2012 import (  # A fixture is used by its name.
    COUGAR,
    PATCH,
    TENCH,
    picture,
    staged,
    val_name,
)
from support.corpora.layouts import in_classes, write
from support.paths import ROOT

TRAIN = {name: picture(name) for name in (f"{TENCH}_7.JPEG", f"{TENCH}_2.JPEG", f"{COUGAR}_3.JPEG")}
# Their classes: n01751748 (65) for 1, n09193705 (970) for 2, n02105855 (230) for 3.
VALIDATION = {val_name(n): picture(val_name(n)) for n in (1, 2, 3)}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Class folders for train and validation."""
    write(tmp_path / "staged" / "train", in_classes(TRAIN))
    write(tmp_path / "staged" / "validation", in_classes(VALIDATION))
    return tmp_path / "staged"


def refused(manual_dir: Path, *options: str, only_reading_tells: bool = False) -> str:
    """The sentence with which a build is refused, after which nothing is left."""
    data_dir = manual_dir.parent / "built"
    outcome = build(manual_dir, data_dir, *options)
    assert_nothing_published(data_dir)
    if not options:
        said = run("check", str(manual_dir), "imagenet2012")
        assert said.status == (0 if only_reading_tells else 1), f"and a check says so: {said.out}"
    return sentence_of(outcome)


def sentence_of(outcome: Outcome) -> str:
    assert outcome.status == 1, outcome
    assert "Traceback" not in outcome.err
    [sentence] = [line for line in outcome.err.splitlines() if ": error: " in line]
    assert sentence.isprintable()
    return sentence


def built(manual_dir: Path, *options: str) -> Outcome:
    outcome = build(manual_dir, manual_dir.parent / "built", *options)
    assert outcome.status == 0, outcome.err
    return outcome


def choices(outcome: Outcome) -> dict[str, str]:
    """What is said of the source of each split."""
    lines = [line for line in outcome.err.splitlines() if ": from " in line]
    return dict(line.split(": from ", 1) for line in lines)


# --- folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("train/n01440764/notes.txt", "only images such as n01440764_1.JPEG belong here"),
        (
            "train/n01440764/n02125311_8.JPEG",
            "class n01440764, found one of n02125311, as its name",
        ),
        ("train/n01440764/more/n01440764_9.JPEG", "is a directory where only plain files belong"),
        ("train/n01440764/.n01440764_7.JPEG.Xa4b2c", "it was left by another program"),
        ("validation/n01751748/.hidden", "it was left by another program"),
        (
            "train/n00000001/n00000001_1.JPEG",
            "n00000001 is not one of the 1,000 classes of this dataset",
        ),
        (
            "validation/n02105855/ILSVRC2012_val_00000004.JPEG",
            "expected an image of the folder's class n02105855, found one of n04263257",
        ),
        ("validation/n02105855/ILSVRC2012_val_00050001.JPEG", "numbered from 1 to 50,000"),
        ("validation/n02105855/n02105855_1.JPEG", "only images such as ILSVRC2012_val_00000001"),
    ],
)
def test_a_stray_file_in_a_class_folder_is_named(folders: Path, path: str, said: str):
    write(folders, {path: b""})
    sentence = refused(folders)
    assert said in sentence
    place = path if "more" not in path and "n00000001" not in path else path.rpartition("/")[0]
    assert str(folders / place) in sentence


def test_files_beside_class_folders_are_ignored_or_refused(folders: Path):
    write(folders, {"train/.DS_Store": b"", "train/README": b""})
    sentence = refused(folders, "--strict")
    assert f"{folders}/train holds what is not one of its class folders: '.DS_Store', 'README'" in (
        sentence
    )
    warnings = built(folders).err
    assert "class folders: '.DS_Store', 'README'; it is passed over" in warnings


def test_an_empty_class_folder_is_refused(folders: Path):
    (folders / "train" / "n01443537").mkdir()
    assert f"{folders}/train/n01443537: there is no image in this folder" in refused(folders)


def test_a_class_folder_that_is_a_link_to_nothing_is_refused(folders: Path):
    (folders / "train" / "n01443537").symlink_to("/elsewhere/n01443537")
    sentence = refused(folders)
    assert f"'{folders}/train/n01443537' cannot be read" in sentence
    assert "it is a link to '/elsewhere/n01443537', which is not there" in sentence


def test_a_duplicate_image_is_refused_with_both_places(folders: Path):
    write(folders / "train" / TENCH, {f"{TENCH}_2.jpg": picture("another")})
    sentence = refused(folders)
    assert f"'{folders}/train/{TENCH}/{TENCH}_2.jpg'" in sentence
    assert f"the image {TENCH}_2.JPEG is there twice" in sentence
    assert f"first as '{folders}/train/{TENCH}/{TENCH}_2.JPEG'" in sentence


def test_an_incomplete_copy_is_reported_as_such(folders: Path):
    sentence = refused(folders, "--strict")
    assert "expected the official 1,281,167 images of train, found 3" in sentence
    assert f"{TENCH} has 2 of 1,300" in sentence
    outcome = built(folders)
    assert "expected the official 1,281,167 images of train, found 3" in outcome.err
    assert "expected the official 50,000 images of validation, found 3" in outcome.err


def test_links_case_and_other_endings_do_not_matter(folders: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    tree = other / "ilsvrc2012"
    tree.mkdir()
    (tree / "VAL").symlink_to(folders / "validation")
    write(
        tree / "Train",
        {
            f"{TENCH}/{TENCH}_7.jpg": TRAIN[f"{TENCH}_7.JPEG"],
            f"{TENCH}/{TENCH}_2.JPG": TRAIN[f"{TENCH}_2.JPEG"],
            f"{COUGAR}/{COUGAR}_3.png": TRAIN[f"{COUGAR}_3.JPEG"],
        },
    )
    built(folders)
    outcome = build(other, tmp_path / "built_other")
    assert outcome.status == 0, outcome.err
    version = "imagenet2012/5.1.0"
    shards = sorted((tmp_path / "built" / version).glob("*.tfrecord-*"))
    assert len(shards) == 2
    for shard in shards:
        same = tmp_path / "built_other" / version / shard.name
        assert same.read_bytes() == shard.read_bytes()


def test_a_damaged_image_is_named_by_its_path(folders: Path):
    path = folders / "train" / TENCH / f"{TENCH}_2.JPEG"
    path.write_bytes(path.read_bytes()[:-100])
    sentence = refused(folders, only_reading_tells=True)
    assert f"{path}, member '{TENCH}_2.JPEG', at byte 0: " in sentence
    built(folders, "--bad-images", "skip")
    [skipped] = provenance(folders.parent / "built")["train"]["skipped"]
    assert (skipped["key"], skipped["path"]) == (path.name, str(path))


@pytest.mark.parametrize("what", ["train", f"train/{TENCH}", f"train/{TENCH}/{TENCH}_2.JPEG"])
def test_an_unreadable_file_is_named_with_the_likely_cause(
    open_path: Path, what: str
):  # The fixture.
    manual_dir = write(open_path / "staged" / "train", in_classes(TRAIN)).parent
    (manual_dir / what).chmod(0)
    data_dir = open_path / "built"
    data_dir.mkdir(mode=0o777)
    data_dir.chmod(0o777)
    try:
        sentence = sentence_of(build_as_nobody(open_path, manual_dir, data_dir))
    finally:
        (manual_dir / what).chmod(0o755)
    assert f"{manual_dir / what}' cannot be read: Permission denied" in sentence
    assert "only the first 16 of your groups may count" in sentence


@pytest.mark.parametrize(
    "name",
    ["train.sqsh", "imagenet1k-train-0000.tar", "train-00000-of-00001", f"train/{TENCH}.tar"],
)
def test_unreadable_archives_are_named_with_the_likely_cause(
    open_path: Path,  # The fixture.
    name: str,
):
    manual_dir = open_path / "staged"
    manual_dir.mkdir()
    if name.endswith(".sqsh"):
        layouts_corpus.write_squashfs(manual_dir / name, in_classes(TRAIN))
    elif name.startswith("imagenet1k"):
        layouts_corpus.write_webdataset(manual_dir, "train", TRAIN, 1, 4)
    elif name.endswith(".tar"):
        layouts_corpus.write_class_tars(manual_dir / "train", TRAIN)
    else:
        layouts_corpus.write_tfrecords(manual_dir, "train", TRAIN, 1)
    (manual_dir / name).chmod(0)
    (open_path / "built").mkdir()
    (open_path / "built").chmod(0o777)
    sentence = sentence_of(build_as_nobody(open_path, manual_dir, open_path / "built"))
    assert str(manual_dir / name) in sentence
    assert "Permission denied" in sentence
    assert "only the first 16 of your groups may count" in sentence


# --- lists ----------------------------------------------------------------------------------------


def test_a_list_decides_what_is_in_a_folder(folders: Path):
    layouts_corpus.write_list(folders / "train", "relative")
    write(folders / "train" / TENCH, {f"{TENCH}_99.JPEG": picture("not listed"), ".DS_Store": b""})
    built(folders)
    assert provenance(folders.parent / "built")["train"]["examples"] == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            b"train/n01440764/n01440764_5.JPEG\n",
            "n01440764_5.JPEG' is in the list of the folder's",
        ),
        (b"n01440764/n01440764_7.JPE", "the path of an image in line 1, found 25 characters"),
        (b"\n \nREADME\n", "the path of an image in line 3, found 6 characters"),
        (b"\xff\xfe\x00", "expected a list of files as text"),
        (b"\n./\n", "there is no image in this list"),
        (b"n02125311/n01440764_7.JPEG", "n02125311/n01440764_7.JPEG' is in the list"),
    ],
)
def test_a_list_of_other_files_is_refused(folders: Path, text: bytes, said: str):
    (folders / "train_files.txt").write_bytes(text)
    sentence = refused(folders)
    assert said in sentence
    assert str(folders / "train") in sentence


def test_a_list_in_the_folder_is_read_like_one_beside_it(folders: Path):
    layouts_corpus.write_list(folders / "train", "dotted")
    text = (folders / "train_files.txt").read_text() + "./train_files.txt\n"
    (folders / "train" / "train_files.txt").write_text(text)
    (folders / "train_files.txt").unlink()
    write(folders / "train" / TENCH, {".DS_Store": b""})
    built(folders)
    assert provenance(folders.parent / "built")["train"]["examples"] == 3


def test_an_image_listed_twice_is_an_error_of_the_list(folders: Path):
    layouts_corpus.write_list(folders / "train", "relative")
    path = folders / "train_files.txt"
    path.write_text(path.read_text() * 2)
    sentence = refused(folders)
    assert "is twice in the list of the folder's files; mend the list" in sentence
    assert "remove one" not in sentence


def test_a_list_without_the_class_folders_of_validation_is_not_used(folders: Path):
    layouts_corpus.write_list(folders / "validation", "names")
    outcome = built(folders)
    assert "does not say in which class folders" in outcome.err
    assert provenance(folders.parent / "built")["validation"]["examples"] == 3


# --- shards, SquashFS, class archives -------------------------------------------------------------


def test_a_missing_shard_is_named(tmp_path: Path):
    layouts_corpus.write_webdataset(tmp_path / "staged", "train", TRAIN, 3, 4)
    (tmp_path / "staged" / "imagenet1k-train-0001.tar").unlink()
    assert "imagenet1k-train-0001.tar is missing" in refused(tmp_path / "staged")


def test_folders_are_read_where_a_shard_is_missing(folders: Path):
    layouts_corpus.write_tfrecords(folders, "train", TRAIN, 2)
    (folders / "train-00001-of-00002").unlink()
    chosen = choices(built(folders))["train"]
    assert chosen.startswith(f"{folders}/train (class folders, folders)")
    assert "train-00001-of-00002 is missing" in chosen


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_record_is_an_error_when_its_image_is_read(tmp_path: Path, damage: str):
    layouts_corpus.write_tfrecords(tmp_path / "staged", "train", TRAIN, 1)
    path = tmp_path / "staged" / "train-00000-of-00001"
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[data.index(b"\xff\xd8\xff") + 300] ^= 1
    path.write_bytes(data[:-10] if damage == "cut" else data)
    # Of records, a check reads the first, and not what is in its image.
    sentence = refused(tmp_path / "staged", only_reading_tells=True)
    assert str(path) in sentence
    assert "copy it again" in sentence


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"n01440764/notes.txt": b""}, "only images such as n01440764_1.JPEG belong here"),
        ({"n01440764/.hidden": b""}, "only images such as n01440764_1.JPEG belong here"),
        ({"n02125311/n01440764_1.JPEG": b""}, "found one of n01440764, as its name says"),
        (
            {"n00000001/n00000001_1.JPEG": b""},
            "n00000001 is not one of the 1,000 classes of this dataset",
        ),
    ],
)
def test_a_stray_file_in_a_squashfs_image_is_named(
    tmp_path: Path, files: dict[str, bytes], said: str
):
    (tmp_path / "staged").mkdir()
    layouts_corpus.write_squashfs(tmp_path / "staged" / "train.sqsh", in_classes(TRAIN) | files)
    sentence = refused(tmp_path / "staged")
    assert said in sentence
    [member] = files
    assert f"{tmp_path}/staged/train.sqsh, member {member!r}" in sentence


def test_files_beside_class_folders_in_a_squashfs_image_are_ignored(tmp_path: Path):
    (tmp_path / "staged").mkdir()
    beside = {"README.md": b"", "train_files.txt": b"n01440764/n01440764_7.JPEG"}
    layouts_corpus.write_squashfs(tmp_path / "staged" / "train.sqsh", in_classes(TRAIN) | beside)
    listed = {"val_files.txt": b""}
    layouts_corpus.write_squashfs(tmp_path / "staged" / "val.sqsh", VALIDATION | listed)
    said = built(tmp_path / "staged").err
    odd = "train.sqsh holds what is not one of its images: 'README.md', 'train_files.txt'"
    assert f"{odd}; it is passed over" in said
    assert "val.sqsh holds what is not one of its images: 'val_files.txt'; it is" in said
    counts = {split: one["examples"] for split, one in provenance(tmp_path / "built").items()}
    assert counts == {"train": 3, "validation": 3}
    shutil.rmtree(tmp_path / "built" / "imagenet2012")
    assert odd in refused(tmp_path / "staged", "--strict")


@pytest.mark.parametrize("names", [("training", "testing"), ("ILSVRC2012-Train", "imagenet_TEST")])
def test_squashfs_images_are_found_under_the_names_sites_use(
    tmp_path: Path, names: tuple[str, str]
):
    (tmp_path / "staged").mkdir()
    test = {"test/ILSVRC2012_test_00000001.JPEG": picture("test")}
    for name, files in zip(names, (in_classes(TRAIN), test), strict=True):
        layouts_corpus.write_squashfs(tmp_path / "staged" / f"{name}.SquashFS", files)
    built(tmp_path / "staged")
    assert set(provenance(tmp_path / "built")) == {"train", "test"}


def test_a_squashfs_image_of_a_subset_is_not_taken_for_the_split(tmp_path: Path):
    root = tmp_path / "staged"
    root.mkdir()
    some = {name: data for name, data in TRAIN.items() if name.startswith(COUGAR)}
    for name in ("imagenet100_train", "tiny-imagenet-train", "train_subset", "a-train"):
        layouts_corpus.write_squashfs(root / f"{name}.sqsh", in_classes(some))
    layouts_corpus.write_squashfs(root / "train.sqsh", in_classes(TRAIN))
    chosen, _, others = choices(built(root))["train"].partition("; also there: ")
    assert chosen == f"{root}/train.sqsh (SquashFS images, squashfs)"
    assert others == f"{root}/a-train.sqsh (SquashFS images, squashfs)"


@pytest.mark.parametrize("moved", [1, 2])
def test_a_folder_only_half_sorted_into_class_folders_is_refused(folders: Path, moved: int):
    root = folders / "validation"
    for path in sorted(root.rglob("*.JPEG"))[moved:]:
        path.rename(root / path.name)
        path.parent.rmdir()
    said = refused(folders)
    assert str(root) in said
    assert "images such as " in said or "is a directory where only plain files belong" in said
    report = json.loads(run("check", str(folders), "imagenet2012", "--json").out)
    assert not report["can_be_built"]


def test_a_link_in_a_squashfs_image_is_refused(tmp_path: Path):
    (tmp_path / "staged").mkdir()
    link = {f"{TENCH}/{TENCH}_8.JPEG": Path("/etc/passwd")}
    layouts_corpus.write_squashfs(tmp_path / "staged" / "train.sqsh", {**in_classes(TRAIN), **link})
    assert "a symlink where only plain files belong" in refused(tmp_path / "staged")


def test_class_archives_beside_their_unpacked_folders_are_read(tmp_path: Path):
    layouts_corpus.write_class_tars(tmp_path / "staged" / "train", TRAIN)
    write(tmp_path / "staged" / "train", {"checksums.md5": b""})
    outcome = built(tmp_path / "staged")
    assert "holds what is not one of its class archives: 'checksums.md5'" in outcome.err
    assert provenance(tmp_path / "built")["train"]["examples"] == 3


@pytest.mark.parametrize("unpacked", [(TENCH,), (TENCH, COUGAR)])
def test_class_archives_are_read_unless_more_classes_are_unpacked(
    tmp_path: Path, unpacked: tuple[str, ...]
):
    root = tmp_path / "staged" / "train"
    layouts_corpus.write_class_tars(root, TRAIN)
    files = in_classes(TRAIN)
    write(root, {name: data for name, data in files.items() if name.startswith(unpacked)})
    outcome = built(tmp_path / "staged")
    assert choices(outcome)["train"] == (
        f"{root} (class archives, class-tars); also there: {root} (class folders, folders)"
    )
    assert provenance(tmp_path / "built")["train"]["examples"] == 3


def test_folders_are_read_where_only_some_class_archives_remain(tmp_path: Path):
    root = tmp_path / "staged" / "train"
    write(root, in_classes(TRAIN))
    some = {name: data for name, data in TRAIN.items() if name.startswith(TENCH)}
    layouts_corpus.write_class_tars(root, some)
    outcome = built(tmp_path / "staged")
    assert choices(outcome)["train"].startswith(f"{root} (class folders, folders)")
    assert provenance(tmp_path / "built")["train"]["examples"] == 3
    both = tmp_path / "staged"
    report = json.loads(run("check", str(both), "--json").out)
    rows = [row for row in report["sources"] if row["split"] == "train"]
    assert [(row["kind"], row["preferred"]) for row in rows] == [
        ("folders", True),
        ("class-tars", False),
    ]
    assert rows[0]["images_found"] == 3
    assert "fewer of them than class folders" in rows[1]["note"]


# --- the choice -----------------------------------------------------------------------------------


def test_a_patch_beside_a_folder_of_test_images_is_reported_unused(folders: Path):
    corpus = staged()
    write(folders / "test", {str(name): data for name, data in corpus.test})
    corpus.train, corpus.validation, corpus.test = {}, [], []
    corpus.write(folders)
    outcome = built(folders)
    assert f"without {PATCH}, which is for the test archive" in choices(outcome)["test"]
    said = provenance(folders.parent / "built")["test"]["layout"]
    assert said.endswith(f"without {PATCH}, which is for the test archive")


def test_archives_are_preferred_to_folders_with_a_message(folders: Path):
    staged().write(folders)
    outcome = built(folders)
    assert choices(outcome) == {
        "train": f"{folders}/ILSVRC2012_img_train.tar (official archives, tar); also there: "
        f"{folders}/train (class folders, folders)",
        "validation": f"{folders}/ILSVRC2012_img_val.tar (official archives, tar); also there: "
        f"{folders}/validation (class folders, folders)",
    }


def test_an_unstaged_kind_is_refused_with_the_staged_ones_listed(folders: Path):
    staged().write(folders)
    sentence = refused(folders, "--source", "squashfs")
    assert "is staged as squashfs, only as folders, tar" in sentence


def test_a_split_not_staged_as_the_requested_kind_is_reported_missing(folders: Path):
    staged().write(folders)
    outcome = built(folders, "--source", "folders")
    assert set(provenance(folders.parent / "built")) == {"train", "validation"}
    assert "split test will be missing: it is not staged as folders, only as" in outcome.err


def test_the_environment_may_select_the_source(folders: Path, monkeypatch: pytest.MonkeyPatch):
    staged().write(folders)
    monkeypatch.setenv("IMAGENET_BUILDERS_SOURCE", "folders")
    built(folders)
    assert provenance(folders.parent / "built")["train"]["examples"] == 3
    monkeypatch.setenv("IMAGENET_BUILDERS_SOURCE", "floppies")
    outcome = build(folders, folders.parent / "again")
    assert outcome.status != 0
    assert "IMAGENET_BUILDERS_SOURCE must be one of tar, tar.gz, class-tars, " in outcome.err


def test_tiny_imagenet_is_not_taken_for_imagenet(tmp_path: Path):
    write(tmp_path / "staged", {"train/n01443537/images/n01443537_0.JPEG": b"?"})
    sentence = refused(tmp_path / "staged")
    assert f"{tmp_path}/staged/train: this is Tiny ImageNet, as " in sentence
    assert "; build tiny_imagenet from it" in sentence


# --- boxes in folders -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n01440764/notes.txt": b""}, "only annotations such as n01440764_18.xml belong here"),
        ({"n01440764/n01440764_99.xml": b"<annotation>"}, "this is not an annotation that can be"),
        ({"n01440764/n01440764_99.xml": b"x" * (2 << 20)}, "expected an annotation of at most"),
        ({"n01440764/n01440764_99.xml": b""}, "this is not an annotation that can be read"),
    ],
)
def test_an_invalid_annotation_is_named(tmp_path: Path, change: dict[str, bytes], said: str):
    sites.kaggle(tmp_path / "staged", layouts_corpus.pictures("imagenet2012_localization"))
    notes = tmp_path / "staged" / "ILSVRC" / "Annotations" / "CLS-LOC" / "train"
    write(notes, change)
    where = ["--manual-dir", str(tmp_path / "staged"), "--data-dir", str(tmp_path / "built")]
    sentence = sentence_of(run("build", "imagenet2012_localization", *where))
    assert said in sentence
    assert str(notes) in sentence
    [name] = change
    assert name in sentence
    assert not list((tmp_path / "built").rglob("*.tfrecord-*"))


@pytest.mark.parametrize(
    ("dataset", "archive"),
    [
        ("tiny_imagenet", "tiny-imagenet-200.zip"),
        ("imagenet2012_downsampled/8x8", "Imagenet8_train_npz.zip"),
        ("imagenet21k_winter21/whole", "winter21_whole.tar.gz"),
    ],
)
def test_an_unreadable_archive_of_another_dataset_is_named(
    open_path: Path,  # The fixture.
    dataset: str,
    archive: str,
) -> None:
    manual_dir = open_path / "manual"
    sound = ROOT / "dummy_data" / dataset.partition("/")[0]
    shutil.copytree(sound, manual_dir)
    (manual_dir / archive).chmod(0)
    (open_path / "built").mkdir()
    (open_path / "built").chmod(0o777)
    outcome = build_as_nobody(
        open_path, manual_dir, open_path / "built", dataset=dataset, sound=sound
    )
    assert outcome.status == 1
    assert str(manual_dir / archive) in outcome.err
    assert "only the first 16 of your groups may count" in outcome.err
