"""A dataset that was built, as its own files describe it; read without TensorFlow Datasets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.files.json_object import json_object
from imagenet_builders.files.regular import read_regular
from imagenet_builders.records.values import Leaf, leaves
from imagenet_builders.write import outputs
from imagenet_builders.write.outputs.output import Output

_MAX_INFO_BYTES = 64 << 20

_NAME = re.compile(r"\w[\w.+-]*")


@dataclasses.dataclass(frozen=True)
class BuiltDataset:
    """A dataset that was built, by this package or by TensorFlow Datasets.

    Attributes:
        directory: The directory of its version, absolute.
        name: Its name.
        config: Its configuration, or None.
        version: Its version.
        output: What wrote its shards.
        features: Its features.
        lengths: Split to the number of examples in each of its shards.
    """

    directory: Path
    name: str
    config: str | None
    version: str
    output: Output
    features: tuple[Leaf, ...]
    lengths: Mapping[str, tuple[int, ...]]

    @classmethod
    def at(cls, directory: Path) -> Self:
        """The dataset in a directory.

        Raises:
            StagingError: There is no dataset.
            SourceError: It is damaged, or has shards that cannot be read in any order.
            OptionError: What reads its shards is not installed.
        """
        directory = directory.absolute()
        info = _document(directory, "dataset_info.json")
        features = _document(directory, "features.json")
        try:
            lengths = {
                _name(split, "name"): tuple(map(int, split.get("shardLengths", ())))
                for split in info.get("splits", ())
            }
            return cls(
                directory=directory,
                name=_name(info, "name"),
                config=_name(info, "configName") if info.get("configName") else None,
                version=_name(info, "version"),
                output=_output(info),
                features=tuple(leaves(features)),
                lengths=lengths,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"it has no {error.args[0]}" if isinstance(error, KeyError) else error
            raise SourceError(
                f"{directory} cannot be read without TensorFlow Datasets: {what}; see what "
                "`imagenet-builders verify` says of it"
            ) from None

    @property
    def full_name(self) -> str:
        """Name, configuration and version."""
        return "/".join(filter(None, (self.name, self.config, self.version)))

    def shard(self, split: str, number: int) -> Path:
        """The file of a shard.

        Args:
            split: Name of the split.
            number: The shard, counted from 0.
        """
        count = len(self.lengths[split])
        name = f"{self.name}-{split}.{self.output.suffix}-{number:05}-of-{count:05}"
        return self.directory / name

    def label_names(self) -> tuple[str, ...]:
        """The names of its classes in the order of their labels; empty if it does not say them."""
        try:
            content = read_regular(self.directory / "label.labels.txt", _MAX_INFO_BYTES)
            return tuple(content.decode().splitlines())
        except (OSError, ValueError):
            return ()


def _document(directory: Path, name: str) -> dict[str, Any]:
    try:
        document = json_object(read_regular(directory / name, _MAX_INFO_BYTES, follow=True))
    except FileNotFoundError:
        raise StagingError(f"there is no dataset in {directory}: it has no {name}") from None
    except OSError as error:
        raise SourceError(f"{directory / name} cannot be read: {error.strerror}") from None
    if document is None:
        raise SourceError(f"{directory / name} is damaged: it is no JSON object")
    return document


def _name(info: Mapping[str, Any], key: str) -> str:
    """A name that becomes a part of paths."""
    text = info[key]
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"its {key} is {text!r}, which is no name")
    return text


def _output(info: Mapping[str, Any]) -> Output:
    """The output whose shards are read: one that can be read in any order."""
    formats = [info["fileFormat"], *info.get("alternativeFileFormats", ())]
    for name in formats:
        output = outputs.get(name)
        if output is not None and output.open is not None:
            output.import_library()
            return output
    raise ValueError(f"its shards are {', '.join(formats)}, which cannot be read in any order")
