"""The kind of source `webdataset`: shards of samples in tars, as `timm/imagenet-1k-wds` has them.

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

import functools
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import tar
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources import tar_archives
from imagenet_builders.sources.indexing import Runner
from imagenet_builders.sources.kind import Kind
from imagenet_builders.sources.rows import Rows, SourceFile, check_not_too_many, opened
from imagenet_builders.sources.shard_sets import ShardSet, ShardsJob
from imagenet_builders.sources.tar_images import file_name, unexpected

if TYPE_CHECKING:
    import pyarrow as pa


OFFICIAL_SHARDS = {"train": 1024, "validation": 64}
"""Split to the number of shards in which `timm/imagenet-1k-wds` was published."""

MAX_CLS_BYTES = 32
"""Bound on a `.cls`, a number of at most three digits."""
MAX_JSON_BYTES = 64 << 10
"""Bound on a `.json`; a real one has about 90 bytes."""

# Extension, in whatever case, to the kind of member.
_USED = {"jpg": "jpg", "jpeg": "jpg", "cls": "cls", "json": "json"}
_NUMBER = re.compile(rb"\s*([0-9]{1,9})\s*")

_AGAIN = "the shard is not as its writer made it, copy it again"


SHARD = re.compile(r"imagenet1k-(train|validation)-([0-9]+)\.tar")
"""The name of a shard; its groups are the split and the number, of however many digits."""


def shard_sets(names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of shards among the names in a directory.

    Args:
        names: File names; those that are not of shards are passed over.

    Returns:
        Split (`train`, `validation`) to its shards. A set that lacks its last shards looks whole;
        `OFFICIAL_SHARDS` says how many were published, and `index_shards` counts images.

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
        split: sets.numbered_set(numbers, functools.partial(_shard_name, split, digits[split]))
        for split, numbers in found.items()
    }


def _shard_name(split: str, digits: int, number: int) -> str:
    return f"imagenet1k-{split}-{number:0{digits}}.tar"


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
        ArchiveError: A shard is damaged or empty, or holds what it should not; an image is missing;
            a label is not that of the image's name.
    """
    sets.check_complete(split, files, shard_sets)
    table = sets.index(shards_table, split, files, workers)
    _check_last_shards(split, files, table.num_rows)
    return table


def _check_last_shards(split: str, files: Sequence[SourceFile], images: int) -> None:
    """Refuses the first of the published shards without the last, as a broken-off copy leaves them.

    They have as many images each as the published ones, but together fewer than all.
    """
    all_images, shards = Naming(split).official_images, OFFICIAL_SHARDS[split]
    found = len(files)
    if images >= all_images or found >= shards or images // found != all_images // shards:
        return
    raise SourceError(
        f"{os.path.dirname(files[0].path)}: expected {shards:,} shards of split {split!r}, found "
        f"the first {found:,} of them with {images:,} of its {all_images:,} images; copy those "
        f"after {os.path.basename(files[-1].path)} too"
    )


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
    rows = Rows()
    for part in sets.each_shard(job, _shard_rows):
        rows.extend(part)
    return rows.table()


class _Sample:
    """A sample as far as it was met: its key, its label, and by extension the members of use."""

    def __init__(self, stem: str, key: str, label: int, first: tar.Member):
        self.stem = stem
        self.key = key
        self.label = label
        self.first = first
        self.members: dict[str, tar.Member] = {}


def _shard_rows(position: int, file: SourceFile, naming: Naming) -> Rows:
    """The rows of one shard."""
    rows = Rows()
    sample: _Sample | None = None
    with opened(file) as fd:
        for member in tar.walk(fd, file.path):
            name = file_name(file.path, member)
            if name is None:
                continue
            stem, _, extension = name.partition(".")
            if sample is None or stem != sample.stem:
                if sample is not None:
                    _add_sample(rows, position, fd, file.path, sample)
                    check_not_too_many(file.path, len(rows))
                try:
                    sample = _Sample(stem, *naming.row_of(f"{stem}.JPEG"), member)
                except ValueError as error:
                    raise unexpected(file.path, member, str(error)) from None
            kind = _USED.get(extension.lower())
            if kind is None:
                continue
            if kind in sample.members:
                raise unexpected(file.path, member, f"its sample has a .{kind} already")
            sample.members[kind] = member
        if sample is None:
            raise ArchiveError(file.path, "there is no image in this shard; copy it again")
        _add_sample(rows, position, fd, file.path, sample)
    return rows


def _add_sample(rows: Rows, position: int, fd: int, path: str, sample: _Sample) -> None:
    """Adds the row of a sample once it is found sound."""
    stem, label, members = sample.stem, sample.label, sample.members
    if "jpg" not in members:
        raise ArchiveError(
            path,
            f"expected the image {stem}.jpg beside this member, found none; {_AGAIN}",
            member=sample.first.name,
            offset=sample.first.header_offset,
        )
    if "cls" in members:
        _check_cls(fd, path, label, members["cls"])
    if "json" in members:
        _check_json(fd, path, stem, label, members["json"])
    image = members["jpg"]
    rows.add(sample.key, label, position, image.offset, image.size, f"{stem}.JPEG")


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


KIND = Kind(
    name="webdataset",
    recognise=functools.partial(sets.recognise_sets, shard_sets),
    images=functools.partial(sets.prepare_images, index_shards),
    inspect=tar_archives.inspect,
    count=functools.partial(sets.count, OFFICIAL_SHARDS),
    not_whole=sets.not_whole,
)
