"""What was written: the results of shards and splits, and notes of repaired or skipped images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from imagenet_builders.plan.recipe import Note
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.write.offsets import RecordOffsets


@dataclasses.dataclass(frozen=True)
class SplitResult:
    """What was built of a split.

    Attributes:
        split: Name of the split.
        shard_lengths: Number of examples in each shard.
        record_bytes: Bytes of the serialized examples, without frames.
        shard_bytes: Bytes of each shard.
        shard_crc32c: CRC-32C of each shard's file, 8 hexadecimal digits.
        notes: Images repaired or skipped, in the order of the records.
        files: The files read.
        counts: As in the split's recipe.
        layout: As in the split's recipe.
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

    @property
    def examples(self) -> int:
        """Number of examples."""
        return sum(self.shard_lengths)

    @property
    def file_bytes(self) -> int:
        """Bytes of the shards."""
        return sum(self.shard_bytes)


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """What was written.

    Attributes:
        split: Name of the split.
        number: The shard, counted from 0.
        examples: Number of records.
        record_bytes: Bytes of the serialized examples, without frames.
        file_bytes: Bytes of the file.
        crc32c: CRC-32C of the file, 8 hexadecimal digits.
        notes: Images repaired or skipped.
        offsets: Where each record's bytes lie in the file; None if its format transforms them.
    """

    split: str
    number: int
    examples: int
    record_bytes: int
    file_bytes: int
    crc32c: str
    notes: tuple[Note, ...]
    offsets: RecordOffsets | None
