"""Loads a dataset with stock TensorFlow Datasets again and again, until a file appears.

    python reader_in_a_loop.py DATASET EXPECTED STOP

DATASET is the directory of a version, EXPECTED a list of its shards by `sha256sum`. It makes a file
`STOP.ready` when it has loaded the dataset, and reads on until STOP appears. Then it prints how
often it loaded the dataset, how often it found none, and for how long at most. The exit status is 1
if it ever read other bytes than expected.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import tensorflow_datasets as tfds


def main(dataset: Path, expected: Path, stop: Path) -> int:
    """Reads until `stop` is there, and returns the exit status."""
    lines = [line.split() for line in expected.read_text().splitlines()]
    hashes = {name: digest for digest, name in lines}
    loaded = missed = wrong = 0
    longest = 0.0
    while not stop.exists():
        start = time.monotonic()
        try:
            info = tfds.builder_from_directory(dataset).info
            names = {path.name for split in info.splits.values() for path in split.filepaths}
            found = {name: hashlib.sha256((dataset / name).read_bytes()) for name in names}
        # What it raises depends on which file it looked for in vain.
        except (OSError, tfds.core.DatasetNotFoundError):
            missed += 1
            while not stop.exists() and not (dataset / "dataset_info.json").exists():
                time.sleep(0.0005)
            longest = max(longest, time.monotonic() - start)
            continue
        loaded += 1
        stop.with_name(f"{stop.name}.ready").touch()
        if {name: digest.hexdigest() for name, digest in found.items()} != hashes:
            wrong += 1
    print(f"loaded {loaded} times, missed {missed}, longest {longest * 1000:.0f} ms, wrong {wrong}")
    return 1 if wrong or not loaded else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
