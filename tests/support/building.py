"""What several test modules need: builds, what is in them, and other Python processes."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.paths import ROOT

DUMMY_ARCHIVES = ROOT / "dummy_data" / "imagenet2012"

# A test must not depend on what the machine's users set, nor find what other tests left.
_UNSET = ("IMAGENET_BUILDERS_", "SLURM_", "TFDS_", "TMPDIR", "PYTHONHASHSEED", "LC_", "LANG")


def build(
    builder_class: type,
    manual_dir: Path,
    data_dir: Path,
    *,
    file_format: str = "tfrecord",
    builder_options: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Builds with any builder class; `config` goes to DownloadConfig. Returns the directory."""
    import tensorflow_datasets as tfds

    builder = builder_class(data_dir=data_dir, **(builder_options or {}))
    builder.download_and_prepare(
        file_format=file_format,
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **config),
    )
    return Path(builder.data_dir)


def shards(directory: Path, split: str = "*") -> list[Path]:
    """The record files of a built dataset, or of one of its splits, in order."""
    return sorted(directory.glob(f"*-{split}.*record*-of-*"))


def found_during(directory: Path, pattern: str) -> list[Path]:
    """As `rglob`, for a directory that a build is changing meanwhile, which `rglob` may trip over.

    `pattern` is of a name.
    """
    return [
        Path(parent, name)
        for parent, directories, files in os.walk(directory)
        for name in fnmatch.filter([*directories, *files], pattern)
    ]


def records(shard: Path) -> list[bytes]:
    """The records of a file, read by the libraries that any reader would use."""
    if ".array_record-" in shard.name:
        from array_record.python import array_record_module

        reader = array_record_module.ArrayRecordReader(str(shard))
        try:
            return reader.read_all()
        finally:
            reader.close()
    import tensorflow as tf

    return list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())


def file_in(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """What a plain file in an archive holds, as Python's tarfile reads it."""
    file = archive.extractfile(member)
    assert file is not None, member
    return file.read()


def example(record: bytes) -> Any:
    """The `tf.train.Example` in a record."""
    import tensorflow as tf

    return tf.train.Example.FromString(record)


def split_content(directory: Path, split: str) -> list[tuple[str, int, bytes]]:
    """File name, label and image bytes of each example of a split, in order."""
    content = []
    for shard in shards(directory, split):
        for record in records(shard):
            feature = example(record).features.feature
            [name] = feature["file_name"].bytes_list.value
            [label] = feature["label"].int64_list.value
            [image] = feature["image"].bytes_list.value
            content.append((name.decode(), label, image))
    return content


def recorded_splits(directory: Path) -> Any:
    """What `dataset_info.json` says of the splits."""
    return json.loads((directory / "dataset_info.json").read_text())["splits"]


def environment(**changes: str) -> dict[str, str]:
    """The environment of another process that imports what this one does."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_UNSET)}
    path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, path)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return env | changes


def run(
    command: Sequence[str | Path], *, check: bool = True, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command, with changes to its environment; shows what it said if it fails."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(**changes),
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def run_python(code: str, *arguments: str | Path, check: bool = True, **changes: str) -> str:
    """What a fresh interpreter prints for some code; its `sys.argv[1:]` are the arguments."""
    return run([sys.executable, "-c", code, *arguments], check=check, **changes).stdout


def run_cli(
    *arguments: str | Path, check: bool = True, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command line of the package in another process."""
    command = [sys.executable, "-m", "imagenet_builders.cli", *arguments]
    return run(command, check=check, **changes)


def built_by_cli(manual_dir: Path, data_dir: Path, *arguments: str | Path, **changes: str) -> Path:
    """Builds imagenet2012 with the command line. Returns the directory that it printed."""
    done = run_cli(
        "build",
        "imagenet2012",
        f"--manual-dir={manual_dir}",
        f"--data-dir={data_dir}",
        *arguments,
        check=True,
        **changes,
    )
    return Path(done.stdout.splitlines()[-1])
