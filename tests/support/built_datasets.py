"""What is in a built dataset: its files, its metadata, its records."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.command_line import DATASET


def shards(directory: Path, split: str = "*") -> list[Path]:
    """The record files of a built dataset, or of one of its splits, in order."""
    return sorted(directory.glob(f"*-{split}.*record*-of-*"))


def records(shard: Path) -> list[bytes]:
    """The records of a file, read by the libraries that any reader would use."""
    if ".array_record-" in shard.name:
        from array_record.python import array_record_module

        reader = array_record_module.ArrayRecordReader(str(shard))
        try:
            return reader.read_all()
        finally:
            reader.close()
    import tensorflow as tf

    return list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())


def example(record: bytes) -> Any:
    """The `tf.train.Example` in a record."""
    import tensorflow as tf

    return tf.train.Example.FromString(record)


def split_content(directory: Path, split: str) -> list[tuple[str, int, bytes]]:
    """File name, label and image bytes of each example of a split, in order."""
    content = []
    for shard in shards(directory, split):
        for record in records(shard):
            feature = example(record).features.feature
            [name] = feature["file_name"].bytes_list.value
            [label] = feature["label"].int64_list.value
            [image] = feature["image"].bytes_list.value
            content.append((name.decode(), label, image))
    return content


def recorded_splits(directory: Path) -> Any:
    """What `dataset_info.json` says of the splits."""
    return json.loads((directory / "dataset_info.json").read_text())["splits"]


def provenance(data_dir: Path) -> dict:
    document = json.loads((data_dir / DATASET / "provenance.json").read_text())
    return document["splits"]


def split_info(data_dir: Path) -> dict[str, list[int]]:
    """Examples in each shard of each split, as the dataset's own description says."""
    document = json.loads((data_dir / DATASET / "dataset_info.json").read_text())
    return {split["name"]: [int(n) for n in split["shardLengths"]] for split in document["splits"]}


def records_by_split(data_dir: Path) -> dict[str, list[bytes]]:
    """The serialized examples of each split, in their order."""
    found: dict[str, list[bytes]] = {}
    for path in sorted((data_dir / DATASET).glob("*.tfrecord-*")):
        split = path.name.removeprefix("imagenet2012-").partition(".")[0]
        found.setdefault(split, []).extend(tfrecords(path.read_bytes()))
    return found


def tfrecords(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        yield data[position + 12 : position + 12 + length]
        position += 16 + length
    assert position == len(data)


def files_of(directory: Path) -> dict[str, bytes]:
    """All files of a built dataset but the one that says when it was built."""
    files = {str(path.relative_to(directory)): path for path in files_in(directory)}
    return {name: files[name].read_bytes() for name in files if name != "provenance.json"}


def files_in(directory: Path) -> list[Path]:
    """All files of a built dataset, those in its folders, too."""
    return sorted(path for path in directory.rglob("*") if path.is_file())


def assert_same_files(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Not one comparison of both: pytest would try to show how megabytes differ."""
    assert sorted(found) == sorted(expected)
    assert [name for name in sorted(expected) if found[name] != expected[name]] == []


def without_times(provenance: bytes) -> dict[str, Any]:
    """What `provenance.json` says that does not depend on when and how fast it was built."""
    document: dict[str, Any] = json.loads(provenance)
    del document["self"]
    for each in (document, *document.get("builds", ())):
        del each["built"], each["seconds"]
    return document
