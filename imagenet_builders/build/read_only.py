"""Teaches TensorFlow Datasets' reader of directories to read our datasets in any order.

For `name:version`, `tfds.builder` takes a `ReadOnlyBuilder`, not the builder class, and that knows
of no data source over TFRecord. Only calls for datasets of this package change, and of these only
those that ended with an error.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tensorflow_datasets.core import (
    dataset_builder,
    dataset_info,
    file_adapters,
    read_only_builder,
)
from tensorflow_datasets.core.utils.lazy_imports_utils import tree

from imagenet_builders.build.data_source import RecordDataSource
from imagenet_builders.write import outputs


def data_source_of(builder: Any, split: Any, asked: Any, **kwargs: Any) -> Any:
    """A data source over the files that a dataset was built as, or None.

    Args:
        builder: A builder of a dataset that is there.
        split: As for `as_data_source`.
        asked: The file format that was asked for, or None.
        **kwargs: As for `as_data_source`.

    Returns:
        A data source, or several in the structure of `split`; None where TensorFlow Datasets' own
        is to do it.
    """
    if _as_data_source() is not _STOCK or not builder.info.splits:
        return None  # `tfds.testing.mock_data` takes its place; or there is nothing yet.
    there = builder.info.file_format
    output = outputs.get(there.value) if there else None
    if output is None or output.open is None or asked not in (None, there, there.value):
        return None
    builder.assert_is_not_blocked()
    splits = {name: name for name in builder.info.splits} if split is None else split
    return tree.map_structure(
        lambda each: RecordDataSource(builder.info, split=each, **kwargs), splits
    )


@functools.cache
def teach(is_ours: Callable[[str], bool]) -> None:
    """Does it, once.

    Args:
        is_ours: Whether a dataset's name is one of this package.
    """
    reader = read_only_builder.ReadOnlyBuilder
    make = reader.__init__

    @functools.wraps(make)
    def __init__(self: Any, builder_dir: Any, **kwargs: Any) -> None:  # noqa: N807  # It becomes one.
        asked = kwargs.get("file_format")
        if asked is not None and file_adapters.FileFormat.from_value(asked) != _DEFAULT:
            proto = kwargs.get("info_proto") or dataset_info.read_proto_from_builder_dir(
                builder_dir
            )
            formats = {proto.file_format, *proto.alternative_file_formats}
            # `tfds.data_source` itself asks for array_record where only TFDS_DATA_DIR is set.
            if is_ours(proto.name) and formats == {_DEFAULT.value}:
                kwargs = {**kwargs, "file_format": None}
        make(self, builder_dir, **kwargs)

    @functools.wraps(dataset_builder.DatasetBuilder.as_data_source)
    def of_ours(self: Any, split: Any = None, **kwargs: Any) -> Any:
        asked = kwargs.pop("file_format", None)
        found = data_source_of(self, split, asked, **kwargs) if is_ours(self.name) else None
        if found is not None:
            return found
        inherited = super(reader, self).as_data_source
        return inherited(split, file_format=asked, **kwargs)

    reader.__init__, reader.as_data_source = __init__, of_ours


def _as_data_source() -> Any:
    """What the class has, which is the same each time; its attribute is a new wrapper each time."""
    return vars(dataset_builder.DatasetBuilder)["as_data_source"]


_STOCK = _as_data_source()
_DEFAULT = file_adapters.DEFAULT_FILE_FORMAT
