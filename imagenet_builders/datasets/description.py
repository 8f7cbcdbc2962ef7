"""The value that describes a dataset to all commands.

A dataset's folder has a module `dataset` with its value, `DATASET`. `build`, `check`, `verify`,
`show`, `--stage`, `--help` and TensorFlow Datasets' registry use these values only, so no dataset
is named outside its folder. `check` makes all values when it starts. So a function of a value
imports NumPy, Arrow or TensorFlow Datasets only when it is called.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.errors import SourceError
from imagenet_builders.locate.found import Survey
from imagenet_builders.locate.glimpse import Glimpse
from imagenet_builders.locate.packaging import Packaging
from imagenet_builders.options import OPTIONS, BuildOptions

if TYPE_CHECKING:
    from imagenet_builders.labels.image_names import Naming
    from imagenet_builders.locate.found import Found
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe
    from imagenet_builders.sources.inspection import Counted, Inspection, Problem
    from imagenet_builders.sources.kind import Expected

LabelOf = Callable[[str], "int | None"]
"""From a key to its label, or None where the key does not tell. Raises ValueError with the reason
for a key that is not one of the split."""

Count = Callable[
    ["Found", "Mapping[Path, Inspection]", "Expected"], "tuple[Counted, list[Problem]]"
]
"""Counts what a source holds; see `Kind.count`."""


def shows_nothing(seen: object) -> str | None:
    """No evidence; see `Signs`."""
    del seen
    return None


@dataclasses.dataclass(frozen=True)
class Tally:
    """What an index shows of the images of a split.

    Attributes:
        counts: Wnid to number of images, of the classes that have any.
        keys: The keys of the images of a class, in any order.
    """

    counts: Mapping[str, int]
    keys: Callable[[str], Sequence[str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signs:
    """How images are known to be of a dataset, whatever the files that hold them are called.

    A function gives what is evidence enough, in a phrase that goes on after a colon, or None.

    Attributes:
        title: What the dataset is called in a sentence.
        names: Split to a regular expression of the names of its images.
        by_names: Evidence in the names of a source, none of which may also be another dataset's.
        by_index: Evidence in an index.
        is_built: Whether the dataset that has these signs is built from such images. If not, it
            knows them to be of a dataset that nothing here builds.
    """

    title: str
    names: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    by_names: Callable[[Glimpse], str | None] = shows_nothing
    by_index: Callable[[Tally], str | None] = shows_nothing
    is_built: bool = True


def no_subsets() -> Mapping[str, frozenset[str]]:
    """No known subset; see `Config.subsets`."""
    return {}


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of a dataset as it was published.

    Attributes:
        name: Its name.
        images: Number of images; None if it is unknown.
        image_bytes: Bytes of all images, estimated, unpacked where they are pixels; None if that is
            unknown.
        source: The source of these figures.
        archives: Names of the official archives of its images, with alternatives.
        box_archives: Names of the official archives of its boxes.
        per_class: Images of each class: one number for all, or a function that gives them in the
            order of the labels; None if they are unknown.
        folders: Names of the folders that have its images, in a source of several splits; empty if
            all images of a source belong to it.
        files: Names of the files that a source must have, if images are not files of their own.
        naming: Gives the rule for the names of images, by which a build reads them; None where the
            dataset counts its sources itself (`Dataset.count`).
    """

    name: str
    images: int | None
    image_bytes: int | None
    source: str
    archives: tuple[str, ...] = ()
    box_archives: tuple[str, ...] = ()
    per_class: int | Callable[[], Sequence[int]] | None = None
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    naming: Callable[[], Naming] | None = None

    def counts(self, classes: int) -> tuple[int, ...] | None:
        """The official number of images of each class, or None if it is unknown.

        Args:
            classes: Number of classes.
        """
        if self.per_class is None:
            return None
        if isinstance(self.per_class, int):
            return (self.per_class,) * classes
        return tuple(self.per_class())


@dataclasses.dataclass(frozen=True)
class Config:
    """A configuration of a dataset. A dataset without configurations has one without a name.

    Attributes:
        name: Its name, or None.
        splits: Its official splits.
        classes: Gives the wnids in the order of their labels.
        description: Its description, a sentence.
        written_bytes: Bytes of an image that a build encodes anew; None if it stores the image as
            it is staged.
        unpacked_bytes: Bytes of an image that a build unpacks to scratch space. Archives that a
            build unpacks as a whole are counted by their size instead.
        subsets: Gives the sets of classes that people know by a name.
        stem: What names of its files begin with where others have published it; empty where nobody
            has.
    """

    name: str | None
    splits: tuple[Split, ...]
    classes: Callable[[], tuple[str, ...]]
    description: str = ""
    written_bytes: int | None = None
    unpacked_bytes: int = 0
    subsets: Callable[[], Mapping[str, frozenset[str]]] = no_subsets
    stem: str = ""

    def subset(self, classes: Collection[str]) -> str | None:
        """The name by which people know a set of classes, or None."""
        there = frozenset(classes)
        return next((name for name, each in self.subsets().items() if each == there), None)

    def split(self, name: str) -> Split | None:
        """The official split of a name, or None."""
        return next((split for split in self.splits if split.name == name), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset.

    Every function belongs to a module, so a value can be sent to worker processes.

    Attributes:
        name: Its name in TensorFlow Datasets and the name of its folder.
        summary: Its description, one line.
        configs: Its configurations, in their order; at least one.
        builder: Imports TensorFlow Datasets and gives the builder class.
        find: Surveys what is staged below a `manual_dir` for a configuration; see `survey`.
        recipes: Indexes what is staged below a `manual_dir` for a configuration, for a build and
            for `check --deep`. The last argument names the splits to index, or is None for all.
            Raises StagingError if nothing is staged, and SourceError if a source is damaged.
        label_of: Gives the rule that gets labels from keys, for a split and the labels of classes.
        count: Counts what a source holds, by names alone and by the rules of a build, and says what
            a build refuses; None where the kind of source does it (`Kind.count`).
        version: Its version, which a build makes.
        key: The feature that is the key of an example.
        fixed_classes: Whether another list of classes is an error.
        needs_boxes: Whether a split cannot be built without boxes.
        flat_boxes: Whether boxes may have no area; the boxes of test images are zeros then.
        splits_apart: Whether a split can be indexed although another one is damaged.
        packagings: Known packagings of it that are not read, which `check` names.
        files: Names of files that may lie in a source of it besides images.
        signs: How its images are known, and those of its relatives that nothing here builds.
        is_derived: Whether it is made anew of the images of another dataset, which has the same
            archives. Only who names it gets it: `all` leaves it out, and messages about archives
            name the other one.
        options: Names of the options of a build that it takes and most datasets do not
            (`Option.of_some`).
    """

    name: str
    summary: str
    configs: tuple[Config, ...]
    builder: Callable[[], type[Any]]
    find: Callable[[Path, str | None], Survey]
    recipes: Callable[[Path, str | None, BuildContext, Collection[str] | None], list[SplitRecipe]]
    label_of: Callable[[str, Mapping[str, int]], LabelOf]
    count: Count | None = None
    version: str = "1.0.0"
    key: str = "file_name"
    fixed_classes: bool = True
    needs_boxes: bool = False
    flat_boxes: bool = False
    splits_apart: bool = False
    packagings: tuple[Packaging, ...] = ()
    files: tuple[str, ...] = ()
    signs: tuple[Signs, ...] = ()
    is_derived: bool = False
    options: tuple[str, ...] = ()

    @property
    def config_names(self) -> list[str]:
        """Names of the configurations; empty for a dataset without any."""
        return [config.name for config in self.configs if config.name is not None]

    def own_options(self, options: BuildOptions) -> BuildOptions:
        """Options of a build without those that only other datasets take (`Option.of_some`)."""
        others = (each for each in OPTIONS.values() if each.of_some)
        return options.replace(
            **{each.name: each.default for each in others if each.name not in self.options}
        )

    @property
    def archives(self) -> frozenset[str]:
        """Names of the official archives that it uses."""
        splits = (split for config in self.configs for split in config.splits)
        return frozenset(name for one in splits for name in (*one.archives, *one.box_archives))

    @property
    def has_boxes(self) -> bool:
        """Whether its images have boxes, if these are staged."""
        splits = (split for config in self.configs for split in config.splits)
        return self.flat_boxes or any(split.box_archives for split in splits)

    def config(self, name: str | None) -> Config | None:
        """The configuration of a name, or None."""
        return next((config for config in self.configs if config.name == name), None)

    def survey(
        self, manual_dir: Path, config: str | None = None, *, headers: bool = False
    ) -> Survey:
        """Surveys what is staged for a configuration, from names and listings alone.

        Args:
            manual_dir: The directory with the archives.
            config: Name of the configuration; None for the first one.
            headers: Whether to look at the first names in files, too. A build, which may read
                copies of these, finds by its index what they tell.

        Returns:
            The sources of each split, and what was not found.

        Raises:
            StagingError: `manual_dir` is not a directory.
            OSError: It cannot be read.
        """
        from imagenet_builders.datasets import identity

        config = config or self.configs[0].name
        found = dataclasses.replace(self.find(manual_dir, config), needs_boxes=self.needs_boxes)
        return identity.judged(self, self.config(config), found, headers=headers)

    def indexed(
        self,
        manual_dir: Path,
        config: str | None,
        context: BuildContext,
        only: Collection[str] | None = None,
    ) -> list[SplitRecipe]:
        """Indexes what is staged, and makes sure that it is this dataset.

        Args:
            manual_dir: The directory with the archives.
            config: Name of the configuration; None for the first one.
            context: What to index with.
            only: The splits to index; None for all.

        Returns:
            The recipes; those of a part of the official split say so.

        Raises:
            StagingError: Nothing is staged.
            SourceError: A source is damaged, or is another dataset.
        """
        from imagenet_builders.datasets import identity

        config = config or self.configs[0].name
        try:
            recipes = self.recipes(manual_dir, config, context, only)
        except SourceError as error:
            staged = (
                self.survey(manual_dir, config, headers=True)
                .of_splits(only)
                .reading(context.copies)
            )
            mismatch = identity.of_archives(self, self.config(config), staged, context)
            if mismatch is None:
                raise
            raise SourceError(str(mismatch)) from error
        surveyed = self.survey(manual_dir, config)
        return [identity.checked(self, self.config(config), one, surveyed) for one in recipes]
