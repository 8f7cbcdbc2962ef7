"""Examples of a dataset that was built, read from its shards in any order."""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.files.regular import read_regular
from imagenet_builders.reading.values import flat_of_record, leaves
from imagenet_builders.write import outputs
from imagenet_builders.write.outputs.output import Output
from imagenet_builders.write.outputs.record_files import RecordFiles

_MAX_INFO_BYTES = 64 << 20


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
        self._directory = directory.absolute()
        info = _document(self._directory, "dataset_info.json")
        features = _document(self._directory, "features.json")
        try:
            self._output = _output(info)
            self._features = leaves(features)
            configs = [info["configName"]] if info.get("configName") else []
            self.name = "/".join((info["name"], *configs, info["version"]))
            self.lengths: Mapping[str, list[int]] = {
                split["name"]: list(map(int, split.get("shardLengths", ())))
                for split in info.get("splits", ())
            }
            self._prefix = info["name"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(
                f"{self._directory} cannot be read without TensorFlow Datasets: {error}; see what "
                "`imagenet-builders verify` says of it"
            ) from None
        self._starts = {
            split: list(accumulate(each, initial=0)) for split, each in self.lengths.items()
        }
        self._files = RecordFiles(self._output)

    def flat(self, split: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Examples of a split, as `values` has them.

        Args:
            split: Its name.
            numbers: Their numbers, counted from 0.

        Raises:
            SourceError: A record is damaged, or a shard is missing.
        """
        return [flat_of_record(each, self._features) for each in self.records(split, numbers)]

    def records(self, split: str, numbers: Sequence[int]) -> list[bytes]:
        """Serialized examples of a split; see `flat`."""
        by_shard: dict[int, list[int]] = {}
        for place, number in enumerate(numbers):
            by_shard.setdefault(bisect_right(self._starts[split], number) - 1, []).append(place)
        found: list[bytes] = [b""] * len(numbers)
        for shard, places in by_shard.items():
            first = self._starts[split][shard]
            within = [numbers[place] - first for place in places]
            for place, record in zip(places, self._read(split, shard, within), strict=True):
                found[place] = record
        return found

    def _read(self, split: str, shard: int, numbers: Sequence[int]) -> list[bytes]:
        lengths = self.lengths[split]
        name = f"{self._prefix}-{split}.{self._output.suffix}-{shard:05}-of-{len(lengths):05}"
        path = os.fspath(self._directory / name)
        return self._files.read(path, numbers, lengths[shard])


def _document(directory: Path, name: str) -> dict[str, Any]:
    try:
        document = json.loads(read_regular(directory / name, _MAX_INFO_BYTES, follow=True))
    except FileNotFoundError:
        raise StagingError(f"there is no dataset in {directory}: it has no {name}") from None
    except OSError as error:
        raise SourceError(f"{directory / name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SourceError(f"{directory / name} is damaged: it is no JSON object")
    return document


def _output(info: Mapping[str, Any]) -> Output:
    """The output whose shards are read: one that can be read in any order."""
    formats = [info["fileFormat"], *info.get("alternativeFileFormats", ())]
    for name in formats:
        output = outputs.get(name)
        if output is not None and output.open is not None:
            output.import_library()
            return output
    raise ValueError(f"its shards are {', '.join(formats)}, which cannot be read in any order")
