"""`imagenet-builders check`: what it finds, what it says, and how it ends."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import command_line
from support.checking import check, checked, problem, row, stage, verdicts
from support.corpora.ilsvrc2012 import TEST, TRAIN, VAL
from support.paths import DUMMY_DATA

from imagenet_builders.words import size_text

BOXES = "ILSVRC2012_bbox_train_v2.tar.gz"
TINY = "tiny-imagenet-200.zip"

TABLE = """\
  split       source                              kind   expected  found     size  official  verdict
imagenet2012
  train       ILSVRC2012_img_train.tar            tar   1,281,167     24   266 kB    148 GB  odd
  validation  ILSVRC2012_img_val.tar              tar      50,000     12   113 kB    6.7 GB  odd
  test        ILSVRC2012_~_test_v10102019.tar +1  tar     100,000      6  71.7 kB         -  odd
"""

CUT_OFF = """\
   expected  a tar archive that ends in two blocks of zeros; the official one has 147,897,477,120
             bytes
   found     100,000 bytes (no multiple of 512), and not only zeros at the end
   likely    the copy was cut off or is not done yet, or something was appended; it has 100,000
             bytes, 0.0 % of the official
   do        copy it again, and compare its hash (--hash)
"""


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, or makes, anything of the user's."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


@pytest.fixture
def ilsvrc(tmp_path: Path) -> Path:
    return stage(tmp_path / "staged", "imagenet2012")


# --- what is found ---------------------------------------------------------------------------


def test_a_sound_directory_can_be_built_and_its_table_lists_it(ilsvrc: Path) -> None:
    outcome = check(ilsvrc)
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[0] == str(ilsvrc)
    assert lines[2:7] == TABLE.splitlines()
    assert lines[-1] == "Everything found can be built."
    assert "\x1b" not in outcome.out


def test_every_dataset_is_found_in_one_tree(tmp_path: Path) -> None:
    site = stage(
        tmp_path / "site",
        "imagenet2012",
        "imagenet2012_localization/ILSVRC2012_bbox_train_v2.tar.gz",
        "imagenet2012_localization/ILSVRC2012_bbox_val_v3.tgz",
        "imagenet2012_dogs",
        "imagenet2012_downsampled",
        "imagenet21k_winter21",
        "tiny_imagenet",
    )
    document = checked(site, status=0)
    names = {name.rpartition("/")[0].rpartition("/")[0] for name in verdicts(document)}
    assert names == {
        "imagenet2012",
        "imagenet2012_localization",
        "imagenet2012_dogs",
        *(f"imagenet2012_downsampled/{size}x{size}" for size in (8, 16, 32, 64)),
        "imagenet21k_winter21/whole",
        "imagenet21k_winter21/p",
        "tiny_imagenet",
    }
    # A file that several datasets read is spoken of once.
    concerned = problem(document, path=TRAIN, expected="the official size")["datasets"]
    assert concerned == ["imagenet2012", "imagenet2012_localization"]


def test_only_requested_datasets_are_shown(ilsvrc: Path) -> None:
    stage(ilsvrc, "tiny_imagenet")
    document = checked(ilsvrc, "tiny_imagenet", status=0)
    assert {each["dataset"] for each in document["sources"]} == {"tiny_imagenet"}
    assert document["asked_for"] == ["tiny_imagenet"]
    assert [row(document, split)["images_found"] for split in ("train", "validation", "test")] == [
        18,
        8,
        6,
    ]


def test_the_document_has_the_keys_that_the_readme_promises(ilsvrc: Path) -> None:
    document = checked(ilsvrc, status=0)
    assert list(document) == [
        "manual_dir",
        "asked_for",
        "can_be_built",
        "sources",
        "problems",
        "others",
        "notes",
        "needs",
    ]
    train = row(document, "train")
    assert train == {
        "dataset": "imagenet2012",
        "config": None,
        "split": "train",
        "part": "images",
        "kind": "tar",
        "layout": "official archives",
        "paths": [str(ilsvrc / TRAIN)],
        "preferred": True,
        "images_expected": 1_281_167,
        "images_found": 24,
        "bytes": 266_240,
        "official_bytes": 147_897_477_120,
        "verdict": "odd",
        "note": None,
        "unread": None,
        "hashes": {},
    }
    keys = ["severity", "datasets", "path", "expected", "found", "cause", "action"]
    assert all(list(each) == keys for each in document["problems"])
    needs = document["needs"]
    assert list(needs) == [
        "output",
        "scratch",
        "same_file_system",
        "not_estimated",
        "copies_bytes",
    ]
    keys = ["path", "bytes", "free_bytes", "files", "free_files"]
    keys += ["quota", "files_quota", "quotas_seen"]
    assert list(needs["output"]) == list(needs["scratch"]) == keys


def test_case_does_not_matter(ilsvrc: Path) -> None:
    (ilsvrc / TRAIN).rename(ilsvrc / TRAIN.upper())
    document = checked(ilsvrc, status=0)
    assert row(document, "train")["official_bytes"] == 147_897_477_120
    assert problem(document, path=TRAIN.upper(), expected="the official size")


def test_archives_are_preferred_to_folders_and_both_are_shown(ilsvrc: Path) -> None:
    for number in (1, 2):
        image = ilsvrc / "train" / "n01440764" / f"n01440764_{number}.JPEG"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"\xff\xd8")
    document = checked(ilsvrc, "imagenet2012", status=0)
    assert row(document, "train", preferred=True)["kind"] == "tar"
    spare = row(document, "train", preferred=False)
    assert (spare["kind"], spare["verdict"]) == ("folders", "spare")


def test_class_folders_are_counted_and_their_missing_classes_named(tmp_path: Path) -> None:
    for wnid, count in (("n01440764", 3), ("n01443537", 2), ("n01484850", 0)):
        folder = tmp_path / "train" / wnid
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"{wnid}_{number}.JPEG").write_bytes(b"\xff\xd8")
    document = checked(tmp_path, "imagenet2012", status=1)
    assert problem(document, severity="error")["path"] == str(tmp_path / "train" / "n01484850")
    assert row(document, "train")["images_found"] == 5
    lacking = problem(document, expected="all 1,000 classes")
    assert lacking["severity"] == "warning"
    # A class folder without an image is not a class that is there.
    assert lacking["found"].startswith("2; none of n01484850, ")
    assert "(998 in all)" in lacking["found"]


def test_missing_npz_files_make_a_size_unbuildable(tmp_path: Path) -> None:
    folder = tmp_path / "Imagenet8_train_npz"
    with zipfile.ZipFile(
        DUMMY_DATA / "imagenet2012_downsampled" / "Imagenet8_train_npz.zip"
    ) as archive:
        archive.extractall(folder)
    assert checked(tmp_path, "imagenet2012_downsampled", status=0)
    next(folder.rglob("train_data_batch_7.npz")).unlink()
    said = problem(checked(tmp_path, "imagenet2012_downsampled", status=1), severity="error")
    assert said["path"] == str(folder)
    assert (said["expected"], said["found"]) == ("10 files such as train_data_batch_1.npz", "9")


def test_a_set_of_shards_with_a_gap_cannot_be_built(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        shutil.copyfile(
            DUMMY_DATA / "imagenet2012" / VAL, tmp_path / f"imagenet1k-train-{number:04}.tar"
        )
    document = checked(tmp_path, "imagenet2012", status=1)
    assert verdicts(document)["imagenet2012/train/images"] == "bad"
    assert "imagenet1k-train-0002.tar" in problem(document, severity="error")["found"]


# --- what is wrong ---------------------------------------------------------------------------


def test_a_tar_that_was_cut_off_is_recognised_by_its_end(ilsvrc: Path) -> None:
    os.truncate(ilsvrc / TRAIN, 100_000)
    outcome = check(ilsvrc)
    assert outcome.status == 1
    assert f"1. error: {ilsvrc / TRAIN}" in outcome.out
    assert CUT_OFF in outcome.out
    assert outcome.out.splitlines()[-1] == "Not everything can be built: see the errors."
    document = checked(ilsvrc, status=1)
    assert verdicts(document)["imagenet2012/train/images"] == "bad"
    assert verdicts(document)["imagenet2012/validation/images"] == "odd"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (TRAIN, b"", {"found": "0 bytes", "cause": "failed at its beginning"}),
        (TRAIN, b"<!DOCTYPE html><html>", {"found": "a web page", "cause": "error page saved"}),
        (TRAIN, gzip.compress(b"x" * 2000, mtime=0), {"expected": "a compressed tar archive"}),
        (f"{VAL}.bz2", b"BZh91AY&SY" + b"x" * 500, {"found": "the bzip2 data are damaged"}),
        (f"{VAL}.xz", lzma.compress(b"<html>" * 200), {"found": "a web page"}),
        (TRAIN, bytes(50_000), {"found": "zeros where", "cause": "made at its full size first"}),
        (VAL, b"\xff\xd8\xff\xe0" + b"x" * 1000, {"found": "a JPEG image"}),
        (TINY, b"PK\x03\x04" + b"x" * 5000, {"expected": "a zip archive with its directory"}),
        ("winter21_whole.tar.gz", b"<html>", {"found": "a web page"}),
        ("train.squashfs", b"hsqs" + b"\xff" * 92, {"cause": "cut off"}),
        ("train-00000-of-00001", b"\xff" * 20, {"expected": "records"}),
    ],
)
def test_a_file_of_another_type_than_its_name_says_is_found(
    tmp_path: Path, name: str, content: bytes, said: dict[str, str]
) -> None:
    (tmp_path / name).write_bytes(content)
    found = problem(checked(tmp_path, status=1), severity="error", path=name)
    assert all(text in found[key] for key, text in said.items()), found


def test_an_interrupted_preallocated_copy_is_recognised_by_its_zeros(ilsvrc: Path) -> None:
    with open(ilsvrc / VAL, "r+b") as file:
        file.truncate(3 << 20)
    said = problem(checked(ilsvrc, status=1), severity="error", path=VAL)
    assert "of which the last million and more are zeros" in said["found"]


def test_a_file_with_holes_may_be_on_tape(ilsvrc: Path) -> None:
    data = (ilsvrc / VAL).read_bytes()
    with open(ilsvrc / VAL, "wb") as file:
        file.seek(8 << 20)
        file.write(b"x" + bytes(1024))
        file.truncate()
        file.seek(0)
        file.write(data[:4096])
    # What is behind the end of the archive is found, too.
    document = checked(ilsvrc, status=1)
    assert problem(document, path=VAL, severity="error")["found"].startswith("at byte 8,388,608")
    (ilsvrc / VAL).rename(ilsvrc / "imagenet1k-validation-00.tar")
    said = problem(
        checked(ilsvrc, status=0), path="imagenet1k-validation-00.tar", found="the rest are holes"
    )
    assert "moved to tape" in said["cause"]


def test_an_unreadable_file_is_an_error_with_its_likely_cause(open_path: Path) -> None:
    stage(open_path, "imagenet2012")
    (open_path / TRAIN).chmod(0)
    code = (
        "import sys, os\n"
        "from imagenet_builders import cli\n"
        "cli.main(['check', sys.argv[2], '--json'])\n"
        "print('warmed up')\n"
        "groups = [int(n) for n in sys.argv[1].split(',')]\n"
        "if os.getuid() == 0:\n"
        "    os.setgroups(groups); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(cli.main(['check', sys.argv[2], '--json']))\n"
    )
    groups = {"1": "permissions", ",".join(map(str, range(100, 120))): "counts only 16 groups"}
    for numbers, cause in groups.items():
        if os.getuid() != 0 and numbers != "1":
            continue
        done = subprocess.run(
            [sys.executable, "-c", code, numbers, str(open_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        document = json.loads(done.stdout.partition("warmed up\n")[2])
        said = problem(document, severity="error")
        assert (said["path"], said["found"]) == (str(open_path / TRAIN), "Permission denied")
        assert cause in said["cause"]
        assert "ask its owner" in said["action"]
        assert verdicts(document)["imagenet2012/train/images"] == "bad"


def test_a_missing_split_is_a_warning_and_a_missing_dataset_an_error(ilsvrc: Path) -> None:
    (ilsvrc / TEST).unlink()
    document = checked(ilsvrc, "imagenet2012", status=0)
    assert row(document, "test")["verdict"] == "missing"
    said = problem(document, expected="split test of imagenet2012")
    assert (said["severity"], said["found"]) == ("warning", "nothing")
    assert TEST in said["expected"]
    document = checked(ilsvrc, "imagenet2012", "tiny_imagenet", status=1)
    said = problem(document, severity="error")
    assert said["datasets"] == ["tiny_imagenet"]
    assert str(ilsvrc / TINY) in said["expected"]


def test_strict_turns_warnings_into_errors(ilsvrc: Path) -> None:
    document = checked(ilsvrc, "--strict", status=1)
    assert {each["severity"] for each in document["problems"]} == {"error"}


def test_localization_needs_images_and_boxes_and_names_the_missing(ilsvrc: Path) -> None:
    stage(ilsvrc, f"imagenet2012_localization/{BOXES}")
    document = checked(ilsvrc, "imagenet2012_localization", status=0)
    said = problem(document, expected="split validation of imagenet2012_localization")
    assert said["found"] == "its images, but not its boxes"
    assert "ILSVRC2012_bbox_val_v3" in said["expected"]
    # Without boxes of any split it is nobody's wish unless it is asked for.
    (ilsvrc / BOXES).unlink()
    assert {each["dataset"] for each in checked(ilsvrc, status=0)["sources"]} == {"imagenet2012"}
    assert problem(checked(ilsvrc, "imagenet2012_localization", status=1), severity="error")


# --- almost there ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cause", "action"),
    [
        ("ILSVRC2012_img_train.tar.part", "is not done", "finish it"),
        ("ILSVRC2012_img_train.tar.aria2", "is not done", "finish it"),
        (".ILSVRC2012_img_train.tar.Xq3fPz", "is not done", "finish it"),
        ("ILSVRC2012_img_train (1).tar", "named in another way", "a link to it with the name"),
        ("ILSVRC2012-img-train.tar.1", "named in another way", "a link to it with the name"),
        ("ILSVRC2012-img-train.tgz", "named in another way", "a link to it with the name"),
    ],
)
def test_a_name_that_is_nearly_right_is_the_likely_cause(
    ilsvrc: Path, name: str, cause: str, action: str
) -> None:
    (ilsvrc / TRAIN).rename(ilsvrc / name)
    document = checked(ilsvrc, "imagenet2012", status=0)
    said = problem(document, expected="split train of imagenet2012")
    assert str(ilsvrc / name) in said["cause"]
    assert cause in said["cause"]
    assert action in said["action"]
    # It is said there, and not again.
    assert not [each for each in document["problems"] if each["path"] == str(ilsvrc / name)]


def test_an_unfinished_download_is_reported_beside_its_archive(ilsvrc: Path) -> None:
    (ilsvrc / f"{TRAIN}.aria2").write_bytes(b"\0\1")
    said = problem(checked(ilsvrc, status=0), path=".aria2")
    assert said["expected"] == f"the name {TRAIN}"
    assert "is not done" in said["cause"]


@pytest.mark.parametrize("below", [False, True])
def test_a_directory_too_high_or_too_low_gets_a_hint(tmp_path: Path, below: bool) -> None:
    right = stage(tmp_path / "up" / "data", "imagenet2012")
    (right / "notes").mkdir()
    wrong = right / "notes" if below else right.parent
    for asked in ((), ("imagenet2012",)):
        said = problem(checked(wrong, *asked, status=1), cause="too high or too low")
        assert f"imagenet2012 in {right}" in said["found"]
        assert said["action"] == f"check {right} instead"
    last = check(wrong).out.splitlines()[-1]
    assert last == "Nothing can be built."


def test_a_dataset_missing_here_is_found_below_while_another_is_here(ilsvrc: Path) -> None:
    stage(ilsvrc / "tiny", "tiny_imagenet")
    document = checked(ilsvrc, "imagenet2012", "tiny_imagenet", status=1)
    said = problem(document, cause="too high or too low")
    assert said["found"] == f"none of them, but tiny_imagenet in {ilsvrc / 'tiny'}"


def test_a_requested_configuration_must_be_there_otherwise_any_is_enough(tmp_path: Path) -> None:
    name = "imagenet2012_downsampled"
    for part in ("train", "val"):
        stage(tmp_path, f"{name}/Imagenet8_{part}_npz.zip")
    assert checked(tmp_path, name, status=0)
    assert checked(tmp_path, "all", status=0)
    assert checked(tmp_path, f"{name}/8x8", status=0)
    for asked in ([f"{name}/8x8", f"{name}/16x16"], ["all", f"{name}/16x16"]):
        said = problem(checked(tmp_path, *asked, status=1), severity="error")
        assert said["datasets"] == [f"{name}/16x16"]
    for file in tmp_path.iterdir():
        file.unlink()
    document = checked(tmp_path, name, "tiny_imagenet", status=1)
    missed = [each["datasets"] for each in document["problems"]]
    assert missed == [[f"{name}/8x8"], ["tiny_imagenet"]]


def test_names_that_would_move_the_cursor_are_escaped(tmp_path: Path) -> None:
    odd = tmp_path / "a\x1b[2Jb\udcff"
    stage(odd, "imagenet2012")
    outcome = check(tmp_path)
    assert outcome.status == 1
    assert "\x1b" not in outcome.out
    assert "a\\x1b[2Jb\\udcff" in outcome.out
    assert all(line.isprintable() for line in outcome.out.splitlines())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("name", ["größe-大", os.fsdecode(b"caf\xe9")])
def test_any_name_is_printed_in_any_encoding(tmp_path: Path, encoding: str, name: str) -> None:
    staged = stage(tmp_path / name, "imagenet2012")
    arguments = ["--data-dir", str(tmp_path / "out" / name)]
    for command in (
        ["check", str(staged), *arguments],
        ["check", str(staged), "--json", *arguments],
        ["build", "imagenet2012", "--manual-dir", str(staged), "--workers", "1", *arguments],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "imagenet_builders.cli", *command],
            env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if "--json" in command:
            assert json.loads(done.stdout)["manual_dir"] == str(staged)


def test_directories_named_like_datasets_get_a_hint_at_the_option(tmp_path: Path) -> None:
    stage(tmp_path / "imagenet2012", "imagenet2012")
    stage(tmp_path / "tiny_imagenet", "tiny_imagenet")
    said = problem(checked(tmp_path, status=1), cause="too high")
    assert "--add-name-to-manual-dir" in said["action"]
    document = checked(tmp_path, "--add-name-to-manual-dir", status=0)
    assert {each["dataset"] for each in document["sources"]} == {"imagenet2012", "tiny_imagenet"}


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    stage(tmp_path / "ImageNet", "imagenet2012")
    said = problem(checked(tmp_path / "imagenet", status=1), severity="error")
    assert (said["found"], said["action"]) == (
        "nothing",
        f"check whether {tmp_path / 'ImageNet'} is meant",
    )
    said = problem(checked(tmp_path / "ImageNet" / TRAIN, status=1), severity="error")
    assert said["found"] == "a file"
    empty = tmp_path / "x" / "y" / "empty"
    empty.mkdir(parents=True)
    assert problem(checked(empty, status=1), found="the directory is empty")


# --- what a build needs ----------------------------------------------------------------------


def test_the_predicted_space_is_close_to_the_written_size(ilsvrc: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "built"
    needs = checked(ilsvrc, "--data-dir", str(data_dir), status=0)["needs"]
    assert needs["output"]["path"] == str(data_dir)
    assert needs["scratch"]["path"] == str(data_dir / f".imagenet_builders-{os.getuid()}")
    assert needs["output"]["free_bytes"] > 0
    outcome = command_line.build(ilsvrc, data_dir)
    assert outcome.status == 0
    files = [path for path in (data_dir / "imagenet2012").rglob("*") if path.is_file()]
    written = sum(path.stat().st_size for path in files)
    assert written / 2 < needs["output"]["bytes"] < written * 2
    assert len(files) <= needs["output"]["files"]


def test_official_archives_need_space_and_compressed_ones_scratch_space(tmp_path: Path) -> None:
    """Sparse files stand for what nobody has here."""
    manual_dir = tmp_path / "staged"
    manual_dir.mkdir()
    for name, size in ((TRAIN, 147_897_477_120), ("winter21_whole.tar.gz", 1_150_000_000_000)):
        with open(manual_dir / name, "wb") as file:
            small = DUMMY_DATA / "imagenet2012" / TRAIN
            header = small.read_bytes()[:1024]
            file.write(header if name == TRAIN else gzip.compress(header))
            file.seek(size - (2 << 20))
            file.write(b"x")
            file.truncate(size)
    # The end of this one is all zeros: nothing of it can be built.
    document = checked(manual_dir, "imagenet2012", "--data-dir", str(tmp_path), status=1)
    assert document["needs"] is None
    document = checked(manual_dir, "imagenet21k_winter21", "--data-dir", str(tmp_path), status=1)
    needs = document["needs"]
    assert 1_150e9 < needs["output"]["bytes"] < 1_156e9
    assert 1.1 * 1_150e9 < needs["scratch"]["bytes"] < 1.1 * 1_150e9 + 2e9  # And its index.
    assert needs["output"]["files"] == 3 * 2048 + 8
    said = problem(document, severity="error", path=str(tmp_path), found="free")
    assert said["expected"].startswith("about 2.4 TB free for datasets and scratch files")
    # Where nobody chose the place, it is only worth a warning.
    document = checked(manual_dir, "imagenet21k_winter21", status=0)
    assert problem(document, found="free")["severity"] == "warning"


def test_copies_need_scratch_space_too(tmp_path: Path) -> None:
    manual_dir = stage(tmp_path / "staged", "imagenet2012_localization", "imagenet2012_dogs")
    archives = {
        name: sum(path.stat().st_size for path in manual_dir.glob(f"*_{name}*"))
        for name in ("img_train.", "img_val", "bbox_train_v2", "bbox_val", "train_t3", "train_dogs")
    }
    shared = archives["img_train."] + archives["img_val"]

    def scratch(*arguments: str) -> tuple[int, int | None]:
        needs = checked(manual_dir, *arguments, status=0)["needs"]
        return needs["scratch"]["bytes"], needs["copies_bytes"]

    asked = ("imagenet2012", "imagenet2012_dogs", "imagenet2012_localization")
    for datasets, expected in (
        (asked[:1], shared),
        (asked[2:], shared + archives["bbox_train_v2"] + archives["bbox_val"]),
        # What the first and the last share stays while the second is built.
        (asked, shared + archives["train_t3"] + archives["train_dogs"]),
        ((asked[1],), archives["train_t3"] + archives["train_dogs"]),
    ):
        without, none = scratch(*datasets)
        with_copies, copies = scratch(*datasets, "--stage")
        assert none is None
        assert copies == expected
        if datasets != asked:  # Of several, another one may need the most to unpack.
            assert with_copies - without == expected
    said = check(manual_dir, "imagenet2012", "--stage").out.splitlines()
    assert f"            {shared / 1e3:.0f} kB of it for copies (--stage)" in said


def test_an_unwritable_target_is_an_error(open_path: Path, tmp_path: Path) -> None:
    stage(open_path / "staged", "imagenet2012")
    (open_path / "staged").chmod(0o755)
    code = (
        "import sys, os\n"
        "from imagenet_builders import cli\n"
        "cli.main(['check', sys.argv[1]])\n"
        "print('warmed up')\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(cli.main(['check', *sys.argv[1:], '--json']))\n"
    )
    (open_path / "target").mkdir(mode=0o555)
    arguments = [str(open_path / "staged"), "--data-dir", str(open_path / "target" / "tfds")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    document = json.loads(done.stdout.partition("warmed up\n")[2])
    assert done.returncode == 1, done.stdout
    said = problem(document, severity="error", action="--data-dir")
    assert said["found"].startswith(
        f"{open_path / 'target'} belongs to user {os.getuid()}, mode 555"
    )


# --- the command -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["imagenet2013"], "imagenet2013"),
        (["imagenet2012/8x8"], "imagenet2012 has no configurations, so leave out '8x8'"),
        (["imagenet2012_downsampled/8"], "the configurations 8x8, 16x16, 32x32, 64x64"),
        (["--workers", "0"], "workers"),
        (["--scratch-dir", "/no/such"], "/no/such (--scratch-dir) does not exist, nor does /no; "),
    ],
)
def test_invalid_arguments_end_with_status_2(
    ilsvrc: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from imagenet_builders import cli

    try:
        status: object = cli.main(["check", str(ilsvrc), *arguments])
    except SystemExit as ended:  # By argparse.
        status = ended.code
    assert status == 2
    assert said in capsys.readouterr().err


def test_check_imports_nothing_heavy_and_is_fast(tmp_path: Path) -> None:
    code = (
        "import sys; from imagenet_builders.cli import main\n"
        "status = main(['check', sys.argv[1], '--add-name-to-manual-dir'])\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'apache_beam', 'pandas', 'pyarrow'}\n"
        "heavy.add('numpy')\n"
        "print('imported:', *sorted(heavy & {*sys.modules}))\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(DUMMY_DATA)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"
    assert done.stderr == ""


def test_colour_is_for_terminals_or_on_request(
    ilsvrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagenet_builders.check import rendering

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert rendering.uses_colour(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not rendering.uses_colour(Terminal())


@pytest.mark.parametrize("width", [30, 40, 60, 70, 80, 92, 100, 132, 200])
def test_the_table_fits_any_terminal_and_says_the_same(ilsvrc: Path, width: int) -> None:
    from imagenet_builders.check import command, rendering

    report = command.run(command.Request(ilsvrc), io.StringIO())
    text = rendering.text(report, width=width)
    table = text.split("\n\n")[1].splitlines()
    assert max(map(len, table)) <= width
    longer = [line for line in text.splitlines() if len(line) > width]
    # A word alone: a path, which can be copied.
    before = re.compile(r" *(expected: |\d+\. \w+: )?")
    assert [line for line in longer if " " in before.sub("", line, 1)] == []
    for each in report.rows:
        assert any(re.search(rf"\b{each.verdict}\b", line) for line in table)
        assert each.paths[0].name[-6:] in "".join(table)
    whole = rendering.text(report, width=10_000)
    if width > 30:  # Where there is no room for it, the name of the dataset is left out.
        words = {word.strip(":(),") for word in text.split()}
        assert {word.strip(":(),") for word in whole.partition("1. ")[2].split()} <= words


def test_a_narrow_terminal_has_the_verdict_first_and_says_all_the_same(ilsvrc: Path) -> None:
    from imagenet_builders.check import command, rendering

    report = command.run(command.Request(ilsvrc), io.StringIO())
    assert rendering.text(report, width=40).split("\n\n")[1].splitlines()[:5] == [
        "imagenet2012",
        "  train       odd",
        "      ILSVRC2012_img_train.tar",
        "      tar, 266 kB, 148 GB official, 24",
        "      of 1,281,167 images",
    ]


def test_sizes_are_written_in_few_characters() -> None:
    assert [size_text(n) for n in (0, 999, 1_500, 266_240, 147_897_477_120, 1_100_000_000_000)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "266 kB",
        "148 GB",
        "1.1 TB",
    ]
