"""The base class of all builders: TensorFlow Datasets' interface around the steps of a build.

A dataset says where its splits are staged and how rows become examples. Out of that come both ways
of building: the planned one, which this class does, and TensorFlow Datasets' own (one generator,
sorted on disk), which stays usable and is what the tests compare with.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from imagenet_builders.build import adding, finished, foreign_links, steps, tfds_request
from imagenet_builders.build.reading import ReadingBuilder
from imagenet_builders.build.running import Running
from imagenet_builders.build.summary import summary
from imagenet_builders.errors import TargetError
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.locate.access import saying_why
from imagenet_builders.locate.found import Survey
from imagenet_builders.options import BuildOptions, require_local
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import ImagePolicy, SplitRecipe
from imagenet_builders.publish import readable
from imagenet_builders.publish.addition import KeptSplit
from imagenet_builders.publish.left import DOWNLOADS
from imagenet_builders.publish.published import Request, Task, limit_of
from imagenet_builders.publish.session import BuildSession, tidy
from imagenet_builders.publish.target import Target
from imagenet_builders.run import console
from imagenet_builders.run.choose import as_workers_see, make_workers, shared_scratch
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import phase
from imagenet_builders.scratch.copy import ScratchCopy
from imagenet_builders.scratch.copy_first import copy_first
from imagenet_builders.scratch.shared_copies import SharedCopies
from imagenet_builders.scratch.space import make_scratch
from imagenet_builders.sources.rows import NO_COPIES
from imagenet_builders.words import logger
from imagenet_builders.write import durable, outputs
from imagenet_builders.write.results import SplitResult

_LOG = logger(__name__)


class PlannedBuilder(ReadingBuilder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """A builder that plans first and writes shards in parallel.

    Args:
        options: How to build. None takes them from the environment, when something is built.
        copies: The copies of archives (`--stage`) that this builder shares with others; by itself,
            it removes its copy when the dataset is published.
        **kwargs: As for every TensorFlow Datasets builder (`data_dir`, `config`, `version`,
            `file_format`).
    """

    def __init__(
        self,
        *,
        options: BuildOptions | None = None,
        copies: SharedCopies | None = None,
        **kwargs: Any,
    ):
        # First, because `_info` may depend on them.
        self._options = options
        self._new_info: tfds.core.DatasetInfo | None = None
        self._format_given = kwargs.get("file_format")
        super().__init__(**kwargs)
        self._original_state["options"] = options
        self.results: list[SplitResult] = []
        """What the last build of this object wrote, split by split; empty if it was there."""
        self._plans: dict[str, str] = {}
        self._done_with_copy = copies.pass_on if copies else ScratchCopy.remove
        self._running: Running | None = None
        self._at_end = contextlib.ExitStack()
        self._when_built = contextlib.ExitStack()

    @property
    def info(self) -> tfds.core.DatasetInfo:
        """The `tfds.core.DatasetInfo`: of what is built now, or else of what is there."""
        return self._new_info or super().info

    @abc.abstractmethod
    def split_recipes(self, manual_dir: Path, context: BuildContext) -> list[SplitRecipe]:
        """Finds and indexes the splits staged under `manual_dir`.

        Args:
            manual_dir: Where the archives are.
            context: What to index with.

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
    def split_names(self) -> list[str]:
        """Names of its splits in the order that a dataset has them."""
        return []

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
            scratch = make_scratch(options.scratch_for(self.data_dir_root), options)
            context = self._context(scratch, options, workers)
            recipes = self.split_recipes(tfds_request.manual_dir_of(dl_manager), context)
        return {recipe.split: self._generate_examples(recipe) for recipe in recipes}

    def _generate_examples(self, recipe: SplitRecipe) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the key and the features of each example, in the order of the source."""
        policy = ImagePolicy.of(self.build_options)
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
        if not tfds_request.is_of_tfds(super().download_and_prepare):
            # `tfds.testing.mock_data`, or a test of its own, lets nothing be built.
            super().download_and_prepare(
                download_dir=download_dir,
                download_config=download_config,
                file_format=file_format,
                **kwargs,
            )
            return
        config = download_config or tfds.download.DownloadConfig()
        if config.download_mode == tfds.GenerateMode.UPDATE_DATASET_INFO:
            super().download_and_prepare(download_config=config)
            return
        with console.shown_unless_configured():
            self._build(download_dir, config, file_format)

    def _build(self, download_dir: Any, config: Any, file_format: str | None) -> None:
        """Builds and publishes the dataset; see `download_and_prepare`."""
        self.assert_is_not_blocked()
        self._check_version()
        options = self.build_options
        require_local("data_dir", self.data_dir)
        require_local("manual_dir", config.manual_dir)
        target = Target(Path(self.data_dir))
        request = Request.of(
            target.path,
            options,
            overwrite=config.download_mode.overwrite_dataset,
            limit=config.max_examples_per_split,
        )
        look = functools.partial(self._look_for_more, request, download_dir, config)
        if request.task() is Task.NOTHING and look() is None:
            request.compare(self.info.file_format.value, file_format)
            tidy(target, self.info.full_name)
            with contextlib.suppress(TargetError):  # Whoever only reads may not write there.
                self._name_default_config(target.path, options)
            return
        self.results = []
        with BuildSession(target, options, self.info.full_name) as session:
            if session.waited:
                readable.wait_for_files(target.path)
            task, added = request.task(), None
            if task is Task.NOTHING:  # Another process may have just built it.
                self._restore(target.path)
                request.compare(self.info.file_format.value, file_format)
                task, added = Task.ADD, look()
                if added is None:
                    return
                file_format = self.info.file_format.value
            # What was read of a dataset that will be replaced binds nobody.
            self._new_info = self._info()
            self._new_info.set_file_format(file_format or self._format_given)
            self._running = Running(session, request, task, added)
            try:
                with self._at_end:
                    is_ours = self._prepare(download_dir, config)
                    if is_ours:
                        self._name_default_config(target.path, options)
                        with phase(f"publishing {self.info.full_name}"):
                            session.publish(replace=task is not Task.BUILD)
                        self.info.update_data_dir(os.fspath(target.path))
                    self._when_built.close()
            finally:
                self._running = None
                self._when_built.pop_all()  # Another attempt needs what is kept.
        self._restore(target.path)
        if is_ours:
            kept = list(added.kept.splits) if added else []
            for line in summary(self.info.full_name, self.results, session.seconds, kept):
                _LOG.info(line)

    def _prepare(self, download_dir: Any, config: Any) -> bool:
        """Writes all files of the dataset into the incomplete directory.

        Returns:
            Whether it did; otherwise another process has published the same meanwhile.
        """
        assert self._running is not None
        incomplete = (session := self._running.session).incomplete
        manager = self._make_download_manager(download_dir=download_dir, download_config=config)
        if type(self)._download_and_prepare is not PlannedBuilder._download_and_prepare:
            # Another way to write, such as TensorFlow Datasets' own: it begins with nothing.
            session.open({})
        with tfds.core.utils.temporary_assignment(self, "_data_dir", os.fspath(incomplete.place)):
            if self._download_and_prepare(manager, config) is False:  # TFDS's own returns nothing.
                return False
            self.info.download_size = manager.downloaded_size
            with durable.writing_as_tensorflow(incomplete.shards), incomplete.metadata() as place:
                self.info.write_to_directory(os.fspath(place))
            finished.seal(
                self._running,
                self.results,
                name=self.info.full_name,
                plans=self._plans,
                limit=config.max_examples_per_split,
                shard_path=self._shard_path,
                output=outputs.get(self.info.file_format.value),
            )
        return True

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> bool:
        """Plans all splits and writes their shards.

        Returns:
            Whether it did; otherwise another process has published the same meanwhile.
        """
        if self._running is None:
            raise RuntimeError("only download_and_prepare calls this")
        session, options = self._running.session, self._running.request.options
        if download_config.max_examples_per_split == 0:
            session.open({})
            return True
        output = outputs.for_tfds(self.info.file_format.value)
        named = shared_scratch(options, download_config, Path(self.data_dir_root))
        scratch = make_scratch(named, options)
        manual_dir = as_workers_see(tfds_request.manual_dir_of(dl_manager), download_config)
        added = self._running.added
        with phase("starting workers"):
            pool = make_workers(options, download_config, session.job_dir, manual_dir)
        with pool as workers:
            copy = copy_first(
                "/".join(filter(None, (self.name, self.builder_config_name))),
                (lambda where: added.of(self.survey(where))) if added else self.survey,
                manual_dir,
                scratch,
                options,
            )
            self._at_end.enter_context(copy)
            self._when_built.callback(self._done_with_copy, copy)
            context = self._context(scratch, options, workers, copy.files)
            if added is not None:
                context = dataclasses.replace(context, kept=added.unstaged)
            with saying_why(manual_dir), phase(f"indexing {self.info.full_name}") as shown:
                counting = context.with_workers(shown.counting(workers))
                recipes = self.split_recipes(manual_dir, counting)
            foreign_links.announce(manual_dir, recipes, strict=options.strict)
            built = steps.build_splits(
                recipes,
                context,
                self._running,
                name=self.info.full_name,
                shard_path=self._shard_path,
                output=output,
                plan_config=tfds_request.plan_config(download_config),
            )
        if built is None:
            return False
        self._plans = built.plans
        self._running = dataclasses.replace(self._running, added=built.added)
        self.results = steps.of_archives(built.results, context.unpacked)
        splits: list[SplitResult | KeptSplit] = [*self._running.kept, *self.results]
        splits.sort(key=self._place_of)
        self.info.set_splits(tfds.core.SplitDict(map(self._split_info, splits)))
        return True

    def _place_of(self, result: SplitResult | KeptSplit) -> int:
        """The place of a split among the official ones."""
        names = self.split_names
        return names.index(result.split) if result.split in names else len(names)

    def _look_for_more(
        self, request: Request, download_dir: Any, config: Any
    ) -> adding.Addition | None:
        """What is staged and not in the dataset that is there; see `adding.look`."""
        # Another way to write, such as TensorFlow Datasets' own, adds nothing; to a whole dataset,
        # nobody adds a part of a split.
        is_planned = type(self)._download_and_prepare is PlannedBuilder._download_and_prepare
        if not is_planned or request.limit == 0 or limit_of(request.path) != request.limit:
            return None
        manual_dir = tfds_request.manual_dir_for(config, download_dir, Path(self.data_dir_root))
        return adding.look(request.path, self.survey, manual_dir, request.options)

    def _context(
        self,
        scratch: Path,
        options: BuildOptions,
        workers: Workers,
        copies: Mapping[str, str] = NO_COPIES,
    ) -> BuildContext:
        return BuildContext(
            scratch, options, workers, copies, at_end=self._at_end, when_built=self._when_built
        )

    def _shard_path(self, split: str, shard: int, shards: int) -> Path:
        template = self._get_filename_template(split_name=split)
        assert self._running is not None
        path = Path(template.sharded_filepath(shard_index=shard, num_shards=shards))
        return self._running.session.incomplete.shards / path.name

    def _split_info(self, result: SplitResult | KeptSplit) -> tfds.core.SplitInfo:
        return tfds.core.SplitInfo(
            name=result.split,
            shard_lengths=list(result.shard_lengths),
            num_bytes=result.record_bytes,
            filename_template=self._get_filename_template(split_name=result.split),
        )

    def _make_download_manager(self, **kwargs: Any) -> tfds.download.DownloadManager:
        """The download manager, without the empty folders it makes: nothing is downloaded here."""
        given = kwargs["download_config"].manual_dir and not kwargs.get("download_dir")
        if self._running is not None and given:
            # Not beside all datasets: a user who may build this one may not write there.
            kwargs["download_dir"] = self._running.session.incomplete.directory.place_of(DOWNLOADS)
        with durable.writing(Path(kwargs.get("download_dir") or self.data_dir_root)):
            manager = super()._make_download_manager(**kwargs)
        for directory in (manager._extract_dir, manager._download_dir):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
        return manager
