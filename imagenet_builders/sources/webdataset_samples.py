"""Reads the samples in a shard of WebDataset: headers, classes and what is said of images.

See `webdataset`, the kind of source.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import tar
from imagenet_builders.formats.signatures import described
from imagenet_builders.locate.listing import is_system_file
from imagenet_builders.sources.rows import Rows, SourceFile, check_not_too_many, opened
from imagenet_builders.sources.tar_images import file_name, unexpected

MAX_CLS_BYTES = 32
"""Bound on a `.cls`, a number of at most three digits."""
MAX_JSON_BYTES = 64 << 10
"""Bound on a `.json`; a real one has about 90 bytes."""

WEBP = "WEBP images, which cannot be stored as the JPEG images that this dataset has"
STAGE_JPEG = "stage the shards of JPEG images"
"""What is said of shards whose images are encoded in another way."""

# Extension, in whatever case, to the kind of member.
_USED = {"jpg": "jpg", "jpeg": "jpg", "cls": "cls", "json": "json", "webp": "webp"}
_NUMBER = re.compile(rb"\s*([0-9]{1,9})\s*")

_OTHERWISE = "the shard is damaged or was made in another way; compare it with the original"


class _Sample:
    """A sample as far as it was met: its key, its label, and by extension the members of use."""

    def __init__(self, stem: str, key: str, label: int, first: tar.Member):
        self.stem = stem
        self.key = key
        self.label = label
        self.first = first
        self.members: dict[str, tar.Member] = {}


class _Classes:
    """What the labels in one shard are compared with."""

    def __init__(self, count: int, bases: tuple[int, ...]):
        self.last = count - 1 + bases[-1]
        self.bases = bases
        self.base = bases[0] if len(bases) == 1 else None

    def problem(self, label: int, found: int) -> str | None:
        """What is wrong with a label that was found with an image, or None."""
        if self.base is None and found - label in self.bases:
            self.base = found - label
        if found - label == self.base:
            return None
        if self.base is None:
            each = " or ".join(f"{label + base} (counted from {base})" for base in self.bases)
            return f"expected class {each}, that of the image's name, found {found}"
        return f"expected class {label + self.base}, that of the image's name, found {found}"


def shard_rows(
    row_of: Callable[[str], tuple[str, int]],
    count: int,
    bases: tuple[int, ...],
    position: int,
    file: SourceFile,
) -> tuple[Rows, int | None]:
    """The rows of one shard.

    Args:
        row_of: Gives key and label from the name of an image; raises ValueError with the reason
            for a name that should not be there.
        count: Number of classes.
        bases: The numbers that classes may be counted from.
        position: The shard's position among the files of the index.
        file: The shard.

    Returns:
        The rows, in the order of the shard, and the number that its classes are counted from; None
        if nothing tells it.

    Raises:
        SourceError: The shard changed, or cannot be opened.
        ArchiveError: It is damaged or empty, or holds what it should not; an image is missing; a
            label is not that of the image's name.
    """
    rows = Rows()
    classes = _Classes(count, bases)
    sample: _Sample | None = None
    with opened(file) as fd:
        for member in tar.walk(fd, file.path):
            name = file_name(file.path, member)
            if name is None:
                continue
            if not name.startswith("n") and is_system_file(member.name):
                rows.pass_over(member.name)
                continue
            stem, _, extension = name.partition(".")
            if sample is None or stem != sample.stem:
                if sample is not None:
                    _add_sample(rows, position, fd, file.path, sample, classes)
                    check_not_too_many(file.path, len(rows))
                try:
                    sample = _Sample(stem, *row_of(f"{stem}.JPEG"), member)
                except ValueError as error:
                    raise unexpected(file.path, member, str(error)) from None
            kind = _USED.get(extension.lower())
            if kind is None:
                continue
            if kind in sample.members:
                raise unexpected(file.path, member, f"its sample has a .{kind} already")
            sample.members[kind] = member
        if sample is None:
            raise ArchiveError(
                file.path, "there is no image in this shard; compare it with the original"
            )
        _add_sample(rows, position, fd, file.path, sample, classes)
    return rows, classes.base


def _add_sample(
    rows: Rows, position: int, fd: int, path: str, sample: _Sample, classes: _Classes
) -> None:
    """Adds the row of a sample once it is found sound."""
    stem, label, members = sample.stem, sample.label, sample.members
    if "jpg" not in members and "webp" in members:
        image = members["webp"]
        problem = f"expected JPEG images, found {WEBP}; {STAGE_JPEG}"
        raise ArchiveError(path, problem, member=image.name, offset=image.header_offset)
    if "jpg" not in members:
        raise ArchiveError(
            path,
            f"expected the image {stem}.jpg beside this member, found none; {_OTHERWISE}",
            member=sample.first.name,
            offset=sample.first.header_offset,
        )
    if "cls" in members:
        _check_cls(fd, path, label, members["cls"], classes)
    if "json" in members:
        _check_json(fd, path, stem, label, members["json"], classes)
    image = members["jpg"]
    rows.add(sample.key, label, position, image.offset, image.size, f"{stem}.JPEG")


def _check_cls(fd: int, path: str, label: int, member: tar.Member, classes: _Classes) -> None:
    data = _read(fd, path, member, MAX_CLS_BYTES)
    match = _NUMBER.fullmatch(data)
    if match is None:
        expected = f"expected a class from 0 to {classes.last} in it"
        raise _wrong(path, member, f"{expected}, found {described(data, len(data))}")
    problem = classes.problem(label, int(match[1]))
    if problem is not None:
        raise _wrong(path, member, problem)


def _check_json(
    fd: int, path: str, stem: str, label: int, member: tar.Member, classes: _Classes
) -> None:
    data = _read(fd, path, member, MAX_JSON_BYTES)
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        problem = f"expected JSON in it, found what cannot be read ({str(error)[:100]})"
        raise _wrong(path, member, problem) from None
    if not isinstance(said, dict):
        raise _wrong(path, member, "expected a JSON object in it, found another JSON value")
    found = said.get("label")
    if found is not None and type(found) is not int and len(classes.bases) == 1:
        problem = f"expected class {label}, that of the image's name, found {found!r:.40}"
        raise _wrong(path, member, problem)
    # What others than numbers mean in collections without a documented form is not known.
    if type(found) is int and (wrong := classes.problem(label, found)) is not None:
        raise _wrong(path, member, wrong)
    name = said.get("filename", stem)
    if not isinstance(name, str) or os.path.basename(name).partition(".")[0] != stem:
        raise _wrong(path, member, f"expected the file name {stem}.JPEG in it, found {name!r:.80}")


def _wrong(path: str, member: tar.Member, problem: str) -> ArchiveError:
    return ArchiveError(path, f"{problem}; {_OTHERWISE}", member=member.name, offset=member.offset)


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
