"""Hugging Face's `datasets` made from our data sources, without and with several processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES
from support.readers import Examples, Run

# Not `datasets` alone, which a folder of these tests could be taken for.
pytest.importorskip("datasets.arrow_dataset", reason="needs the extra `readers`")

CODE = """
import datasets
from imagenet_builders import reading

tfrecord, archives, cache = sys.argv[1:]
features = datasets.Features({
    "image": datasets.Image(),
    "label": datasets.ClassLabel(num_classes=1000),
    "file_name": datasets.Value("string"),
})


def examples(sources):
    for source in sources:
        for example in source:
            name = example["file_name"].decode()
            yield {
                "image": {"bytes": example["image"], "path": name},
                "label": example["label"], "file_name": name,
            }


def of_hugging_face(examples):
    return [
        [e["file_name"], e["label"], hashlib.md5(e["image"].convert("RGB").tobytes()).hexdigest()]
        for e in examples
    ]


def sources(where):
    return [
        reading.data_source("imagenet2012", part, decode=False, **where)
        for part in reading.even_splits("train", 4)
    ]

"""


def test_a_dataset_made_of_examples_is_the_same(
    run: Run, tfrecord_dir: Path, tmp_path: Path, expected: Examples
) -> None:
    code = """
seen = {}
for name, where in {"built": {"data_dir": tfrecord}, "in place": {"manual_dir": archives}}.items():
    options = dict(gen_kwargs={"sources": sources(where)}, features=features)
    lazy = datasets.IterableDataset.from_generator(examples, **options)
    assert lazy.num_shards == 4
    seen[f"{name} lazy"] = of_hugging_face(lazy)
    for processes in (None, 2):
        copied = datasets.Dataset.from_generator(
            examples, cache_dir=f"{cache}/{name}/{processes}", num_proc=processes, **options
        )
        seen[f"{name} {processes}"] = of_hugging_face(copied)
print(json.dumps(seen))
"""
    seen = run(CODE + code, tfrecord_dir, DUMMY_ARCHIVES, tmp_path)
    assert len(seen) == 6
    for found in seen.values():
        assert found == expected["train"]


def test_workers_of_pytorch_share_a_lazy_dataset(
    run: Run, tfrecord_dir: Path, tmp_path: Path, expected: Examples
) -> None:
    pytest.importorskip("torch", reason="needs the extra `readers`")
    code = """
import torch

options = dict(gen_kwargs={"sources": sources({"data_dir": tfrecord})}, features=features)
lazy = datasets.IterableDataset.from_generator(examples, **options)
loader = torch.utils.data.DataLoader(lazy, num_workers=2, batch_size=None)
print(json.dumps(of_hugging_face(loader)))
"""
    found = run(CODE + code, tfrecord_dir, DUMMY_ARCHIVES, tmp_path)
    assert sorted(found) == sorted(expected["train"])
