"""Small shards that are one part: the same files as of shards that are a part each."""

from __future__ import annotations

import json
import logging
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support import built_datasets
from support.building import DUMMY_ARCHIVES

from imagenet_builders.export import forms, grouped
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource, StagedSource
from imagenet_builders.options import BuildOptions
from imagenet_builders.write import shard as shard_lib

NAME = "imagenet2012"
BAD = "ILSVRC2012_val_00000003.JPEG"


def content(directory: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    del files["provenance.json"]
    return files


def splits(directory: Path) -> dict[str, dict[str, Any]]:
    """What the provenance says of splits; how they were cut into parts is in the plan's digest."""
    said: dict[str, dict[str, Any]] = json.loads((directory / "provenance.json").read_text())
    return {name: {**each, "plan": ""} for name, each in said["splits"].items()}


@pytest.mark.parametrize("form", ["slim", "webdataset"])
def test_the_files_are_the_same_in_parts_of_any_size(
    built: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[int, int] = {}
    write = shard_lib.write_shard
    outs = []
    for size in (1, 100_000, grouped.PART_BYTES):
        written[size] = 0

        def counted(*arguments: Any, size: int = size) -> Any:
            written[size] += 1
            return write(*arguments)

        monkeypatch.setattr(grouped, "PART_BYTES", size)
        monkeypatch.setattr("imagenet_builders.build.steps.write_shard", counted)
        outs.append(tmp_path / str(size))
        source, options = BuiltSource(NAME, built.parents[1]), BuildOptions(workers=1)
        export(source, forms.get(form), outs[-1], options, num_shards=6)
    assert content(outs[0]) == content(outs[1]) == content(outs[2])
    assert splits(outs[0]) == splits(outs[1]) == splits(outs[2])
    assert [each["shards"] for each in splits(outs[0]).values()] == [6, 6, 6]
    parts = list(written.values())
    assert parts[0] == 18
    assert 3 < parts[1] < 18
    assert parts[2] == 3


def test_another_number_of_shards_is_told_as_that(
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though the parts are as many, and have the same images."""
    source, options, out = BuiltSource(NAME, built.parents[1]), BuildOptions(workers=1), tmp_path
    with monkeypatch.context() as patched:
        patched.setattr("imagenet_builders.export.run.spread", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export(source, forms.get("slim"), out / "x", options, num_shards=3)
    with caplog.at_level(logging.INFO):
        export(source, forms.get("slim"), out / "x", options, num_shards=6)
    assert "because the number of shards of train was 3 and is 6" in caplog.text
    assert len(list((out / "x").glob("train-*-of-00006"))) == 6


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_shard_whose_images_are_all_left_out_is_there(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    archive = staged / "ILSVRC2012_img_val.tar"
    archive.write_bytes((DUMMY_ARCHIVES / archive.name).read_bytes())
    with tarfile.open(archive) as members:
        member = members.getmember(BAD)
        count = len(members.getmembers())
    with archive.open("r+b") as file:
        file.seek(member.offset_data)
        file.write(bytes(member.size))
    options = BuildOptions(workers=1, bad_images="skip", scratch_dir=str(tmp_path / "scratch"))
    out = tmp_path / "out"
    export(StagedSource(NAME, staged), forms.get("slim"), out, options)  # A shard for each image.
    shards = sorted(out.glob(f"validation-*-of-{count:05}"))
    lengths = [len(list(built_datasets.records(path))) for path in shards]
    assert sorted(lengths) == [0] + [1] * (count - 1)
    empty = shards[lengths.index(0)]
    assert (empty.stat().st_size, (out / f"dali_index/{empty.name}.idx").stat().st_size) == (0, 0)
    said = splits(out)["validation"]
    assert (said["examples"], said["shards"]) == (count - 1, count)
    assert said["shard_bytes"][lengths.index(0)] == 0
