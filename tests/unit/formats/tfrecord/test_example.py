"""Bytes, order and cuts of records: each is held against protobuf, TensorFlow, or TFDS itself."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from tensorflow_datasets.core import example_serializer, features, hashing, shuffle
from tensorflow_datasets.core.utils import shard_utils

from imagenet_builders.errors import SourceError
from imagenet_builders.formats.tfrecord import example as records
from imagenet_builders.formats.tfrecord.frame import FRAME_BYTES, frame
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.plan import plan_split, shard_ends
from imagenet_builders.sources.rows import Rows

INT64 = st.integers(-(2**63), 2**63 - 1)
# Surrogates are no text that a proto can hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# Sizes around one, two and three bytes of a varint, and around the size from which buffers are
# shared.
SIZES = st.sampled_from([0, 1, 126, 127, 128, 4095, 4096, 4097, 16383, 16384, 2**21])
BYTES = st.binary(max_size=300) | SIZES.map(bytes)
SHAPES = st_numpy.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=9)
FLOATS = st_numpy.arrays(np.float32, SHAPES)
FLOATS_OF_A_BOX = np.array([[0.1, 0.2, 0.3, 1.0]], np.float32)
INTS = st_numpy.arrays(np.int64, SHAPES) | st_numpy.arrays(np.uint8, SHAPES)


def prefix_free(names: Iterable[str]) -> bool:
    """Whether no name begins with another: protobuf's languages order those differently."""
    ordered = sorted(names)
    return not any(b.startswith(a) for a, b in itertools.pairwise(ordered))


EXAMPLES = st.dictionaries(TEXT, BYTES | TEXT | INT64 | FLOATS | INTS, max_size=6).filter(
    prefix_free
)


def as_proto(flat: records.FlatExample) -> tf.train.Example:
    """What a flat example means, said with protobuf's own classes."""
    # An example without features still has its (empty) field of them, as TFDS's serializer does it.
    proto = tf.train.Example(features=tf.train.Features())
    for name, value in flat.items():
        feature = proto.features.feature[name]
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            feature.float_list.value.extend(value.ravel())
            feature.float_list.SetInParent()
        elif isinstance(value, np.ndarray):
            feature.int64_list.value.extend(value.ravel().tolist())
            feature.int64_list.SetInParent()
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            feature.bytes_list.value.append(data)
    return proto


@given(flat=EXAMPLES)
@example(flat={})
@example(flat={"label": -1})
@example(flat={"label": -(2**63), "other": 2**63 - 1})
@example(flat={"b": b"", "a": "", "floats": np.zeros(0, np.float32), "ints": np.zeros(0, int)})
@example(flat={"image": b"", "objects/label": 1, "objects/bbox": FLOATS_OF_A_BOX, "label": 2})
@example(flat={"é": 1, "\U0001f600": 2, "\uffff": 3, "~": 4, "\0": 5})
def test_serialized_bytes_equal_protobufs_deterministic_serialization(flat):
    serialized = b"".join(records.serialize(flat))
    assert serialized == as_proto(flat).SerializeToString(deterministic=True)


def test_serialized_bytes_equal_those_of_tfds_own_serializer():
    # One feature, so that TFDS's order of features cannot differ.
    values: dict[str, tuple[Any, Any]] = {
        "image": (features.Image(encoding_format="jpeg"), b"\xff\xd8" + bytes(5000)),
        "label": (features.ClassLabel(num_classes=3), -1),
        "file_name": (features.Text(), "n01440764_1.JPEG"),
        "bbox": (features.BBoxFeature(), np.array([0.1, 0.2, 0.3, 1.0], np.float32)),
    }
    for name, (feature, value) in values.items():
        connector = features.FeaturesDict({name: feature})
        serializer = example_serializer.ExampleSerializer(connector.get_serialized_info())
        given_value = features.BBox(*value.tolist()) if name == "bbox" else value
        theirs = serializer.serialize_example(connector.encode_example({name: given_value}))
        assert b"".join(records.serialize({name: value})) == theirs


def test_a_large_value_is_not_copied():
    image = bytes(4096)
    assert any(buffer is image for buffer in records.serialize({"image": image, "label": 1}))


@given(
    lengths=st.lists(SIZES | st.integers(0, 70_000), min_size=1, max_size=5),
    label=INT64,
    count=st.integers(0, 50),
    name=TEXT,
)
def test_sizes_are_known_from_the_sizes_of_values_alone(lengths, label, count, name):
    sizes = records.serialized_sizes(
        {
            "image": records.bytes_value_sizes(np.array(lengths)),
            "label": records.int_value_sizes(np.full(len(lengths), label)),
            f"{name}/bbox": records.float_value_sizes(np.full(len(lengths), count)),
        },
        len(lengths),
    )
    boxes = np.ones(count, np.float32)
    flats = [{"image": bytes(length), "label": label, f"{name}/bbox": boxes} for length in lengths]
    assert sizes.tolist() == [sum(map(len, records.serialize(flat))) for flat in flats]


@given(st.lists(INT64, min_size=1))
def test_sizes_of_integers_equal_protobufs(numbers):
    sizes = records.serialized_sizes(
        {"n": records.int_value_sizes(np.array(numbers))}, len(numbers)
    )
    assert sizes.tolist() == [as_proto({"n": number}).ByteSize() for number in numbers]


# On both sides of the sizes at which buffers are shared and a vectored write is done; the sizes of
# records are those of their values and a few bytes for the frame.
RECORD_SIZES = [0, 1, 4000, 4095, 4096, 4097, 2**20 - 40, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20]


@pytest.mark.parametrize("size", RECORD_SIZES)
def test_a_frame_equals_the_one_tensorflow_writes(tmp_path: Path, size: int):
    buffers = records.serialize({"image": np.random.default_rng(size).bytes(size), "label": 3})
    before, after, length = frame(buffers)
    record = b"".join(buffers)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        writer.write(record)
    assert before + record + after == (tmp_path / "theirs").read_bytes()
    assert length == len(record)
    assert len(before) + len(after) == FRAME_BYTES


def index_of(keys: list[str]) -> Index:
    rows = Rows()
    for number, key in enumerate(keys):
        rows.add(key, number, 0, 512 * number, 10)
    return Index(rows.table(), ())


# TFDS takes a backslash for a slash, for the sake of Windows; names of images have none.
KEYS = st.lists(TEXT.map(lambda key: key.replace("\\", "")), min_size=1, max_size=60, unique=True)


@given(keys=KEYS, split=st.sampled_from(["train", "validation", "test"]))
def test_rows_are_in_the_order_of_tfds_hashes(keys, split):
    plan = plan_split(
        split,
        index_of(keys),
        count_shards=lambda size, examples: 1,
        example_sizes=np.zeros(len(keys), np.int64),
    )
    assert plan.rows["key"].to_pylist() == sorted(keys, key=hashing.Hasher(split).hash_key)


@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "in buckets on disk"])
def test_rows_are_in_the_order_of_tfds_shuffler(tmp_path: Path, in_memory: bool, monkeypatch):
    if not in_memory:
        monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 0)
    keys = [f"n01440764_{number}.JPEG" for number in range(3000)]
    shuffler = shuffle.Shuffler(tmp_path, "train")
    for key in keys:
        shuffler.add(key, key.encode())
    plan = plan_split(
        "train",
        index_of(keys),
        count_shards=lambda size, examples: 1,
        example_sizes=np.zeros(len(keys), np.int64),
    )
    assert plan.rows["key"].to_pylist() == [data.decode() for _, data in shuffler]


@given(
    keys=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30),
    most=st.none() | st.integers(1, 30),
)
@settings(deadline=None)
def test_repeated_keys_and_a_limit_keep_the_same_rows_as_tfds(keys, most):
    with tempfile.TemporaryDirectory() as directory:
        shuffler = shuffle.Shuffler(directory, "train", ignore_duplicates=True)
        for number, key in enumerate(itertools.islice(keys, most)):
            shuffler.add(key, str(number).encode())
        expected = [int(data) for _, data in shuffler]
    plan = plan_split(
        "train",
        index_of(keys),
        count_shards=lambda size, examples: 1,
        example_sizes=np.zeros(len(keys), np.int64),
        max_examples=most,
        ignore_duplicates=True,
    )
    assert plan.rows["label"].to_pylist() == expected


@given(examples=st.integers(1, 20_000_000), share=st.floats(0, 1))
@example(examples=1_281_167, share=1024 / 1_281_167)
@example(examples=5, share=1.0)
def test_shards_end_where_those_of_tfds_end(examples, share):
    shards = max(1, min(round(share * examples), 5000))
    assert list(shard_ends(examples, shards)) == shard_utils.get_shard_boundaries(examples, shards)


def test_more_shards_than_examples_are_an_error_as_in_tfds():
    with pytest.raises(AssertionError, match="num_examples"):
        shard_utils.get_shard_boundaries(3, 4)
    with pytest.raises(SourceError, match="3 examples cannot be cut into 4 shards"):
        shard_ends(3, 4)


@given(
    sizes=st.lists(st.integers(1, 2**31), min_size=1, max_size=40),
    keys=st.randoms(use_true_random=False),
    repeats=st.integers(1, 3),
)
def test_the_number_of_shards_follows_from_the_sizes_of_the_kept_examples(sizes, keys, repeats):
    names = [f"key {number}" for number in range(len(sizes))]
    rows = list(zip(names * repeats, sizes * repeats, strict=True))
    keys.shuffle(rows)
    asked = []

    def one_shard(size: int, examples: int) -> int:
        asked.append((size, examples))
        return 1

    plan = plan_split(
        "train",
        index_of([name for name, _ in rows]),
        count_shards=one_shard,
        example_sizes=np.array([size for _, size in rows]),
        ignore_duplicates=True,
    )
    assert asked == [(sum(sizes), len(sizes))]
    assert plan.shard_count == 1


@given(keys=KEYS, data=st.data())
def test_shards_of_a_plan_hold_all_rows_once_and_in_order(keys, data):
    count = data.draw(st.integers(1, len(keys)))
    plan = plan_split(
        "train",
        index_of(keys),
        count_shards=lambda size, examples: count,
        example_sizes=np.zeros(len(keys), np.int64),
    )
    expected = sorted(keys, key=hashing.Hasher("train").hash_key)
    ends = [0, *shard_utils.get_shard_boundaries(len(keys), count)]
    assert plan.shard_count == count
    for number, (start, end) in enumerate(itertools.pairwise(ends)):
        rows = plan.rows.slice(start, end - start)
        assert rows["key"].to_pylist() == expected[start:end]
        assert plan.ends[number] == end
