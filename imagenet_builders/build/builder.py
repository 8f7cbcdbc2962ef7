"""The base class of all builders: TensorFlow Datasets' interface around the steps of a build.

A dataset says where its splits are staged and how rows become examples. Out of that come both ways
of building: the planned one, which this class does, and TensorFlow Datasets' own (one generator,
sorted on disk), which stays usable and is what the tests compare with.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import tensorflow_datasets as tfds

from imagenet_builders.build import adding, foreign_links, roots, steps, tfds_request
from imagenet_builders.build.building import build_all
from imagenet_builders.build.preparing import PreparingBuilder
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.locate.access import saying_why
from imagenet_builders.locate.found import Survey
from imagenet_builders.options import BuildOptions, require_local
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import ImagePolicy, SplitRecipe
from imagenet_builders.publish.left import DOWNLOADS
from imagenet_builders.publish.published import Request, limit_of
from imagenet_builders.run import console
from imagenet_builders.run.choose import as_workers_see, make_workers, shared_scratch
from imagenet_builders.run.garbage import uncollected
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import phase
from imagenet_builders.scratch.copy_first import copy_first
from imagenet_builders.scratch.space import make_scratch
from imagenet_builders.sources.rows import NO_COPIES
from imagenet_builders.words import logger
from imagenet_builders.write import durable

_LOG = logger(__name__)


class PlannedBuilder(PreparingBuilder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """A builder that plans first and writes shards in parallel.

    Args:
        options: How to build. None takes them from the environment, when something is built.
        copies: The copies of archives (`--stage`) that this builder shares with others; by itself,
            it removes its copy when the dataset is published.
        workers: Who does the work, on this machine. They end with a build, and start again with the
            next. None starts those that are asked for.
        **kwargs: As for every TensorFlow Datasets builder (`data_dir`, `config`, `version`,
            `file_format`).
    """

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
    def is_planned(self) -> bool:
        """Whether it builds in the planned way, and not in another one of a subclass."""
        return type(self)._download_and_prepare is PlannedBuilder._download_and_prepare

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
            file_format: Name of an output; None for the default one. Two, with a comma between, are
                built in one pass: that of the default output here, and the other in the directory
                that is `array_record_dir` of the options, by the builder that is `beside` then.
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
        formats = roots.formats_of(file_format)
        other = roots.other_root(formats, self.data_dir_root, options)
        self.beside = None
        if other is None:
            builders: dict[PreparingBuilder, str | None] = {self: formats[0]}
        else:
            self.beside = self._made_beside(other)
            roots.check_apart(self.data_dir, self.beside.data_dir)
            builders = dict(zip((self, self.beside), formats, strict=True))
        build_all(builders, download_dir, config)

    def _made_beside(self, data_dir: str) -> Self:
        """A builder of the same dataset in another directory."""
        state = {**self._original_state, "data_dir": data_dir, "copies": self._copies}
        state.pop("file_format", None)
        return type(self)(**state)

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
        together: list[PreparingBuilder] = [self, *self._beside]
        if download_config.max_examples_per_split == 0:
            for each in together:
                each.opened_empty()
            return True
        begun = [each.begun() for each in together]
        named = shared_scratch(options, download_config, Path(self.data_dir_root))
        scratch = make_scratch(named, options)
        manual_dir = as_workers_see(tfds_request.manual_dir_of(dl_manager), download_config)
        added = self._running.added
        with phase("starting workers"):
            pool = self._workers or make_workers(
                options, download_config, session.job_dir, manual_dir
            )
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
                with uncollected():
                    recipes = self.split_recipes(manual_dir, counting)
            foreign_links.announce(manual_dir, recipes, strict=options.strict)
            built = steps.build_splits(
                recipes, context, begun, tfds_request.plan_config(download_config)
            )
        for each, what in zip(together, built, strict=True):
            each.built(what, context.unpacked)
        return built[0] is not None

    def _look_for_more(
        self, request: Request, download_dir: Any, config: Any
    ) -> adding.Addition | None:
        """What is staged and not in the dataset that is there; see `adding.look`."""
        # Another way to write, such as TensorFlow Datasets' own, adds nothing; to a whole dataset,
        # nobody adds a part of a split.
        if not self.is_planned or request.limit == 0 or limit_of(request.path) != request.limit:
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

    def _make_download_manager(self, **kwargs: Any) -> tfds.download.DownloadManager:
        """The download manager, without the empty folders it makes: nothing is downloaded here."""
        given = kwargs["download_config"].manual_dir and not kwargs.get("download_dir")
        if self._running is not None and given:
            # Not beside all datasets: a user who may build this one may not write there.
            kwargs["download_dir"] = self._running.session.incomplete.directory.place_of(DOWNLOADS)
        # Another way to write may be one that downloads.
        known = tfds_request.no_url_infos() if self.is_planned else contextlib.nullcontext()
        with durable.writing(Path(kwargs.get("download_dir") or self.data_dir_root)), known:
            manager = super()._make_download_manager(**kwargs)
        for directory in (manager._extract_dir, manager._download_dir):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
        return manager
