"""Parquet files of Hugging Face: names, labels, what is missing, and what is another dataset."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.command_line import Outcome, run
from support.corpora.ilsvrc2012 import picture
from support.corpora.layouts import write_parquet

from imagenet_builders.sources.parquet import file_sets

TRAIN = {
    f"{wnid}_{n}.JPEG": picture(f"{wnid}{n}") for wnid in ("n01440764", "n01443537") for n in (1, 2)
}


def build(root: Path) -> Outcome:
    where = [f"--manual-dir={root / 'staged'}", f"--data-dir={root / 'data'}", "--workers=1"]
    return run("build", "imagenet2012", *where)


def rewritten(path: Path, **columns: pa.Array) -> None:
    table = pq.read_table(path)
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, path)


def images(file: Path, **changed: object) -> pa.Array:
    column = pq.read_table(file)["image"].to_pylist()
    column[0] |= changed
    return pa.array(column, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def test_names_of_files_tell_their_split_and_what_is_missing() -> None:
    names = ["train-00000-of-00003.parquet", "train-00002-of-00003-0a1b2c3d4e5f6789.parquet"]
    found = file_sets([*names, "val-00000-of-00001.parquet", "dataset_infos.json"])
    assert found["validation"].problem is None
    assert found["train"].names == tuple(names)
    assert "train-00001-of-00003.parquet is missing" in (found["train"].problem or "")


def test_a_missing_file_is_named_by_check_and_build(tmp_path: Path) -> None:
    write_parquet(tmp_path / "staged", "train", TRAIN, 3)
    (tmp_path / "staged" / "train-00001-of-00003.parquet").unlink()
    for outcome in (run("check", str(tmp_path / "staged")), build(tmp_path)):
        assert outcome.status == 1
        said = " ".join((outcome.out + outcome.err).split())
        assert "train-00001-of-00003.parquet is missing" in said


@pytest.mark.parametrize(
    ("label", "changed", "message"),
    [
        (5, {}, "expected class 0, that of the image's name, found 5"),
        (-1, {}, "expected class 0, that of the image's name, found -1"),
        (0, {"path": "n01440764_1_n01443537.JPEG"}, "its name says two classes"),
        (0, {"path": None}, "only images such as n01440764_1.JPEG belong here"),
        (0, {"path": "ILSVRC2012_val_00000001_n01440764.JPEG"}, "only images such as"),
    ],
)
def test_a_label_or_a_name_that_is_not_the_images_own_is_an_error(
    tmp_path: Path, label: int, changed: dict[str, object], message: str
) -> None:
    write_parquet(tmp_path / "staged", "train", TRAIN, 1)
    path = tmp_path / "staged" / "train-00000-of-00001.parquet"
    labels = [label, *pq.read_table(path)["label"].to_pylist()[1:]]
    rewritten(path, image=images(path, **changed), label=pa.array(labels, pa.int64()))
    outcome = build(tmp_path)
    assert outcome.status == 1
    assert message in outcome.err
    assert path.name in outcome.err


def test_check_knows_another_dataset_by_the_name_of_its_first_image(tmp_path: Path) -> None:
    write_parquet(tmp_path / "staged", "train", TRAIN, 1)
    path = tmp_path / "staged" / "train-00000-of-00001.parquet"
    rewritten(path, image=images(path, path="cat.jpg"))
    outcome = run("check", str(tmp_path / "staged"))
    assert outcome.status == 1
    assert "'cat.jpg'" in outcome.out
    assert "another dataset has files of the same names" in " ".join(outcome.out.split())


def test_check_counts_rows_and_scratch_space(tmp_path: Path) -> None:
    write_parquet(tmp_path / "staged" / "data", "train", TRAIN, 2)
    outcome = run("check", str(tmp_path / "staged"))
    assert outcome.status == 0, outcome.out
    [line] = [line for line in outcome.out.splitlines() if "parquet" in line]
    assert " 4 " in line
    assert "scratch" in outcome.out
