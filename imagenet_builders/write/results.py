"""The results of writing: of a shard, and of a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from imagenet_builders.plan.recipe import Note, Part
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.write.outputs.output import Written


@dataclasses.dataclass(frozen=True)
class SplitResult:
    """What was written of a split.

    Attributes:
        split: Name of the split.
        shard_lengths: Number of examples in each shard.
        record_bytes: Bytes of the serialized examples, without frames.
        shard_bytes: Bytes of each shard.
        shard_crc32c: CRC-32C of each shard's file, 8 hexadecimal digits.
        index_crc32c: CRC-32C of the index of each shard; None for an output without one.
        notes: Images repaired or skipped, in the order of the records.
        files: The files read.
        counts: As in the split's recipe.
        layout: As in the split's recipe.
        part: As in the split's recipe.
        made_with: As in the split's recipe.
        bytes_before: Bytes of the shards that an interrupted build had finished.
    """

    split: str
    shard_lengths: tuple[int, ...]
    record_bytes: int
    shard_bytes: tuple[int, ...]
    shard_crc32c: tuple[str, ...]
    notes: tuple[Note, ...]
    files: tuple[SourceFile, ...]
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    layout: str = ""
    part: Part | None = None
    made_with: Mapping[str, str | int] = dataclasses.field(default_factory=dict)
    index_crc32c: tuple[str, ...] | None = None
    bytes_before: int = 0

    @property
    def examples(self) -> int:
        """Number of examples."""
        return sum(self.shard_lengths)

    @property
    def file_bytes(self) -> int:
        """Bytes of the shards."""
        return sum(self.shard_bytes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardResult(Written):
    """What was written of a shard: the attributes of `Written`, and these.

    Attributes:
        split: Name of the split.
        number: The shard, counted from 0.
        decoded: Whether every pixel of its images was decoded.
        notes: Images repaired or skipped.
    """

    split: str
    number: int
    decoded: bool
    notes: tuple[Note, ...]
