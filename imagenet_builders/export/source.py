"""What is exported: a dataset that was built, or what is staged of one, planned in parts.

Both give the same examples in the same order. Of what is staged, images are inspected and repaired
as in a build; of what was built, the checksum of each record is compared.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from imagenet_builders import datasets
from imagenet_builders.build import foreign_links
from imagenet_builders.build.installed import import_tfds
from imagenet_builders.datasets import built
from imagenet_builders.errors import OptionError, SourceError
from imagenet_builders.export.form import Form, Subject
from imagenet_builders.locate.access import saying_why
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.plan import SplitPlan, plan_split
from imagenet_builders.plan.recipe import MakeExamples, SplitRecipe
from imagenet_builders.publish.provenance import read_provenance
from imagenet_builders.publish.published import part_warning
from imagenet_builders.records import rows
from imagenet_builders.records.dataset import BuiltDataset
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.words import logger

if TYPE_CHECKING:
    import numpy as np

_LOG = logger(__name__)

# A line of an index of records.
_LINE_BYTES = 24


@dataclasses.dataclass(frozen=True)
class Planned:
    """What is exported, ready to be written.

    Attributes:
        subject: The dataset.
        recipes: Its splits.
        plans: The plan of each.
    """

    subject: Subject
    recipes: list[SplitRecipe]
    plans: list[SplitPlan]


class Source(Protocol):
    """Where the examples of an export come from."""

    @property
    def name(self) -> str:
        """Full name of the dataset."""

    @property
    def is_staged(self) -> bool:
        """Whether it is archives, of which an index is kept."""

    @property
    def provenance(self) -> str | None:
        """The digest of the provenance of what was built; None without one."""

    def check(self, form: Form, parts: int | None) -> None:
        """Makes sure that it can be exported so; see `planned`.

        Raises:
            OptionError: It cannot.
            SourceError: It cannot, for what it is.
        """

    def planned(self, form: Form, parts: int | None, context: BuildContext) -> Planned:
        """Indexes it and cuts it into parts.

        Args:
            form: The form that it is exported in.
            parts: Number of parts of each split; None leaves it to the form.
            context: What to index with.

        Raises:
            SourceError: It is damaged, or has fewer examples than parts.
            StagingError: Nothing of it is staged.
        """

    def shards(self, split: str) -> tuple[str, ...]:
        """The names of the shards of a split of a dataset that was built; none of any other."""


class BuiltSource:
    """A dataset that was built, in the order of its records.

    Args:
        name: As for `datasets.built.one`.
        data_dir: Where datasets are.

    Raises:
        OptionError: There is no such dataset, or it is not clear which is meant.
        StagingError: It is not built.
        SourceError: It is damaged.
    """

    is_staged = False

    def __init__(self, name: str, data_dir: Path):
        self._dataset = BuiltDataset.at(built.one(name, data_dir))
        self.name = self._dataset.full_name
        said = read_provenance(self._dataset.directory) or {}
        self.provenance: str | None = said.get("self")

    def check(self, form: Form, parts: int | None) -> None:
        """See `Source`."""
        dataset = self._dataset
        if form.follows and parts is not None:
            raise OptionError(
                f"--to {form.name} keeps to the shards that are there; leave out --num-shards"
            )
        if form.follows and dataset.output.index is None:
            raise SourceError(
                f"{dataset.directory} has shards in the format {dataset.output.name}, whose "
                f"records have no place of their own in a file; --to {form.name} is of TFRecords"
            )
        self._classes()
        sentence = part_warning(dataset.directory)
        if sentence is not None:
            _LOG.warning(sentence)

    def planned(self, form: Form, parts: int | None, context: BuildContext) -> Planned:
        """See `Source`."""
        dataset = self._dataset
        recipes, plans = [], []
        for split, lengths in dataset.lengths.items():
            index = rows.index_split(dataset, split, context.workers)
            if not len(index):
                continue
            examples: MakeExamples = functools.partial(rows.make_examples, dataset.features)
            if form.follows:
                index, examples = rows.as_places(index, _LINE_BYTES), rows.places
            count = 1 if form.follows else _count(form, split, len(index), parts)
            recipes.append(_recipe(split, index, examples, dataset))
            count = count or min(len(lengths), len(index))
            plans.append(rows.plan_in_order(split, index, count))
        if not plans:
            raise SourceError(f"{dataset.directory} has no examples")
        return Planned(self._subject(), recipes, plans)

    def shards(self, split: str) -> tuple[str, ...]:
        """See `Source`."""
        count = len(self._dataset.lengths[split])
        return tuple(self._dataset.shard(split, number).name for number in range(count))

    def _classes(self) -> tuple[str, ...]:
        """The wnids in the order of their labels."""
        dataset, names = self._dataset, self._dataset.label_names()
        known = datasets.find(dataset.name)
        config = known.config(dataset.config) if known is not None else None
        if known is None or config is None:
            return names
        classes = config.classes()
        if names and names != (classes if known.fixed_classes else tuple(sorted(set(names)))):
            raise SourceError(
                f"{dataset.directory}/label.labels.txt does not have the classes of "
                f"{known.name} in the order of their labels; see what `imagenet-builders verify` "
                "says of it"
            )
        return names or classes

    def _subject(self) -> Subject:
        dataset = self._dataset
        known = datasets.find(dataset.name)
        config = known and known.config(dataset.config)
        texts = [leaf.path for leaf in dataset.features if leaf.kind == "text"]
        return Subject(
            name=dataset.name,
            config=dataset.config,
            version=dataset.version,
            stem=_stem(dataset.name, dataset.config, config.stem if config else ""),
            key=known.key if known else (texts or [""])[0],
            classes=self._classes(),
            splits=tuple(dataset.lengths),
        )


def _recipe(split: str, index: Index, examples: MakeExamples, dataset: BuiltDataset) -> SplitRecipe:
    layout = f"built as {dataset.output.name}"
    return SplitRecipe(split, index, examples, _sizes, layout=layout)


def _sizes(index: Index) -> np.ndarray:
    return numbers_in(index.table["size"])


class StagedSource:
    """What is staged of a dataset, in the order that a build gives it.

    Args:
        name: The dataset, with its configuration if it has several.
        manual_dir: Where it is staged.

    Raises:
        OptionError: There is no such dataset or configuration.
    """

    is_staged = True
    provenance: str | None = None

    def __init__(self, name: str, manual_dir: Path):
        short, _, config = name.partition("/")
        dataset = datasets.find(short)
        if dataset is None:
            raise OptionError(datasets.no_such(short))
        if not config and len(dataset.configs) > 1:
            raise OptionError(
                f"{short} has the configurations {', '.join(dataset.config_names)}; say which, "
                f"such as {short}/{dataset.config_names[0]}"
            )
        chosen = dataset.config(config or dataset.configs[0].name)
        if chosen is None:
            raise OptionError(
                f"{short} has no configuration {config!r}; it has {', '.join(dataset.config_names)}"
            )
        self._dataset, self._config, self._manual_dir = dataset, chosen, manual_dir
        self.name = "/".join(filter(None, (short, chosen.name, dataset.version)))

    def check(self, form: Form, parts: int | None) -> None:
        """See `Source`."""
        del parts
        if form.follows:
            raise OptionError(
                f"--to {form.name} is for a dataset that was built; give --data-dir, not "
                "--manual-dir"
            )

    def planned(self, form: Form, parts: int | None, context: BuildContext) -> Planned:
        """See `Source`."""
        if parts is None and form.parts is None:
            import_tfds()  # Now, while workers start, if they do; see `_as_tfds`.
        with saying_why(self._manual_dir):
            recipes = self._dataset.indexed(self._manual_dir, self._config.name, context)
        foreign_links.announce(self._manual_dir, recipes, strict=context.options.strict)
        plans = []
        for recipe in recipes:
            count = _count(form, recipe.split, len(recipe.index), parts)
            plans.append(
                plan_split(
                    recipe.split,
                    recipe.index,
                    count_shards=_as_tfds if count is None else functools.partial(_given, count),
                    example_sizes=recipe.example_sizes(recipe.index),
                    made_with=recipe.made_with,
                )
            )
        subject = Subject(
            name=self._dataset.name,
            config=self._config.name,
            version=self._dataset.version,
            stem=_stem(self._dataset.name, self._config.name, self._config.stem),
            key=self._dataset.key,
            classes=recipes[0].classes or self._config.classes(),
            splits=tuple(recipe.split for recipe in recipes),
        )
        return Planned(subject, recipes, plans)

    def shards(self, split: str) -> tuple[str, ...]:
        """See `Source`."""
        del split
        return ()


def _count(form: Form, split: str, examples: int, parts: int | None) -> int | None:
    """Number of parts of a split; None for that of its shards."""
    if parts is not None:
        return parts
    return None if form.parts is None else max(1, min(form.parts(split, examples), examples))


def _given(count: int, size: int, examples: int) -> int:
    del size, examples
    return count


def _as_tfds(size: int, examples: int) -> int:
    """The number of shards of a build."""
    tfds = import_tfds()
    count: int = tfds.download.DownloadConfig().get_shard_config().get_number_shards(size, examples)
    return count


def _stem(name: str, config: str | None, published: str) -> str:
    return published or "_".join(filter(None, (name, config)))
