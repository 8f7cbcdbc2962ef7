"""Times `imagenet-builders catalog`: the first run, and one in which nothing has changed.

    python benchmarks/catalog.py --images 60000 --work-dir /scratch/bench

A dataset of ImageNet's make is written first: JPEGs of several sizes, about 100 kB each, whose
pixels are noise, in shards of some 1,250 records. Each run is a process of its own; its time begins
with the process, imports included. Memory is that of all its processes together (PSS), sampled.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from harness.contestants import environment
from harness.measuring import Measured, measure
from harness.page_cache import read_through
from PIL import Image

from imagenet_builders import labels
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.write import outputs

_SIZES = ((500, 375), (375, 500), (500, 333), (640, 480), (300, 225), (1024, 768))
_A_SHARD = 1_250
_NAME = "imagenet2012/5.1.0"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--file-format", default=outputs.DEFAULT.name, choices=outputs.file_formats()
    )
    parser.add_argument("--work-dir", type=Path, help="where 100 kB for each image are written")
    arguments = parser.parse_args(argv)
    work = Path(tempfile.mkdtemp(dir=arguments.work_dir))
    try:
        data_dir = work / "tfds"
        size = make(data_dir, arguments.images, arguments.file_format)
        print(f"{arguments.images:,} images, {size / 1e9:.2f} GB, {arguments.file_format}")
        print("| run | s | CPU s: user + sys | peak MB |")
        print("|---|---|---|---|", flush=True)
        for _ in range(arguments.rounds):
            shutil.rmtree(work / "site", ignore_errors=True)
            for name in ("first", "second"):
                print(_row(name, _measured(name, data_dir, work, arguments.workers)), flush=True)
    finally:
        shutil.rmtree(work)
    return 0


def make(data_dir: Path, images: int, file_format: str) -> int:
    """Writes a dataset of one split, and reads it once; returns the bytes of its shards."""
    directory = data_dir / _NAME
    directory.mkdir(parents=True)
    output, rng = outputs.for_tfds(file_format), random.Random(0)
    pictures = list(_pictures())
    shards = max(1, round(images / _A_SHARD))
    lengths = [
        (number + 1) * images // shards - number * images // shards for number in range(shards)
    ]
    size = 0
    for number, length in enumerate(lengths):
        name = f"imagenet2012-train.{output.suffix}-{number:05}-of-{shards:05}"
        written = output.write(directory / name, _examples(number, length, pictures, rng))
        size += written.file_bytes
        if output.index is not None and written.offsets is not None:
            index = directory / output.index.name_of(name)
            index.parent.mkdir(exist_ok=True)
            index.write_bytes(output.index.make(written.offsets))
        read_through(directory / name)
    split = {"name": "train", "numBytes": str(size), "shardLengths": list(map(str, lengths))}
    info = {
        "name": "imagenet2012",
        "version": "5.1.0",
        "fileFormat": file_format,
        "splits": [split],
    }
    (directory / "dataset_info.json").write_text(json.dumps(info))
    (directory / "features.json").write_text(json.dumps(_FEATURES))
    names = "".join(f"{wnid}\n" for wnid in labels.wnids("imagenet2012"))
    (directory / "label.labels.txt").write_text(names)
    return size


def _pictures() -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for number in range(24):
        width, height = _SIZES[number % len(_SIZES)]
        small = rng.integers(0, 255, (height // 4, width // 4, 3), np.uint8)
        picture = Image.fromarray(small).resize((width, height))
        file = io.BytesIO()
        picture.convert("L" if number % 11 == 0 else "RGB").save(file, "JPEG", quality=84)
        yield file.getvalue()


def _examples(
    shard: int, count: int, pictures: Sequence[bytes], rng: random.Random
) -> Iterator[FlatExample]:
    for number in range(count):
        yield {
            "file_name": f"n01440764_{shard}_{number}.JPEG",
            "image": rng.choice(pictures),
            "label": rng.randrange(1000),
        }


_PREFIX = "tensorflow_datasets.core.features"
_FEATURES = {
    "pythonClassName": f"{_PREFIX}.features_dict.FeaturesDict",
    "featuresDict": {
        "features": {
            "file_name": {"pythonClassName": f"{_PREFIX}.text_feature.Text", "text": {}},
            "image": {
                "pythonClassName": f"{_PREFIX}.image_feature.Image",
                "image": {
                    "dtype": "uint8",
                    "encodingFormat": "jpeg",
                    "shape": {"dimensions": ["-1", "-1", "3"]},
                },
            },
            "label": {
                "pythonClassName": f"{_PREFIX}.class_label_feature.ClassLabel",
                "classLabel": {"numClasses": "1000"},
            },
        }
    },
}


def _measured(name: str, data_dir: Path, work: Path, workers: int) -> Measured:
    command = [sys.executable, "-m", "imagenet_builders.cli", "catalog"]
    where = [f"--data-dir={data_dir}", f"--out={work / 'site'}", f"--workers={workers}"]
    return measure(name, [*command, *where], log=work / "log", cwd=work, environment=environment())


def _row(name: str, run: Measured) -> str:
    cpu = f"{run.user_seconds:.1f} + {run.system_seconds:.1f}"
    return f"| {name} | {run.seconds:.1f} | {cpu} | {run.peak_bytes / 1e6:,.0f} |"


if __name__ == "__main__":
    sys.exit(main())
