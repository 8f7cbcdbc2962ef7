"""Label spaces: ordered lists of wnids, and the maps between their ids.

The lists are text files beside this module, with one wnid per line. Every dataset of this package
labels its examples by sorted wnids; sources use the other orders.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

from imagenet_builders.errors import LabelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Space:
    """Classes in an order that gives each its id; two spaces are equal when their names are.

    Attributes:
        name: The name in `SPACES`.
        wnids: The classes in the order of their ids, each once.
        first_id: Id of the first class, 0 or 1.
        description: A sentence on the space.
        source: The source of the classes and their order.
    """

    name: str
    wnids: tuple[str, ...] = field(compare=False, repr=False)
    first_id: int = field(compare=False)
    description: str = field(compare=False)
    source: str = field(compare=False)

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {wnid: label for label, wnid in enumerate(self.wnids, self.first_id)}

    @property
    def last_id(self) -> int:
        """Id of the last class."""
        return self.first_id + len(self.wnids) - 1

    def id_of(self, wnid: str) -> int:
        """Returns the id of a class.

        Args:
            wnid: The class, such as `n01440764`.

        Raises:
            LabelError: The space does not have the class.
        """
        try:
            return self._ids[wnid]
        except KeyError:
            pass
        others = [name for name in SPACES if wnid in space(name)]
        hint = f"; these spaces have it: {', '.join(others)}" if others else ""
        raise LabelError(
            f"{wnid!r} is not one of the {len(self):,} classes of the label space"
            f" {self.name!r}{hint}"
        )

    def wnid_of(self, label: SupportsIndex) -> str:
        """Returns the class with an id.

        Args:
            label: Id of the class, `first_id` to `last_id`.

        Raises:
            LabelError: No class has this id.
        """
        number = operator.index(label)
        if not self.first_id <= number <= self.last_id:
            raise _no_such_label(number, self)
        return self.wnids[number - self.first_id]

    def __len__(self) -> int:
        return len(self.wnids)

    def __contains__(self, wnid: object) -> bool:
        return wnid in self._ids


def space(name: str) -> Space:
    """Returns a label space.

    Args:
        name: One of `SPACES`.

    Raises:
        LabelError: There is no such space.
    """
    if name not in _DEFINITIONS:
        raise LabelError(f"there is no label space {name!r}; there are: {', '.join(SPACES)}")
    return _load(name)


def wnids(space_name: str) -> tuple[str, ...]:
    """Returns the classes of a space in the order of their ids.

    Args:
        space_name: One of `SPACES`.

    Raises:
        LabelError: There is no such space.
    """
    return space(space_name).wnids


@functools.cache
def mapping(source: str, target: str) -> NDArray[np.int64]:
    """Returns the ids of one space as a table indexed by the ids of another.

    Args:
        source: Space of the index, one of `SPACES`.
        target: Space of the entries, one of `SPACES`.

    Returns:
        Read-only int64 array of shape (`last_id + 1` of the source,): the target's id of the class,
        or -1 where the target has no such class. Entry 0 of a source that counts from one is -1.
        An index of -1 gives the last class, as always in NumPy: use `convert` for labels that may
        be -1.

    Raises:
        LabelError: There is no such space.
    """
    import numpy as np

    from_space, to_space = space(source), space(target)
    ids = [to_space._ids.get(wnid, -1) for wnid in from_space.wnids]
    table = np.array([-1] * from_space.first_id + ids, dtype=np.int64)
    table.flags.writeable = False
    return table


def convert(labels: ArrayLike, source: str, target: str) -> NDArray[np.int64]:
    """Turns ids of one space into ids of another.

    Args:
        labels: Integers of any shape; -1 is an example without a label.
        source: Space of `labels`, one of `SPACES`.
        target: Space of the result, one of `SPACES`.

    Returns:
        Int64 array of the same shape; -1 for no label, and where the target has no such class.

    Raises:
        LabelError: A label is not an integer, or neither -1 nor an id of `source`; or there is no
            such space.
    """
    import numpy as np

    table, from_space = mapping(source, target), space(source)
    given = np.asarray(labels)
    if given.size == 0:
        return np.full(given.shape, -1, dtype=np.int64)
    if given.dtype.kind not in "iu":
        raise LabelError(f"labels of {source!r} must be integers, found an array of {given.dtype}")
    wrong = (given != -1) & ((given < from_space.first_id) | (given > from_space.last_id))
    if wrong.any():
        raise _no_such_label(int(given[wrong][0]), from_space)
    unlabelled = given == -1
    return np.where(unlabelled, -1, table[np.where(unlabelled, 0, given).astype(np.int64)])


def _no_such_label(label: int, where: Space) -> LabelError:
    return LabelError(
        f"label {label} is not in the label space {where.name!r}, whose ids are"
        f" {where.first_id} to {where.last_id} (-1 is an example without a label)"
    )


@functools.cache
def _load(name: str) -> Space:
    first_id, read, description, source = _DEFINITIONS[name]
    return Space(name, read(), first_id, description, source)


def _lines(file_name: str) -> tuple[str, ...]:
    return tuple((HERE / file_name).read_text(encoding="ascii").split())


def _devkit_order() -> tuple[str, ...]:
    rows = (HERE / "ilsvrc2012_devkit.tsv").read_text(encoding="ascii").splitlines()[1:]
    return tuple(row.split("\t")[1] for row in rows)


# name: (first id, how to read the wnids, description, source).
_DEFINITIONS: dict[str, tuple[int, Callable[[], tuple[str, ...]], str, str]] = {
    "imagenet2012": (
        0,
        lambda: _lines("imagenet2012.txt"),
        "The 1,000 classes of ILSVRC2012, sorted; the labels of TFDS, torchvision, timm and Keras.",
        "TFDS 4.9.10, datasets/imagenet2012/labels.txt",
    ),
    "imagenet21k_winter21": (
        0,
        lambda: _lines("imagenet21k_winter21.txt"),
        "The 19,167 classes of the winter 2021 release of ImageNet-21k, sorted.",
        "birder, public_datasets_metadata/imagenet-21k-classes.txt",
    ),
    "imagenet21k_p": (
        0,
        lambda: _lines("imagenet21k_p.txt"),
        "The 10,450 classes of ImageNet-21K-P made from the winter 2021 release, sorted.",
        "timm 1.0.31, data/_info/imagenet21k_miil_w21_synsets.txt",
    ),
    "imagenet12k": (
        0,
        lambda: _lines("imagenet12k.txt"),
        "The 11,821 classes of ImageNet-12k (timm), of the fall 2011 release, sorted.",
        "timm 1.0.31, data/_info/imagenet12k_synsets.txt",
    ),
    "tiny_imagenet": (
        0,
        lambda: tuple(sorted(_lines("tiny_wnids_txt.txt"))),
        "The 200 classes of Tiny ImageNet, sorted.",
        "wnids.txt of tiny-imagenet-200.zip, sorted",
    ),
    "dogs": (
        0,
        lambda: _lines("dogs.txt"),
        "The 120 dogs of ILSVRC2012 Task 3 (as in Stanford Dogs), sorted.",
        "the published breed list of Stanford Dogs",
    ),
    "devkit": (
        1,
        _devkit_order,
        "ILSVRC2012_ID: the numbers 1 to 1000 of the devkit and its validation ground truth.",
        "ILSVRC2012_devkit_t12.tar.gz, data/meta.mat",
    ),
    "downsampled_npz": (
        1,
        _devkit_order,
        "The labels 1 to 1000 in the npz files of downsampled ImageNet; the devkit's order.",
        "map_clsloc.txt of downsampled ImageNet; the same order as the devkit's",
    ),
    "slim": (
        1,
        lambda: _lines("imagenet2012.txt"),
        "image/class/label of slim's TFRecords: imagenet2012 plus one, as 0 is the background.",
        "tensorflow/models, research/slim/datasets/build_imagenet_data.py",
    ),
    "tiny_wnids_txt": (
        0,
        lambda: _lines("tiny_wnids_txt.txt"),
        "The 200 classes of Tiny ImageNet in the unsorted order of its wnids.txt.",
        "wnids.txt of tiny-imagenet-200.zip",
    ),
}

SPACES: tuple[str, ...] = tuple(_DEFINITIONS)
"""Names of the label spaces."""
