"""PyTorch's `DataLoader` over our data sources and TFDS's, and torchvision's transforms."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.building import DUMMY_ARCHIVES
from support.readers import Examples, Run

for _module in ("torch", "torchvision"):
    pytest.importorskip(_module, reason="needs the extra `readers`")

SOURCES = {
    "tfrecord": "reading.data_source('imagenet2012', 'train', data_dir=tfrecord)",
    "array_record": "reading.data_source('imagenet2012', 'train', data_dir=array_record)",
    "in place": "reading.data_source('imagenet2012', 'train', manual_dir=archives)",
    "tfds tfrecord": "tfds.data_source('imagenet2012', split='train', data_dir=tfrecord)",
    "tfds array_record": "tfds.data_source('imagenet2012', split='train', data_dir=array_record)",
}

# A fork of a process that has used ArrayRecord's library cannot.
NOT_AFTER_READING = ("array_record", "tfds array_record")

# `fork` first: the process has read nothing then. `list` is all that puts a batch together, so what
# workers send is what the source gives.
CODE = """
import torch
from torch.utils.data import DataLoader
from imagenet_builders import reading

tfrecord, array_record, archives = sys.argv[1:]
source = {source}
seen = {{}}


def look(name, **options):
    loader = DataLoader(source, batch_size=5, collate_fn=list, **options)
    try:
        seen[name] = [shown(example) for batch in loader for example in batch]
    except Exception as error:
        seen[name] = str(error)


workers = dict(num_workers=4, timeout=120)
look("4 by fork", multiprocessing_context="fork", **workers)
look("0")
look("4 by fork after reading", multiprocessing_context="fork", **workers)
look("4 by forkserver", multiprocessing_context="forkserver", **workers)
look("4 by spawn", multiprocessing_context="spawn", **workers)
print(json.dumps(seen))
"""

WAYS = ["0", "4 by fork", "4 by fork after reading", "4 by forkserver", "4 by spawn"]


@pytest.fixture(scope="module")
def seen(run: Run, tfrecord_dir: Path, array_record_dir: Path) -> Callable[[str], dict[str, Any]]:
    """What each way of loading gives, by the name of a source."""

    @functools.cache
    def seen(name: str) -> dict[str, Any]:
        imported = "import tensorflow_datasets as tfds\n" if "tfds" in name else ""
        code = imported + CODE.format(source=SOURCES[name])
        found: dict[str, Any] = run(code, tfrecord_dir, array_record_dir, DUMMY_ARCHIVES)
        return found

    return seen


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SOURCES)
def test_a_loader_gives_the_examples_in_order(
    name: str,
    way: str,
    seen: Callable[[str], dict[str, Any]],
    expected: Examples,
) -> None:
    found = seen(name)[way]
    if way == "4 by fork after reading" and name in NOT_AFTER_READING:
        assert "array-record cannot read in a process that was forked from one that has" in found
        assert "multiprocessing_context" in found
    else:
        assert found == expected["train"]


def test_workers_that_stay_read_each_epoch_in_its_own_order(
    run: Run, tfrecord_dir: Path, expected: Examples
) -> None:
    code = """
import torch
from torch.utils.data import DataLoader, DistributedSampler
from imagenet_builders import reading

source = reading.data_source("imagenet2012", "train", data_dir=sys.argv[1])
epochs = []
for rank in range(2):
    sampler = DistributedSampler(source, num_replicas=2, rank=rank, seed=3)
    loader = DataLoader(
        source,
        batch_size=4,
        sampler=sampler,
        num_workers=2,
        persistent_workers=True,
        collate_fn=list,
    )
    for epoch in range(2):
        sampler.set_epoch(epoch)
        epochs.append([shown(example) for batch in loader for example in batch])
print(json.dumps(epochs))
"""
    first, second, *others = run(code, tfrecord_dir)
    assert first != second
    for part, rest in ((first, others[0]), (second, others[1])):
        assert sorted(part + rest) == sorted(expected["train"])


def test_torchvision_takes_the_pixels_and_the_bytes(run: Run, tfrecord_dir: Path) -> None:
    code = """
import torch, torchvision
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2
from imagenet_builders import reading

source = reading.data_source("imagenet2012", "all", data_dir=sys.argv[1])
raw = reading.data_source("imagenet2012", "all", data_dir=sys.argv[1], decode=False)
train = v2.Compose([
    v2.ToImage(),
    v2.RandomResizedCrop(32),
    v2.RandomHorizontalFlip(),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
])
seen = []
for example, undecoded in zip(source, raw, strict=True):
    image = train(example["image"])
    data = torch.frombuffer(bytearray(undecoded["image"]), dtype=torch.uint8)
    decoded = decode_jpeg(data, mode=ImageReadMode.RGB)
    pixels = v2.functional.to_image(example["image"])
    apart = (decoded.int() - pixels.int()).abs().max()
    same_shape = list(decoded.shape) == list(pixels.shape)
    seen.append([list(image.shape), str(image.dtype), same_shape, int(apart)])
print(json.dumps(seen))
"""
    seen = run(code, tfrecord_dir)
    assert len(seen) == 42
    for shape, dtype, same_shape, apart in seen:
        assert (shape, dtype, same_shape) == ([3, 32, 32], "torch.float32", True)
        # Both decode by libjpeg-turbo, of different versions.
        assert apart <= 2
