"""Class archives: in place, among other things, and in several forms."""

from __future__ import annotations

from pathlib import Path

from support.command_line import Outcome, run
from support.corpora.ilsvrc2012 import picture
from support.corpora.layouts import packed, write_class_tars

from imagenet_builders import datasets

NAMES = [f"{wnid}_{n}.JPEG" for wnid in ("n01440764", "n01443537") for n in (1, 2)]
TRAIN = {name: picture(name) for name in NAMES}


def build(root: Path) -> Outcome:
    where = [f"--manual-dir={root / 'staged'}", f"--data-dir={root / 'data'}", "--workers=1"]
    return run("build", "imagenet2012", *where)


def test_a_class_that_is_there_plain_and_compressed_is_an_error(tmp_path: Path) -> None:
    write_class_tars(tmp_path / "staged" / "train", TRAIN)
    archive = tmp_path / "staged" / "train" / "n01440764.tar"
    archive.with_name("n01440764.tar.gz").write_bytes(packed(archive.read_bytes(), "gzip"))
    outcome = build(tmp_path)
    assert outcome.status == 1
    assert "two archives of class n01440764, n01440764.tar and n01440764.tar.gz" in outcome.err


def test_class_archives_in_place_are_not_taken_where_most_are_of_other_classes(
    tmp_path: Path,
) -> None:
    write_class_tars(tmp_path, TRAIN)
    (tmp_path / "n00004475.tar").write_bytes(b"")
    assert set(datasets.get("imagenet2012").survey(tmp_path, None).found) == {"train"}
    (tmp_path / "n00005787.tar").write_bytes(b"")
    assert datasets.get("imagenet2012").survey(tmp_path, None).found == {}


def test_a_few_class_archives_in_place_come_after_folders(tmp_path: Path) -> None:
    write_class_tars(tmp_path, TRAIN)
    (tmp_path / "train" / "n01440764").mkdir(parents=True)
    (tmp_path / "train" / "n01440764" / "n01440764_1.JPEG").write_bytes(b"")
    first, second = datasets.get("imagenet2012").survey(tmp_path, None).found["train"]
    assert (first.kind, second.kind) == ("folders", "class-tars")
    assert second.note == "only 2 of the 1,000 classes are there"
