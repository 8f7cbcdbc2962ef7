"""Shards whose images are encoded a thousand at a time are those that are made one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imagenet_builders.datasets.imagenet2012_downsampled.examples import make_examples
from imagenet_builders.errors import ImagenetBuildersError, SourceError
from imagenet_builders.plan.recipe import ImagePolicy, MakeExamples
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import SourceFile, row_schema
from imagenet_builders.write import encoded_rows
from imagenet_builders.write.encoded_rows import EncodedExamples
from imagenet_builders.write.image_rows import RowExamples
from imagenet_builders.write.outputs import array_record, tfrecord
from imagenet_builders.write.outputs.output import Output, Written

OUTPUTS = (tfrecord.OUTPUT, array_record.OUTPUT)
POLICIES = (ImagePolicy(), ImagePolicy("skip", decode=True))

Outcome = tuple[Written, bytes] | ImagenetBuildersError


def doubled(rows: pa.Table, reader: Reader) -> Iterator[bytes]:
    """Encodes by a rule of its own: each row is there twice."""
    for file, offset, size in zip(
        *(rows[name].to_pylist() for name in ("file", "offset", "size")), strict=True
    ):
        yield 2 * reader.read(file, offset, size)


make_doubled = EncodedExamples(doubled, (("label", "label"), ("file_name", "key"))).make


def staged(directory: Path, sizes: list[int]) -> tuple[pa.Table, SourceFile]:
    path = directory / "pixels"
    path.write_bytes(np.random.default_rng(0).bytes(sum(sizes)))
    ends = np.cumsum([0, *sizes])
    columns = {
        "key": [f"train_data_batch_{row % 10 + 1}/{row:06}" for row in range(len(sizes))],
        "label": [row * 37 % 1000 for row in range(len(sizes))],
        "file": [0 for _ in sizes],
        "offset": ends[:-1].tolist(),
        "size": sizes,
    }
    table = pa.table(columns, schema=row_schema())
    return table.take(np.random.default_rng(1).permutation(len(sizes))), SourceFile.of(path)


def with_care(
    examples: MakeExamples, table: pa.Table, file: SourceFile, output: Output, target: Path
) -> Outcome:
    with Reader([file]) as reader:
        made = (each for _, each in examples(table, reader, ImagePolicy(), []))
        try:
            written = output.write(target, made)
        except ImagenetBuildersError as error:
            return error
    return written, target.read_bytes()


def fast(
    examples: MakeExamples,
    table: pa.Table,
    file: SourceFile,
    output: Output,
    target: Path,
    policy: ImagePolicy = POLICIES[0],
) -> Outcome:
    ways, told = RowExamples.of(examples), 0

    def tell() -> None:
        nonlocal told
        told += 1

    assert ways is not None
    assert ways.has_fast_way(policy)
    assert output.write_images is not None
    with Reader([file]) as reader:
        try:
            written = output.write_images(
                target, ways.image_rows(table, reader, policy, [], tell), ()
            )
        except ImagenetBuildersError as error:
            return error
    assert told == table.num_rows
    return written, target.read_bytes()


@pytest.mark.parametrize("policy", POLICIES, ids=["plain", "decoded"])
@pytest.mark.parametrize("output", OUTPUTS, ids=lambda each: each.name)
@pytest.mark.parametrize("size", [8, 64])
def test_downsampled_pictures_give_the_same_bytes(
    tmp_path: Path, size: int, output: Output, policy: ImagePolicy
) -> None:
    table, file = staged(tmp_path, [3 * size * size] * 1100)
    expected = with_care(make_examples, table, file, output, tmp_path / "careful")
    assert not isinstance(expected, ImagenetBuildersError)
    assert expected[0].examples == 1100
    assert fast(make_examples, table, file, output, tmp_path / "fast", policy) == expected


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda each: each.name)
@pytest.mark.parametrize("rows", [1, 2, 5, 6, 1024])
def test_images_of_any_size_are_encoded_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: Output, rows: int
) -> None:
    sizes = [0, 1, 63, 64, 1 << 19, 3 << 19]
    table, file = staged(tmp_path, sizes)
    expected = with_care(make_doubled, table, file, output, tmp_path / "careful")
    monkeypatch.setattr(encoded_rows, "_ROWS_AT_A_TIME", rows)
    assert not isinstance(expected, ImagenetBuildersError)
    assert fast(make_doubled, table, file, output, tmp_path / "fast") == expected


@pytest.mark.parametrize("examples", [make_examples, make_doubled], ids=["PNG", "doubled"])
def test_no_rows_give_an_empty_file(tmp_path: Path, examples: MakeExamples) -> None:
    table, file = staged(tmp_path, [])
    expected = with_care(examples, table, file, tfrecord.OUTPUT, tmp_path / "careful")
    assert not isinstance(expected, ImagenetBuildersError)
    assert expected[1] == b""
    assert fast(examples, table, file, tfrecord.OUTPUT, tmp_path / "fast") == expected


@pytest.mark.parametrize("examples", [make_examples, make_doubled], ids=["PNG", "doubled"])
def test_a_file_that_became_shorter_is_the_same_error(
    tmp_path: Path, examples: MakeExamples
) -> None:
    table, file = staged(tmp_path, [192] * 600)
    with open(file.path, "r+b") as pixels:
        pixels.truncate(500 * 192)
    file = SourceFile.of(file.path)  # As if it happened after the file was opened.
    errors = [
        way(examples, table, file, tfrecord.OUTPUT, tmp_path / "shard") for way in (with_care, fast)
    ]
    assert [type(error) for error in errors] == [SourceError, SourceError]
    assert str(errors[0]) == str(errors[1])
    assert "the file changed during the build" in str(errors[0])
