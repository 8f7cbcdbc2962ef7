"""The datasets: one folder for each, in TensorFlow Datasets' dataset-as-folder form.

The package finds a dataset by its folder, which has a module `dataset` with the dataset's value,
`DATASET` (a `description.Dataset`). `register` adds a dataset from another package.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import OptionError

if TYPE_CHECKING:
    from imagenet_builders.datasets.description import Dataset
    from imagenet_builders.options import Option

_registered: dict[str, Dataset] = {}


@functools.cache
def _own_names() -> frozenset[str]:
    return frozenset(module.parent.name for module in Path(__file__).parent.glob("*/dataset.py"))


def names() -> list[str]:
    """The names of all datasets, sorted; it imports none of them."""
    return sorted(_own_names() | _registered.keys())


def best_known() -> str:
    """The name for examples in help: the one that most others begin with.

    >>> best_known()
    'imagenet2012'
    """
    return max(names(), key=lambda name: sum(other.startswith(name) for other in names()))


def get(name: str) -> Dataset:
    """The value of a dataset.

    Args:
        name: One of `names()`.

    Raises:
        KeyError: There is no such dataset.
    """
    if name in _own_names():
        dataset: Dataset = importlib.import_module(f"{__name__}.{name}.dataset").DATASET
        return dataset
    return _registered[name]


def find(name: str) -> Dataset | None:
    """The value of a dataset, or None if no dataset has the name."""
    return get(name) if name in names() else None


def no_such(name: str) -> str:
    """Says that there is no dataset of a name, which one may be meant, and which there are.

    >>> no_such("imagenet2021")
    "there is no dataset 'imagenet2021' (is imagenet2012 meant?); there are imagenet12k, ..."
    >>> no_such("ImageNet")
    "there is no dataset 'ImageNet' (is imagenet2012 meant?); there are imagenet12k, ..."
    """
    known, lower = best_known(), name.lower()
    is_begun = bool(lower) and known.startswith(lower)
    close = [known] if is_begun else difflib.get_close_matches(lower, names(), n=1)
    meant = f" (is {close[0]} meant?)" if close else ""
    return f"there is no dataset {name!r}{meant}; there are {', '.join(names())}"


def every() -> list[Dataset]:
    """The values of all datasets, in the order of their names."""
    return [get(name) for name in names()]


def original() -> list[Dataset]:
    """The values of the datasets that are not derived from another, in the order of their names."""
    return [dataset for dataset in every() if not dataset.is_derived]


def made_of(archive: str) -> tuple[str, ...]:
    """The names of the datasets that use an official archive, without derived ones."""
    return tuple(dataset.name for dataset in original() if archive in dataset.archives)


def only_of_some(option: Option) -> OptionError:
    """The error of an option that was given for datasets that do not take it."""
    takers = " and ".join(dataset.name for dataset in every() if option.name in dataset.options)
    return OptionError(
        f"{option.flag} is an option of {takers} only; leave it out, or build {takers} with it"
    )


def register(dataset: Dataset) -> None:
    """Adds a dataset from another package, for all commands and for `tfds.builder`.

    Args:
        dataset: Its value.

    Raises:
        ValueError: Another dataset has its name.
    """
    if find(dataset.name) not in (None, dataset):
        raise ValueError(f"there is a dataset {dataset.name!r} already")
    _registered[dataset.name] = dataset
