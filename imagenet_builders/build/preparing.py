"""The part of a builder that holds the lock, prepares a dataset, and publishes it."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from imagenet_builders.build import adding, finished, steps, tfds_request
from imagenet_builders.build.reading import ReadingBuilder
from imagenet_builders.build.running import Built, Running
from imagenet_builders.build.summary import summary
from imagenet_builders.errors import TargetError
from imagenet_builders.options import BuildOptions
from imagenet_builders.publish import readable, unchanged
from imagenet_builders.publish.access import Access
from imagenet_builders.publish.addition import KeptSplit
from imagenet_builders.publish.provenance import layouts_of, read_provenance
from imagenet_builders.publish.published import Request, Task, limit_of, warn_of_lost_shards
from imagenet_builders.publish.session import BuildSession, tidy
from imagenet_builders.publish.target import Target
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.progress import phase
from imagenet_builders.scratch.copy import ScratchCopy
from imagenet_builders.scratch.shared_copies import SharedCopies
from imagenet_builders.words import logger
from imagenet_builders.write import durable, outputs
from imagenet_builders.write.results import SplitResult

_LOG = logger(__name__)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a builder was asked for.

    Attributes:
        request: What, and where.
        look: Looks for splits that can be added to the dataset that is there.
        file_format: The file format; None for any.
        num_shards: The number of shards of each split; None for any.
        has_sizes: Whether it has the least or the largest size of a shard.
    """

    request: Request
    look: Callable[[], adding.Addition | None]
    file_format: str | None
    num_shards: int | None
    has_sizes: bool


class PreparingBuilder(ReadingBuilder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """A builder that prepares a dataset where nobody sees it, and publishes it in one step.

    Args:
        options: As for `PlannedBuilder`.
        copies: As there.
        workers: As there.
        **kwargs: As there.
    """

    def __init__(
        self,
        *,
        options: BuildOptions | None = None,
        copies: SharedCopies | None = None,
        workers: Workers | None = None,
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
        self.beside: PreparingBuilder | None = None
        """The builder of the same dataset in another file format, if the last build was of both."""
        self.is_made = False
        """Whether all of its shards are written, while it builds."""
        self._plans: dict[str, str] = {}
        self._copies = copies
        self._workers = workers
        self._done_with_copy = copies.pass_on if copies else ScratchCopy.remove
        self._running: Running | None = None
        self._beside: Sequence[PreparingBuilder] = ()
        self._at_end = contextlib.ExitStack()
        self._when_built = contextlib.ExitStack()

    @property
    def info(self) -> tfds.core.DatasetInfo:
        """The `tfds.core.DatasetInfo`: of what is built now, or else of what is there."""
        return self._new_info or super().info

    @property
    def build_options(self) -> BuildOptions:
        """The options given, or those in the environment."""
        return self._options or BuildOptions.from_environment()

    @property
    @abc.abstractmethod
    def split_names(self) -> list[str]:
        """Names of its splits in the order that a dataset has them."""

    @property
    @abc.abstractmethod
    def is_planned(self) -> bool:
        """Whether it builds in the planned way, and not in another one of a subclass."""

    @abc.abstractmethod
    def _look_for_more(
        self, request: Request, download_dir: Any, config: Any
    ) -> adding.Addition | None:
        """What is staged and not in the dataset that is there; see `adding.look`."""

    def ask(self, download_dir: Any, config: Any, file_format: str | None) -> Asked:
        """What it is asked for now."""
        request = Request.of(
            Path(self.data_dir),
            self.build_options,
            overwrite=config.download_mode.overwrite_dataset,
            limit=config.max_examples_per_split,
        )
        look = functools.partial(self._look_for_more, request, download_dir, config)
        has_sizes = tfds_request.has_sizes(config)
        return Asked(request, look, file_format, config.num_shards, has_sizes)

    def is_there(self, asked: Asked) -> bool:
        """Whether all that was asked for is there; then it is left as it is."""
        request = asked.request
        if request.task() is not Task.NOTHING or asked.look() is not None:
            return False
        request.compare(self.info.file_format.value, asked.file_format)
        shards = (name for each in self.info.splits.values() for name in each.filenames)
        warn_of_lost_shards(request.path, shards)
        self._warn_of_what_changes_nothing(asked)
        tidy(Target(request.path), self.info.full_name)
        with contextlib.suppress(TargetError):  # Whoever only reads may not write there.
            self._name_default_config(request.path, request.options)
        return True

    def _warn_of_what_changes_nothing(self, asked: Asked) -> None:
        """Says what was asked for and is not made, because the dataset is there already."""
        request, splits = asked.request, self.info.splits
        shards = {name: each.num_shards for name, each in splits.items()}
        unchanged.warn_of_shards(request.path, shards, asked.num_shards)
        unchanged.warn_of_sizes(request.path, shards, asked.has_sizes)
        layouts = layouts_of(read_provenance(request.path))
        unchanged.warn_of_source(request.path, layouts, request.options.source)
        if limit_of(request.path) is None:
            examples = {name: each.num_examples for name, each in splits.items()}
            unchanged.warn_of_examples(request.path, examples, request.limit)
        unchanged.warn_of_access(request.path, Access.of(request.options))

    @contextlib.contextmanager
    def holding(self, asked: Asked) -> Iterator[Running | None]:
        """Holds the lock of the dataset.

        Args:
            asked: What was asked for.

        Yields:
            The build; None if another process has just built what was asked for.
        """
        self.results = []
        request, file_format = asked.request, asked.file_format
        with BuildSession(Target(request.path), request.options, self.info.full_name) as session:
            if session.waited:
                readable.wait_for_files(request.path)
            task, added = request.task(), None
            if task is Task.NOTHING:  # Another process may have just built it.
                self._restore(request.path)
                request.compare(self.info.file_format.value, file_format)
                task, added = Task.ADD, asked.look()
                if added is None:
                    self._warn_of_what_changes_nothing(asked)
                    yield None
                    return
                file_format = self.info.file_format.value
            # What was read of a dataset that will be replaced binds nobody.
            self._new_info = self._info()
            self._new_info.set_file_format(file_format or self._format_given)
            self._running = Running(session, request, task, added)
            try:
                yield self._running
            finally:
                self._running = None
                self._when_built.pop_all()  # Another attempt needs what is kept.

    def prepare_and_publish(
        self, beside: Sequence[PreparingBuilder], download_dir: Any, config: Any
    ) -> list[PreparingBuilder]:
        """Writes all files of datasets, and publishes these.

        Args:
            beside: Builders of the same dataset that are written in the same pass.
            download_dir: As for `download_and_prepare`.
            config: As there.

        Returns:
            The builders that did; another process has published the datasets of the others.
        """
        self._beside = beside
        with self._at_end:
            made = self._prepare(download_dir, config)
            for each in made:
                each.publish()
            self._when_built.close()
        return made

    def _prepare(self, download_dir: Any, config: Any) -> list[PreparingBuilder]:
        """Writes all files into the incomplete directories; see `prepare_and_publish`."""
        manager = self._make_download_manager(download_dir=download_dir, download_config=config)
        if not self.is_planned:
            # Another way to write, such as TensorFlow Datasets' own: it begins with nothing.
            self.opened_empty()
        made: list[PreparingBuilder] = []
        with self._in_place():
            if self._download_and_prepare(manager, config) is not False:  # TFDS's returns nothing.
                self._describe(manager, config)
                made.append(self)
        for each in self._beside:
            if each.is_made:
                with each._in_place():
                    each._describe(manager, config)
                made.append(each)
        return made

    @contextlib.contextmanager
    def _in_place(self) -> Iterator[None]:
        """Lets TensorFlow Datasets write into the incomplete dataset."""
        assert self._running is not None
        place = os.fspath(self._running.session.incomplete.place)
        with tfds.core.utils.temporary_assignment(self, "_data_dir", place):
            yield

    def opened_empty(self) -> None:
        """Begins a dataset without shards of ours."""
        assert self._running is not None
        self._running.session.open({})
        self.is_made = True

    def begun(self) -> steps.Begun:
        """What the steps of a build need to know of it.

        Raises:
            OptionError: The library of the file format is not installed.
        """
        assert self._running is not None
        self.is_made = False
        output = outputs.for_tfds(self.info.file_format.value)
        return steps.Begun(self._running, self.info.full_name, output, self._shard_path)

    def built(self, what: Built | None, unpacked: Mapping[str, str]) -> None:
        """Takes what the steps have written.

        Args:
            what: That; None if another process has published the same.
            unpacked: As in `BuildContext`.
        """
        assert self._running is not None
        self.is_made = what is not None
        if what is None:
            return
        self._plans = what.plans
        self._running = dataclasses.replace(self._running, added=what.added)
        self.results = steps.of_archives(what.results, unpacked)
        splits: list[SplitResult | KeptSplit] = [*self._running.kept, *self.results]
        splits.sort(key=self._place_of)
        with self._in_place():
            self.info.set_splits(tfds.core.SplitDict(map(self._split_info, splits)))

    def _describe(self, manager: Any, config: Any) -> None:
        """Writes the files about the dataset beside its shards."""
        assert self._running is not None
        incomplete = self._running.session.incomplete
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

    def publish(self) -> None:
        """Publishes the dataset, of which all files are written."""
        assert self._running is not None
        request = self._running.request
        self._name_default_config(request.path, request.options)
        with phase(f"publishing {self.info.full_name}"):
            self._running.session.publish(replace=self._running.task is not Task.BUILD)
        self.info.update_data_dir(os.fspath(request.path))

    def tell(self, running: Running, *, is_made: bool, file_format: str | None) -> None:
        """Takes over what the dataset says of itself, and logs the closing words of its build.

        Args:
            running: The build, which has ended.
            is_made: Whether it has published the dataset.
            file_format: To be named in the words, or None.
        """
        self._restore(running.request.path)
        if is_made:
            kept = [each.split for each in running.kept]
            name = self.info.full_name + (f" as {file_format}" if file_format else "")
            for line in summary(name, self.results, running.session.seconds, kept):
                _LOG.info(line)

    def _place_of(self, result: SplitResult | KeptSplit) -> int:
        """The place of a split among the official ones."""
        names = self.split_names
        return names.index(result.split) if result.split in names else len(names)

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
