"""Reads the samples in a shard of WebDataset: headers, classes and what is said of images.

See `webdataset`, the kind of source.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import NamedTuple

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import tar
from imagenet_builders.formats.signatures import described
from imagenet_builders.formats.tar_header import BLOCK, padded
from imagenet_builders.locate.listing import is_system_file
from imagenet_builders.sources.rows import Rows, check_not_too_many
from imagenet_builders.sources.tar_images import file_name, unexpected

MAX_CLS_BYTES = 32
"""Bound on a `.cls`, a number of at most three digits."""
MAX_JSON_BYTES = 64 << 10
"""Bound on a `.json`; a real one has about 90 bytes."""

WEBP = "WEBP images, which cannot be stored as the JPEG images that this dataset has"
STAGE_JPEG = "stage the shards of JPEG images"
"""What is said of shards whose images are encoded in another way."""

USED = {"jpg": "jpg", "jpeg": "jpg", "cls": "cls", "json": "json", "webp": "webp"}
"""Extension, in whatever case, to the kind of member."""
_NUMBER = re.compile(rb"\s*([0-9]{1,9})\s*")

_OTHERWISE = "the shard is damaged or was made in another way; compare it with the original"


class _Sample:
    """A sample as far as it was met: key, label, its members, and by extension those of use."""

    def __init__(self, stem: str, key: str, label: int, first: tar.Member):
        self.stem = stem
        self.key = key
        self.label = label
        self.first = first
        self.members: dict[str, tar.Member] = {}
        self.all: list[tar.Member] = []


class Classes:
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


class Place(NamedTuple):
    """Where a sample of a shard begins, and the one before it.

    Attributes:
        position: Offset of its first header.
        members: All members of the sample before; each has one header, and follows the other.
    """

    position: int
    members: tuple[tar.Member, ...]


class Shard:
    """Reads the samples of a shard with care; the rows of what was read are in `rows`.

    Args:
        row_of: Gives key and label from the name of an image; raises ValueError with the reason
            for a name that should not be there.
        classes: What labels are compared with.
        position: The shard's position among the files of the index.
        path: Path of the shard.
        fd: Open descriptor of it.
    """

    def __init__(
        self,
        row_of: Callable[[str], tuple[str, int]],
        classes: Classes,
        position: int,
        path: str,
        fd: int,
    ):
        self.rows = Rows()
        self.row_of = row_of
        self.classes = classes
        self.position = position
        self.path = path
        self.fd = fd

    def read(self, position: int | None = None, samples: int | None = None) -> Place | None:
        """Reads samples.

        Args:
            position: Offset of the header to go on with; None for the beginning of the shard.
            samples: To stop behind so many, if all members until then have one header each; None
                to read all.

        Returns:
            Where it stopped; None at the end of the shard.

        Raises:
            ArchiveError: The shard is damaged or empty, or holds what it should not; an image is
                missing; a label is not that of the image's name.
        """
        path, rows = self.path, self.rows
        sample: _Sample | None = None
        end = 0
        for member in tar.walk(self.fd, path, go_on=position):
            follows = member.header_offset == end and member.offset == end + BLOCK
            before, end = end, member.offset + padded(member.size) if follows else -1
            name = file_name(path, member)
            if name is None:
                continue
            if not name.startswith("n") and is_system_file(member.name):
                rows.pass_over(member.name)
                continue
            stem, _, extension = name.partition(".")
            if sample is None or stem != sample.stem:
                if sample is not None:
                    self._add(sample)
                    check_not_too_many(path, len(rows))
                    if len(rows) == samples and follows:
                        return Place(before, tuple(sample.all))
                try:
                    sample = _Sample(stem, *self.row_of(f"{stem}.JPEG"), member)
                except ValueError as error:
                    raise unexpected(path, member, str(error)) from None
            sample.all.append(member)
            kind = USED.get(extension.lower())
            if kind is None:
                continue
            if kind in sample.members:
                raise unexpected(path, member, f"its sample has a .{kind} already")
            sample.members[kind] = member
        if sample is None:
            raise ArchiveError(
                path, "there is no image in this shard; compare it with the original"
            )
        self._add(sample)
        return None

    def _add(self, sample: _Sample) -> None:
        """Adds the row of a sample once it is found sound."""
        path, classes = self.path, self.classes
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
            member = members["cls"]
            data = _read(self.fd, path, member, MAX_CLS_BYTES)
            if (wrong := cls_problem(data, label, classes)) is not None:
                raise _wrong(path, member, wrong)
        if "json" in members:
            member = members["json"]
            data = _read(self.fd, path, member, MAX_JSON_BYTES)
            if (wrong := json_problem(data, stem, label, classes)) is not None:
                raise _wrong(path, member, wrong)
        image = members["jpg"]
        self.rows.add(sample.key, label, self.position, image.offset, image.size, f"{stem}.JPEG")


def cls_problem(data: bytes, label: int, classes: Classes) -> str | None:
    """What is wrong with the content of a `.cls`, or None.

    Args:
        data: The content.
        label: The label of the image.
        classes: What it is compared with.
    """
    match = _NUMBER.fullmatch(data)
    if match is None:
        expected = f"expected a class from 0 to {classes.last} in it"
        return f"{expected}, found {described(data, len(data))}"
    return classes.problem(label, int(match[1]))


def json_problem(data: bytes, stem: str, label: int, classes: Classes) -> str | None:
    """What is wrong with the content of a `.json`, or None.

    Args:
        data: The content.
        stem: The name of its sample.
        label: The label of the image.
        classes: What that is compared with.
    """
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        return f"expected JSON in it, found what cannot be read ({str(error)[:100]})"
    if not isinstance(said, dict):
        return "expected a JSON object in it, found another JSON value"
    found = said.get("label")
    if found is not None and type(found) is not int and len(classes.bases) == 1:
        return f"expected class {label}, that of the image's name, found {found!r:.40}"
    # What others than numbers mean in collections without a documented form is not known.
    if type(found) is int and (wrong := classes.problem(label, found)) is not None:
        return wrong
    name = said.get("filename", stem)
    if not isinstance(name, str) or os.path.basename(name).partition(".")[0] != stem:
        return f"expected the file name {stem}.JPEG in it, found {name!r:.80}"
    return None


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
