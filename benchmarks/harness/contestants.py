"""The contestants, each as a command, and the environment that all of them are started in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.errors import BenchmarkError
from harness.storage import can_clone

ROOT = Path(__file__).resolve().parents[2]

# Below a directory that no checkout keeps.
_BYTECODE = ROOT / "benchmarks" / "__pycache__" / "of-contestants"

ARCHIVES = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")
NAMES = ("cp", "stock", "webdataset")  # and ours-N for N workers

WEBDATASET_SHARD_BYTES = 100e6


def command(
    name: str, archives: list[Path], *, program: str, manual: Path, product: Path, scratch: Path
) -> list[str]:
    """What builds imagenet2012 as a process of its own.

    Args:
        name: The contestant.
        archives: The train and the validation archive.
        program: The Python file that calls one of `FUNCTIONS` when started with `--contestant`.
        manual: Where the builders find the archives, and nothing else.
        product: Existing directory that the dataset goes below.
        scratch: Directory for whatever ours keeps besides.
    """
    if name == "cp":
        # A copy that shares the blocks of the original copies nothing.
        plain = ["--reflink=never"] if can_clone(archives[0], product) else []
        return ["cp", "-r", *plain, *map(str, archives), str(product)]
    if name in FUNCTIONS:
        return [sys.executable, program, "--contestant", name, str(manual), str(product)]
    return ours(
        "imagenet2012",
        manual=manual,
        product=product,
        scratch=scratch,
        workers=name.removeprefix("ours-"),
    )


def ours(dataset: str, *, manual: Path, product: Path, scratch: Path, workers: str) -> list[str]:
    """The command that builds a dataset (`name` or `name/config`) with this package."""
    return [
        *(sys.executable, "-m", "imagenet_builders.cli", "build", dataset),
        *("--manual-dir", str(manual), "--data-dir", str(product)),
        *("--scratch-dir", str(scratch), "--workers", workers),
    ]


def environment(tmp: Path | None = None) -> dict[str, str]:
    """The environment of a contestant: this checkout, and none of the caller's settings.

    Code is compiled once, as that of installed packages is: with `PYTHONDONTWRITEBYTECODE`, as
    containers set it, each process would take most of a second of CPU to compile its imports.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("IMAGENET_BUILDERS_", "TFDS_"))
        and name != "PYTHONDONTWRITEBYTECODE"
    }
    variables["PYTHONPYCACHEPREFIX"] = str(_BYTECODE)
    paths = [str(ROOT), variables.get("PYTHONPATH")]
    variables["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if tmp is not None:
        variables["TMPDIR"] = str(tmp)
    return variables


def dataset_directory(name: str, product: Path) -> Path:
    """Where the dataset is, which is less than all that was written below `product`."""
    tfds_directory = product / "imagenet2012" / "5.1.0"
    return product if name in ("cp", "webdataset") else tfds_directory


def import_all_once() -> None:
    """Has the code of all contestants in the page cache before the first of them runs."""
    modules = "tensorflow, tensorflow_datasets, webdataset, pyarrow, imagenet_builders.cli"
    start = [sys.executable, "-c", f"import {modules}"]
    tried = subprocess.run(start, env=environment(), stderr=subprocess.PIPE, text=True, check=False)
    if tried.returncode:
        raise BenchmarkError(
            "something that is to be measured cannot be imported; "
            f"`pip install -e '.[benchmark]'` installs all of it\n{tried.stderr}"
        )


def stock(manual: str, product: str) -> None:
    """TensorFlow Datasets' own builder."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder

    builder = imagenet2012_dataset_builder.Builder(data_dir=product)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual), file_format="tfrecord"
    )
    assert "imagenet_builders" not in sys.modules


def webdataset(manual: str, product: str) -> None:
    """WebDataset's own writer, as its documentation uses it; in the order of the archives."""
    import tarfile

    from webdataset import ShardWriter

    from imagenet_builders import labels

    classes = labels.space("imagenet2012")
    by_number = labels.validation_labels().tolist()
    train, validation = (Path(manual, name) for name in ARCHIVES)

    def images(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                yield Path(member.name).stem, file.read()

    def writer(split: str) -> ShardWriter:
        pattern = f"{product}/imagenet2012-{split}-%05d.tar"
        size = WEBDATASET_SHARD_BYTES
        return ShardWriter(pattern, maxcount=10**9, maxsize=size, verbose=0)

    with writer("train") as sink, tarfile.open(train, "r|", bufsize=1 << 20) as outer:
        for member in outer:
            label = classes.id_of(Path(member.name).stem)
            with tarfile.open(fileobj=outer.extractfile(member), mode="r|") as inner:
                for key, data in images(inner):
                    sink.write({"__key__": key, "jpg": data, "cls": label})
    with writer("validation") as sink, tarfile.open(validation, "r|", bufsize=1 << 20) as flat:
        for key, data in images(flat):
            label = by_number[int(key.rpartition("_")[2]) - 1]
            sink.write({"__key__": key, "jpg": data, "cls": label})


# Those that build in the process that calls them.
FUNCTIONS = {"stock": stock, "webdataset": webdataset}
