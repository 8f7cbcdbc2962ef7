"""Examples in any order, from TFRecord, ArrayRecord and archives in place, with and without TFDS.

The oracle is `tfds.data_source` of stock TensorFlow Datasets on shards of ArrayRecord, and
`tfds.load` on TFRecord.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from support.building import DUMMY_ARCHIVES, built_by_cli
from support.paths import DUMMY_DATA
from support.processes import run, run_cli, run_python
from support.reading_elsewhere import name_of

from imagenet_builders import reading
from imagenet_builders.errors import DatasetError, OptionError, SourceError, StagingError
from imagenet_builders.options import BuildOptions

SPLITS = ("train", "validation", "test")
SIZES = {"train": 24, "validation": 12, "test": 6}
FEATURES = {"image", "label", "file_name"}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tfrecord")
    built_by_cli(DUMMY_ARCHIVES, directory, "--num-shards=3")
    return directory


@pytest.fixture(scope="module")
def array_record_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("array_record")
    built_by_cli(DUMMY_ARCHIVES, directory, "--num-shards=3", "--file-format=array_record")
    return directory


@pytest.fixture(scope="module")
def expected(array_record_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """What stock TensorFlow Datasets reads at random, in a reader of directories as it ships."""
    code = """
import sys; sys.modules["imagenet_builders"] = None
import pickle, tensorflow_datasets as tfds
builder = tfds.builder_from_directory(sys.argv[1])
sources = builder.as_data_source()
with open(sys.argv[2], "wb") as file:
    pickle.dump({split: list(source) for split, source in sources.items()}, file)
"""
    kept = array_record_dir / "expected"
    run_python(code, array_record_dir / "imagenet2012/5.1.0", kept)
    found: dict[str, list[dict[str, Any]]] = pickle.loads(kept.read_bytes())
    return found


def of_tfrecord(split: Any, data_dir: Path, array_record_dir: Path) -> Sequence[dict[str, Any]]:
    return reading.data_source("imagenet2012", split, data_dir=data_dir)


def of_array_record(split: Any, data_dir: Path, array_record_dir: Path) -> Sequence[dict[str, Any]]:
    return reading.data_source("imagenet2012:5.1.0", split, data_dir=array_record_dir)


def in_place(split: Any, data_dir: Path, array_record_dir: Path) -> Sequence[dict[str, Any]]:
    return reading.data_source("imagenet2012", split, manual_dir=DUMMY_ARCHIVES)


def of_tfds(split: Any, data_dir: Path, array_record_dir: Path) -> Sequence[dict[str, Any]]:
    return tfds.data_source("imagenet2012", split=split, data_dir=data_dir)


def of_tfds_with_version(
    split: Any, data_dir: Path, array_record_dir: Path
) -> Sequence[dict[str, Any]]:
    return tfds.data_source("imagenet2012:5.1.0", split=split, data_dir=data_dir)


WAYS = [of_tfrecord, of_array_record, in_place, of_tfds, of_tfds_with_version]
Way = Callable[[Any, Path, Path], Sequence[dict[str, Any]]]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, data_dir: Path, array_record_dir: Path) -> Any:
    return lambda split: request.param(split, data_dir, array_record_dir)


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys() == FEATURES
    assert (found["file_name"], found["label"]) == (wanted["file_name"], wanted["label"])
    assert isinstance(found["label"], int)
    assert found["image"].dtype == np.uint8
    # TensorFlow Datasets leaves grey images without channels here, though not in `tfds.load`.
    image = wanted["image"]
    image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    if found["image"].ndim == 3:
        np.testing.assert_array_equal(found["image"], image)


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_examples_in_the_same_order(
    split: str, way: Any, expected: dict[str, list[dict[str, Any]]]
) -> None:
    source = way(split)
    assert len(source) == SIZES[split] == len(expected[split])
    for found, wanted in zip(source, expected[split], strict=True):
        assert_same(found, wanted)


def test_any_order_and_batches(way: Any, expected: dict[str, list[dict[str, Any]]]) -> None:
    source = way("train")
    wanted = [5, 0, 23, 7, 7, 22, 1]
    for found, number in zip(source.__getitems__(wanted), wanted, strict=True):
        assert_same(found, expected["train"][number])
    assert_same(source[-1], expected["train"][23])
    assert_same(source[np.int64(3)], expected["train"][3])
    assert source.__getitems__([]) == []
    with pytest.raises(IndexError):
        source[24]


SLICES = [
    "train[:10%]",
    "train[3:]+validation[-2:]",
    "train[50%:]+train[:50%]",
    "all",
]


@pytest.mark.parametrize("split", SLICES)
def test_slices_mean_what_they_mean_to_tfds(split: str, way: Any, data_dir: Path) -> None:
    wanted = tfds.load("imagenet2012", split=split, data_dir=data_dir)
    names = [each["file_name"] for each in wanted.as_numpy_iterator()]
    assert [each["file_name"] for each in way(split)] == names


def test_a_split_read_in_place_is_one_shard(data_dir: Path) -> None:
    built = reading.data_source("imagenet2012", "train[1shard]", data_dir=data_dir)
    assert len(built) == 8
    placed = reading.data_source("imagenet2012", "train[0shard]", manual_dir=DUMMY_ARCHIVES)
    assert len(placed) == 24


def test_even_splits_are_those_of_tfds(data_dir: Path) -> None:
    ours = reading.even_splits("train+test", 4)
    theirs = tfds.even_splits("train+test", 4)
    for one, other in zip(ours, theirs, strict=True):
        source = reading.data_source("imagenet2012", one, data_dir=data_dir)
        loaded = tfds.load("imagenet2012", split=other, data_dir=data_dir)
        names = [each["file_name"] for each in loaded.as_numpy_iterator()]
        assert [each["file_name"] for each in source] == names


@pytest.mark.parametrize("options", [{"data_dir": True}, {"manual_dir": DUMMY_ARCHIVES}])
def test_bytes_on_request_are_those_of_the_file(options: dict[str, Any], data_dir: Path) -> None:
    where = {"data_dir": data_dir} if "data_dir" in options else options
    source = reading.data_source("imagenet2012", "validation", decode=False, **where)
    decoded = reading.data_source("imagenet2012", "validation", **where)
    for raw, pixels in zip(source, decoded, strict=True):
        image = np.asarray(Image.open(io.BytesIO(raw["image"])).convert("RGB"))
        np.testing.assert_array_equal(image, pixels["image"])
    assert "decode=False" in repr(source)
    loaded = tfds.load(
        "imagenet2012",
        split="validation",
        data_dir=data_dir,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    assert [each["image"] for each in source] == [
        each["image"] for each in loaded.as_numpy_iterator()
    ]


@pytest.mark.parametrize("where", ["data_dir", "manual_dir"])
def test_images_are_decoded_no_larger_than_needed(where: str, data_dir: Path) -> None:
    place: dict[str, Any] = {where: data_dir if where == "data_dir" else DUMMY_ARCHIVES}
    whole = reading.data_source("imagenet2012", "train", **place)
    smaller = reading.data_source("imagenet2012", "train", decode_at_least=(40, 50), **place)
    sizes = set()
    for one, other in zip(whole, smaller, strict=True):
        height, width = one["image"].shape[:2]
        parts = [(-(-height // part), -(-width // part)) for part in (8, 4, 2)]
        expected = next(
            (each for each in parts if each[0] >= 40 and each[1] >= 50), (height, width)
        )
        assert other["image"].shape == (*expected, 3)
        sizes.add(expected != (height, width))
        assert {**one, "image": 0} == {**other, "image": 0}
    assert True in sizes
    assert "decode_at_least=(40, 50)" in repr(smaller)
    assert pickle.loads(pickle.dumps(smaller))[0]["image"].shape == smaller[0]["image"].shape


@pytest.mark.parametrize("size", [(0, 224), (224,), 224, (224.0, 224), (True, 224), "ab"])
def test_a_size_that_is_none_is_refused(size: Any, data_dir: Path) -> None:
    with pytest.raises(OptionError, match="must be a height and a width in pixels"):
        reading.data_source("imagenet2012", "train", data_dir=data_dir, decode_at_least=size)
    with pytest.raises(OptionError, match="leave out decode=False"):
        reading.data_source(
            "imagenet2012", "train", data_dir=data_dir, decode=False, decode_at_least=(9, 9)
        )


@pytest.mark.parametrize(
    ("method", "open_way"),
    [
        ("fork", of_tfrecord),
        ("forkserver", of_tfrecord),
        ("spawn", of_tfrecord),
        ("fork", in_place),
        ("spawn", in_place),
        ("fork", of_tfds),
        ("spawn", of_tfds),
    ],
)
def test_processes_read_however_they_are_started(
    method: str, open_way: Way, data_dir: Path, array_record_dir: Path
) -> None:
    source = open_way("train", data_dir, array_record_dir)
    names = [each["file_name"] for each in source]  # This process has everything open.
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(name_of, [source] * 24, range(24)))
    assert found == names
    assert [name_of(source, number) for number in range(24)] == names


@pytest.mark.parametrize(
    "before",
    [
        "source[0]",
        "reading.data_source('imagenet2012', 'test', data_dir=sys.argv[1])[0]",
        "built()",
    ],
    ids=["it was read", "another split was read", "a dataset was built"],
)
def test_array_record_says_that_it_cannot_fork_after_its_use(
    before: str, array_record_dir: Path, tmp_path: Path
) -> None:
    code = f"""
import os, signal, sys
from imagenet_builders import reading
from imagenet_builders.cli import main

def built():
    main(["build", "imagenet2012", "--manual-dir", sys.argv[2], "--data-dir", sys.argv[3],
          "--file-format", "array_record", "--workers", "1"])

source = reading.data_source("imagenet2012", "train", data_dir=sys.argv[1])
{before}
if os.fork() == 0:
    signal.alarm(60)
    try:
        source[0]
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
assert os.wait()[1] == 0
"""
    said = run_python(code, array_record_dir, DUMMY_ARCHIVES, tmp_path / "built")
    assert "SourceError array-record cannot read in a process that was forked" in said
    assert "multiprocessing_context" in said


def test_array_record_is_read_in_forks_of_a_process_that_has_not_used_it(
    array_record_dir: Path,
) -> None:
    code = """
import os, signal, sys
from imagenet_builders import reading
source = reading.data_source("imagenet2012", "train", data_dir=sys.argv[1])
for _ in range(3):
    if os.fork() == 0:
        signal.alarm(60)
        print(len([source[number]["label"] for number in range(24)]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""
    assert run_python(code, array_record_dir).split() == ["24"] * 3


def test_nothing_is_said_when_python_ends(data_dir: Path) -> None:
    """What one of the last modules to be cleared has is closed when names of others are gone."""
    code = """
import os, sys
from imagenet_builders import reading
os.kept = reading.data_source("imagenet2012", "train", data_dir=sys.argv[1])
print(len([each["label"] for each in os.kept]))
"""
    done = run([sys.executable, "-c", code, data_dir])
    assert (done.stdout, done.stderr) == ("24\n", "")


def test_threads_read_at_once(data_dir: Path) -> None:
    source = reading.data_source("imagenet2012", "all", data_dir=data_dir)
    names = [each["file_name"] for each in source]
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda number: name_of(source, number % 42), range(420))
    assert list(found) == names * 10


def test_a_data_source_leaves_the_builder_as_it_was(data_dir: Path) -> None:
    builder = tfds.builder("imagenet2012", data_dir=data_dir)
    source = builder.as_data_source("train")
    [first] = builder.as_dataset(split="train[:1]").as_numpy_iterator()
    assert first["file_name"] == source[0]["file_name"]
    sources = builder.as_data_source()
    assert {split: len(each) for split, each in sources.items()} == SIZES


@pytest.mark.parametrize("name", ["imagenet2012", "imagenet2012:5.1.0"])
def test_the_environment_says_where_the_dataset_is(name: str, data_dir: Path) -> None:
    code = f"""
import imagenet_builders, tensorflow_datasets as tfds
from imagenet_builders import reading
print(len(tfds.data_source({name!r}, split="train")), len(reading.data_source({name!r}, "test")))
"""
    assert run_python(code, TFDS_DATA_DIR=str(data_dir)).split() == ["24", "6"]


def test_decoders_and_methods_of_tfds_work(data_dir: Path, array_record_dir: Path) -> None:
    method = tfds.decode.DeserializeMethod.RAW_BYTES
    raw = [
        list(
            tfds.data_source(
                "imagenet2012", split="train", data_dir=where, deserialize_method=method
            )
        )
        for where in (data_dir, array_record_dir)
    ]
    assert raw[0] == raw[1]
    decoders = {"image": tfds.decode.SkipDecoding()}
    skipped = tfds.data_source("imagenet2012", split="train", data_dir=data_dir, decoders=decoders)
    ours = reading.data_source("imagenet2012", "train", data_dir=data_dir, decode=False)
    assert [each["image"] for each in skipped] == [each["image"] for each in ours]


@pytest.mark.parametrize(
    "name",
    [
        "imagenet2012_localization",
        "imagenet2012_dogs",
        "imagenet2012_downsampled/16x16",
        "tiny_imagenet",
        "imagenet21k_winter21/whole",
    ],
)
def test_every_dataset_reads_alike_in_place_and_built(name: str, tmp_path: Path) -> None:
    staged = DUMMY_DATA / name.partition("/")[0]
    run_cli("build", name, f"--manual-dir={staged}", f"--data-dir={tmp_path}")
    built = reading.data_source(name, "all", data_dir=tmp_path)
    options = BuildOptions(scratch_dir=str(tmp_path))
    placed = reading.data_source(name, "all", manual_dir=staged, options=options)
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    loaded = tfds.load(name, split="all", data_dir=tmp_path, read_config=in_order)
    for one, other, third in zip(built, placed, loaded.as_numpy_iterator(), strict=True):
        for found in (one, other):
            assert flat(found) == flat(third)


def flat(example: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Values that can be compared: numbers, texts, and arrays as lists; pixels by their shape."""
    values: dict[str, Any] = {}
    for name, value in example.items():
        if isinstance(value, dict):
            values |= flat(value, f"{path}{name}/")
        elif name == "image":
            values[path + name] = value.shape
        else:
            values[path + name] = value.tolist() if isinstance(value, np.ndarray) else value
    return values


def test_tensorflow_is_not_imported(data_dir: Path) -> None:
    code = """
import sys
from imagenet_builders import reading
built = reading.data_source("imagenet2012", "train", data_dir=sys.argv[1])
staged = reading.data_source("imagenet2012", "train", manual_dir=sys.argv[2])
assert (built[0]["image"] == staged[0]["image"]).all()
print(sorted({"tensorflow", "tensorflow_datasets", "apache_beam"} & sys.modules.keys()))
"""
    assert run_python(code, data_dir, DUMMY_ARCHIVES).strip() == "[]"


def test_few_files_are_open_at_a_time(tmp_path: Path) -> None:
    built_by_cli(DUMMY_ARCHIVES, tmp_path, "--num-shards=6")
    code = """
import os, resource, sys
from imagenet_builders import reading
source = reading.data_source("imagenet2012", "train", data_dir=sys.argv[1])
source[0]
before = len(os.listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (before + 8, before + 8))
from imagenet_builders.write.outputs import record_files
record_files._OPEN = 3
for number in [*range(24)] * 3:
    source[number]["file_name"]
print(len(os.listdir("/proc/self/fd")) - before)
"""
    assert int(run_python(code, tmp_path)) <= 2


def test_a_thousand_shards_are_read_with_few_descriptors(data_dir: Path, tmp_path: Path) -> None:
    """In an order that opens another shard each time, several times each."""
    built = data_dir / "imagenet2012/5.1.0"
    many = tmp_path / "imagenet2012/5.1.0"
    many.mkdir(parents=True)
    shutil.copy(built / "features.json", many)
    info = json.loads((built / "dataset_info.json").read_text())
    [train] = [split for split in info["splits"] if split["name"] == "train"]
    info["splits"] = [{**train, "shardLengths": ["1"] * 1024}]
    (many / "dataset_info.json").write_text(json.dumps(info))
    content = shard_of(data_dir).read_bytes()
    record = content[: int.from_bytes(content[:8], "little") + 16]
    for number in range(1024):
        (many / f"imagenet2012-train.tfrecord-{number:05}-of-01024").write_bytes(record)
    code = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from imagenet_builders import reading
source = reading.data_source("imagenet2012", "train", data_dir=sys.argv[1], decode=False)
names = {source[number * 389 % 1024]["file_name"] for number in range(3 * 1024)}
print(len(names), len(os.listdir("/proc/self/fd")))
"""
    names, descriptors = run_python(code, tmp_path, XDG_CACHE_HOME=str(tmp_path / "c")).split()
    assert names == "1"
    assert 100 < int(descriptors) <= 150


def damaged(data_dir: Path, tmp_path: Path) -> Path:
    shutil.copytree(data_dir, tmp_path / "copy")
    return tmp_path / "copy"


def shard_of(data_dir: Path) -> Path:
    return data_dir / "imagenet2012/5.1.0/imagenet2012-train.tfrecord-00001-of-00003"


def flip(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)


def cut(shard: Path) -> None:
    os.truncate(shard, shard.stat().st_size - 5)


def fifo(shard: Path) -> None:
    shard.unlink()
    os.mkfifo(shard)


def zeros(shard: Path) -> None:
    shard.unlink()
    shard.symlink_to("/dev/zero")


def shorter(shard: Path) -> None:
    length = int.from_bytes(shard.read_bytes()[:8], "little")
    shard.write_bytes(shard.read_bytes()[: length + 16])


def test_offsets_are_those_of_the_index_and_nothing_is_kept(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = reading.data_source("imagenet2012", "train", data_dir=data_dir)
    assert len([each["file_name"] for each in source]) == 24
    assert not list(tmp_path.iterdir())


def of_others(index: Path) -> None:
    """As many records in as many bytes, but not those."""
    lines = [list(map(int, line.split())) for line in index.read_text().splitlines()]
    index.write_text(
        f"0 {lines[0][1] + 1}\n{lines[0][1] + 1} {lines[1][1] - 1}\n"
        + "".join(f"{start} {size}\n" for start, size in lines[2:])
    )


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        of_others,
        lambda index: index.write_text("0 100\n"),
        lambda index: index.write_bytes(b"\xff" * 1000),
        lambda index: index.write_text(index.read_text().partition("\n")[2]),
        fifo,
    ],
    ids=["none", "of others", "short", "no index", "of fewer", "a FIFO"],
)
def test_whatever_becomes_of_an_index_what_is_read_is_right(
    change: Callable[[Path], None], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    copy = damaged(data_dir, tmp_path)
    for index in (copy / "imagenet2012/5.1.0/dali_index").iterdir():
        change(index)
    found, expected = (
        reading.data_source("imagenet2012", "train", data_dir=each) for each in (copy, data_dir)
    )
    assert [each["file_name"] for each in found] == [each["file_name"] for each in expected]


def test_offsets_are_kept_for_the_user_and_used(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data_dir = damaged(data_dir, tmp_path)
    shutil.rmtree(data_dir / "imagenet2012/5.1.0/dali_index")  # As of a dataset of stock TFDS.
    source = reading.data_source("imagenet2012", "train", data_dir=data_dir)
    names = [each["file_name"] for each in source]
    kept = sorted((tmp_path / "imagenet_builders/offsets").iterdir())
    assert len(kept) == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept[0].parents[:1])
    # Whatever becomes of them, what is read is right.
    kept[0].write_bytes(kept[1].read_bytes())
    kept[1].write_bytes(b"x" * 100)
    kept[2].unlink()
    os.mkfifo(kept[2])
    again = reading.data_source("imagenet2012", "train", data_dir=data_dir)
    assert [each["file_name"] for each in again] == names


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip, "the checksum of the record is wrong"),
        (cut, "a record goes beyond the end of the file"),
        (Path.unlink, "No such file or directory"),
        (fifo, "it is a FIFO"),
        (zeros, "it is a device"),
        (shorter, "it has 1 record and not 8"),
    ],
)
def test_a_damaged_shard_is_named(
    damage: Callable[[Path], None], words: str, data_dir: Path, tmp_path: Path
) -> None:
    copy = damaged(data_dir, tmp_path)
    damage(shard_of(copy))
    source = reading.data_source("imagenet2012", "train", data_dir=copy)
    assert source[0]["label"] >= 0
    with pytest.raises(SourceError, match=f"-00001-of-00003 cannot be read: {words}"):
        source[8]
    # What is no file at all is found when the builder is made.
    with pytest.raises((SourceError, DatasetError), match="-00001-of-00003"):
        tfds.data_source("imagenet2012", split="train", data_dir=copy)[8]


def change_features(directory: Path) -> None:
    path = directory / "features.json"
    document = json.loads(path.read_text())
    document["featuresDict"]["features"]["sound"] = {"pythonClassName": "x.y.Audio", "audio": {}}
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_features, "the feature sound is a Audio, which this package does not write"),
        (lambda path: (path / "features.json").write_text("{}"), "is a unknown, which"),
        (
            lambda path: (path / "features.json").write_text("[]"),
            "is damaged: it is no JSON object",
        ),
        (lambda path: (path / "dataset_info.json").write_text("{"), "is damaged"),
        (lambda path: (path / "dataset_info.json").write_text("{}"), "cannot be read without"),
    ],
)
def test_metadata_that_cannot_be_read_is_named(
    change: Callable[[Path], object], words: str, data_dir: Path, tmp_path: Path
) -> None:
    copy = damaged(data_dir, tmp_path)
    change(copy / "imagenet2012/5.1.0")
    with pytest.raises(SourceError, match=words):
        reading.data_source("imagenet2012", "train", data_dir=copy)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"name": "imagenet2102"},
            OptionError,
            r"no dataset 'imagenet2102' \(is imagenet2012 meant\?\); there are imagenet12k,",
        ),
        ({"name": "tiny_imagenet"}, StagingError, "is not built: .*; give the directory that it"),
        ({"name": "imagenet2012:4.0.0"}, StagingError, "no version 4.0.0"),
        ({"name": "all"}, OptionError, "stands for every dataset, but one is"),
        ({"name": "../not/there"}, OptionError, "neither a dataset"),
        ({"split": "trian"}, OptionError, "there is no split 'trian'"),
        ({"manual_dir": DUMMY_ARCHIVES}, OptionError, "data_dir and manual_dir are both given"),
        (
            {"data_dir": None, "manual_dir": DUMMY_ARCHIVES, "name": "imagenet2012:5.1.0"},
            OptionError,
            "have no version",
        ),
        (
            {"data_dir": None, "manual_dir": DUMMY_ARCHIVES, "name": "imagenet2013"},
            OptionError,
            "there is no dataset 'imagenet2013' .*is imagenet2012 meant",
        ),
        (
            {"data_dir": None, "manual_dir": DUMMY_ARCHIVES, "name": "imagenet2012/x"},
            OptionError,
            "imagenet2012 has no configuration 'x'",
        ),
        (
            {"data_dir": None, "manual_dir": DUMMY_ARCHIVES, "split": "trian"},
            OptionError,
            "there is no split 'trian'; there are train, validation, test",
        ),
        (
            {"data_dir": None, "manual_dir": DUMMY_DATA, "name": "imagenet2012"},
            StagingError,
            "nothing of imagenet2012 is staged",
        ),
    ],
)
def test_what_cannot_be_opened_is_said(
    arguments: dict[str, Any], error: type[Exception], words: str, data_dir: Path
) -> None:
    given: dict[str, Any] = {
        "name": "imagenet2012",
        "split": "train",
        "data_dir": data_dir,
    } | arguments
    with pytest.raises(error, match=words):
        reading.data_source(given.pop("name"), given.pop("split"), **given)


def test_nothing_is_written_where_archives_are_staged(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    shutil.copytree(DUMMY_ARCHIVES, staged)
    before = {path: path.stat().st_mtime_ns for path in (staged, *staged.rglob("*"))}
    assert len(reading.data_source("imagenet2012", "train", manual_dir=staged)) == 24
    assert {path: path.stat().st_mtime_ns for path in (staged, *staged.rglob("*"))} == before


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("imagenet21k_winter21/whole", r"\S+winter21_whole\.tar\.gz"),
        (
            "imagenet2012_downsampled/16x16",
            "the compressed arrays of imagenet2012_downsampled/16x16",
        ),
    ],
)
def test_nothing_is_unpacked_where_nobody_chose_a_scratch_directory(
    name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    words = (
        f"^{what} would have to be unpacked, which needs about [0-9.]+ kB, and no scratch "
        r"directory is chosen; give options=BuildOptions\(scratch_dir=DIR\), or build the dataset$"
    )
    with pytest.raises(OptionError, match=words):
        reading.data_source(name, "train", manual_dir=DUMMY_DATA / name.partition("/")[0])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("split", "wanted"),
    [
        ("train[:10%]", {"train"}),
        ("test+validation[2:]", {"test", "validation"}),
        (reading.even_splits("test", 2)[0] + "train", {"test", "train"}),
        ("all", set(SPLITS)),
    ],
)
def test_only_what_is_asked_for_is_indexed_and_warned_of(
    split: Any,
    wanted: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reading.data_source("imagenet2012", split, manual_dir=DUMMY_ARCHIVES)
    indexed = {path.name.split("-")[1] for path in tmp_path.rglob("*.index.arrow")}
    warned = {each for each in SPLITS if f" images of {each}, found" in caplog.text}
    assert (indexed, warned) == (wanted, wanted)
