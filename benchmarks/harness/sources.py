"""The same kind of images, staged in each way that a build reads them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness import contestants
from harness.errors import BenchmarkError

sys.path[:0] = [str(contestants.ROOT / "dummy_data"), str(contestants.ROOT)]

from makers import archives, imagenet2012_localization, pictures  # noqa: E402  # As above.
from makers.ilsvrc2012_large import make_large_corpus  # noqa: E402  # As above.

_POOL = 256
_CLASS_IMAGES = 60
_TAR_IMAGES = 400
_IMAGES_OF_A_SHARD = 1000


class Staged(NamedTuple):
    """Archives that are there.

    Attributes:
        directory: What a build takes for `--manual-dir`.
        images: How many images they have.
    """

    directory: Path
    images: int


class _Source(NamedTuple):
    dataset: str
    make: Callable[[Path, int, float], int]


def stage(name: str, directory: Path, images: int, mean_kb: float) -> Staged:
    """Makes archives of one of `SOURCES`.

    Args:
        name: Which.
        directory: Where to; it is made.
        images: About how many images.
        mean_kb: Mean size of an image, in 10^3 bytes.
    """
    return Staged(directory, SOURCES[name].make(directory, images, mean_kb))


def _archives(directory: Path, images: int, mean_kb: float) -> int:
    """The official archives, of 1 to 1,000 classes."""
    corpus = make_large_corpus(
        directory,
        gigabytes=images * mean_kb / 1e6,
        classes=max(1, min(1000, images // _CLASS_IMAGES)),
        mean_kb=mean_kb,
    )
    return sum(corpus.images.values())


def _with_boxes(directory: Path, images: int, mean_kb: float) -> int:
    """The official archives, and a box or two for each of their images."""
    made = _archives(directory, images, mean_kb)
    rng = random.Random(0)
    with tarfile.open(directory / "ILSVRC2012_img_train.tar") as outer:
        names = []
        for each in outer:
            with tarfile.open(fileobj=outer.extractfile(each)) as inner:
                names += [Path(member.name).stem for member in inner]
    _write_boxes(directory / imagenet2012_localization.TRAIN_BOXES, names, rng)
    with tarfile.open(directory / "ILSVRC2012_img_val.tar") as outer:
        names = [Path(member.name).stem for member in outer]
    _write_boxes(directory / imagenet2012_localization.VALIDATION_BOXES, names, rng)
    return made


def _write_boxes(path: Path, names: list[str], rng: random.Random) -> None:
    def member(name: str) -> tuple[str, bytes]:
        wnid = name.partition("_")[0]
        folder, wnid = (wnid, wnid) if wnid.startswith("n") else ("val", "n01440764")
        drawn = [
            imagenet2012_localization.Drawn(wnid, left, 20, left + 150, 180)
            for left in rng.sample(range(200), rng.choice([1, 1, 2]))
        ]
        xml = imagenet2012_localization.annotation(drawn, folder=folder, filename=name)
        return f"{folder}/{name}.xml", xml

    members = [member(name) for name in sorted(names)]
    folders = sorted({name.partition("/")[0] for name, _ in members})
    imagenet2012_localization.write_boxes(path, members, dirs=folders)


def _class_tars(directory: Path, images: int, mean_kb: float) -> int:
    """A class tar for every 400 images, of classes of winter 2021, which have 686 in the mean."""
    from imagenet_builders import labels

    each = min(images, _TAR_IMAGES)
    pool = [
        pictures.split_for_comment(data) for data in pictures.photo_pool(_POOL, mean_kb=mean_kb)
    ]
    wnids = random.Random(0).sample(labels.wnids("imagenet21k_winter21"), images // each)
    tars = directory / "tars"
    tars.mkdir(parents=True)
    for wnid in wnids:
        rng = random.Random(wnid)
        archives.write_tar(
            tars / f"{wnid}.tar",
            (
                (name, b"".join((head, pictures.comment_segment(name), tail)))
                for name in (f"{wnid}_{number}.JPEG" for number in range(each))
                for head, tail in [rng.choice(pool)]
            ),
        )
    return len(wnids) * each


def _export(form: str, *options: str) -> Callable[[Path, int, float], int]:
    def make(directory: Path, images: int, mean_kb: float) -> int:
        original = directory.with_name(f"{directory.name}.original")
        made = _archives(original, images, mean_kb)
        shards = [str(-(-images // _IMAGES_OF_A_SHARD))] if options else []
        command = [
            *(
                sys.executable,
                "-m",
                "imagenet_builders.cli",
                "export",
                "imagenet2012",
                "--to",
                form,
            ),
            *("--manual-dir", str(original), "--out", str(directory), *options, *shards),
            *("--scratch-dir", str(original / "scratch")),
        ]
        done = subprocess.run(
            command,
            env=contestants.environment(),
            cwd=os.path.dirname(original),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchmarkError(f"no images can be staged as {form}; it said:\n{done.stderr}")
        shutil.rmtree(original)
        return made

    return make


SOURCES = {
    "tar": _Source("imagenet2012", _archives),
    "localization": _Source("imagenet2012_localization", _with_boxes),
    "winter21": _Source("imagenet21k_winter21/whole", _class_tars),
    "slim": _Source("imagenet2012", _export("slim", "--num-shards")),
    "webdataset": _Source("imagenet2012", _export("webdataset", "--num-shards")),
    "squashfs": _Source("imagenet2012", _export("squashfs")),
    "folders": _Source("imagenet2012", _export("imagefolder")),
}
"""What can be staged, by name."""
