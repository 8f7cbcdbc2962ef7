"""`build --decode`: damage that only decoding shows is found before it is published."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.built_datasets import files_of, provenance, records_by_split, without_times
from support.command_line import DATASET, build, build_arguments, refused, run
from support.corpora.ilsvrc2012 import TENCH, picture, staged
from support.killing.forks import Server
from support.killing.moments import left_of_a_build
from support.killing.trials import SHARDS

JPEG = picture("whole")
# Its header is sound and it ends as it should, but most of its pixels are not there.
SCAN = JPEG.index(b"\xff\xda") + 14
HALF = JPEG[: SCAN + 8] + b"\xff\xd9"
BAD = f"{TENCH}_2.JPEG"


@pytest.fixture
def with_half(tmp_path: Path) -> Path:
    bad = staged()
    bad.train[TENCH][1] = (BAD, HALF)
    return bad.write(tmp_path / "staged")


def decoded(data_dir: Path) -> bool:
    found = json.loads((data_dir / DATASET / "provenance.json").read_text())["decode"]
    assert isinstance(found, bool)
    return found


def test_lost_pixels_end_a_build_only_if_it_decodes(with_half: Path, tmp_path: Path) -> None:
    assert build(with_half, tmp_path / "plain").status == 0
    assert not decoded(tmp_path / "plain")
    sentence = refused(build(with_half, tmp_path / "built", "--decode"), tmp_path / "built")
    assert BAD in sentence
    assert "damaged JPEG: pixels are lost (Corrupt JPEG data" in sentence


@pytest.mark.parametrize("workers", ["1", "2"])
def test_images_that_lost_pixels_are_left_out_on_request(
    workers: str, with_half: Path, whole: dict[str, list[bytes]], tmp_path: Path
) -> None:
    options = ("--decode", "--bad-images", "skip", "--num-shards", "4", "--workers", workers)
    assert build(with_half, tmp_path / "built", *options).status == 0
    expected = [record for record in whole["train"] if BAD.encode() not in record]
    assert records_by_split(tmp_path / "built")["train"] == expected
    [note] = provenance(tmp_path / "built")["train"]["skipped"]
    assert note["key"] == BAD
    assert decoded(tmp_path / "built")
    verified = run("verify", "imagenet2012", "--data-dir", str(tmp_path / "built"), "--decode")
    assert verified.status == 0, verified


def test_decoding_changes_no_byte(small: Path, tmp_path: Path) -> None:
    built = []
    for name, options in (("plain", ()), ("decoded", ("--decode",))):
        assert build(small, tmp_path / name, *options).status == 0
        files = files_of(tmp_path / name / DATASET)
        told = without_times((tmp_path / name / DATASET / "provenance.json").read_bytes())
        assert told.pop("decode") is bool(options)
        built.append((files, told))
    assert built[0] == built[1]


def test_finished_shards_that_were_not_decoded_are_written_again(
    with_half: Path, forks: Server, tmp_path: Path
) -> None:
    data_dir = tmp_path / "built"
    plain = build_arguments(with_half, data_dir, *SHARDS)
    left_of_a_build(forks, plain, data_dir)
    ended = forks.run([*plain, "--decode"], data_dir)
    assert ended.status == 1
    assert re.search(f"error: .*{BAD}.*pixels are lost", ended.err)
    assert not (data_dir / DATASET).exists()


def test_finished_shards_that_were_decoded_are_kept(
    small: Path, forks: Server, tmp_path: Path
) -> None:
    data_dir = tmp_path / "built"
    command = [*build_arguments(small, data_dir, *SHARDS), "--decode"]
    left_of_a_build(forks, command, data_dir)
    ended = forks.run(command, data_dir)
    assert ended.status == 0, ended
    assert re.search("already finished: [3-6] of ", ended.err)
    assert decoded(data_dir)


def test_a_dataset_that_is_there_already_is_not_called_decoded(small: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "built"
    assert build(small, data_dir).status == 0
    again = build(small, data_dir, "--decode")
    assert again.status == 0
    [sentence] = [line for line in again.warnings if "--decode" in line]
    assert str(data_dir / DATASET) in sentence
    assert "`imagenet-builders verify --decode` decodes its images" in sentence
    assert build(small, data_dir, "--decode", "--overwrite").status == 0
    assert "--decode" not in build(small, data_dir, "--decode").err
