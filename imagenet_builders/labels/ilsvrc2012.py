"""Official facts about the images of ILSVRC2012: validation labels, and counts by class."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING

from imagenet_builders.labels.spaces import HERE, space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@functools.cache
def validation_labels() -> NDArray[np.int64]:
    """Returns the labels of the validation images.

    Returns:
        Read-only int64 array of shape (50000,), ids of the space `imagenet2012`. Entry k is the
        label of `ILSVRC2012_val_%08d.JPEG` with the number k + 1, whatever the order of the images
        in an archive.
    """
    import numpy as np

    labels: NDArray[np.int64] = np.array(validation_label_list(), np.int64)
    labels.flags.writeable = False
    return labels


@functools.cache
def validation_label_list() -> tuple[int, ...]:
    """Returns `validation_labels` without NumPy, which takes `check` longer to load than to run."""
    # A path would be refused by TensorFlow Datasets' test case, which forbids local files.
    with open(HERE / "imagenet2012_validation_labels.npy", "rb") as file:
        stored = file.read()
    begin = 10 + int.from_bytes(stored[8:10], "little")
    assert b"'<u2'" in stored[:begin]
    return struct.unpack(f"<{(len(stored) - begin) // 2}H", stored[begin:])


@functools.cache
def validation_wnids() -> tuple[str, ...]:
    """Returns the 50,000 wnids of the validation images, in the order of `validation_labels`."""
    names = space("imagenet2012").wnids
    return tuple(names[label] for label in validation_label_list())


def train_counts() -> dict[str, int]:
    """Returns the official number of training images of each of the 1,000 classes.

    Returns:
        Wnid to count, in the order of the space `imagenet2012`; 1,281,167 in all. Source:
        `num_train_images` in the devkit's `meta.mat`.
    """
    rows = _devkit_rows()
    fields = [row.split("\t") for row in rows]
    return {wnid: int(count) for _, wnid, count in sorted(fields, key=lambda row: row[1])}


@functools.cache
def _devkit_rows() -> tuple[str, ...]:
    return tuple((HERE / "ilsvrc2012_devkit.tsv").read_text(encoding="ascii").splitlines()[1:])
