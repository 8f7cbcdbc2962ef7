"""`provenance.json` of an export: where it comes from, and the checksums of its files."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imagenet_builders
from imagenet_builders.export.form import Form, Subject
from imagenet_builders.export.source import Source
from imagenet_builders.files.regular import read_regular
from imagenet_builders.options import BuildOptions
from imagenet_builders.publish.provenance import FILE_NAME, digest_of, split_entry
from imagenet_builders.write import durable
from imagenet_builders.write.outputs.output import WrittenFile
from imagenet_builders.write.results import SplitResult

__all__ = ["FILE_NAME", "write"]

_MAX_BYTES = 1 << 31


def write(
    directory: Path,
    others: Sequence[str],
    subject: Subject,
    form: Form,
    source: Source,
    results: Sequence[SplitResult],
    *,
    options: BuildOptions,
    plans: Mapping[str, str],
    files: Mapping[str, Sequence[WrittenFile]],
    seconds: float,
) -> None:
    """Writes the provenance of an export, the last of its files.

    Where each image is a file of its own, these are not listed: `shard_crc32c` is of a line for
    each of them.

    Args:
        directory: The directory of the export, with all its other files.
        others: Those of them that tell of all of it.
        subject: The dataset.
        form: The form of the export.
        source: What it was made from.
        results: What was written of each split.
        options: How.
        plans: Split to the digest of its plan.
        files: Split to its files.
        seconds: How long it took.

    Raises:
        TargetError: It cannot be written.
    """

    def entry(result: SplitResult) -> dict[str, Any]:
        said = split_entry(result, plans[result.split])
        said["shard_lengths"] = list(result.shard_lengths)
        if not form.files_a_record:
            said["files"] = [list(file) for file in files[result.split]]
        return said

    with durable.reading(directory):
        digests = {
            name: hashlib.sha256(read_regular(directory / name, _MAX_BYTES)).hexdigest()
            for name in sorted(others)
        }
    document: dict[str, Any] = {
        "dataset": subject.full_name,
        "form": form.name,
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "bad_images": options.bad_images,
        # Of what was built, images are not looked at again.
        "decode": options.decode and source.is_staged,
        "exported_from": source.provenance,
        "versions": {
            "imagenet-builders": imagenet_builders.__version__,
            "python": platform.python_version(),
        },
        "splits": {result.split: entry(result) for result in results},
        "files": digests,
    }
    document["self"] = digest_of(document)
    durable.write_file(directory / FILE_NAME, (json.dumps(document, indent=1) + "\n").encode())
