"""The base class of all builders: TensorFlow Datasets' interface around the engine.

A dataset says where its splits are staged and how rows become examples. Out of that come both ways
of building: the planned one, which this class does, and TensorFlow Datasets' own (one generator,
sorted on disk), which stays usable and is what the tests compare with.
"""

from __future__ import annotations

import abc
import contextlib
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from imagenet_builders.assembly import engine, provenance
from imagenet_builders.assembly.choose_workers import as_workers_see, make_workers, shared_scratch
from imagenet_builders.assembly.engine import PlanConfig, SplitRecipe, SplitResult
from imagenet_builders.assembly.records import FlatExample
from imagenet_builders.assembly.shards import load_function
from imagenet_builders.assembly.workers import Workers
from imagenet_builders.assembly.workroom import Workroom
from imagenet_builders.assembly.writers import FILE_FORMATS
from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions
from imagenet_builders.sources.reader import Reader


class PlannedBuilder(  # type: ignore[call-arg]  # TensorFlow Datasets has no types.
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A builder that plans first and writes shards in parallel.

    Args:
        options: How to build. None takes them from the environment, when something is built.
        **kwargs: As for every TensorFlow Datasets builder (`data_dir`, `config`, `version`,
            `file_format`).
    """

    def __init__(self, *, options: BuildOptions | None = None, **kwargs: Any):
        # First, because `_info` may depend on it.
        self._options = options
        super().__init__(**kwargs)
        self._original_state["options"] = options
        self.results: list[SplitResult] = []
        """What the last build of this object wrote, split by split."""

    @abc.abstractmethod
    def split_recipes(self, manual_dir: Path, room: Workroom) -> list[SplitRecipe]:
        """Finds and indexes the splits staged under `manual_dir`.

        Args:
            manual_dir: Where the archives are.
            room: What to index with.

        Returns:
            A recipe for each split that is staged.

        Raises:
            StagingError: Nothing is staged.
            SourceError: What is staged is damaged.
        """

    @property
    def build_options(self) -> BuildOptions:
        """The options given, or those in the environment."""
        return self._options or BuildOptions.from_environment()

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        """The splits as generators: TensorFlow Datasets' own way to build, one image at a time."""
        options = self.build_options
        with Workers(1) as workers:
            room = Workroom(options.scratch_for(self.data_dir_root), options, workers)
            recipes = self.split_recipes(_manual_dir(dl_manager), room)
        return {recipe.split: self._generate_examples(recipe) for recipe in recipes}

    def _generate_examples(self, recipe: SplitRecipe) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the key and the features of each example, in the order of the source."""
        make_examples = load_function(recipe.examples)
        policy = self.build_options.bad_images
        with Reader(recipe.index.files) as reader:
            for key, example in make_examples(recipe.index.table, reader, policy, []):
                yield key, self.as_features(example)

    def as_features(self, example: FlatExample) -> dict[str, Any]:
        """A flat example in the nested form that `features.encode_example` takes.

        Args:
            example: As `make_examples` yields it.

        Returns:
            The same, nested; a dataset with nested features overrides this.
        """
        return dict(example)

    def built(self, room: Workroom) -> None:
        """Called once the splits are written; a dataset that used scratch space frees it here.

        Args:
            room: As given to `split_recipes`.
        """

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        """Plans and writes all splits; TensorFlow Datasets then publishes the directory."""
        if download_config.max_examples_per_split == 0:
            return
        started = time.monotonic()
        options = self.build_options
        file_format = self.info.file_format.value
        if file_format not in FILE_FORMATS:
            raise OptionError(
                f"file_format must be one of {', '.join(FILE_FORMATS)}, not {file_format!r}"
            )
        exchange = Path(self.data_path) / ".beam"
        manual_dir = as_workers_see(_manual_dir(dl_manager), download_config)
        with make_workers(options, download_config, exchange) as workers:
            scratch = shared_scratch(options, download_config, Path(self.data_dir_root))
            room = Workroom(scratch, options, workers)
            self.results = engine.build_splits(
                self.split_recipes(manual_dir, room),
                name=self.info.full_name,
                shard_path=self._shard_path,
                file_format=file_format,
                config=_plan_config(download_config),
                options=options,
                workers=workers,
            )
            self.built(room)
        self.info.set_splits(tfds.core.SplitDict(map(self._split_info, self.results)))
        provenance.write_provenance(
            Path(self.data_path), dataset=self.info.full_name, results=self.results, options=options
        )
        seconds = time.monotonic() - started
        print(summary(self.info.full_name, self.results, seconds), file=sys.stderr)

    def _shard_path(self, split: str, shard: int, shards: int) -> Path:
        template = self._get_filename_template(split_name=split)
        # Absolute, because a worker on another machine is in another directory.
        return Path(template.sharded_filepath(shard_index=shard, num_shards=shards)).absolute()

    def _split_info(self, result: SplitResult) -> tfds.core.SplitInfo:
        return tfds.core.SplitInfo(
            name=result.split,
            shard_lengths=list(result.shard_lengths),
            num_bytes=result.record_bytes,
            filename_template=self._get_filename_template(split_name=result.split),
        )

    def _make_download_manager(self, **kwargs: Any) -> tfds.download.DownloadManager:
        """The download manager, without the empty folders it makes: nothing is downloaded here."""
        manager = super()._make_download_manager(**kwargs)
        for directory in (manager._extract_dir, manager._download_dir):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
        return manager

    def _log_download_bytes(self) -> None:
        """Says nothing: TensorFlow Datasets would speak of a download of unknown size."""

    def _log_download_done(self) -> None:
        """Says nothing: the summary has said it."""


def summary(name: str, results: Sequence[SplitResult], seconds: float) -> str:
    """The closing words of a build, a line a split and one for all of it.

    Args:
        name: What was built.
        results: The splits.
        seconds: How long it took.

    Returns:
        Some lines of text.
    """
    lines = [f"{name}:"]
    for result in results:
        actions = [note.action for note in result.notes]
        lines.append(
            f"  {result.split:<12}{result.examples:>12,} images "
            f"({actions.count('repaired')} repaired, {actions.count('skipped')} skipped), "
            f"{len(result.shard_lengths):,} shards, {result.file_bytes / 1e9:.3f} GB"
        )
        counts = [f"{n:,} {what.replace('_', ' ')}" for what, n in result.counts.items() if n]
        if counts:
            lines.append(f"  {'':<12}{'':>12} {', '.join(counts)}")
    size = sum(result.file_bytes for result in results) / 1e9
    rate = size / seconds if seconds else 0.0
    lines.append(f"  {size:.3f} GB in {seconds:.1f} s, {rate:.2f} GB/s")
    return "\n".join(lines)


def _manual_dir(dl_manager: tfds.download.DownloadManager) -> Path:
    """Where the archives are; whether anything is there is for the dataset to say, in its words."""
    try:
        return Path(dl_manager.manual_dir)
    except (AssertionError, OSError):
        # TensorFlow Datasets' own words for a directory that is missing or empty.
        return Path(dl_manager._manual_dir)


def _plan_config(download_config: tfds.download.DownloadConfig) -> PlanConfig:
    shards = download_config.get_shard_config()

    def count_shards(size: int, examples: int) -> int:
        count: int = shards.get_number_shards(size, examples)
        defaults = type(shards)(num_shards=shards.num_shards)
        if shards != defaults and count == defaults.get_number_shards(size, examples):
            warnings.warn(
                "min_shard_size and max_shard_size made no difference: the installed TensorFlow "
                f"Datasets makes {count} shards with and without them; num_shards is obeyed",
                stacklevel=2,
            )
        return count

    return PlanConfig(
        count_shards=count_shards,
        max_examples_per_split=download_config.max_examples_per_split,
        ignore_duplicates=download_config.ignore_duplicates,
    )
