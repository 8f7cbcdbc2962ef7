"""The columns of a dataset of images with classes, as Hugging Face's `datasets` declares them.

An image is a struct of its bytes and its name, a label the number of its class, or -1. What an
Arrow schema cannot say, such as the names of the classes, is JSON in its metadata.

Source: `features/features.py` and `features/image.py` of `datasets` 5.2.0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

METADATA_KEY = b"huggingface"
"""The key of the features in the metadata of a schema, in Arrow and in Parquet."""


class Row(NamedTuple):
    """An image and its class.

    Attributes:
        image: The bytes of the image, or the memory that they are in, uint8 of shape (bytes,).
        name: The name of its file, without a directory.
        label: The number of its class, from 0; -1 for none.
    """

    image: bytes | np.ndarray
    name: str
    label: int


def features(classes: Sequence[str]) -> dict[str, Any]:
    """The features as JSON has them.

    Args:
        classes: The names of the classes, in the order of their numbers.
    """
    return {
        "image": {"_type": "Image"},
        "label": {"names": list(classes), "_type": "ClassLabel"},
    }


def schema(classes: Sequence[str]) -> pa.Schema:
    """The columns, with the features in their metadata.

    Args:
        classes: As for `features`.
    """
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    said = json.dumps({"info": {"features": features(classes)}})
    columns = [("image", image), ("label", pa.int64())]
    return pa.schema(columns, metadata={METADATA_KEY: said.encode()})
