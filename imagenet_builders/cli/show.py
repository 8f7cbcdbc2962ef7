"""`imagenet-builders show`: what a built dataset holds, read the way any user of TFDS reads it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagenet_builders import labels
from imagenet_builders.cli import arguments as arguments_lib
from imagenet_builders.cli.contact_sheet import Picture, draw
from imagenet_builders.cli.streams import stderr_held_back, tell
from imagenet_builders.errors import DatasetError, LabelError, OptionError, StagingError
from imagenet_builders.options import default_data_dir
from imagenet_builders.words import counted, logger, printable
from imagenet_builders.write import outputs

_LOG = logger(__name__)
# What TensorFlow puts around a reason: its function, its device and its operation.
_OF_TENSORFLOW = re.compile(r"\{\{[^}]*\}\} ?| \[Op:\w*\].*")


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = arguments_lib.add_command(
        commands,
        "show",
        help="show what a built dataset holds, and how to read it",
        usage="DATASET... [--data-dir DIR] [--out PNG] [--count N]",
        description="Reads built datasets as any user of TFDS reads them, and prints how to do "
        "that, their splits and their first examples; draws a contact sheet of these on request.",
        example="all --data-dir /shared/tfds --out contact_sheet.png",
    )
    parser.set_defaults(run=run)
    arguments_lib.add_built_datasets(parser, "a dataset")
    parser.add_argument("--out", metavar="PNG", type=Path, help="draw a contact sheet here")
    parser.add_argument(
        "--count", metavar="N", type=int, default=6, help="examples of each split (default: 6)"
    )
    parser.add_argument("--verbose", action="store_true", help="show tracebacks of errors")


def run(arguments: argparse.Namespace) -> None:
    """Shows what was asked for."""
    from imagenet_builders.build.installed import import_tfds
    from imagenet_builders.datasets import built
    from imagenet_builders.publish import published

    arguments_lib.at_least(1, arguments.count, "--count")
    data_dir = arguments.data_dir or default_data_dir()
    if arguments.out is not None and not arguments.out.absolute().parent.is_dir():
        raise OptionError(
            f"--out {arguments.out}: there is no directory {arguments.out.absolute().parent}; make "
            "it, or choose another"
        )
    found = [path for asked in arguments.datasets for path in built.find(asked, data_dir)]
    # TensorFlow's notes on this machine are not what was asked for.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_held_back():
        # TensorFlow now, and not in the midst of what is printed.
        tfds = import_tfds("tensorflow")
    logging.getLogger("absl").setLevel(logging.ERROR)

    pictures: list[Picture] = []
    for directory in dict.fromkeys(found):
        warning = published.part_warning(directory)
        if warning is not None:
            _LOG.warning(warning)
        try:
            for line in _described(_opened(tfds, directory), arguments.count, pictures):
                tell(line)
        except Exception as error:
            # By its module's name, as elsewhere: TensorFlow's types are many.
            if not type(error).__module__.startswith("tensorflow."):
                raise
            what = _OF_TENSORFLOW.sub("", str(error).strip().partition("\n")[0])[:300]
            raise DatasetError(
                f"{directory} cannot be read: {what}; `imagenet-builders verify` says more"
            ) from error
    if arguments.out is not None:
        draw(pictures).save(arguments.out, format="PNG")
        tell(f"contact sheet: {arguments.out}")


def _opened(tfds: Any, directory: Path) -> Any:
    """A reader of stock TensorFlow Datasets, of files that were looked at before."""
    from imagenet_builders.publish import readable

    opened = []
    if readable.is_there(directory):
        readable.reading(directory, lambda: opened.append(tfds.builder_from_directory(directory)))
        return opened[0]
    raise StagingError(f"{directory}: there is no dataset, for there is no {readable.INFO} in it")


def _described(builder: Any, count: int, pictures: list[Picture]) -> Iterator[str]:
    """Describes a dataset, and adds pictures of its first examples."""
    from imagenet_builders.publish import provenance

    info = builder.info
    yield f"{info.full_name} in {builder.data_dir}"
    yield f"  read it with {reading_call(info, Path(builder.data_dir))}"
    yield f"  splits: {', '.join(info.splits)}"
    if _tfds_call(info) == "load":
        yield f"  {_readers(info)}"
    document = provenance.read_provenance(Path(builder.data_dir)) or {}
    for split, split_info in info.splits.items():
        examples = counted(split_info.num_examples, "example")
        yield f"{split}: {examples} in {counted(split_info.num_shards, 'shard')}"
        part = provenance.part_text(document, split)
        if part is not None:
            yield f"  {part}"
        for example in _first(builder, split, count):
            label = int(example["label"])
            wnid = _name_of(builder, label) if label >= 0 else None
            name = _text(example.get("file_name", example.get("id", b"")))
            height, width = example["image"].shape[:2]
            told = "no label" if wnid is None else f"label {label} = {wnid}, {_words(wnid)}"
            yield f"  {name} ({width}x{height}): {told}"
            first_words = "no label" if wnid is None else _words(wnid).split(",")[0]
            name = info.full_name.rpartition("/")[0]
            caption = "\n".join(map(printable, (name, f"{split} {label}", first_words)))
            pictures.append(Picture(example["image"], caption, _boxes(example)))


def _readers(info: Any) -> str:
    """How many readers of TFRecord can have files of their own.

    A job with more readers than shards has each file opened by several, each of which passes over
    what it does not want (timm, `tfds.even_splits`). A data source shares any shards among any
    number of readers, without another build.
    """
    from imagenet_builders import datasets

    shards = ", ".join(f"{name} {split.num_shards:,}" for name, split in info.splits.items())
    way = ""
    if datasets.find(info.name) is not None:
        way = "; for more, read it as a data source, or build anew with --num-shards N --overwrite"
    return f"readers (GPUs x workers) that get whole shards: {shards}{way}"


def _name_of(builder: Any, label: int) -> str:
    """The wnid of a label."""
    names = builder.info.features["label"].names
    if label >= len(names):
        raise DatasetError(
            f"{builder.data_dir}: label.labels.txt names "
            f"{counted(len(names), 'class', 'classes')}, but there is a label {label:,}; "
            "`imagenet-builders verify` says what else is wrong with this dataset"
        )
    return str(names[label])


def reading_call(info: Any, directory: Path) -> str:
    """The call of stock TFDS that reads a dataset.

    Args:
        info: Its `tfds.core.DatasetInfo`.
        directory: Where it is.

    Returns:
        Python code, which may be wrapped at its spaces.
    """
    *name, version = info.full_name.split("/")
    below = directory.absolute().parts[-len(name) - 1 :]
    first = json.dumps(next(iter(info.splits)), ensure_ascii=False)
    if below != (*name, version):  # Moved or renamed since it was built.
        method = "as_data_source" if _tfds_call(info) == "data_source" else "as_dataset"
        place = json.dumps(str(directory.absolute()), ensure_ascii=False)
        return f"tfds.builder_from_directory({place}).{method}(split={first})"
    data_dir = json.dumps(str(directory.absolute().parents[len(name)]), ensure_ascii=False)
    is_only = sum(path.is_dir() for path in directory.absolute().parent.iterdir()) == 1
    asked = json.dumps("/".join(name) + ("" if is_only else f":{version}"))
    return f"tfds.{_tfds_call(info)}({asked}, split={first}, data_dir={data_dir})"


def _tfds_call(info: Any) -> str:
    """The function of TFDS that reads the file format of a dataset."""
    output = outputs.get(info.file_format.value)
    return (output and output.tfds_call) or "load"


def _first(builder: Any, split: str, count: int) -> Iterator[dict[str, Any]]:
    """The first examples of a split, in whatever format it was written."""
    if _tfds_call(builder.info) == "data_source":
        source = builder.as_data_source(split)
        yield from (source[number] for number in range(min(count, len(source))))
    else:
        yield from builder.as_dataset(split=split).take(count).as_numpy_iterator()


def _boxes(example: dict[str, Any]) -> Any:
    """The bounding boxes of an example; none for a dataset without them."""
    import numpy as np

    boxes = example["objects"]["bbox"] if "objects" in example else example.get("bbox", ())
    return np.asarray(boxes, dtype=np.float32).reshape(-1, 4)


def _words(wnid: str) -> str:
    try:
        return labels.words(wnid)
    except LabelError:
        return wnid


def _text(value: bytes | str) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
