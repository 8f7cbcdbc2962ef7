"""Workers that start before TensorFlow Datasets is imported, which takes as long as their start.

The import keeps one CPU busy; the others have nothing to do meanwhile. Where there is little to
build, or nothing, workers that nobody needs would only take CPU time from others.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

from imagenet_builders.options import BuildOptions
from imagenet_builders.run.cpus import usable_cpus, worker_count
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources.reader import keep_files_open

# A file of this size is worth workers; so is what lies in folders, but to find it takes time.
_LARGE_BYTES = 256 << 20
_LOOKED_AT = 100


def workers_for(
    options: BuildOptions, manual_dir: Path, dataset: Path | None, *, spared: int = 0
) -> LocalWorkers:
    """The workers of a build, which start now if there will be work for them.

    Args:
        options: How to build.
        manual_dir: Where the archives are.
        dataset: The directory of the dataset with all its versions; None if it is replaced,
            whatever is there.
        spared: CPUs that have other work to do now; so many fewer start, but at least one. The
            others start when there is a job for them.

    Returns:
        The workers, to be used in a `with` block.
    """
    workers = LocalWorkers(worker_count(options), on_start=prepare)
    if (dataset is None or not dataset.exists()) and _has_large_file(manual_dir):
        try:
            workers.start(max(1, usable_cpus() - spared) if spared else None)
        except OSError:  # Once there is work for them, this is tried again, and the error counts.
            workers.close()
        except BaseException:
            workers.close()
            raise
    return workers


def prepare() -> None:
    """Prepares a worker process for its first job: what all jobs need is imported."""
    keep_files_open()
    import numpy  # noqa: F401  # For the jobs to come.
    import pyarrow  # noqa: F401  # As above.

    import imagenet_builders.write.shard  # noqa: F401  # As above.


def _has_large_file(directory: Path) -> bool:
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in itertools.islice(entries, _LOOKED_AT):
            with contextlib.suppress(OSError):
                if entry.stat().st_size >= _LARGE_BYTES and entry.is_file():
                    return True
    return False
