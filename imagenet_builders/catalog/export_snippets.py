"""How an export is read here, by its form; with the real paths."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagenet_builders.catalog.model import Snippet
from imagenet_builders.catalog.snippets import filled, python_text, shell_path
from imagenet_builders.export import tree

_WEBDATASET = """\
from pathlib import Path

import webdataset

shards = sorted(map(str, Path(<<directory>>).glob(<<shards>>)))
samples = webdataset.WebDataset(shards, shardshuffle=False).decode("pil")
for image, label in samples.to_tuple("jpg;png", "cls"):
    print(image.size, label)
    break
"""

_WEBDATASET_TIMM = """\
from timm.data import create_dataset

dataset = create_dataset(<<timm>>, root=<<directory>>, split=<<split>>)
print(len(dataset))
"""

_WEBDATASET_DALI = """\
from pathlib import Path

import nvidia.dali.fn as fn
from nvidia.dali import pipeline_def

directory = Path(<<directory>>)
shards = sorted(map(str, directory.glob(<<shards>>)))
indexes = sorted(map(str, directory.glob(<<indexes>>)))


@pipeline_def(batch_size=8, num_threads=4, device_id=None)
def images_and_labels():
    images, labels = fn.readers.webdataset(
        paths=shards, index_paths=indexes, ext=["jpg", "cls"], missing_component_behavior="error"
    )
    images = fn.decoders.image(images, device="cpu")
    return fn.resize(images, resize_x=224, resize_y=224), labels


pipeline = images_and_labels()
pipeline.build()
images, labels = pipeline.run()
print(images.shape()[0])
"""

_IMAGEFOLDER = """\
from torchvision.datasets import ImageFolder

images = ImageFolder(<<split_directory>>)
print(len(images), images.classes[:3])
"""

_MOUNT = """\
mkdir -p "$HOME/imagenet"
squashfuse <<file>> "$HOME/imagenet"
"""

_LIST_SQUASHFS = """\
unsquashfs -l -max-depth 1 <<file>>
"""

_HUGGING_FACE = """\
import datasets

dataset = datasets.load_from_disk(<<directory>>)
print(dataset[<<split>>][0])
"""

_SLIM = """\
from pathlib import Path

import tensorflow as tf

shards = sorted(map(str, Path(<<directory>>).glob(<<shards>>)))
for record in tf.data.TFRecordDataset(shards).take(1):
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    }
    example = tf.io.parse_single_example(record, features)
    image = tf.io.decode_jpeg(example["image/encoded"], channels=3)
    print(image.shape, int(example["image/class/label"]))  # Labels count from 1.
"""

_INDEXES = """\
from pathlib import Path

indexes = sorted(map(str, Path(<<directory>>).glob(<<shards>>)))
print(len(indexes))  # For `index_path` of DALI's `fn.readers.tfrecord`.
"""

_LIST = """\
ls -lh <<where>>
"""

_VERIFY = """\
imagenet-builders verify <<where>>
"""

Row = tuple[str, str, str, str, str]
"""Tab, title, language, template, and what it needs."""

_Values = Mapping[str, str]


def _webdataset(values: _Values) -> Sequence[Row]:
    return (
        ("PyTorch", "WebDataset", "python", _WEBDATASET, "webdataset and Pillow"),
        ("timm", "Its reader of WebDataset", "python", _WEBDATASET_TIMM, "timm and torch"),
        ("DALI", "A pipeline", "python", _WEBDATASET_DALI, "nvidia-dali"),
    )


def _imagefolder(values: _Values) -> Sequence[Row]:
    return (("PyTorch", "ImageFolder", "python", _IMAGEFOLDER, "torchvision"),)


def _squashfs(values: _Values) -> Sequence[Row]:
    return (
        ("shell", "Mount it, as any user", "shell", _MOUNT, "the program squashfuse"),
        ("shell", "What is in it", "shell", _LIST_SQUASHFS, "squashfs-tools"),
    )


def _hugging_face(values: _Values) -> Sequence[Row]:
    return (("PyTorch", "Hugging Face's datasets", "python", _HUGGING_FACE, "datasets"),)


def _slim(values: _Values) -> Sequence[Row]:
    return (("TensorFlow", "Its records", "python", _SLIM, "tensorflow"),)


def _dali_index(values: _Values) -> Sequence[Row]:
    return (("DALI", "The indexes", "python", _INDEXES, "nothing but Python"),)


FORMS: Mapping[str, Callable[[_Values], Sequence[Row]]] = {
    "webdataset": _webdataset,
    "imagefolder": _imagefolder,
    "squashfs": _squashfs,
    "huggingface": _hugging_face,
    "slim": _slim,
    "dali-index": _dali_index,
}
"""Form to its snippets."""


def of_export(directory: Path, document: Mapping[str, Any]) -> tuple[Snippet, ...]:
    """The snippets of an export.

    Args:
        directory: Its directory.
        document: Its provenance.
    """
    # An option of a form may be a part of its name: `huggingface --parquet`.
    form = FORMS.get(str(document["form"]).partition(" ")[0])
    values = _values(directory, document)
    rows = form(values) if form is not None else ()
    snippets = [
        Snippet(tab, title, language, filled(template, values), f"Needs {needs}.")
        for tab, title, language, template, needs in rows
    ]
    where = {"where": shell_path(directory)}
    return (
        *snippets,
        Snippet("shell", "The files", "shell", filled(_LIST, where), ""),
        Snippet("shell", "Verify it", "shell", filled(_VERIFY, where), "Needs this package."),
    )


def _values(directory: Path, document: Mapping[str, Any]) -> dict[str, str]:
    splits = document.get("splits")
    split = next(iter(splits), "") if isinstance(splits, dict) else ""
    try:
        first = str(document["splits"][split]["files"][0][0])
        os.fsencode(first)
    except (KeyError, TypeError, IndexError, UnicodeError):
        first = ""  # Each image is a file; or somebody else wrote it.
    # Of `train-00000-of-01024` and `imagenet1k-train-0000.tar`, what all shards begin with.
    stem = re.split(r"-?[0-9]+(?:-of-[0-9]+)?(?:\.[a-z.]+)?$", Path(first).name)[0]
    ending = Path(first).suffix if not re.search(r"-of-[0-9]+$", first) else ""
    name = stem.removesuffix(f"-{split}")
    inner = directory / tree.folder_of(split)
    return {
        "directory": python_text(str(directory)),
        "split": python_text(split),
        "shards": python_text(f"{stem}-*{ending}"),
        "indexes": python_text(f"{stem}-*.idx"),
        "timm": python_text(f"wds/{name}"),
        "split_directory": python_text(str(inner)),
        "file": shell_path(directory / first),
    }
