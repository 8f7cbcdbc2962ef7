"""`check` knows what this package has exported, and advises nothing that would spoil it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.checking import check, checked, problem
from support.command_line import run
from support.paths import DUMMY_DATA

from imagenet_builders.export import forms

Export = Callable[..., Path]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Gives an export of a dataset in a form, from its archives."""
    made: dict[tuple[str, ...], Path] = {}

    def export(dataset: str, form: str, *options: str) -> Path:
        if (dataset, form, *options) not in made:
            out = tmp_path_factory.mktemp("exports") / "exported"
            of = dataset.partition("/")[0].removesuffix("_resized")
            where = ("--to", form, "--manual-dir", str(DUMMY_DATA / of), "--out", str(out))
            outcome = run("export", dataset, *where, "--workers=1", *options)
            assert outcome.status == 0, outcome.err
            made[dataset, form, *options] = out
        return made[dataset, form, *options]

    return export


def others(manual_dir: Path, *asked: str, status: int = 0) -> dict[str, dict[str, Any]]:
    return {
        str(Path(each["path"]).relative_to(manual_dir)): each
        for each in checked(manual_dir, *asked, status=status)["others"]
    }


# Form and options to what no build reads of imagenet2012, besides indexes.
UNREAD = {
    ("webdataset", "--num-shards=2"): {"imagenet1k-test-0.tar": 2},
    ("imagefolder",): {},
    ("squashfs",): {},
    ("huggingface", "--parquet"): {},
    ("slim", "--num-shards=2"): {"test-00000-of-00002": 2},
}


@pytest.mark.parametrize("form", UNREAD, ids=lambda form: form[0])
def test_nothing_of_an_export_that_is_read_is_unknown(form: tuple[str, ...], exports: Export):
    name = form[0]
    if name == "squashfs" and shutil.which("sqfstar") is None:
        pytest.skip("sqfstar is not installed")
    manual_dir = exports("imagenet2012", *form)
    said = others(manual_dir, "imagenet2012")
    noted = said.pop("provenance.json")
    whole = f"imagenet2012/5.1.0 as {' '.join(form) if name == 'huggingface' else name}"
    assert noted["what"] == f"what this package noted of its export of {whole}"
    indexes = [path for path in said if path.endswith(".idx")]
    assert all("not needed here" in said.pop(path)["action"] for path in indexes)
    assert {path: each["count"] for path, each in said.items()} == UNREAD[form]
    for each in said.values():
        assert each["what"] == f"of split test of this export of {whole}"
        assert "not read from this form" in each["action"]


def test_the_forms_are_all_there() -> None:
    assert {form for form, *_ in UNREAD} == {*forms.names()} - {"dali-index"}


def test_a_whole_export_of_few_shards_lacks_none(exports: Export, tmp_path: Path) -> None:
    manual_dir = tmp_path / "copy"
    shutil.copytree(exports("imagenet2012", "webdataset", "--num-shards=2"), manual_dir)
    assert "shards" not in check(manual_dir, "imagenet2012").out
    (manual_dir / "imagenet1k-train-1.tar").unlink()
    said = problem(checked(manual_dir, "imagenet2012", status=0), found="this is the last")
    assert said["expected"] == "2 shards, as provenance.json beside them says"
    assert (said["found"][:1], said["cause"]) == ("1", "a copy that was not finished")
    (manual_dir / "provenance.json").unlink()
    said = problem(
        checked(manual_dir, "imagenet2012", status=0), found="this is the last", path="train"
    )
    assert said["expected"] == "1,024 shards, as published"


def test_splits_that_no_build_reads_are_said_to_be_such(exports: Export) -> None:
    said = others(exports("tiny_imagenet", "webdataset"), status=1)
    tars = said["tiny_imagenet-test-0.tar"]
    assert tars["count"] == 3
    assert tars["what"].startswith("of splits test, train, validation of this export of tiny_imag")
    assert "unpack" not in json.dumps(said)


def test_an_image_of_another_dataset_is_to_be_mounted(exports: Export) -> None:
    if shutil.which("sqfstar") is None:
        pytest.skip("sqfstar is not installed")
    said = others(exports("tiny_imagenet", "squashfs"), status=1)
    assert "mount it" in said["tiny_imagenet.squashfs"]["action"]


def test_what_load_from_disk_maps_is_named_where_nothing_else_is_there(exports: Export) -> None:
    said = others(exports("imagenet2012", "huggingface"), "imagenet2012", status=1)
    assert {*said} == {"provenance.json", "train", "validation", "test"}
    assert "--parquet" in said["train"]["action"]


def test_a_stranger_in_an_export_is_named(exports: Export, tmp_path: Path) -> None:
    manual_dir = tmp_path / "copy"
    shutil.copytree(exports("imagenet2012", "imagefolder"), manual_dir)
    (manual_dir / "notes.doc").write_bytes(b"1")
    (manual_dir / "more").mkdir()
    assert {*others(manual_dir, "imagenet2012")} == {"provenance.json", "notes.doc", "more"}


def test_the_list_of_torchvision_is_known_elsewhere_too(exports: Export, tmp_path: Path) -> None:
    shutil.copy(exports("imagenet2012", "imagefolder") / "meta.bin", tmp_path)
    assert "torchvision" in others(tmp_path, status=1)["meta.bin"]["what"]


def test_exports_below_are_named(exports: Export, tmp_path: Path) -> None:
    shutil.copytree(exports("tiny_imagenet", "webdataset"), tmp_path / "tiny")
    for number in (1, 2):
        shutil.copytree(exports("tiny_imagenet", "webdataset"), tmp_path / f"wds{number}")
    said = others(tmp_path, status=1)
    assert {*said} == {"tiny", "wds1"}
    what = "an export of tiny_imagenet/1.0.0 as webdataset by this package"
    assert (said["tiny"]["what"], said["tiny"]["action"]) == (what, "check that directory")
    assert (said["wds1"]["count"], said["wds1"]["what"]) == (2, "exported by this package, each")


def test_check_and_build_agree_on_an_image_of_the_dogs(exports: Export, tmp_path: Path) -> None:
    """Whose number of images nobody knows, and whose classes are in folders of folders."""
    if shutil.which("sqfstar") is None:
        pytest.skip("sqfstar is not installed")
    manual_dir = exports("imagenet2012_dogs", "squashfs")
    document = checked(manual_dir, "imagenet2012_dogs", status=0)
    assert [row["verdict"] for row in document["sources"] if row["preferred"]] == ["ok"]
    where = (f"--manual-dir={manual_dir}", f"--data-dir={tmp_path}", "--workers=1")
    assert run("build", "imagenet2012_dogs", *where).status == 0


def test_records_of_images_without_boxes_are_no_boxes(exports: Export, tmp_path: Path) -> None:
    manual_dir = exports("imagenet2012", "slim", "--num-shards=2")
    assert {row["dataset"] for row in checked(manual_dir, status=0)["sources"]} == {"imagenet2012"}
    build = ("--manual-dir", str(manual_dir), "--data-dir", str(tmp_path), "--workers=1")
    assert checked(manual_dir, "imagenet2012_localization", status=1)["problems"]
    outcome = run("build", "imagenet2012_localization", *build)
    assert outcome.status == 1
    assert "Of train, there are no boxes: no " in outcome.err
    assert run("build", "all", *build).status == 0


def test_a_build_of_records_of_others_without_boxes_says_that_there_are_none(
    exports: Export, tmp_path: Path
) -> None:
    manual_dir = tmp_path / "records"
    shutil.copytree(exports("imagenet2012", "slim", "--num-shards=2"), manual_dir)
    (manual_dir / "provenance.json").unlink()
    build = ("--manual-dir", str(manual_dir), "--data-dir", str(tmp_path / "tfds"), "--workers=1")
    outcome = run("build", "imagenet2012_localization", *build)
    shard = manual_dir / "train-00000-of-00002"
    assert outcome.status == 1
    assert f"{shard}: expected boxes of the images in {shard}, found none" in outcome.err


def test_records_of_images_with_boxes_are_boxes(exports: Export, tmp_path: Path) -> None:
    manual_dir = exports("imagenet2012_localization", "slim", "--num-shards=2")
    rows = checked(manual_dir, "imagenet2012_localization", status=0)["sources"]
    assert next(row["verdict"] for row in rows if row["part"] == "boxes") == "ok"
    build = ("--manual-dir", str(manual_dir), "--data-dir", str(tmp_path), "--workers=1")
    outcome = run("build", "imagenet2012_localization", *build)
    assert outcome.status == 0
    # Images and boxes are in the same records, which are told of once.
    assert outcome.err.count("expected the official 1,281,167 images of train") == 1
