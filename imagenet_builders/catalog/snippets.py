"""How a dataset is read here: the snippets of the documentation, with the real paths."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from imagenet_builders.catalog.metadata import Described
from imagenet_builders.catalog.model import Snippet
from imagenet_builders.catalog.survey import readable_by
from imagenet_builders.errors import ImagenetBuildersError
from imagenet_builders.records.dataset import BuiltDataset
from imagenet_builders.words import is_printable
from imagenet_builders.write import outputs
from imagenet_builders.write.outputs.output import Output

_TFDS = "`pip install tensorflow tensorflow-datasets importlib_resources`; no part of this package"
_OURS = "this package (imagenet-builders), and no TensorFlow"
_COMMAND = "this package (imagenet-builders)"

_LOAD = """\
import tensorflow_datasets as tfds

<<variable>>, info = tfds.load(
    <<asked>>, split=<<split>>, data_dir=<<root>>, with_info=True
)
print(info.splits)
for example in <<variable>>.take(1):
    print(<<values>>)
"""

_LOAD_DIRECTORY = """\
import tensorflow_datasets as tfds

builder = tfds.builder_from_directory(<<directory>>)
print(builder.info.splits)
for example in builder.as_dataset(split=<<split>>).take(1):
    print(<<values>>)
"""

_DATA_SOURCE = """\
import tensorflow_datasets as tfds

builder = tfds.builder_from_directory(<<directory>>)
<<variable>> = builder.as_data_source(split=<<split>>)
example = <<variable>>[0]
print(len(<<variable>>), <<values>>)
"""

_TORCH = """\
import torch
from imagenet_builders import reading
from torchvision.transforms import v2

prepare = v2.Compose(
    [
        v2.ToImage(),
        v2.RandomResizedCrop(224),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)


def collate(examples):
    images = torch.stack([prepare(example["image"]) for example in examples])
    return images, torch.tensor([example["label"] for example in examples])


if __name__ == "__main__":
    <<variable>> = reading.data_source(
        <<asked>>, <<split>>, data_dir=<<root>>
    )
    loader = torch.utils.data.DataLoader(
        <<variable>>,
        batch_size=8,
        shuffle=True,
        num_workers=2,
        collate_fn=collate,
        multiprocessing_context="forkserver",
    )
    images, labels = next(iter(loader))
    print(len(<<variable>>), images.shape, labels)
"""

_ANY_ORDER = """\
from imagenet_builders import reading

<<variable>> = reading.data_source(<<asked>>, <<split>>, data_dir=<<root>>)
example = <<variable>>[0]
print(len(<<variable>>), example["image"].shape, <<label>>)
"""

_JAX = """\
import grain
import jax
import jax.numpy as jnp
import numpy as np
from absl import app
from imagenet_builders import reading
from PIL import Image


def prepare(example):
    image = Image.fromarray(example["image"]).resize((224, 224))
    return {"image": np.asarray(image, np.float32) / 255, "label": example["label"]}


def main(argv):
    # Each process of a larger job reads its own part.
    part = reading.even_splits(<<split>>, jax.process_count())[jax.process_index()]
    source = reading.data_source(<<asked>>, part, data_dir=<<root>>)
    batches = grain.MapDataset.source(source).shuffle(seed=0).map(prepare).batch(8)
    batches = batches.to_iter_dataset().mp_prefetch(grain.MultiprocessingOptions(num_workers=2))
    for batch in batches:
        print(jnp.asarray(batch["image"]).shape, batch["label"])
        break


if __name__ == "__main__":
    app.run(main)
"""

_DALI = """\
from pathlib import Path

import nvidia.dali.fn as fn
import nvidia.dali.tfrecord as tfrec
from nvidia.dali import pipeline_def

directory = Path(<<directory>>)
shards = sorted(map(str, directory.glob(<<shards>>)))
indexes = sorted(map(str, directory.glob(<<indexes>>)))


@pipeline_def(batch_size=8, num_threads=4, device_id=None)
def images_and_labels(path, index_path, shard_id=0, num_shards=1):
    read = fn.readers.tfrecord(
        path=path,
        index_path=index_path,
        features={
            "image": tfrec.FixedLenFeature((), tfrec.string, ""),
            "label": tfrec.FixedLenFeature([1], tfrec.int64, -1),
        },
        shard_id=shard_id,
        num_shards=num_shards,
        random_shuffle=True,
        initial_fill=1024,
        pad_last_batch=True,
        dont_use_mmap=True,
        name="reader",
    )
    images = fn.decoders.image(read["image"], device="cpu")
    return fn.resize(images, resize_x=224, resize_y=224), read["label"]


pipeline = images_and_labels(shards, indexes)
pipeline.build()
images, labels = pipeline.run()
print(images.shape()[0], [int(labels.at(i)[0]) for i in range(3)])
"""

_TIMM = """\
import torch
from timm.data import create_dataset, create_loader

if __name__ == "__main__":
    dataset = create_dataset(<<timm>>, root=<<root>>, split=<<split>>, batch_size=8)
    loader = create_loader(
        dataset,
        input_size=(3, 224, 224),
        batch_size=8,
        num_workers=2,
        use_prefetcher=False,
        device=torch.device("cpu"),
    )
    images, labels = next(iter(loader))
    print(len(dataset), images.shape, labels)
"""

_SHELL = """\
imagenet-builders show <<where>> --count 1
"""

_VERIFY = """\
imagenet-builders verify <<where>>
"""

_LIST = """\
ls -lh <<where>>
"""


def of_dataset(described: Described) -> tuple[Snippet, ...]:
    """The snippets of a dataset, for the libraries that can read it.

    Args:
        described: The dataset.
    """
    if not described.splits:
        return ()
    output = outputs.get(described.file_format)
    values = _values(described)
    snippets = list(_of_tfds(described, output, values))
    reader = readable_by(described)
    if described.images is not None and not isinstance(reader, str) and _is_ours(described):
        snippets += _of_data_source(described, values)
        if described.images.label == "label":
            snippets += _of_shards(described, reader, values)
    where = {"where": shell_path(described.directory)}
    snippets.append(Snippet("shell", "The files", "shell", filled(_LIST, where), ""))
    if not isinstance(reader, str) and described.images is not None and _is_ours(described):
        for title, template in (("What is in it", _SHELL), ("Verify it", _VERIFY)):
            text = filled(template, where)
            snippets.append(Snippet("shell", title, "shell", text, _installed(_COMMAND)))
    return tuple(snippets)


def _of_tfds(described: Described, output: Output | None, values: dict[str, str]) -> list[Snippet]:
    title = "With TensorFlow Datasets, from any program"
    if output is not None and output.tfds_call == "data_source":
        return [
            Snippet("TensorFlow", title, "python", filled(_DATA_SOURCE, values), _installed(_TFDS))
        ]
    text = _LOAD if "root" in values else _LOAD_DIRECTORY
    return [Snippet("TensorFlow", title, "python", filled(text, values), _installed(_TFDS))]


def _of_data_source(described: Described, values: dict[str, str]) -> list[Snippet]:
    """Snippets over `reading.data_source`, which also reads a directory that was moved."""
    if "root" not in values:
        values = values | {"asked": values["directory"], "root": "None"}
    snippets = [
        Snippet("PyTorch", "In any order, without a framework", "python", text, _installed(_OURS))
        for text in [filled(_ANY_ORDER, values)]
    ]
    assert described.images is not None
    if described.images.label == "label":
        needs = "torch, torchvision and this package"
        snippets.insert(
            0, Snippet("PyTorch", "A DataLoader", "python", filled(_TORCH, values), _needs(needs))
        )
        needs = "jax, grain and this package"
        snippets.append(Snippet("JAX", "Grain", "python", filled(_JAX, values), _needs(needs)))
    return snippets


def _of_shards(described: Described, output: Output, values: dict[str, str]) -> list[Snippet]:
    """Snippets of libraries that read the shards themselves."""
    snippets = []
    first = described.splits[0]
    shards = first.shards(described.name, output.suffix)
    index = output.index
    if index is not None and shards and (described.directory / index.name_of(shards[0])).is_file():
        beginning = shards[0].rpartition("-of-")[0].rpartition("-")[0]
        names = {
            "shards": python_text(f"{beginning}-*"),
            "indexes": python_text(f"{index.folder}/{beginning}-*{index.suffix}"),
        }
        needs = "`pip install nvidia-dali-cuda120`, or the package for your CUDA"
        snippets.append(
            Snippet(
                "DALI", "A pipeline", "python", filled(_DALI, values | names), _installed(needs)
            )
        )
    if output.tfds_call == "load" and "root" in values:
        name = "/".join(filter(None, ("tfds", described.name, described.config)))
        timm = {"timm": python_text(f"{name}:{described.version}")}
        needs = "timm, torch, tensorflow and tensorflow-datasets"
        snippets.append(
            Snippet(
                "timm", "Its reader of TFDS", "python", filled(_TIMM, values | timm), _needs(needs)
            )
        )
    return snippets


def _values(described: Described) -> dict[str, str]:
    """What the templates are filled with; without `root` for a directory that was moved."""
    names = [name for name in (described.name, described.config) if name]
    split = described.splits[0].name
    images = described.images
    shown = []
    if images is not None:
        shown.append(f"{_path(images.image)}.shape")
        if images.label is not None:
            shown.append(f"int({_path(images.label)})")
    values = {
        "split": python_text(split),
        "variable": split if split.isidentifier() and split not in _KEYWORDS else "examples",
        "directory": python_text(str(described.directory)),
        "values": ", ".join(shown) or "list(example)",
        "label": 'example["label"]' if images and images.label == "label" else "list(example)",
    }
    if described.directory.parts[-len(names) - 1 :] == (*names, described.version):
        values["root"] = python_text(str(described.directory.parents[len(names)]))
        values["asked"] = python_text(f"{'/'.join(names)}:{described.version}")
    return values


_KEYWORDS = {"example", "info", "tfds", "builder"}


def _path(feature: str) -> str:
    return "example" + "".join(f"[{python_text(each)}]" for each in feature.split("/"))


def _is_ours(described: Described) -> bool:
    """Whether `reading.data_source` reads it: its features are those that this package writes."""
    try:
        BuiltDataset.at(described.directory)
    except ImagenetBuildersError:
        return False
    return True


def filled(template: str, values: dict[str, str]) -> str:
    """A template with its values, such as `<<root>>`."""
    for name, value in values.items():
        template = template.replace(f"<<{name}>>", value)
    return template.rstrip("\n")


def python_text(text: str) -> str:
    r"""A text as Python writes it; what does not show is an escape.

    >>> print(python_text("/data/é"), python_text("a\x1bb"))
    "/data/é" 'a\x1bb'
    """
    return json.dumps(text, ensure_ascii=False) if is_printable(text) else ascii(text)


def shell_path(path: Path) -> str:
    r"""A path as a shell takes it; what does not show is an escape.

    >>> print(shell_path(Path("/data/my tfds")), shell_path(Path("/a\x1bb")))
    '/data/my tfds' $'/a\x1bb'
    """
    text = str(path)
    if is_printable(text):
        return shlex.quote(text)
    escaped = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and chr(byte) not in "'\\" else f"\\x{byte:02x}"
        for byte in _bytes_of(text)
    )
    return f"$'{escaped}'"


def _bytes_of(path: str) -> bytes:
    try:
        return path.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # It is not the path of a file that is there.
        return path.encode(errors="backslashreplace")


def _needs(what: str) -> str:
    return f"Needs {what}."


def _installed(command: str) -> str:
    return f"Needs {command}."
