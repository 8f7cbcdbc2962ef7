"""timm: its reader of TensorFlow Datasets, which needs no more than the directory, and exports."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.paths import DUMMY_DATA
from support.readers import Examples, Exported, Run

for _module in ("torch", "timm"):
    pytest.importorskip(_module, reason="needs the extra `readers`")

# There are three shards: of two workers, each reads its own; with four, each has an even split.
CODE = """
from timm.data import create_dataset, create_loader

seen = {}
for split in ("train", "validation", "train[50%:]"):
    for training in (False, True):
        for workers in (2, 4):
            dataset = create_dataset(
                "tfds/imagenet2012",
                root=sys.argv[1],
                split=split,
                is_training=training,
                batch_size=4,
            )
            loader = create_loader(
                dataset, input_size=(3, 32, 32), batch_size=4, is_training=training,
                num_workers=workers, use_prefetcher=False, device=torch.device("cpu"),
            )
            labels = []
            for images, batch in loader:
                assert images.shape == (len(batch), 3, 32, 32)
                labels += batch.tolist()
            seen[f"{split} {training} {workers}"] = [len(dataset), labels]
seen["classes"] = dataset.reader.class_to_idx
dataset = create_dataset("tfds/imagenet2012", root=sys.argv[1], split="validation")
seen["names"] = [name.decode() for name in dataset.filenames()]
dataset = create_dataset("tfds/imagenet2012", root=sys.argv[1], split="validation")
seen["images"] = [
    [image.mode, hashlib.md5(image.tobytes()).hexdigest(), int(label)] for image, label in dataset
]
print(json.dumps(seen))
"""

STOCK = "sys.modules['imagenet_builders'] = None\nimport torch\n"
OURS = "import imagenet_builders, torch\n"

PARTS = {"train": slice(None), "validation": slice(None), "train[50%:]": slice(12, None)}


@pytest.fixture(scope="module", params=[STOCK, OURS], ids=["stock", "with this package imported"])
def seen(request: pytest.FixtureRequest, run: Run, tfrecord_dir: Path) -> Any:
    return run(request.param + CODE, tfrecord_dir)


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("split", PARTS)
def test_validation_sees_each_example_once(
    split: str, workers: int, seen: dict[str, Any], expected: Examples
) -> None:
    _, labels = seen[f"{split} False {workers}"]
    wanted = [label for _, label, _ in expected[split.partition("[")[0]][PARTS[split]]]
    assert Counter(labels) == Counter(wanted)


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("split", PARTS)
def test_training_has_whole_batches_of_known_examples(
    split: str, workers: int, seen: dict[str, Any], expected: Examples
) -> None:
    length, labels = seen[f"{split} True {workers}"]
    wanted = {label for _, label, _ in expected[split.partition("[")[0]][PARTS[split]]}
    # Each worker rounds its part up to whole batches, and begins anew at its end.
    assert len(labels) == length
    assert length % 4 == 0
    assert set(labels) <= wanted


def test_classes_have_their_names(seen: dict[str, Any]) -> None:
    wnids = (DUMMY_DATA / "makers/wnids.txt").read_text().split()
    assert seen["classes"] == {wnid: number for number, wnid in enumerate(wnids)}


def test_file_names_are_found(seen: dict[str, Any], expected: Examples) -> None:
    assert sorted(seen["names"]) == sorted(name for name, _, _ in expected["validation"])


def test_pixels_are_those_of_the_examples(seen: dict[str, Any], expected: Examples) -> None:
    found = sorted([digest, label] for mode, digest, label in seen["images"] if mode == "RGB")
    assert found == sorted([digest, label] for _, label, digest in expected["validation"])


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_timm_reads_webdataset(
    training: bool, run: Run, exported: Exported, expected: Examples
) -> None:
    code = f"""
import torch
from timm.data import create_dataset, create_loader

seen = {{}}
for split in ("train", "validation"):
    for workers in (0, 3):
        dataset = create_dataset(
            "wds/imagenet-1k",
            root=sys.argv[1],
            split=split,
            is_training={training},
            batch_size=4,
        )
        loader = create_loader(
            dataset,
            input_size=(3, 32, 32),
            batch_size=4,
            is_training={training},
            num_workers=workers,
            use_prefetcher=False,
            device=torch.device("cpu"),
        )
        labels = [label for _, batch in loader for label in batch.tolist()]
        seen[f"{{split}} {{workers}}"] = [len(dataset), labels]
print(json.dumps(seen))
"""
    seen = run(code, exported("webdataset"))
    for name, (length, labels) in seen.items():
        wanted = [label for _, label, _ in expected[name.split()[0]]]
        assert length == len(labels)
        if training:  # Each worker has one of three shards, and whole batches of it.
            assert set(labels) <= set(wanted)
        else:
            assert Counter(labels) == Counter(wanted)


def test_timm_reads_the_folders(run: Run, exported: Exported, expected: Examples) -> None:
    code = """
from timm.data import create_dataset

seen = {}
for name in ("", "torch/imagenet", "torch/image_folder"):
    for split in ("train", "validation"):
        dataset = create_dataset(name, root=sys.argv[1], split=split)
        seen[f"{name} {split}"] = [len(dataset), [label for _, label in dataset]]
print(json.dumps(seen))
"""
    seen = run(code, exported("imagefolder"))
    for name, (length, labels) in seen.items():
        wanted = [label for _, label, _ in expected[name.split()[-1]]]
        order = sorted(set(wanted))  # The classes that are there are numbered.
        assert length == len(wanted)
        assert Counter(labels) == Counter(order.index(label) for label in wanted)
