"""TensorFlow Datasets' data source, over any output whose files can be read in any order."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, SupportsIndex

from tensorflow_datasets.core.data_sources import base

from imagenet_builders.write import outputs
from imagenet_builders.write.outputs.record_files import RecordFiles


class _Records:
    """Serialized examples, one file of a split after another."""

    def __init__(self, instructions: Sequence[Any], files: RecordFiles):
        self._instructions = [
            (str(each.filename), each.skip, each.examples_in_shard) for each in instructions
        ]
        self._ends = list(accumulate(each.take for each in instructions))
        self._files = files

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, key: SupportsIndex) -> bytes:
        return self.__getitems__([key.__index__()])[0]

    def __getitems__(self, keys: Sequence[int]) -> list[bytes]:
        by_file: dict[int, list[tuple[int, int]]] = {}
        for place, key in enumerate(keys):
            if not -len(self) <= key < len(self):
                raise IndexError(f"example {key} of {len(self):,}")
            key %= len(self)
            which = bisect_right(self._ends, key)
            start = self._ends[which - 1] if which else 0
            number = key - start + self._instructions[which][1]
            by_file.setdefault(which, []).append((place, number))
        found = [b""] * len(keys)
        for which, pairs in by_file.items():
            path, _, expected = self._instructions[which]
            records = self._files.read(path, [number for _, number in pairs], expected)
            for (place, _), record in zip(pairs, records, strict=True):
                found[place] = record
        return found


@dataclasses.dataclass(repr=False)
class RecordDataSource(base.BaseDataSource):  # type: ignore[misc]  # TFDS has no types.
    """A data source as `tfds.data_source` gives it, of a dataset as it was built."""

    def __post_init__(self) -> None:
        output = outputs.for_tfds(self.dataset_info.file_format.value)
        instructions = base.file_instructions(self.dataset_info, self.split)
        self.data_source = _Records(instructions, RecordFiles(output))
