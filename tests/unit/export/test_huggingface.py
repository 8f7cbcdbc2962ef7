"""The form `huggingface`: what Arrow's library finds in it, and a build from its Parquet files.

Hugging Face's own library reads it in `tests/readers`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import built_datasets
from support.building import build
from support.processes import run_cli

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import SourceError, TargetError
from imagenet_builders.export.form import Part, Subject
from imagenet_builders.export.huggingface import FORM, write
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.options import BuildOptions
from imagenet_builders.write import space
from imagenet_builders.write.space import Room

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "huggingface"
    done = run_cli(
        *("export", "imagenet2012", "--to", "huggingface", "--parquet", "--num-shards", "2"),
        *(f"--data-dir={built.parents[1]}", f"--out={out}"),
    )
    assert done.returncode == 0, done.stderr
    return out


def content(tables: list[pa.Table]) -> list[tuple[str, int, bytes]]:
    return [
        (row["image"]["path"], row["label"], row["image"]["bytes"])
        for table in tables
        for row in table.to_pylist()
    ]


def mapped(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        return stream.read_all()


@pytest.mark.parametrize("split", SPLITS)
def test_arrow_files_have_all_in_the_order_of_the_dataset(
    built: Path, exported: Path, split: str
) -> None:
    state = json.loads((exported / split / "state.json").read_text())
    names = [file["filename"] for file in state["_data_files"]]
    assert names == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert state["_split"] == split
    expected = built_datasets.split_content(built, split)
    assert content([mapped(exported / split / name) for name in names]) == expected
    info = json.loads((exported / split / "dataset_info.json").read_text())
    assert info["features"]["label"]["names"] == list(labels.wnids("imagenet2012"))
    assert info["splits"][split]["num_examples"] == len(expected)


@pytest.mark.parametrize("split", SPLITS)
def test_parquet_files_have_the_same(built: Path, exported: Path, split: str) -> None:
    paths = sorted((exported / "data").glob(f"{split}-0000?-of-00002.parquet"))
    assert len(paths) == 2
    assert content(list(map(pq.read_table, paths))) == built_datasets.split_content(built, split)


def test_what_lies_where(exported: Path) -> None:
    splits = json.loads((exported / "dataset_dict.json").read_text())["splits"]
    assert splits == list(SPLITS)
    named = {"README.md", "dataset_dict.json", "provenance.json", "data", *SPLITS}
    assert {path.name for path in exported.iterdir()} == named


def test_a_build_from_parquet_has_the_same_shards(
    built: Path, exported: Path, tmp_path: Path
) -> None:
    again = build(Builder, exported, tmp_path, num_shards=3)
    shards = built_datasets.shards(again)
    assert len(shards) == 9
    for shard in shards:
        assert shard.read_bytes() == (built / shard.name).read_bytes()


def test_without_parquet_there_is_none(built: Path, tmp_path: Path) -> None:
    done = run_cli(
        *("export", "imagenet2012", "--to", "huggingface"),
        *(f"--data-dir={built.parents[1]}", f"--out={tmp_path / 'out'}"),
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out/data").exists()
    assert "parquet" not in (tmp_path / "out/README.md").read_text().partition("---\n\n")[0]


def test_the_card_says_what_others_do_not_turn(exported: Path) -> None:
    card = (exported / "README.md").read_text()
    assert "EXIF" in card
    assert '    path: "data/validation-*"' in card


def test_a_file_has_less_than_500_mb_of_any_split() -> None:
    """By the bytes that the official archives have: train, validation, test."""
    assert FORM.parts is not None
    official = {1_281_167: 147_897_477_120, 50_000: 6_744_924_160, 100_000: 13_685_432_320}
    for examples, size in official.items():
        assert size / FORM.parts("", examples) < 475_000_000


def test_parquet_takes_as_much_room_again(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sum(
        len(image) for split in SPLITS for _, _, image in built_datasets.split_content(built, split)
    )
    room = Room(space._MORE_BYTES + images * 3 // 2, None)
    monkeypatch.setattr(space, "room_in", lambda directory: room)
    source, options = BuiltSource(str(built), built.parents[1]), BuildOptions(workers=1)
    both = FORM.switches["--parquet"](FORM, "")
    with pytest.raises(TargetError, match="are still to be written"):
        export(source, both, tmp_path / "both", options)
    export(source, FORM, tmp_path / "arrow", options)
    assert [path.name for path in tmp_path.iterdir()] == ["arrow"]


SUBJECT = Subject("x", None, "1.0.0", "x", "id", ("n00000001",), ("train",))


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ({"image": b"x", "label": 1, "id": "a"}, "expected labels from -1 to 0, found 1"),
        ({"image": b"x", "label": 0, "id": b"\xff"}, "expected the name of an image in id"),
        ({"label": 0, "id": "a"}, "expected the feature 'image'"),
    ],
    ids=["label", "name", "no image"],
)
def test_what_cannot_be_a_row(tmp_path: Path, example: dict, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        write((".arrow",), SUBJECT, Part("train", 0, 1), tmp_path, [example])
