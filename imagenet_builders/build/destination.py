"""Where a build writes its shards: a directory, and an output for each."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path

from imagenet_builders.build.finished import Shard, finished_before
from imagenet_builders.build.index_files import INDEX_BYTES_A_RECORD, write_indexes
from imagenet_builders.errors import SourceError
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.plan.recipe import ImagePolicy, SplitRecipe
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.run.jobs import Workers
from imagenet_builders.words import counted, logger
from imagenet_builders.write.outputs.output import Output, RecordIndex
from imagenet_builders.write.results import ShardResult, SplitResult
from imagenet_builders.write.space import BYTES_A_RECORD, Needs, check_space

_LOG = logger(__name__)

# A shard, its mark and its index.
_FILES_A_SHARD = 3

NEEDS = Needs(BYTES_A_RECORD + INDEX_BYTES_A_RECORD)
"""The room that a dataset needs besides that of its images: for marks and index files."""


@dataclasses.dataclass(frozen=True)
class Destination:
    """Where shards are written, and how.

    Attributes:
        name: What is built, for messages.
        incomplete: Where finished shards and their marks are; it is open.
        output: How shards become files, or what says that of split, shard and number of shards.
        shard_path: From split, shard and number of shards to the file.
        needs: The room that is needed besides that of the images.
    """

    name: str
    incomplete: IncompleteDir
    output: Output | Callable[[str, int, int], Output]
    shard_path: Callable[[str, int, int], Path]
    needs: Needs = NEEDS

    @property
    def index(self) -> RecordIndex | None:
        """What is written beside each shard."""
        return self.output.index if isinstance(self.output, Output) else None

    def output_of(self, split: str, number: int, count: int) -> Output:
        """How a shard becomes a file."""
        if isinstance(self.output, Output):
            return self.output
        return self.output(split, number, count)


class Shards:
    """The shards of a destination: which are finished, and which are to be written.

    Args:
        destination: Where they are.
        plans: The splits.

    Attributes:
        destination: As given.
        todo: Those to be written.
        results: What those hold that are finished.
    """

    def __init__(self, destination: Destination, plans: Sequence[SplitPlan]):
        self.destination = destination
        self._plans = plans
        self.todo = [
            Shard(which, number, path, destination.incomplete.mark_of(path))
            for which, plan in enumerate(plans)
            for number in range(plan.shard_count)
            for path in [destination.shard_path(plan.split, number, plan.shard_count)]
        ]
        self.results: list[ShardResult] = []
        self._before: Set[tuple[str, int]] = frozenset()

    def find_finished(
        self, sizes: Sequence[Sequence[int]], policy: ImagePolicy, workers: Workers, *, small: int
    ) -> None:
        """Takes those that an earlier build has finished out of what is to do.

        Args:
            sizes: Bytes of each shard of each split.
            policy: How this build looks at images.
            workers: The processes that compare checksums.
            small: Bytes that are not worth starting a process for.
        """
        name, total = self.destination.name, counted(len(self.todo), "shard")
        marked = self.destination.incomplete.marked()
        self.results = finished_before(
            self.todo, marked, self._plans, sizes, name, policy, workers, small=small
        )
        if self.results:
            _LOG.info(f"{name}: already finished: {len(self.results):,} of {total}")
        self._before = {(result.split, result.number) for result in self.results}

    def collected(self, recipes: Sequence[SplitRecipe]) -> list[SplitResult]:
        """Writes the index files, and puts the results of all shards together.

        Args:
            recipes: The splits, in the order of the plans.

        Raises:
            SourceError: All images of a split are bad.
            TargetError: An index file cannot be written.
        """
        where = self.destination
        crcs = None
        if where.index is not None:
            counts = {plan.split: plan.shard_count for plan in self._plans}
            offsets = {
                where.shard_path(each.split, each.number, counts[each.split]).name: each.offsets
                for each in self.results
                if each.offsets is not None
            }
            crcs = write_indexes(where.index, offsets, where.incomplete)
        return [
            self._collect(plan, recipe, crcs)
            for plan, recipe in zip(self._plans, recipes, strict=True)
        ]

    def _collect(
        self, plan: SplitPlan, recipe: SplitRecipe, index_crcs: Mapping[str, str] | None
    ) -> SplitResult:
        """Puts the shards of a split together, in order; some were finished before this build."""
        shards = sorted((r for r in self.results if r.split == plan.split), key=lambda r: r.number)
        # An earlier build may have made a shard from the same file in another directory.
        paths = {os.path.basename(file.path): file.path for file in plan.files}
        names = [
            self.destination.shard_path(plan.split, shard.number, plan.shard_count).name
            for shard in shards
        ]
        before = [shard for shard in shards if (shard.split, shard.number) in self._before]
        written = [each for shard in shards for each in shard.apart()]
        notes = tuple(
            dataclasses.replace(note, path=paths.get(os.path.basename(note.path), note.path))
            for shard in shards
            for note in shard.notes
        )
        result = SplitResult(
            split=plan.split,
            shard_lengths=tuple(each.examples for each in written),
            record_bytes=sum(each.record_bytes for each in written),
            shard_bytes=tuple(each.file_bytes for each in written),
            shard_crc32c=tuple(each.crc32c for each in written),
            index_crc32c=None if index_crcs is None else tuple(index_crcs[name] for name in names),
            notes=notes,
            files=plan.files + recipe.also_read,
            counts=recipe.counts_of(plan.rows, notes),
            layout=recipe.layout,
            part=recipe.part,
            made_with=recipe.made_with,
            bytes_before=sum(shard.file_bytes for shard in before),
        )
        if result.examples == 0:
            raise SourceError(
                f"split {plan.split!r}: every one of its {plan.rows.num_rows} images is bad, so "
                f"there is nothing to build; the first: {result.notes[0].path}: "
                f"{result.notes[0].reason}"
            )
        return result


def check_room(shards: Iterable[Shards], sizes: Sequence[Sequence[int]], images: int) -> None:
    """Makes sure that there is room for all that is still to be written.

    Args:
        shards: The shards of each destination; several may share a file system.
        sizes: Bytes of each shard of each split.
        images: Number of images.

    Raises:
        TargetError: There is not.
    """
    needed: dict[int, tuple[Path, int, int, str]] = {}
    for each in shards:
        where, needs = each.destination.incomplete, each.destination.needs
        left = sum(sizes[shard.which][shard.number] for shard in each.todo)
        size = left * needs.copies + needs.bytes_a_record * images
        files = _FILES_A_SHARD * len(each.todo) + needs.files_a_record * images + needs.files
        device = os.fstat(where.directory.fd).st_dev
        _, size_before, files_before, _ = needed.get(device, (where.shards, 0, 0, ""))
        needed[device] = where.shards, size + size_before, files + files_before, needs.flag
    for path, size, files, flag in needed.values():
        check_space(path, size, files, flag)
