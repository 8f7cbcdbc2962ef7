"""NVIDIA DALI's reader of TFRecord on the CPU, with the index that a build leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

try:
    import nvidia.dali  # noqa: F401  # Its parent is a namespace of many packages.
except ImportError:
    pytest.skip("needs NVIDIA DALI, which `.ci/readers` installs", allow_module_level=True)

CODE = """
from pathlib import Path
import nvidia.dali.fn as fn
import nvidia.dali.tfrecord as tfrec
from nvidia.dali import pipeline_def

directory = Path(sys.argv[1], "imagenet2012", "5.1.0")


@pipeline_def(batch_size=4, num_threads=2, device_id=None)
def examples(split, shard_id=0, num_shards=1, dont_use_mmap=False):
    read = fn.readers.tfrecord(
        path=sorted(map(str, directory.glob(f"imagenet2012-{split}.tfrecord-*"))),
        index_path=sorted(map(str, directory.glob(f"dali_index/imagenet2012-{split}.*.idx"))),
        features={
            "image": tfrec.FixedLenFeature((), tfrec.string, ""),
            "label": tfrec.FixedLenFeature([1], tfrec.int64, -2),
            "file_name": tfrec.FixedLenFeature((), tfrec.string, ""),
        },
        name="reader",
        shard_id=shard_id,
        num_shards=num_shards,
        dont_use_mmap=dont_use_mmap,
    )
    return fn.decoders.image(read["image"], device="cpu"), read["label"], read["file_name"]


def run(split, **options):
    pipeline = examples(split, **options)
    pipeline.build()
    number = pipeline.reader_meta("reader")
    found = []
    for _ in range(-(-number["epoch_size"] // number["number_of_shards"] // 4)):
        images, labels, names = pipeline.run()
        for i in range(len(labels)):
            found.append([
                bytes(names.at(i)).decode(), int(labels.at(i)[0]),
                hashlib.md5(images.at(i).tobytes()).hexdigest(),
            ])
    return found


seen = {split: run(split) for split in ("train", "validation", "test")}
seen["without mmap"] = run("train", dont_use_mmap=True)
seen["parts"] = [run("train", shard_id=part, num_shards=3) for part in range(3)]
print(json.dumps(seen))
"""


def test_dali_reads_the_examples_by_the_index(
    run: Callable[..., Any], tfrecord_dir: Path, expected: dict[str, list[Any]]
) -> None:
    seen = run(CODE, tfrecord_dir)
    for split, examples in expected.items():
        found = seen[split][: len(examples)]  # The last batch begins anew.
        assert [each[:2] for each in found] == [each[:2] for each in examples]
    assert seen["train"] == seen["without mmap"]
    whole = [each for part in seen["parts"] for each in part]
    assert whole == seen["train"]
