"""What this package knows of a dataset, as one value: all that its commands need besides a builder.

A dataset's folder has a module `dataset` with its value, `DATASET`. `check`, `verify`, `show`, the
copies of `--stage`, `--help` and TensorFlow Datasets' registry work from these values alone, so
that no dataset is named outside its folder. Values are made when the command line starts: a
function of a value imports what it needs when it is called.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.locate.found import Survey

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe

LabelOf = Callable[[str], "int | None"]
"""From a key to its label, or None where the key does not tell. Raises ValueError with the reason
for a key that is not one of the split."""


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of the official data.

    Attributes:
        name: Its name.
        images: Number of images, or None where that is not known.
        image_bytes: About how many bytes the images have together, unpacked where they are pixels;
            for estimates of space. None where that is not known.
        source: Where these figures are from.
        archives: Names of the official archives of its images, among them alternatives.
        box_archives: Names of the official archives of its boxes.
        per_class: Images of each class: one number for all, or a function that gives them in the
            order of the labels; None where that is not known.
        folders: Names of the folders that have its images where one source has several splits;
            empty where all images of a source are its.
        files: Names of the files that every source has, where images are not files of their own.
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

    def counts(self, classes: int) -> tuple[int, ...] | None:
        """Official number of images of each class, or None where that is not known.

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
    """A configuration of a dataset; a dataset without configurations has one without a name.

    Attributes:
        name: Its name, or None.
        splits: Its official splits.
        classes: Gives the wnids in the order of their labels.
        description: What it is, in a sentence.
        written_bytes: Bytes of an image as a build encodes it; None where it is stored as staged.
        unpacked_bytes: Bytes of an image in scratch space, where a build unpacks what is staged;
            an archive that a build unpacks as a whole is counted by its size instead.
    """

    name: str | None
    splits: tuple[Split, ...]
    classes: Callable[[], tuple[str, ...]]
    description: str = ""
    written_bytes: int | None = None
    unpacked_bytes: int = 0

    def split(self, name: str) -> Split | None:
        """The official split of a name, or None."""
        return next((split for split in self.splits if split.name == name), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset.

    Every function is one of a module, so that a value can be sent to another process.

    Attributes:
        name: Its name in TensorFlow Datasets; that of its folder.
        summary: What it is, in one line.
        configs: Its configurations, in their order; at least one.
        builder: Gives the builder class; this imports TensorFlow Datasets.
        find: Looks below `manual_dir` for what is staged of a configuration; see `survey`.
        recipes: Finds and indexes what is staged below `manual_dir` of a configuration, as a build
            does; only the splits named, if there are such. Raises StagingError where nothing is
            staged, and SourceError where what is staged is damaged.
        key: The feature that is the key of an example.
        label_of: Gives the rule of labels, from the split and the labels of the classes.
        fixed_classes: Whether a list of other classes is an error.
        needs_boxes: Whether a split cannot be built without boxes.
        flat_boxes: Whether boxes may be without area, and those of test images are zeros.
        splits_apart: Whether a split can be indexed where another one is damaged.
        marker: A file by which a directory is known to be this dataset's, so that no other dataset
            takes its folders for its own; or None.
    """

    name: str
    summary: str
    configs: tuple[Config, ...]
    builder: Callable[[], type[Any]]
    find: Callable[[Path, str | None], Survey]
    recipes: Callable[[Path, str | None, BuildContext, Collection[str] | None], list[SplitRecipe]]
    label_of: Callable[[str, Mapping[str, int]], LabelOf]
    key: str = "file_name"
    fixed_classes: bool = True
    needs_boxes: bool = False
    flat_boxes: bool = False
    splits_apart: bool = False
    marker: str | None = None

    @property
    def config_names(self) -> list[str]:
        """Names of the configurations; none for a dataset without."""
        return [config.name for config in self.configs if config.name is not None]

    @property
    def archives(self) -> frozenset[str]:
        """Names of the official archives that it is made of."""
        splits = (split for config in self.configs for split in config.splits)
        return frozenset(name for one in splits for name in (*one.archives, *one.box_archives))

    def config(self, name: str | None) -> Config | None:
        """The configuration of a name, or None."""
        return next((config for config in self.configs if config.name == name), None)

    def survey(self, manual_dir: Path, config: str | None = None) -> Survey:
        """All that is staged of the dataset, or of a configuration, by its name alone.

        Args:
            manual_dir: Where to look.
            config: The configuration; None for the first, or for a dataset without.

        Returns:
            What is there, and what was looked for in vain; it needs no TensorFlow.

        Raises:
            StagingError: `manual_dir` is not a directory.
            OSError: It cannot be read.
        """
        found = self.find(manual_dir, config or self.configs[0].name)
        return dataclasses.replace(found, needs_boxes=self.needs_boxes)
