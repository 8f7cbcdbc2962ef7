"""The form `dali-index`: an index for each TFRecord shard of a dataset that was built.

DALI reads a dataset of TensorFlow Datasets as it is, but for such an index, which its program
`tfrecord2idx` makes in minutes. A build of this package leaves one beside its shards already; this
form is for datasets that stock TensorFlow Datasets has built, or earlier versions of this package.
It reads twelve bytes of each record.

The index of `imagenet2012-train.tfrecord-00000-of-01024` is that name with `.idx` behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.export.form import Form, Part, Subject, text_of
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.dali_index import INDEX
from imagenet_builders.write.outputs.output import Written, WrittenFile

if TYPE_CHECKING:
    from imagenet_builders.formats.tfrecord.example import FlatExample


def write(
    subject: Subject, part: Part, directory: Path, examples: Iterable[FlatExample]
) -> Written:
    """Writes the index of each shard of a split; see `Form.write`.

    Raises:
        TargetError: It cannot be written.
    """
    del subject
    places: dict[str, list[FlatExample]] = {shard: [] for shard in part.shards}
    for each in examples:
        places[text_of(each["shard"])].append(each)
    files, count, size = [], 0, 0
    for shard, records in places.items():
        offsets, content = _index_of(records)
        name = f"{shard}{INDEX.suffix}"
        with NewFile(directory / name) as file:
            file.write([content], len(content))
        files.append(WrittenFile(name, file.size, file.crc32c))
        count, size = count + len(records), size + int(offsets.sizes.sum())
    return Written.of_files(count, size, files)


def _index_of(records: Sequence[FlatExample]) -> tuple[RecordOffsets, bytes]:
    import numpy as np

    places = np.array([(each["offset"], each["size"]) for each in records], np.int64)
    offsets = RecordOffsets.of(*places.reshape(-1, 2).T)
    return offsets, INDEX.make(offsets)


FORM = Form(
    name="dali-index",
    write=write,
    follows=True,
)
"""DALI's index of shards that are there."""
