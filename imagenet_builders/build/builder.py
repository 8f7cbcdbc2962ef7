"""The base class of all builders: TensorFlow Datasets' interface around the engine.

A dataset says where its splits are staged and how rows become examples. Out of that come both ways
of building: the planned one, which this class does, and TensorFlow Datasets' own (one generator,
sorted on disk), which stays usable and is what the tests compare with.
"""

from __future__ import annotations

import abc
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

import imagenet_builders
from imagenet_builders.build import steps, tfds_request
from imagenet_builders.build.steps import as_original
from imagenet_builders.build.summary import summary
from imagenet_builders.errors import BadImageError, OptionError, SourceError
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.locate.access import saying_why
from imagenet_builders.locate.found import Survey
from imagenet_builders.options import BuildOptions, require_local
from imagenet_builders.plan import recipe as planning
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.identity import describe
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.publish import provenance
from imagenet_builders.publish.session import BuildSession
from imagenet_builders.run.choose import as_workers_see, make_workers, shared_scratch
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.scratch.copy import ScratchCopy
from imagenet_builders.scratch.copy_first import staged_sources
from imagenet_builders.scratch.original_names import naming_originals
from imagenet_builders.scratch.space import check_scratch
from imagenet_builders.write import durable, marks, outputs
from imagenet_builders.write.outputs.output import Output
from imagenet_builders.write.results import SplitResult


class _BuiltMeanwhile(Exception):  # noqa: N818  # Never leaves this module; it is no error.
    """Another process has built what was asked for, while this one waited for its lock."""


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
        # First, because `_info` may depend on them.
        self._options = options
        self._new_info: tfds.core.DatasetInfo | None = None
        self._format_given = kwargs.get("file_format")
        super().__init__(**kwargs)
        self._original_state["options"] = options
        self.results: list[SplitResult] = []
        """What the last build of this object wrote, split by split; empty if it was there."""
        self._plans: dict[str, str] = {}
        self.done_with_copy: Callable[[ScratchCopy], None] = ScratchCopy.remove
        """What becomes of the copy that the dataset was built from (`--stage`) in the end."""
        self._place: BuildSession | None = None
        self._copy = ScratchCopy()

    @property
    def info(self) -> tfds.core.DatasetInfo:
        """The `tfds.core.DatasetInfo`: of what is built now, or else of what is there."""
        return self._new_info or super().info

    def dataset_info_from_configs(self, **kwargs: Any) -> tfds.core.DatasetInfo:
        """As in TensorFlow Datasets, which would look for more in a bucket, in a new directory."""
        info = super().dataset_info_from_configs(**kwargs)
        info.initialize_from_bucket = lambda: None
        return info

    @abc.abstractmethod
    def split_recipes(self, manual_dir: Path, room: BuildContext) -> list[SplitRecipe]:
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

    @abc.abstractmethod
    def survey(self, manual_dir: Path) -> Survey:
        """All that is staged of the dataset, or of its configuration, under `manual_dir`.

        Args:
            manual_dir: Where to look.

        Returns:
            What was found, and what was looked for in vain.

        Raises:
            StagingError: `manual_dir` is not a directory.
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
        with LocalWorkers(1) as workers:
            room = BuildContext(options.scratch_for(self.data_dir_root), options, workers)
            with naming_originals(ScratchCopy(), room.unpacked):
                recipes = self.split_recipes(tfds_request.manual_dir_of(dl_manager), room)
        return {recipe.split: self._generate_examples(recipe) for recipe in recipes}

    def _generate_examples(self, recipe: SplitRecipe) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the key and the features of each example, in the order of the source."""
        policy = self.build_options.bad_images
        with recipe.index.reader() as reader:
            for key, example in recipe.examples(recipe.index.table, reader, policy, []):
                yield key, self.as_features(example)

    def as_features(self, example: FlatExample) -> dict[str, Any]:
        """A flat example in the nested form that `features.encode_example` takes.

        Args:
            example: As `make_examples` yields it.

        Returns:
            The same, nested; a dataset with nested features overrides this.
        """
        return dict(example)

    def results_as_staged(self, results: list[SplitResult]) -> list[SplitResult]:
        """The results, naming what is staged; for a dataset that unpacked it to build from that.

        Args:
            results: As written.

        Returns:
            As `provenance.json` tells them.
        """
        return results

    def published(self) -> None:
        """Called once the dataset is published; one that used scratch space frees it here."""

    def ended(self) -> None:
        """Called when a build has ended, however it did; a dataset gives up its locks here."""

    def download_and_prepare(
        self,
        *,
        download_dir: str | os.PathLike[str] | None = None,
        download_config: tfds.download.DownloadConfig | None = None,
        file_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Builds and publishes the dataset, unless it is there already.

        An interrupted build is continued. Readers see the dataset when it is whole, and until then
        the one that was there before.

        Args:
            download_dir: Not used; nothing is downloaded.
            download_config: `manual_dir`, number of shards, what to do with a dataset that is there
                (`download_mode`), ...
            file_format: Name of an output; None for the default one.
            **kwargs: Not used.

        Raises:
            ImagenetBuildersError: What is staged is missing or damaged, the target cannot be
                written, another process builds the same, or an option cannot be used.
        """
        config = download_config or tfds.download.DownloadConfig()
        if config.download_mode == tfds.GenerateMode.UPDATE_DATASET_INFO:
            super().download_and_prepare(download_config=config)
            return
        self.assert_is_not_blocked()
        self._check_version()
        options = self.build_options
        require_local("data_dir", self.data_dir)
        require_local("manual_dir", config.manual_dir)
        target = Path(self.data_dir)
        preparation = BuildSession(
            target, options, self.info.full_name, overwrite=config.download_mode.overwrite_dataset
        )
        limit = config.max_examples_per_split
        if preparation.is_there(limit):
            self._check_format(file_format)
            preparation.tidy()
            return
        self.results = []
        is_ours = True
        with preparation as place:
            if preparation.is_there(limit):  # Another process has just built it.
                self._restore(target)
                self._check_format(file_format)
                return
            # What was read of a dataset that will be replaced binds nobody.
            self._new_info = self._info()
            self._new_info.set_file_format(file_format or self._format_given)
            self._place = place
            try:
                self._prepare(place, download_dir, config)
                place.publish()
                self.info.update_data_dir(os.fspath(target))
                self._done()
            except _BuiltMeanwhile:
                is_ours = False
                self._done()
            except BaseException as error:
                self._copy.note_kept_copy(error)
                raise
            finally:
                self._place = None
                self._copy.close()
                self._copy = ScratchCopy()
                self.ended()
        self._restore(target)
        if is_ours:
            print(summary(self.info.full_name, self.results, preparation.seconds), file=sys.stderr)

    def _prepare(self, place: BuildSession, download_dir: Any, config: Any) -> None:
        """Writes all files of the dataset into the incomplete directory."""
        manager = self._make_download_manager(download_dir=download_dir, download_config=config)
        if type(self)._download_and_prepare is not PlannedBuilder._download_and_prepare:
            # Another way to write, such as TensorFlow Datasets' own: it begins with nothing.
            place.open({})
        with tfds.core.utils.temporary_assignment(
            self, "_data_dir", os.fspath(place.incomplete.directory)
        ):
            self._download_and_prepare(manager, config)
            self.info.download_size = manager.downloaded_size
            with durable.writing_as_tensorflow(Path(self.data_dir)):
                self.info.write_to_directory(self.data_dir)
            if self.results or config.max_examples_per_split == 0:
                provenance.write_provenance(
                    place.incomplete.directory,
                    dataset=self.info.full_name,
                    results=self.results,
                    options=place.options,
                    plans=self._plans,
                    max_examples_per_split=config.max_examples_per_split,
                    seconds=place.seconds,
                )
            steps.check_shards(self.results, self._shard_path)

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        """Plans all splits and writes their shards."""
        place = self._place
        if place is None:
            raise RuntimeError("only download_and_prepare calls this")
        if download_config.max_examples_per_split == 0:
            place.incomplete.open({})
            return
        options = place.options
        output = outputs.for_tfds(self.info.file_format.value)
        scratch = shared_scratch(options, download_config, Path(self.data_dir_root))
        check_scratch(scratch, options)
        manual_dir = as_workers_see(tfds_request.manual_dir_of(dl_manager), download_config)
        with make_workers(options, download_config, place.job_dir, manual_dir) as workers:
            self._copy = staged_sources(
                "/".join(filter(None, (self.name, self.builder_config_name))),
                self.survey,
                manual_dir,
                scratch,
                options,
            )
            room = BuildContext(scratch, options, workers)
            with naming_originals(self._copy, room.unpacked):
                results = self._build_splits(room, place, output, download_config)
        self.results = as_original(self.results_as_staged(results), self._copy, scratch)
        self.info.set_splits(tfds.core.SplitDict(map(self._split_info, self.results)))

    def _build_splits(
        self,
        room: BuildContext,
        place: BuildSession,
        output: Output,
        download_config: tfds.download.DownloadConfig,
    ) -> list[SplitResult]:
        """Indexes, plans and writes what the copy or the original holds."""
        with saying_why(self._copy.manual_dir):
            recipes = self.split_recipes(self._copy.manual_dir, room)
        place.check_splits(recipe.split for recipe in recipes)
        plans = planning.plan_splits(recipes, tfds_request.plan_config(download_config))
        description = describe(
            plans,
            [recipe.also_read for recipe in recipes],
            dataset=self.info.full_name,
            file_format=output.name,
            mark_format=marks.FORMAT,
            version=imagenet_builders.__version__,
            scratch=room.scratch,
        )
        self._plans = {split: each["plan"] for split, each in description["splits"].items()}
        if place.is_built_meanwhile(description, download_config.max_examples_per_split):
            raise _BuiltMeanwhile
        place.open(description)
        try:
            return steps.write_splits(
                recipes,
                plans,
                name=self.info.full_name,
                shard_path=self._shard_path,
                output=output,
                incomplete=place.incomplete,
                options=room.options,
                workers=room.workers,
            )
        except BadImageError:
            raise
        except SourceError:
            # A file in a folder can change without its folder showing it.
            room.cache.forget()
            raise

    def _done(self) -> None:
        """Frees scratch space of what only this build needed."""
        self.published()
        self.done_with_copy(self._copy)

    def _check_version(self) -> None:
        """Only the newest version can be built; older ones can be read."""
        if str(self.version) not in {str(self.canonical_version), str(max(self.versions))}:
            raise OptionError(
                f"{self.info.full_name} is an old version: it can be read where it was built, but "
                f"only {self.canonical_version} can be built"
            )

    def _check_format(self, file_format: str | None) -> None:
        """A dataset that is there in another format is not what was asked for."""
        there = self.info.file_format.value
        if file_format and file_format != there:
            raise OptionError(
                f"{self.data_dir} is there already, as {there}; build it as {file_format} with "
                "--overwrite, or into another --data-dir"
            )

    def _restore(self, target: Path) -> None:
        """Takes over what the published dataset says of itself."""
        self.info.read_from_directory(os.fspath(target))

    def as_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """As in TensorFlow Datasets; warns of a dataset that is only a part, built to try."""
        provenance.warn_of_a_part(Path(self.data_dir))
        return super().as_dataset(*args, **kwargs)

    def as_data_source(self, *args: Any, **kwargs: Any) -> Any:
        """As in TensorFlow Datasets; warns of a dataset that is only a part, built to try."""
        provenance.warn_of_a_part(Path(self.data_dir))
        return super().as_data_source(*args, **kwargs)

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
        if self._place and kwargs["download_config"].manual_dir and not kwargs.get("download_dir"):
            # Not beside all datasets, where one who may build this dataset may not write.
            kwargs["download_dir"] = self._place.job_dir
        with durable.writing(Path(kwargs.get("download_dir") or self.data_dir_root)):
            manager = super()._make_download_manager(**kwargs)
        for directory in (manager._extract_dir, manager._download_dir):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
        return manager
