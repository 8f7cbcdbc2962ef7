"""ImageNet in TFRecords of TensorFlow's slim: rows, boxes, what is read, and what is refused."""

from __future__ import annotations

import itertools
import os
import random
import struct
from pathlib import Path
from typing import NamedTuple

import pytest

from imagenet_builders import labels
from imagenet_builders.datasets.ilsvrc2012.examples import example_sizes
from imagenet_builders.datasets.ilsvrc2012.objects import with_objects
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats.tfrecord.frame import MAX_RECORD_BYTES, frame
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.plan import plan_split
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources import shard_sets
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.sources.slim_tfrecords import box_table, first_record
from imagenet_builders.sources.tfrecord import KIND, index_shards
from imagenet_builders.sources.tfrecord import shard_sets as sets_of

WNIDS = labels.wnids("imagenet2012")
VALIDATION = labels.validation_labels().tolist()

Box = tuple[float, float, float, float]


class Image(NamedTuple):
    name: str
    label: int
    data: bytes
    boxes: tuple[Box, ...] = ()  # xmin, ymin, xmax, ymax


def image_bytes(size: int, seed: int) -> bytes:
    return b"\xff\xd8" + random.Random(seed).randbytes(size) + b"\xff\xd9"


TRAIN = [
    Image(f"{WNIDS[0]}_18.JPEG", 0, image_bytes(60_000, 0), ((0.006, 0.262, 0.7545, 0.994),)),
    Image(f"{WNIDS[999]}_2.JPEG", 999, image_bytes(10, 1)),
    Image(f"{WNIDS[500]}_3.JPEG", 500, image_bytes(4_000, 2), ((0, 0, 1, 1), (0.1, 0.2, 0.3, 0.4))),
    Image(f"{WNIDS[0]}_19.JPEG", 0, image_bytes(9_000, 3)),
    Image(f"{WNIDS[127]}_20.JPEG", 127, image_bytes(200_000, 4), ((0.5, 0.5, 0.5, 0.9),)),
]


def slim_example(image: Image) -> bytes:
    """The record of an image, by the functions of slim's `build_imagenet_data.py`."""
    import tensorflow as tf

    def ints(value):
        value = value if isinstance(value, list) else [value]
        return tf.train.Feature(int64_list=tf.train.Int64List(value=value))

    def floats(value):
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    sides = [[box[side] for box in image.boxes] for side in range(4)]
    label = image.label + 1
    feature = {
        "image/height": ints(375),
        "image/width": ints(500),
        "image/colorspace": text(b"RGB"),
        "image/channels": ints(3),
        "image/class/label": ints(label),
        "image/class/synset": text(WNIDS[image.label].encode()),
        "image/class/text": text(labels.words(WNIDS[image.label]).encode()),
        "image/object/bbox/xmin": floats(sides[0]),
        "image/object/bbox/ymin": floats(sides[1]),
        "image/object/bbox/xmax": floats(sides[2]),
        "image/object/bbox/ymax": floats(sides[3]),
        "image/object/bbox/label": ints([label] * len(sides[0])),
        "image/format": text(b"JPEG"),
        "image/filename": text(image.name.encode()),
        "image/encoded": text(image.data),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write_shards(directory: Path, split: str, images: list[Image], count: int) -> None:
    import tensorflow as tf

    for shard in range(count):
        path = directory / f"{split}-{shard:05d}-of-{count:05d}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for image in images[shard::count]:
                writer.write(slim_example(image))


def index(directory: Path, split: str = "train", workers: int = 1):
    names = sets_of(os.listdir(directory))[split].names
    files = [SourceFile.of(directory / name) for name in names]
    with LocalWorkers(workers) as pool:
        return index_shards(split, files, pool), files


def index_or_error(directory: Path):
    try:
        return index(directory)
    except ArchiveError as error:
        return error


def images(table, files) -> dict[str, tuple[int, bytes]]:
    """Key to label and image, each record's checksum having been checked, in both ways to read."""
    found = {}
    into_buffers = filled(table, files)
    with Reader(files, KIND.access) as reader:
        for row, image in zip(table.to_pylist(), reader.images(table), strict=True):
            assert image.data == reader.read(row["file"], row["offset"], row["size"])
            found[row["key"]] = row["label"], image.data
            if isinstance(into_buffers, list):
                assert into_buffers.pop(0) == image.data
    assert isinstance(into_buffers, list)
    return found


def filled(table, files) -> list[bytes] | str:
    """The images as they are read to their places, or what is said of them."""
    buffers = [bytearray(size) for size in table["size"].to_pylist()]
    try:
        with Reader(files, KIND.access) as reader:
            fill = reader.filling(table)
            assert all(fill(memoryview(buffer)) for buffer in buffers)
    except ArchiveError as error:
        return str(error)
    return list(map(bytes, buffers))


@pytest.mark.parametrize("workers", [1, 2])
def test_records_of_tensorflow_give_names_labels_images_and_boxes(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(shard_sets, "BATCH_BYTES", 1)
    numbers = (1, 293, 50_000)
    validation = [
        Image(f"ILSVRC2012_val_{n:08d}.JPEG", VALIDATION[n - 1], image_bytes(7_000, n))
        for n in numbers
    ]
    for split, written in (("train", TRAIN), ("validation", validation)):
        write_shards(tmp_path, split, written, 2)
        table, files = index(tmp_path, split, workers)
        assert table["key"].to_pylist() == [i.name for i in written[::2] + written[1::2]]
        assert images(table, files) == {i.name: (i.label, i.data) for i in written}
    table, files = index(tmp_path)
    indexed, counts = with_objects(Index(table, tuple(files)), box_table(table))
    boxes = {row["key"]: (row["boxes"], row["box_labels"]) for row in indexed.table.to_pylist()}
    expected: dict[str, tuple[list[float], list[int]]] = {i.name: ([], []) for i in TRAIN}
    expected[TRAIN[0].name] = ([0.262, 0.006, 0.994, 0.7545], [0])
    expected[TRAIN[2].name] = ([0, 0, 1, 1, 0.2, 0.1, 0.4, 0.3], [500, 500])
    assert boxes == {name: (pytest.approx(b), n) for name, (b, n) in expected.items()}
    assert counts["boxes"] == 3
    assert counts["boxes_dropped_as_empty"] == 1
    assert counts["images_without_boxes"] == 3
    assert counts["annotations_without_image"] == 0


def test_a_few_thousand_bytes_around_an_image_are_read_at_once(tmp_path, monkeypatch):
    large = [
        Image(f"{WNIDS[n]}_1.JPEG", n, image_bytes(110_000, n), ((0.1, 0.1, 0.9, 0.9),))
        for n in range(40)
    ]
    write_shards(tmp_path, "train", large, 1)
    reads = []
    pread = os.pread

    def counted(fd, size, offset):
        reads.append(size)
        return pread(fd, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", counted)
        table, _ = index(tmp_path)
    assert table.num_rows == len(large)
    assert len(reads) <= len(large) + 2
    assert sum(reads) <= 4096 * len(reads)


# Records by hand, for what no library writes.


def varint(number: int) -> bytes:
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes([*data, number])


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def text(*values: bytes) -> bytes:
    return field(1, b"".join(field(1, value) for value in values))


def ints(*values: int) -> bytes:
    return field(3, field(1, b"".join(map(varint, values))))


def floats(*values: float) -> bytes:
    return field(2, field(1, struct.pack(f"<{len(values)}f", *values)))


def entry(name: str, feature: bytes) -> bytes:
    return field(1, field(1, name.encode()) + field(2, feature))


NAME = f"{WNIDS[3]}_7.JPEG"
DATA = image_bytes(6_000, 5)
BOX = "image/object/bbox/"
PLAIN = {
    "image/filename": text(NAME.encode()),
    "image/class/label": ints(4),
    "image/class/synset": text(WNIDS[3].encode()),
    "image/class/text": text(b"a shark"),
    f"{BOX}xmin": floats(0.25),
    f"{BOX}xmax": floats(0.5),
    f"{BOX}ymin": floats(0.125),
    f"{BOX}ymax": floats(0.75),
    f"{BOX}label": ints(4),
    "image/format": text(b"JPEG"),
    "image/encoded": text(DATA),
}


def example(features: dict[str, bytes], more: bytes = b"") -> bytes:
    return field(1, b"".join(itertools.starmap(entry, features.items())) + more)


def framed(data: bytes) -> bytes:
    before, after, _ = frame([data])
    return before + data + after


def one_shard(directory: Path, *records: bytes) -> Path:
    path = directory / "train-00000-of-00001"
    path.write_bytes(b"".join(map(framed, records)))
    return path


def test_features_may_be_in_any_order_and_others_beside_them(tmp_path):
    others = {
        "image/segmentation": text(bytes(9_000)),
        "x": text(),
        "y": b"",
        "image/height": ints(),
    }
    features = PLAIN | others
    records = []
    for seed in range(60):
        name = f"{WNIDS[3]}_{seed}.JPEG"
        mixed = [*(features | {"image/filename": text(name.encode())}).items()]
        random.Random(seed).shuffle(mixed)
        records.append(example(dict(mixed)))
    one_shard(tmp_path, *records)
    table, files = index(tmp_path)
    assert images(table, files) == {f"{WNIDS[3]}_{n}.JPEG": (3, DATA) for n in range(60)}
    assert table["boxes"].to_pylist() == [[0.125, 0.25, 0.75, 0.5]] * 60
    assert table["box_labels"].to_pylist() == [[3]] * 60


def test_equal_images_have_separate_places(tmp_path):
    small = {"image/encoded": text(b"\xff\xd8 small \xff\xd9")}
    names = [f"{WNIDS[3]}_{n}.JPEG" for n in range(3)]
    one_shard(
        tmp_path,
        *(example(PLAIN | small | {"image/filename": text(name.encode())}) for name in names),
    )
    assert images(*index(tmp_path)) == dict.fromkeys(names, (3, b"\xff\xd8 small \xff\xd9"))


def test_numbers_that_are_not_packed_and_a_name_behind_its_value_are_read(tmp_path):
    swapped = field(1, field(2, text(DATA)) + field(1, b"image/encoded"))
    features = {name: value for name, value in PLAIN.items() if name != "image/encoded"}
    features["image/class/label"] = field(3, b"\x08\x04")
    features[f"{BOX}xmin"] = field(2, b"\x0d" + struct.pack("<f", 0.25))
    one_shard(tmp_path, example(features, swapped))
    table, files = index(tmp_path)
    assert images(table, files) == {NAME: (3, DATA)}
    assert table["boxes"].to_pylist() == [[0.125, 0.25, 0.75, 0.5]]


def test_records_without_boxes_synset_and_format_are_read(tmp_path):
    """As another widely used converter writes them."""
    needed = ("image/filename", "image/class/label", "image/encoded")
    one_shard(tmp_path, example({name: PLAIN[name] for name in needed}))
    table, files = index(tmp_path)
    assert images(table, files) == {NAME: (3, DATA)}
    assert table["boxes"].to_pylist() == [[]]
    assert box_table(table).num_rows == 0


def without(name: str) -> bytes:
    return example({key: value for key, value in PLAIN.items() if key != name})


def instead(name: str, feature: bytes) -> bytes:
    return example(PLAIN | {name: feature})


NAN = float("nan")
REFUSED = {
    "label 0": (instead("image/class/label", ints(0)), "expected class 4 .*found 0"),
    "label 1001": (instead("image/class/label", ints(1001)), "expected class 4 .*found 1001"),
    "a label from 0": (instead("image/class/label", ints(3)), "expected class 4 .*found 3"),
    "label -1": (instead("image/class/label", ints(2**64 - 1)), "expected class 4 .*found -1"),
    "two labels": (instead("image/class/label", ints(4, 4)), "expected class 4 .*found 4, 4"),
    "no label": (without("image/class/label"), "expected the feature 'image/class/label'"),
    "an empty label": (instead("image/class/label", b""), "expected class 4 .*found none"),
    "a label of text": (instead("image/class/label", text(b"4")), "values of another type"),
    "another synset": (instead("image/class/synset", text(b"n01440764")), "expected the synset"),
    "no name": (without("image/filename"), "expected the feature 'image/filename'"),
    "an empty name": (instead("image/filename", text(b"")), "expected the name of an image"),
    "a name that is none": (instead("image/filename", text(b"\xff/..")), "expected the name of"),
    "a validation image": (
        instead("image/filename", text(b"ILSVRC2012_val_00000001.JPEG")),
        "only images such as n01440764_1.JPEG",
    ),
    "an unknown class": (
        instead("image/filename", text(b"n99999999_1.JPEG")),
        "n99999999 is not one of the 1,000 classes",
    ),
    "no image": (without("image/encoded"), "expected the feature 'image/encoded'"),
    "no bytes list": (instead("image/encoded", b""), "expected a value, found none"),
    "an empty bytes list": (instead("image/encoded", text()), "expected a value, found none"),
    "two images": (instead("image/encoded", text(DATA, DATA)), "expected one value, found more"),
    "another format": (instead("image/format", text(b"PNG")), "expected the format JPEG"),
    "a name too long": (instead("image/filename", text(bytes(70_000))), "at most 65,536 bytes"),
    "a feature twice": (
        example(PLAIN, entry("image/encoded", text(b"other"))),
        "expected the feature 'image/encoded' once, found it twice",
    ),
    "another twice": (example(PLAIN, entry("image/class/text", text(b"b"))), "found it twice"),
    "features twice": (example(PLAIN) + example(PLAIN), "nothing but features"),
    "two kinds of list": (instead("image/class/label", ints(4) + ints(4)), "expected one list"),
    "a corner less": (instead(f"{BOX}xmin", floats()), "as many of each side and label"),
    "no sides": (without(f"{BOX}ymax"), "as many of each side and label"),
    "a box label more": (instead(f"{BOX}label", ints(4, 4)), "as many of each side and label"),
    "box label 0": (instead(f"{BOX}label", ints(0)), "expected classes from 1 to 1,000 .*found 0"),
    "not a number": (instead(f"{BOX}xmin", floats(NAN)), "what is not a number"),
    "a cut number": (instead(f"{BOX}xmin", field(2, b"\x0d\0\0")), "list of float32"),
    "a cut integer": (instead("image/class/label", field(3, b"\x08\x84")), "cut off"),
    "a long integer": (
        instead("image/class/label", field(3, b"\x08" + b"\x84" * 10 + b"\1")),
        "is too long or cut off",
    ),
    "a large integer": (
        instead("image/class/label", field(3, b"\x08" + b"\xff" * 9 + b"\x7f")),
        "is too long or cut off",
    ),
    "a length past the end": (
        field(1, b"\x0a\xff\xff\xff\xff\x0f" + bytes(40)),
        "expected a field within its message",
    ),
    "a length of ten bytes": (b"\x0a" + b"\xff" * 10 + bytes(20), "is too long or cut off"),
    "a nameless feature": (example(PLAIN, field(1, field(2, ints(1)))), "with a name and a value"),
    "a name alone": (example(PLAIN, field(1, field(1, b"z"))), "with a name and a value"),
    "two names": (example(PLAIN, field(1, field(1, b"z") * 2)), "expected one name and one value"),
    "another field": (example(PLAIN, field(2, b"z")), "found a field with the tag 0x12"),
    "a number for a field": (example(PLAIN, b"\x08\x01"), "found the byte 0x08"),
    "no example": (b"\xff\xd8\xff\xe0 JFIF", "expected a field of an Example"),
    "nothing": (b"", "expected an Example, found nothing"),
    "too many features": (
        example(PLAIN | {f"f{n}": ints(1) for n in range(300)}),
        "at most 256 features",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_record_not_written_by_slim_is_refused(tmp_path, case):
    record, problem = REFUSED[case]
    good = framed(example(PLAIN))
    path = tmp_path / "train-00000-of-00001"
    path.write_bytes(good + framed(record) + good)
    with pytest.raises(ArchiveError, match=problem) as caught:
        index(tmp_path)
    assert caught.value.archive == str(path)
    assert caught.value.member == "record 1"
    assert caught.value.offset == len(good)


@pytest.mark.parametrize("length", [1 << 20, MAX_RECORD_BYTES + 1, 1 << 63, (1 << 64) - 1])
def test_an_implausible_length_is_refused(tmp_path, length):
    import google_crc32c

    packed = struct.pack("<Q", length)
    crc = google_crc32c.value(packed)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    path = tmp_path / "train-00000-of-00001"
    path.write_bytes(packed + struct.pack("<I", masked) + bytes(1000))
    with pytest.raises(ArchiveError, match="goes beyond the end of the file, which was cut off"):
        index(tmp_path)
    if length == MAX_RECORD_BYTES + 1:
        os.truncate(path, length + 16)  # A hole, which takes no space.
        with pytest.raises(ArchiveError, match="expected at most 268,435,456 bytes"):
            index(tmp_path)


def test_other_and_empty_files_are_refused(tmp_path):
    path = tmp_path / "train-00000-of-00001"
    for content, problem in (
        (b"\x1f\x8b" + bytes(100), "this is no TFRecord file, or it was damaged"),
        (b"", "found an empty file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ArchiveError, match=problem):
            index(tmp_path)


def test_an_image_in_a_damaged_record_is_refused_when_read(tmp_path):
    path = one_shard(tmp_path, example(PLAIN))
    table, files = index(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[table["offset"][0].as_py() + 1000] ^= 4
    path.write_bytes(damaged)
    os.utime(path, ns=(0, files[0].mtime_ns))
    with pytest.raises(ArchiveError, match="the checksum of the record is wrong") as caught:
        images(table, files)
    assert (caught.value.archive, caught.value.member) == (str(path), NAME)
    assert caught.value.offset == 0
    assert filled(table, files) == str(caught.value)


def test_a_record_that_comes_in_pieces_is_read_all_the_same(tmp_path, monkeypatch):
    """As network file systems may give it."""
    one_shard(tmp_path, example(PLAIN))
    table, files = index(tmp_path)
    expected = [image for _, image in images(table, files).values()]
    preadv = os.preadv
    for count in (1, 2):
        with monkeypatch.context() as patched:
            patched.setattr(
                os,
                "preadv",
                lambda fd, buffers, offset, count=count: preadv(fd, buffers[:count], offset),
            )
            assert filled(table, files) == expected


def test_a_file_with_a_byte_changed_gives_the_right_images_or_an_error(tmp_path):
    records = [example(PLAIN | {"image/encoded": text(image_bytes(300, n))}) for n in range(3)]
    records = [
        record.replace(NAME.encode(), f"{WNIDS[3]}_{n}.JPEG".encode())
        for n, record in enumerate(records)
    ]
    path = one_shard(tmp_path, *records)
    data = path.read_bytes()
    right = images(*index(tmp_path))
    random_ = random.Random(20261121)
    at_index = at_reading = 0
    for place in random_.sample(range(len(data)), 800):
        damaged = bytearray(data)
        damaged[place] ^= 1 << random_.randrange(8)
        path.write_bytes(damaged)
        outcome = index_or_error(tmp_path)
        if isinstance(outcome, ArchiveError):
            assert outcome.archive == str(path)
            assert outcome.offset is not None
            at_index += 1
            continue
        table, files = outcome
        with pytest.raises(ArchiveError, match="the checksum of the record is wrong") as caught:
            images(table, files)
        assert filled(table, files) == str(caught.value)
        at_reading += 1
    assert len(right) == 3
    assert min(at_index, at_reading) > 100


def test_a_file_cut_off_even_between_records_is_refused(tmp_path):
    for shard in range(2):
        names = [f"{WNIDS[3]}_{shard}{n}.JPEG".encode() for n in range(3)]
        records = [framed(example(PLAIN | {"image/filename": text(name)})) for name in names]
        path = tmp_path / f"train-{shard:05d}-of-00002"
        path.write_bytes(b"".join(records))
    assert len(images(*index(tmp_path))) == 6
    data = path.read_bytes()
    ends = [len(records[0]), len(records[0]) * 2]
    for size in [0, 5, 12, 14, 30, *(end + n for end in ends for n in (-1, 1, 15, 16, 700))]:
        path.write_bytes(data[:size])
        with pytest.raises(ArchiveError) as caught:
            index(tmp_path)
        assert caught.value.archive == str(path)
    path.write_bytes(data[: ends[0]])
    with pytest.raises(ArchiveError, match=r"expected 3 records as .* found 1,"):
        index(tmp_path)


def test_two_images_of_one_name_are_refused_by_the_plan(tmp_path):
    one_shard(tmp_path, example(PLAIN), example(PLAIN))
    table, files = index(tmp_path)
    both = Index(table, tuple(files))
    with pytest.raises(ArchiveError, match="is there twice: first as"):
        plan_split("train", both, count_shards=lambda *_: 1, example_sizes=example_sizes(both))


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["train-00000-of-00003", "train-00002-of-00003"], "train-00001-of-00003 is missing"),
        (["train-00000-of-00002"], "expected 2 shards, found 1: train-00001-of-00002 is missing"),
        (["train-00000-of-00001", "train-00000-of-00002"], "some are of 1 and others of 2"),
        (["train-00002-of-00002"], "train-00002-of-00002 is not among 2 shards"),
        (["train-00000-of-99999999999"], "and 99,999,999,993 more are missing"),
    ],
)
def test_an_incomplete_set_is_refused(tmp_path, names, problem):
    for name in [*names, "validation-00000-of-00001", "idx_dir"]:
        (tmp_path / name).write_bytes(framed(example(PLAIN)))
    found = sets_of(os.listdir(tmp_path))
    assert problem in str(found["train"].problem)
    assert found["validation"].problem is None
    with pytest.raises(SourceError, match=problem) as caught:
        index(tmp_path)
    assert str(tmp_path) in str(caught.value)


def zero_based(number: int = 0, box: int | None = 3) -> bytes:
    """A record of another converter, which counts classes from 0."""
    changed = {
        "image/class/label": ints(3),
        "image/filename": text(f"{WNIDS[3]}_{number}.JPEG".encode()),
        f"{BOX}label": ints() if box is None else ints(box),
    }
    return example(PLAIN | changed)


def test_classes_counted_from_0_are_read_where_all_of_a_shard_are(tmp_path):
    one_shard(tmp_path, *map(zero_based, range(3)))
    table, files = index(tmp_path)
    assert images(table, files) == {f"{WNIDS[3]}_{n}.JPEG": (3, DATA) for n in range(3)}
    assert table["box_labels"].to_pylist() == [[3]] * 3
    assert first_record(files[0], Naming("train")) == 0


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([zero_based(), example(PLAIN)], r"class 3 \(of 0 to 999\).*found 4"),
        ([example(PLAIN), zero_based()], r"class 4 \(of 1 to 1,000\).*found 3"),
        ([zero_based(), zero_based(1, box=1000)], "classes from 0 to 999 of the boxes.*found 1000"),
    ],
)
def test_classes_counted_from_0_and_from_1_in_one_shard_are_refused(tmp_path, records, problem):
    one_shard(tmp_path, *records)
    with pytest.raises(ArchiveError, match=problem):
        index(tmp_path)


def test_a_record_with_the_right_checksum_is_not_called_damaged(tmp_path):
    record = framed(without("image/filename"))
    path = tmp_path / "train-00000-of-00001"
    path.write_bytes(record)
    with pytest.raises(ArchiveError, match="records without file names make no examples") as caught:
        index(tmp_path)
    assert "its checksum is right, so this is how it was written" in str(caught.value)
    assert "copy it again" not in str(caught.value)
    # With another bit anywhere in it, it may have been damaged.
    path.write_bytes(record[:-5] + bytes([record[-5] ^ 1]) + record[-4:])
    with pytest.raises(ArchiveError, match="the file was damaged, copy it again"):
        index(tmp_path)
