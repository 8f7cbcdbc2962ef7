"""NVIDIA DALI on the CPU: WebDataset, and TFRecord with the index of a build or an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.readers import Examples, Exported, Run

pytest.importorskip("nvidia.dali", reason="needs NVIDIA DALI, which `.ci/readers` installs")

TFRECORD = """
from pathlib import Path
import numpy as np
import nvidia.dali.fn as fn
import nvidia.dali.tfrecord as tfrec
from nvidia.dali import pipeline_def

shards, indexes, prefix, *keys = sys.argv[1:]
IMAGE, LABEL, NAME = keys


@pipeline_def(batch_size=4, num_threads=2, device_id=None)
def examples(split, shard_id=0, num_shards=1, dont_use_mmap=False):
    read = fn.readers.tfrecord(
        path=sorted(map(str, Path(shards).glob(f"{prefix}{split}*-of-*"))),
        index_path=sorted(map(str, Path(indexes).glob(f"{prefix}{split}*-of-*.idx"))),
        features={
            IMAGE: tfrec.FixedLenFeature((), tfrec.string, ""),
            LABEL: tfrec.FixedLenFeature([1], tfrec.int64, -2),
            NAME: tfrec.FixedLenFeature((), tfrec.string, ""),
        },
        name="reader",
        shard_id=shard_id,
        num_shards=num_shards,
        dont_use_mmap=dont_use_mmap,
    )
    return fn.decoders.image(read[IMAGE], device="cpu"), read[LABEL], read[NAME]


def run(split, **options):
    pipeline = examples(split, **options)
    pipeline.build()
    number = pipeline.reader_meta("reader")
    found = []
    for _ in range(-(-number["epoch_size"] // number["number_of_shards"] // 4)):
        for image, label, name in zip(*map(list, pipeline.run())):
            example = {"file_name": bytes(name), "label": np.asarray(label)[0]}
            found.append(shown({**example, "image": np.asarray(image)}))
    return found


seen = {split: run(split) for split in ("train", "validation", "test")}
seen["without mmap"] = run("train", dont_use_mmap=True)
seen["parts"] = [run("train", shard_id=part, num_shards=3) for part in range(3)]
print(json.dumps(seen))
"""

WEBDATASET = """
from pathlib import Path
import numpy as np
import nvidia.dali.fn as fn
from nvidia.dali import pipeline_def


@pipeline_def(batch_size=4, num_threads=2, device_id=None)
def samples(split):
    image, label, said = fn.readers.webdataset(
        paths=sorted(map(str, Path(sys.argv[1]).glob(f"imagenet1k-{split}-*.tar"))),
        index_paths=sorted(map(str, Path(sys.argv[1]).glob(f"imagenet1k-{split}-*.idx"))),
        ext=["jpg", "cls", "json"],
        missing_component_behavior="error",
    )
    return fn.decoders.image(image, device="cpu"), label, said


seen = {}
for split, number in {"train": 24, "validation": 12}.items():
    pipeline = samples(split)
    pipeline.build()
    seen[split] = []
    for _ in range(number // 4):
        for image, label, said in zip(*map(list, pipeline.run())):
            name = json.loads(bytes(said))["filename"].encode()
            example = {"file_name": name, "label": bytes(label), "image": np.asarray(image)}
            seen[split].append(shown(example))
print(json.dumps(seen))
"""

TFDS_KEYS = ("image", "label", "file_name")
SLIM_KEYS = ("image/encoded", "image/class/label", "image/filename")


def assert_all_read(seen: dict[str, Any], expected: Examples, first_label: int = 0) -> None:
    for split, examples in expected.items():
        # The last batch begins anew.
        found = [[name, label - first_label, image] for name, label, image in seen[split]]
        assert found[: len(examples)] == examples
    assert seen["train"] == seen["without mmap"]
    assert [each for part in seen["parts"] for each in part] == seen["train"]


def test_a_build_is_read_as_it_is(run: Run, tfrecord_dir: Path, expected: Examples) -> None:
    directory = tfrecord_dir / "imagenet2012/5.1.0"
    seen = run(TFRECORD, directory, directory / "dali_index", "imagenet2012-", *TFDS_KEYS)
    assert_all_read(seen, expected)


def test_a_dataset_without_indexes_is_read_by_those_of_an_export(
    run: Run, tfrecord_dir: Path, exported: Exported, expected: Examples
) -> None:
    directory = tfrecord_dir / "imagenet2012/5.1.0"
    [indexes] = {path.parent for path in exported("dali-index").rglob("*.idx")}
    seen = run(TFRECORD, directory, indexes, "imagenet2012-", *TFDS_KEYS)
    assert_all_read(seen, expected)


def test_slims_records_are_read(run: Run, exported: Exported, expected: Examples) -> None:
    directory = exported("slim")
    seen = run(TFRECORD, directory, directory / "dali_index", "", *SLIM_KEYS)
    assert_all_read(seen, expected, first_label=1)


def test_webdatasets_shards_are_read(run: Run, exported: Exported, expected: Examples) -> None:
    seen = run(WEBDATASET, exported("webdataset"))
    assert seen == {split: expected[split] for split in ("train", "validation")}
