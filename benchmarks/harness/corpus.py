"""The archives that are built from: made once, and kept for the next time."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from harness.contestants import ARCHIVES, ROOT
from harness.errors import BenchmarkError
from harness.storage import need_space

DUMMY_DATA = ROOT / "dummy_data"


def corpus(chosen: Path | None, work: Path, gigabytes: float, *, free: float, advice: str) -> Path:
    """The directory of the train and the validation archive of imagenet2012.

    Args:
        chosen: One that is there; None has one made below `work`, unless it is there already.
        work: The directory of the benchmark.
        gigabytes: Size of the archives that are made.
        free: Bytes that must be free besides them.
        advice: What to do where there are fewer.
    """
    directory = chosen
    if directory is None:
        directory = work / f"corpus-{gigabytes:g}gb"
        if not directory.exists():
            need_space(work, gigabytes * 1e9 + free, advice=advice)
            print(f"making {gigabytes:g} GB of archives in {directory}", file=sys.stderr)
            sys.path.insert(0, str(DUMMY_DATA))
            from makers.ilsvrc2012_large import make_large_corpus

            partial = directory.with_name(f"{directory.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            make_large_corpus(partial, gigabytes=gigabytes)
            partial.rename(directory)
    for name in ARCHIVES:
        if not (directory / name).is_file():
            raise BenchmarkError(f"{directory} has no {name}; both archives are needed")
    return directory
