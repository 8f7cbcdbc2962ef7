"""What is left of a build: a dataset that readers find, what is kept for the next build, debris."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from support.built_datasets import files_in, without_times
from support.command_line import DATASET

VERSION = Path(DATASET).name


def incomplete_dir(data_dir: Path) -> Path:
    """The one directory in which a dataset is incomplete."""
    [directory] = (data_dir / DATASET).parent.glob(f".{VERSION}.building-*")
    return directory


def content(directory: Path) -> dict[str, bytes]:
    """The files of a dataset; of `provenance.json`, what does not depend on when it was built."""
    found = {str(path.relative_to(directory)): path.read_bytes() for path in files_in(directory)}
    found["provenance.json"] = json.dumps(without_times(found["provenance.json"])).encode()
    return found


def everything(data_dir: Path) -> list[str]:
    """The names of all that is below a directory, but for the scratch directory in it."""
    paths = [path.relative_to(data_dir) for path in data_dir.rglob("*")]
    return sorted(str(path) for path in paths if not path.parts[0].startswith(".imagenet_builders"))


def differences(data_dir: Path, expected: dict[str, bytes]) -> list[str]:
    """In which ways what is there is not the dataset expected, and nothing but that."""
    dataset = data_dir / DATASET
    files = [Path(DATASET, name) for name in expected]
    folders = {str(folder) for file in files for folder in list(file.parents)[:-1]}
    wanted = sorted([*folders, *map(str, files)])
    names = everything(data_dir)
    found = [f"{name} is there" for name in names if name not in wanted]
    found += [f"{name} is not there" for name in wanted if name not in names]
    if not found:
        now = content(dataset)
        found = [f"{name} is another" for name in expected if now[name] != expected[name]]
    return found


def is_whole(directory: Path, *whole: dict[str, bytes]) -> bool:
    """Whether a directory is nothing (not there), or one of some datasets, as a reader sees it."""
    return not directory.exists() or content(directory) in whole


def published(data_dir: Path) -> list[Path]:
    """The directories of all datasets that readers find below a directory."""
    found = data_dir.glob("*/**/dataset_info.json")
    return [
        path.parent
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(data_dir).parts)
    ]


def problems(directory: Path) -> list[str]:
    """What verification finds wrong with a dataset."""
    from imagenet_builders.verify.dataset import verify_dataset

    return [str(problem) for problem in verify_dataset(directory, workers=1).problems]


def inodes(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in directory.glob("*record-*")
        if path.suffix != ".partial"
    }


def make_tree(directory: Path, age: float) -> None:
    directory.mkdir(parents=True)
    for path in (directory / "imagenet2012-train.tfrecord-00000-of-00002", directory):
        if path != directory:
            path.write_bytes(b"x")
        os.utime(path, (time.time() - age,) * 2)
