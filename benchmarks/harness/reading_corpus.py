"""What readers are measured on: the same photographs in all the forms that they read."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.contestants import ARCHIVES, ROOT, environment
from harness.errors import BenchmarkError
from harness.photographs import jpeg, pictures

SIZES = {(500, 375): 44, (375, 500): 20, (500, 333): 12, (1600, 1200): 4}
"""Width and height of pictures, ImageNet's usual ones and large ones, to how many of 80 have it."""

QUALITY = 98
CLASSES = 16
SHARDS = 16
MANY_SHARDS = 1024

DATASETS = {"original": "imagenet2012/5.1.0", "resized": "imagenet2012_resized/256/1.0.0"}
"""Which images, to the dataset that has them, below a data directory."""


def reading_corpus(work: Path, images: int) -> Path:
    """The directory of the forms, which is made unless it is there already.

    Args:
        work: The directory of the benchmark.
        images: Number of photographs of `train`.

    Returns:
        A directory with `staged`, `tfrecord`, `array_record`, `imagefolder`, `wds`, `arrow`, and,
        of tiny images in 1,024 shards, `many/tfrecord` and `many/array_record`.
    """
    directory = work.absolute() / f"photographs-{images}"
    if not directory.exists():
        print(f"making {images:,} photographs and their forms in {directory}", file=sys.stderr)
        partial = directory.with_name(f"{directory.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        stage(partial / "staged", _photographs(images), images)
        _build(partial, partial / "staged", SHARDS)
        options = ("--manual-dir", partial / "staged", "--data-dir", partial / "tfrecord")
        name = DATASETS["resized"].rpartition("/")[0]
        _run("build", name, *options, "--num-shards", SHARDS, "--allow-fewer-splits")
        for form, out in (("imagefolder", "imagefolder"), ("webdataset", "wds")):
            _export(partial, form, out)
        _export(partial, "huggingface", "arrow")
        many = partial / "many"
        tiny = [jpeg(each, QUALITY) for each in pictures(16, (32, 24))]
        count = 4 * MANY_SHARDS
        stage(many / "staged", (tiny[number % len(tiny)] for number in range(count)), count)
        _build(many, many / "staged", MANY_SHARDS)
        partial.rename(directory)
    return directory


def _photographs(images: int) -> Iterator[bytes]:
    """Pictures of all sizes, few in memory at a time."""
    for start in range(0, images, sum(SIZES.values())):
        some = [
            picture for size, count in SIZES.items() for picture in pictures(count, size, start)
        ]
        yield from (jpeg(picture, QUALITY) for picture in some[: images - start])


def stage(directory: Path, images: Iterator[bytes], count: int) -> None:
    """Writes the official archive of train, with these images.

    Args:
        directory: Where.
        images: As many files as wanted.
        count: How many there are.
    """
    from imagenet_builders import labels

    sys.path.insert(0, str(ROOT / "dummy_data"))
    from makers import archives

    each = -(-count // CLASSES)
    with archives.open_tar(directory / ARCHIVES[0]) as train:
        for wnid in labels.space("imagenet2012").wnids[:CLASSES]:
            some = enumerate(itertools.islice(images, each), start=1)
            members = [(f"{wnid}_{number}.JPEG", data) for number, data in some]
            archives.add(train, f"{wnid}.tar", archives.tar_bytes(members))


def _build(directory: Path, staged: Path, shards: int) -> None:
    _run(
        *("build", "imagenet2012", "--manual-dir", staged, "--num-shards", shards),
        *("--allow-fewer-splits", "--file-format", "tfrecord,array_record"),
        *("--data-dir", directory / "tfrecord"),
        *("--array-record-dir", directory / "array_record"),
    )


def _export(directory: Path, form: str, out: str) -> None:
    shards = ("--num-shards", SHARDS) if form == "webdataset" else ()
    _run(
        *("export", "imagenet2012", "--to", form, "--data-dir", directory / "tfrecord"),
        *("--out", directory / out, *shards),
    )


def _run(*arguments: str | int | Path) -> None:
    command = [sys.executable, "-m", "imagenet_builders.cli", *map(str, arguments)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
