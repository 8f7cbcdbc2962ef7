"""Writes the index files of a dataset: of each shard one, when all shards are finished.

What they say is in the marks of the shards, so they are written anew by a build that goes on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import google_crc32c

from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.write import build_dir, durable
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.output import RecordIndex

INDEX_BYTES_A_RECORD = 20
"""Bytes of an index for each record of its shard, at most."""

# To make a file takes one round trip to a server, or more.
_AT_ONCE = 8


def write_indexes(
    index: RecordIndex, offsets: Mapping[str, RecordOffsets], incomplete: IncompleteDir
) -> dict[str, str]:
    """Writes the index of each shard into the incomplete dataset.

    Args:
        index: What is written.
        offsets: Name of each shard to the offsets of its records.
        incomplete: Where the shards are.

    Returns:
        Name of each shard to the CRC-32C of its index, 8 hexadecimal digits.

    Raises:
        TargetError: They cannot be written.
    """
    directory = incomplete.directory
    with durable.writing(incomplete.shards / index.folder), contextlib.suppress(FileExistsError):
        os.mkdir(build_dir.shard_name(index.folder), dir_fd=directory.fd)

    def write(shard: str) -> str:
        name = index.name_of(shard)
        content = index.make(offsets[shard])
        with durable.writing(incomplete.shards / name):
            # With the mode that readers will see, as the umask or an ACL has it.
            directory.write(build_dir.shard_name(name), content, mode=0o666)
        return f"{google_crc32c.value(content):08x}"

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return dict(zip(offsets, threads.map(write, offsets), strict=True))
