"""Rows of ImageNet as shards of WebDataset: tars of samples, as `timm/imagenet-1k-wds` has them.

A sample is what lies side by side in a shard and has one name: `n01440764_10026.cls` (the class,
0 to 999), `.jpg`, and `.json` (class, file name and size of the image). Its row points to the body
of the `.jpg`, and its key is the name with `.JPEG`, as in the official archives.

The label is that of the name: of the class in it, or of the number of a validation image. What
`.cls` and `.json` say must be the same. Either may be absent, and their order is free. Members with
other extensions are passed over, for WebDataset lets a sample carry whatever it likes; members that
are not of a sample are an error. Headers, `.cls` and `.json` are read, images are not.

    sets = shard_sets(os.listdir(directory))        # {"train": ShardSet, "validation": ShardSet}
    files = source_files(directory / name for name in sets["train"].names)
    index = Index(index_shards("train", files, workers), tuple(files))

Source: `wds/tfds_to_wds.py` of rwightman/imagenet-12k, which wrote the shards; WebDataset's
`TarWriter`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources import tar
from imagenet_builders.sources.rows import Rows, SourceFile
from imagenet_builders.sources.shard_sets import Runner, ShardSet, ShardsJob
from imagenet_builders.sources.tar_images import file_name, opened, unexpected

if TYPE_CHECKING:
    import pyarrow as pa

SHARD = re.compile(r"imagenet1k-(train|validation)-([0-9]+)\.tar")
"""The name of a shard; its groups are the split and the number, of however many digits."""

MAX_CLS_BYTES = 32
"""Bound on a `.cls`, a number of at most three digits."""
MAX_JSON_BYTES = 64 << 10
"""Bound on a `.json`; a real one has about 90 bytes."""

_IMAGE = ("jpg", "jpeg")
_NUMBER = re.compile(rb"\s*([0-9]{1,9})\s*")

_AGAIN = "the shard is not as its writer made it, copy it again"

# Headers lie far apart, and cold storage answers several at a time as fast as one.
_THREADS = 4


def shard_sets(names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of shards among the names in a directory.

    Args:
        names: File names; those that are not of shards are passed over.

    Returns:
        Split (`train`, `validation`) to its shards. A set that lacks its last shards looks whole:
        only the number of images tells.

    >>> shard_sets(["imagenet1k-validation-02.tar", "imagenet1k-validation-00.tar", "info.json"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'validation': ShardSet(names=('imagenet1k-validation-00.tar', 'imagenet1k-validation-02.tar'),
      problem='expected 3 shards, found 2: imagenet1k-validation-01.tar is missing; copy the
      missing files')}
    """
    found: dict[str, list[tuple[int, str]]] = {}
    digits: dict[str, int] = {}
    for name in names:
        match = SHARD.fullmatch(name)
        if match is not None:
            found.setdefault(match[1], []).append((int(match[2]), name))
            digits[match[1]] = len(match[2])
    return {
        split: sets.numbered_set(
            numbers,
            lambda number, split=split: f"imagenet1k-{split}-{number:0{digits[split]}}.tar",  # type: ignore[misc]
        )
        for split, numbers in found.items()
    }


def index_shards(split: str, files: Sequence[SourceFile], workers: Runner) -> pa.Table:
    """The rows of a split.

    Args:
        split: `train` or `validation`.
        files: All its shards, in the order of `ShardSet.names`; the files of the index.
        workers: Who reads them.

    Returns:
        A table of `row_schema()`, in the order of the shards and of each shard.

    Raises:
        SourceError: A shard is missing, changed, or cannot be opened.
        ArchiveError: A shard is damaged, empty, or holds what it should not; an image is missing; a
            label is not that of the image's name.
    """
    sets.check_complete(split, files, shard_sets)
    return sets.run(f"{__name__}:{shards_table.__name__}", split, files, workers)


def shards_table(job: ShardsJob, report: Callable[[int, int], None]) -> pa.Table:
    """The rows of some shards; a job for the workers.

    Args:
        job: Which.
        report: Not used; the signature is that of every job of the workers.

    Returns:
        A table of `row_schema()`, in the order of the job and of each shard.

    Raises:
        SourceError: As `index_shards`.
    """
    label_of = sets.labels_by_name(job.split)
    rows = Rows()
    with ThreadPoolExecutor(_THREADS) as threads:
        for part in threads.map(
            lambda shard: _shard_rows(shard[0], shard[1], label_of), job.shards
        ):
            rows.extend(part)
    return rows.table()


def _shard_rows(position: int, file: SourceFile, label_of: Callable[[str], int]) -> Rows:
    """The rows of one shard."""
    rows = Rows()
    current: str | None = None
    label = -1
    sample: dict[str, tar.Member] = {}
    with opened(file) as fd:
        for member in tar.walk(fd, file.path):
            name = file_name(file.path, member)
            if name is None:
                continue
            stem, _, extension = name.partition(".")
            if stem != current:
                if current is not None:
                    _add_sample(rows, position, fd, file.path, current, label, sample)
                try:
                    label = label_of(stem)
                except ValueError as error:
                    raise unexpected(file.path, member, str(error)) from None
                current, sample = stem, {}
            kind = extension.lower()
            kind = _IMAGE[0] if kind in _IMAGE else kind
            if kind in sample:
                raise unexpected(file.path, member, f"its sample has a {kind!r} already")
            sample[kind] = member
        if current is None:
            raise ArchiveError(file.path, "there is no image in this shard; copy it again")
        _add_sample(rows, position, fd, file.path, current, label, sample)
    return rows


def _add_sample(
    rows: Rows,
    position: int,
    fd: int,
    path: str,
    stem: str,
    label: int,
    sample: dict[str, tar.Member],
) -> None:
    """Adds the row of a sample, whose members are given by extension, once it is found sound."""
    image = sample.get(_IMAGE[0])
    if image is None:
        first = next(iter(sample.values()))
        raise ArchiveError(
            path,
            f"expected the image {stem}.jpg beside this member, found none; {_AGAIN}",
            member=first.name,
            offset=first.header_offset,
        )
    if "cls" in sample:
        _check_cls(fd, path, label, sample["cls"])
    if "json" in sample:
        _check_json(fd, path, stem, label, sample["json"])
    rows.add(f"{stem}.JPEG", label, position, image.offset, image.size)


def _check_cls(fd: int, path: str, label: int, member: tar.Member) -> None:
    data = _read(fd, path, member, MAX_CLS_BYTES)
    match = _NUMBER.fullmatch(data)
    if match is None:
        raise _wrong(path, member, f"expected a class from 0 to 999 in it, found {data!r}")
    if int(match[1]) != label:
        raise _wrong(path, member, _disagreement(label, int(match[1])))


def _check_json(fd: int, path: str, stem: str, label: int, member: tar.Member) -> None:
    data = _read(fd, path, member, MAX_JSON_BYTES)
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        problem = f"expected JSON in it, found what cannot be read ({str(error)[:100]})"
        raise _wrong(path, member, problem) from None
    if not isinstance(said, dict):
        raise _wrong(path, member, f"expected a JSON object in it, found {data[:40]!r}")
    found = said.get("label", label)
    if type(found) is not int or found != label:
        raise _wrong(path, member, _disagreement(label, found))
    name = said.get("filename", stem)
    if not isinstance(name, str) or os.path.basename(name).partition(".")[0] != stem:
        raise _wrong(path, member, f"expected the file name {stem}.JPEG in it, found {name!r:.80}")


def _disagreement(label: int, found: object) -> str:
    return f"expected class {label}, that of the image's name, found {found!r:.40}"


def _wrong(path: str, member: tar.Member, problem: str) -> ArchiveError:
    return ArchiveError(path, f"{problem}; {_AGAIN}", member=member.name, offset=member.offset)


def _read(fd: int, path: str, member: tar.Member, most: int) -> bytes:
    """The body of a small member."""
    if member.size > most:
        raise _wrong(path, member, f"expected at most {most:,} bytes, found {member.size:,}")
    try:
        data = os.pread(fd, member.size, member.offset)
    except OSError as error:
        raise _wrong(path, member, f"it could not be read ({error.strerror})") from error
    if len(data) < member.size:
        raise _wrong(path, member, f"expected {member.size:,} bytes, found only {len(data):,}")
    return data
