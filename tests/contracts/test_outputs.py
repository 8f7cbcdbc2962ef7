"""What every output promises: the same bytes, records that read back, offsets, resuming, damage."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support import built_datasets, engine_builds, toy_output, verifying
from support.building import DUMMY_ARCHIVES, build
from support.built_datasets import files_in
from support.paths import ROOT
from tensorflow_datasets.core import file_adapters

from imagenet_builders.build import steps
from imagenet_builders.errors import OptionError, TargetError
from imagenet_builders.formats.tfrecord.example import FlatExample, serialize
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.verify import dataset as verification
from imagenet_builders.verify.metadata import Field
from imagenet_builders.verify.shard import VerifyJob, VerifyResult, verify_shard
from imagenet_builders.write import outputs
from imagenet_builders.write.marks import MarkedShard, finished_shard
from imagenet_builders.write.outputs import array_record, tfrecord
from imagenet_builders.write.outputs.output import Output, Written
from imagenet_builders.write.results import ShardResult

TFRECORD, ARRAY_RECORD, TOY = tfrecord.OUTPUT, array_record.OUTPUT, toy_output.OUTPUT
ALL = [TFRECORD, ARRAY_RECORD, TOY]


def toy_records(path: Path) -> list[bytes]:
    return [record.data for record in toy_output.read(str(path), None)]


READERS: dict[str, Callable[[Path], list[bytes]]] = {
    "tfrecord": built_datasets.records,  # tf.data
    "array_record": built_datasets.records,  # array_record's own reader
    "toy": toy_records,
}


@pytest.fixture(params=ALL, ids=lambda output: output.name)
def output(request: pytest.FixtureRequest) -> Output:
    return request.param


@pytest.fixture
def registered_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_OUTPUTS", dict(outputs._OUTPUTS))
    outputs.register(TOY)


def flat_examples(sizes: list[int]) -> list[FlatExample]:
    rng = np.random.default_rng(0)
    return [{"image": rng.bytes(size), "label": number} for number, size in enumerate(sizes)]


def serialized(examples: list[FlatExample]) -> list[bytes]:
    return [b"".join(serialize(example)) for example in examples]


def path_of(directory: Path, output: Output) -> Path:
    return directory / f"x.{output.suffix}-00000-of-00001"


def verified(output: Output, path: Path, written: Written | None, examples: int) -> VerifyResult:
    """What verification finds in a file, with what was written down of it or without."""
    fields = (Field("image", "text"), Field("label", "label", classes=10_000))
    job = VerifyJob(
        dataset=None,
        split="train",
        number=0,
        path=str(path),
        output=output,
        fields=fields,
        classes=(),
        examples=examples,
        decode=False,
        file_crc=int(written.crc32c, 16) if written else None,
        file_bytes=written.file_bytes if written else None,
    )
    return verify_shard(job, lambda images, size: None)


# --- one file --------------------------------------------------------------------------------

# On both sides of the sizes at which buffers are shared and a vectored write is done.
EDGES = [0, 1, 4000, 4095, 4096, 4097, 2**20 - 40, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20]

SIZES = pytest.mark.parametrize(
    "sizes",
    [
        [],
        [10],
        EDGES,
        [10] * 2000,  # more buffers than one vectored write takes
        [5000] * 700,  # several buffers a record, so that a write ends amid a record
    ],
    ids=["none", "one", "small and large", "many small", "many of several buffers"],
)


@SIZES
def test_records_are_read_back_unchanged(tmp_path: Path, output: Output, sizes: list[int]):
    examples = flat_examples(sizes)
    path = path_of(tmp_path, output)
    written = output.write(path, iter(examples))
    expected = serialized(examples)
    assert READERS[output.name](path) == expected
    assert [record.data for record in output.read(str(path), None)] == expected
    assert written.examples == len(expected)
    assert written.record_bytes == sum(map(len, expected))
    assert written.file_bytes == path.stat().st_size
    found = verified(output, path, written, len(sizes))
    assert (found.problems, found.examples) == ((), len(sizes))


@SIZES
def test_offsets_and_sizes_say_where_each_record_is(
    tmp_path: Path, output: Output, sizes: list[int]
):
    examples = flat_examples(sizes)
    path = path_of(tmp_path, output)
    offsets = output.write(path, examples).offsets
    if output is ARRAY_RECORD:  # Its records are compressed.
        assert offsets is None
        return
    assert offsets is not None
    assert offsets.offsets.dtype == np.int64
    assert offsets.sizes.dtype == np.uint32
    assert len(offsets) == len(sizes)
    assert len(offsets.packed) == 12 * len(sizes)
    assert offsets.fit(len(sizes), path.stat().st_size)
    data = path.read_bytes()
    places = zip(offsets.offsets.tolist(), offsets.sizes.tolist(), strict=True)
    assert [data[start : start + size] for start, size in places] == serialized(examples)
    read = [record.offset for record in output.read(str(path), None)]
    assert read == offsets.offsets.tolist()


def test_an_existing_file_is_replaced_as_a_whole(tmp_path: Path, output: Output):
    path = path_of(tmp_path, output)
    output.write(path, flat_examples([100_000] * 3))
    output.write(path, flat_examples([10]))
    assert len(READERS[output.name](path)) == 1


@given(st.lists(st.binary(max_size=20_000), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_a_tfrecord_file_equals_tensorflows_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, images: list[bytes]
):
    directory = tmp_path_factory.mktemp("files")
    examples: list[FlatExample] = [{"image": image} for image in images]
    TFRECORD.write(directory / "ours", examples)
    with tf.io.TFRecordWriter(str(directory / "theirs")) as writer:
        for record in serialized(examples):
            writer.write(record)
    assert (directory / "ours").read_bytes() == (directory / "theirs").read_bytes()
    shutil.rmtree(directory)


def test_an_array_record_file_equals_tfds_byte_for_byte(tmp_path: Path):
    # So that one record can be read without others: TFDS puts each into a group of its own.
    examples = flat_examples([10, 5000, 70_000] * 20)
    ARRAY_RECORD.write(tmp_path / "ours", examples)
    file_adapters.ArrayRecordFileAdapter.write_examples(
        tmp_path / "theirs", enumerate(serialized(examples))
    )
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("most", [1, 100, 4096, 10_000])
def test_all_is_written_however_little_the_kernel_takes_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: Output, most: int
):
    examples = flat_examples([0, 30, 4100, 9000])
    output.write(tmp_path / "at once", examples)
    # A full or slow file system does this; none here can be made to.
    monkeypatch.setattr(os, "writev", lambda fd, left: os.write(fd, b"".join(left)[:most]))
    output.write(tmp_path / "in pieces", examples)
    assert (tmp_path / "in pieces").read_bytes() == (tmp_path / "at once").read_bytes()


def test_a_full_disk_is_a_sentence(output: Output):
    with pytest.raises(TargetError, match=r"^/dev/full cannot be written: .*run the same command"):
        output.write(Path("/dev/full"), flat_examples([10, 3 << 20]))


def test_any_flipped_byte_and_any_cut_is_found(tmp_path: Path, output: Output):
    examples = flat_examples([0, 10, 300])
    path = path_of(tmp_path, output)
    written = output.write(path, examples)
    whole = path.read_bytes()
    step = max(1, len(whole) // 400)
    for at in range(0, len(whole), step):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        assert verified(output, path, written, 3).problem_count, f"flipped at {at}"
        path.write_bytes(whole[:at])
        assert verified(output, path, written, 3).problem_count, f"cut at {at}"
    path.write_bytes(whole + b"\0")
    assert verified(output, path, written, 3).problem_count


@pytest.mark.parametrize("output", [TFRECORD, TOY], ids=lambda output: output.name)
def test_damage_is_found_by_a_files_own_checksums_where_it_has_them(tmp_path: Path, output: Output):
    path = path_of(tmp_path, output)
    output.write(path, flat_examples([0, 10, 300]))
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        assert verified(output, path, None, 3).problem_count, f"flipped at {at}"
        path.write_bytes(whole[:at])
        assert verified(output, path, None, 3).problem_count, f"cut at {at}"


# --- through the engine ----------------------------------------------------------------------

IMAGES = [1000, 0, 70_000, 4096, 20] * 8


@pytest.fixture(autouse=True)
def _processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little as it is, it is worth processes here."""
    monkeypatch.setattr(steps, "_SMALL_BYTES", 0)


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in files_in(directory)}


def built_records(output: Output, directory: Path) -> list[bytes]:
    return [record for path in shards_in(directory) for record in READERS[output.name](path)]


def shards_in(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_file())


def test_one_and_several_workers_write_the_same_bytes(tmp_path: Path, output: Output):
    recipe = engine_builds.make_recipe(tmp_path, IMAGES)
    one, _, result = engine_builds.write(recipe, output, tmp_path / "one" / "1", shards=4)
    more, _, same = engine_builds.write(
        recipe, output, tmp_path / "more" / "1", shards=4, workers=3
    )
    assert content(more.shards) == content(one.shards)
    assert same == result
    assert engine_builds.shard_results(more) == engine_builds.shard_results(one)
    expected = engine_builds.planned_records(engine_builds.planned(recipe, 4))
    assert built_records(output, one.shards) == expected
    assert result.shard_lengths == (10, 10, 10, 10)
    assert result.record_bytes == sum(map(len, expected))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_build_continues_from_the_marks_of_another(tmp_path: Path, output: Output, workers: int):
    recipe = engine_builds.make_recipe(tmp_path, IMAGES)
    target = tmp_path / "built" / "1"
    begun, _, result = engine_builds.write(recipe, output, target, shards=6)
    expected, results = content(begun.shards), engine_builds.shard_results(begun)
    first, second, third, *others = shards_in(begun.shards)
    begun.mark_of(first).unlink()
    second.unlink()
    third.write_bytes(third.read_bytes()[:-1])
    before = {path.name: path.stat().st_ino for path in others}
    ended, said, same = engine_builds.write(
        recipe, output, target, shards=6, workers=workers, token="1" * 16
    )
    assert content(ended.shards) == expected
    assert {name: (ended.shards / name).stat().st_ino for name in before} == before
    finished = sum((ended.shards / path.name).stat().st_size for path in others)
    assert (same, said) == (dataclasses.replace(result, bytes_before=finished), "")
    assert engine_builds.shard_results(ended) == results
    assert any(each.offsets for each in results) == (output is not ARRAY_RECORD)


def test_a_resumed_build_has_the_offsets_of_all_records(tmp_path: Path, output: Output):
    recipe = engine_builds.make_recipe(tmp_path, IMAGES)
    incomplete, _, _ = engine_builds.write(recipe, output, tmp_path / "built" / "1", shards=3)
    records: list[list[bytes] | None] = []
    for shard in shards_in(incomplete.shards):
        # As a worker reads it that finds the shard finished.
        result = finished_shard(
            MarkedShard(
                "train", len(records), str(shard), str(incomplete.mark_of(shard)), ImagePolicy()
            ),
            lambda images, size: None,
        )
        assert result is not None
        records.append(_by_offsets(shard, result))
    if output is ARRAY_RECORD:
        assert records == [None] * 3
    else:
        expected = engine_builds.planned_records(engine_builds.planned(recipe, 3))
        assert [record for each in records for record in each or ()] == expected


def _by_offsets(shard: Path, result: ShardResult) -> list[bytes] | None:
    if result.offsets is None:
        return None
    places = zip(result.offsets.offsets.tolist(), result.offsets.sizes.tolist(), strict=True)
    with open(shard, "rb") as file:
        return [os.pread(file.fileno(), size, offset) for offset, size in places]


@pytest.mark.parametrize("sizes", [[7], [7, 8, 9]], ids=["one image", "one image a shard"])
def test_shards_of_one_record(tmp_path: Path, output: Output, sizes: list[int]):
    recipe = engine_builds.make_recipe(tmp_path, sizes)
    incomplete, _, result = engine_builds.write(
        recipe, output, tmp_path / "built" / "1", shards=len(sizes)
    )
    assert result.shard_lengths == (1,) * len(sizes)
    expected = engine_builds.planned_records(engine_builds.planned(recipe, len(sizes)))
    assert built_records(output, incomplete.shards) == expected


def test_a_shard_is_empty_that_had_only_images_to_leave_out(tmp_path: Path, output: Output):
    directory = tmp_path / "skipped"
    directory.mkdir()
    [skipped] = engine_builds.make_recipe(
        directory, [10], prefix=engine_builds.SKIPPED
    ).index.table.to_pylist()
    recipe = engine_builds.make_recipe(tmp_path, [10, 20, 30])
    rows = recipe.index.table.to_pylist()
    rows[1]["key"] = skipped["key"]
    table = recipe.index.table.from_pylist(rows, recipe.index.table.schema)
    recipe = dataclasses.replace(recipe, index=dataclasses.replace(recipe.index, table=table))
    target = tmp_path / "built" / "1"
    incomplete, _, result = engine_builds.write(recipe, output, target, shards=3)
    assert sorted(result.shard_lengths) == [0, 1, 1]
    assert [note.action for note in result.notes] == ["skipped"]
    empty = shards_in(incomplete.shards)[result.shard_lengths.index(0)]
    assert READERS[output.name](empty) == []
    assert len(built_records(output, incomplete.shards)) == 2
    expected = content(incomplete.shards)
    again, _, same = engine_builds.write(recipe, output, target, shards=3, token="1" * 16)
    assert content(again.shards) == expected
    assert same == dataclasses.replace(result, bytes_before=sum(result.shard_bytes))


@pytest.fixture
def files_of_at_most() -> Iterator[Callable[[int], None]]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_finished_shards(
    tmp_path: Path, output: Output, files_of_at_most: Callable[[int], None]
):
    recipe = engine_builds.make_recipe(tmp_path, [1000] * 30 + [200_000])
    expected, _, _ = engine_builds.write(recipe, output, tmp_path / "expected" / "1", shards=6)
    target = tmp_path / "built" / "1"
    files_of_at_most(150_000)
    with pytest.raises(TargetError, match=r"File too large; .* raise `ulimit -f`, then run the"):
        engine_builds.write(recipe, output, target, shards=6)
    files_of_at_most(resource.RLIM_INFINITY)
    [left] = target.parent.iterdir()
    finished = content(left / "shards")
    assert len(finished) < 6
    assert finished.items() <= content(expected.shards).items()
    assert {path.name for path in (left / "marks").iterdir()} == {f"{n}.done" for n in finished}
    incomplete, _, _ = engine_builds.write(recipe, output, target, shards=6, token="1" * 16)
    assert content(incomplete.shards) == content(expected.shards)


# --- marks -----------------------------------------------------------------------------------


def test_shards_with_marks_of_a_former_version_are_written_anew(tmp_path: Path, output: Output):
    recipe = engine_builds.make_recipe(tmp_path, IMAGES)
    target = tmp_path / "built" / "1"
    before, said, _ = engine_builds.write(recipe, output, target, shards=4, former_marks=True)
    assert said == ""
    expected = content(before.shards)
    for shard in shards_in(before.shards):
        _, text = before.mark_of(shard).read_bytes().split(b"\n")
        former = {name: value for name, value in json.loads(text).items() if name != "offsets"}
        before.mark_of(shard).write_text(json.dumps(former))
    after, said, _ = engine_builds.write(recipe, output, target, shards=4, token="1" * 16)
    assert said == (
        "removed 4 finished shards of an earlier build, of no use because another "
        "version of this package wrote down what is in them"
    )
    assert content(after.shards) == expected
    assert None not in engine_builds.shard_results(after)


# --- what TensorFlow Datasets reads ----------------------------------------------------------


@pytest.mark.parametrize("name", outputs.file_formats())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_published_dataset_is_read_by_the_call_that_the_output_names(tmp_path: Path, name: str):
    import tensorflow_datasets as tfds

    from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder

    output = outputs.for_tfds(name)
    directory = build(Builder, DUMMY_ARCHIVES, tmp_path, file_format=name, num_shards=3)
    shards = sorted(directory.glob(f"*-train.{output.suffix}-*-of-00003"))
    assert len(shards) == 3
    records = [record for shard in shards for record in READERS[name](shard)]
    expected = [
        built_datasets.example(record).features.feature["file_name"].bytes_list.value[0]
        for record in records
    ]
    reader = tfds.builder_from_directory(directory)
    if output.tfds_call == "data_source":
        found = [example["file_name"] for example in reader.as_data_source("train")]
        with pytest.raises(NotImplementedError, match="not implemented for ArrayRecord files"):
            reader.as_dataset(split="train")
    else:
        found = [
            example["file_name"] for example in reader.as_dataset(split="train").as_numpy_iterator()
        ]
    assert found == expected


# --- the door for others ---------------------------------------------------------------------


def test_an_output_travels_to_other_processes(output: Output):
    assert pickle.loads(pickle.dumps(output)) == output


@pytest.mark.usefixtures("registered_toy")
def test_a_name_stands_for_one_output():
    assert outputs.get("toy") is TOY
    outputs.register(TOY)  # Twice the same is no contradiction.
    with pytest.raises(ValueError, match="there already is an output named 'toy'"):
        outputs.register(dataclasses.replace(TOY, suffix="other"))
    assert outputs.get("other") is None


@pytest.mark.usefixtures("registered_toy")
def test_only_what_tfds_reads_is_a_file_format_of_a_build():
    assert outputs.file_formats() == ("tfrecord", "array_record")
    for name in ("toy", "riegeli"):
        with pytest.raises(
            OptionError, match=f"^file_format must be one of tfrecord, array_record, not '{name}'"
        ):
            outputs.for_tfds(name)


def test_an_output_whose_library_is_missing_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = path_of(tmp_path, ARRAY_RECORD)
    ARRAY_RECORD.write(path, flat_examples([10]))
    assert ARRAY_RECORD.library is not None
    monkeypatch.setitem(sys.modules, ARRAY_RECORD.library, None)
    sentence = (
        r"^file format array_record needs the Python package array-record, which cannot be imported"
        r" here \(.*\); install it \(`pip install array-record`\), or choose another file format$"
    )
    with pytest.raises(OptionError, match=sentence):
        outputs.for_tfds("array_record")
    with pytest.raises(OptionError, match=sentence):
        ARRAY_RECORD.write(path, flat_examples([10]))
    with pytest.raises(OptionError, match=sentence):
        list(ARRAY_RECORD.read(str(path), None))
    assert outputs.for_tfds("tfrecord") is TFRECORD


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("registered_toy")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_dataset_of_an_output_that_is_registered_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
):
    from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder

    monkeypatch.setattr(verification, "_SMALL_BYTES", 0)
    directory = build(Builder, DUMMY_ARCHIVES, tmp_path, num_shards=2)
    (directory / "provenance.json").unlink()
    for shard in built_datasets.shards(directory):
        records = [verifying.values(record) for record in built_datasets.records(shard)]
        TOY.write(shard.with_name(shard.name.replace(".tfrecord-", ".toy-")), records)
        shard.unlink()
    info = directory / "dataset_info.json"
    info.write_text(info.read_text().replace('"tfrecord"', '"toy"'))
    verdict = verification.verify_dataset(directory, workers=workers, decode=True)
    assert (verdict.problems, verdict.file_format) == ((), "toy")
    shard = min(directory.glob("*-train.toy-*"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    verdict = verification.verify_dataset(directory, workers=workers)
    assert f"{shard}, at byte" in verifying.said(verdict)


def test_no_other_module_names_an_output():
    """A name in quotes; `tfrecord` in quotes is also a kind of source."""
    named = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "imagenet_builders").rglob("*.py"))
        if re.search(r"""["']array_record["']|file_format.*["']tfrecord["']""", path.read_text())
    ]
    assert named == ["imagenet_builders/write/outputs/array_record.py"]
