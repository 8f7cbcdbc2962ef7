"""Examples of a dataset that was built, read from its shards in any order."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from imagenet_builders.records.dataset import BuiltDataset
from imagenet_builders.records.values import flat_of_record
from imagenet_builders.write.outputs.record_files import RecordFiles


class BuiltExamples:
    """The examples of a dataset in the order of its records.

    Files are opened when they are needed, by each process for itself, and a bounded number stays
    open.

    Args:
        directory: The directory of a version of the dataset.

    Attributes:
        name: Its full name.
        lengths: Split to the number of examples in each of its shards.

    Raises:
        StagingError: There is no dataset.
        SourceError: It is damaged, or has shards that cannot be read in any order.
    """

    def __init__(self, directory: Path):
        self._dataset = BuiltDataset.at(directory)
        self.name = self._dataset.full_name
        self.lengths = self._dataset.lengths
        self._starts = {
            split: list(accumulate(each, initial=0)) for split, each in self.lengths.items()
        }
        self._files = RecordFiles(self._dataset.output)

    def flat(self, split: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Examples of a split, as `values` has them.

        Args:
            split: Its name.
            numbers: Their numbers, counted from 0.

        Raises:
            SourceError: A record is damaged, or a shard is missing.
        """
        features = self._dataset.features
        by_shard: dict[int, list[int]] = {}
        for place, number in enumerate(numbers):
            by_shard.setdefault(bisect_right(self._starts[split], number) - 1, []).append(place)
        found: list[dict[str, Any]] = [{} for _ in numbers]
        for shard, places in by_shard.items():
            first = self._starts[split][shard]
            examples = self._files.read_as(
                os.fspath(self._dataset.shard(split, shard)),
                [numbers[place] - first for place in places],
                self.lengths[split][shard],
                lambda record: flat_of_record(record, features),
            )
            for place, example in zip(places, examples, strict=True):
                found[place] = example
        return found
