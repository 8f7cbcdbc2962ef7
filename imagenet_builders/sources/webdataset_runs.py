"""The rows of a shard of WebDataset, most of which are like the one before.

A shard has some thousand samples of the same members in the same order, and between two images the
same number of blocks: the headers and the small members. These are read at once, for each sample,
and the headers of some hundred samples are checked at once. As soon as a sample is unusual in any
way, or wrong, `webdataset_samples` goes on from there, member by member, and says what is wrong.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Self

from imagenet_builders.formats import member_names, tar, tar_blocks
from imagenet_builders.formats.tar_header import BLOCK, padded
from imagenet_builders.sources.rows import Rows, SourceFile, check_not_too_many, opened
from imagenet_builders.sources.webdataset_json import AlikeJson
from imagenet_builders.sources.webdataset_samples import (
    MAX_CLS_BYTES,
    USED,
    Classes,
    Place,
    Shard,
    cls_problem,
    json_problem,
)

_NAME_BYTES = 100

# So many samples are read with care first: one to know what is in each, and the one before it, of
# which more may be unusual.
_FIRST_SAMPLES = 2
# So many are read and checked at once.
_SAMPLES = 512
# What is between two images is not read if it is more.
_MOST_BYTES = 16 * BLOCK


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
    classes = Classes(count, bases)
    with opened(file) as fd:
        shard = Shard(row_of, classes, position, file.path, fd)
        place = shard.read(samples=_FIRST_SAMPLES)
        if place is not None:
            layout = _Layout.of(place.members)
            shard.read(place.position if layout is None else _Run(shard, layout, place).read())
    return shard.rows, classes.base


@dataclasses.dataclass(frozen=True)
class _Member:
    """A member of every sample.

    Attributes:
        ending: What its name has behind that of the sample, and the zero that ends it.
        kind: As in `USED`, or None.
        header: Where its header is, with the image's body left out.
        body_bytes: Bytes of its body and padding; of no account for the image.
    """

    ending: bytes
    kind: str | None
    header: int
    body_bytes: int


@dataclasses.dataclass(frozen=True)
class _Layout:
    """What all samples of a run have in common.

    Attributes:
        members: The members, in order.
        image: Which is the image.
        before: Bytes from the beginning of a sample to its image.
        behind: Bytes from the end of the image and its padding to the end of the sample.
    """

    members: tuple[_Member, ...]
    image: int
    before: int
    behind: int

    @classmethod
    def of(cls, sample: tuple[tar.Member, ...]) -> Self | None:
        """That of a sample; None if its members are not named simply, or too large."""
        stem = sample[0].name.partition(".")[0]
        members: list[_Member] = []
        image = before = -1
        at = 0
        for member in sample:
            name, dot, extension = member.name.partition(".")
            kind = USED.get(extension.lower())
            if name != stem or not member.name.isascii():
                return None
            if "/" in member_names.portable(member.name):  # The sample's name is behind it.
                return None
            size = padded(member.size)
            members.append(_Member(f"{dot}{extension}\0".encode(), kind, at, size))
            at += BLOCK
            if kind == "jpg":
                image, before = len(members) - 1, at
            else:
                at += size
        if image < 0 or at > _MOST_BYTES:
            return None
        return cls(tuple(members), image, before, at - before)


class _Run:
    """Reads samples that are alike, and adds their rows to those of a shard.

    Args:
        shard: The shard.
        layout: What they have in common.
        place: Where the first of them begins.
    """

    def __init__(self, shard: Shard, layout: _Layout, place: Place):
        self._shard = shard
        self._layout = layout
        self._position = place.position
        self._size = os.fstat(shard.fd).st_size
        self._json = _json_of(shard.fd, place.members)

    def read(self) -> int:
        """Reads them, and says where the first sample begins that is left.

        The last that is like the others is left, because it may have one more member.
        """
        layout, fd, rows = self._layout, self._shard.fd, self._shard.rows
        width = layout.before + layout.behind
        parts = [_read(fd, layout.before, self._position)]
        starts = [self._position]
        there = len(parts[0]) == layout.before
        while there:
            there = self._read_ahead(parts, starts)
            data = b"".join(parts)
            count = len(starts) - 1
            sound = self._add(data, starts, count)
            check_not_too_many(self._shard.path, len(rows))
            if sound < count or count < 2:
                break
            parts, starts = [data[(count - 1) * width :]], starts[-2:]
        return self._position

    def _read_ahead(self, parts: list[bytes], starts: list[int]) -> bool:
        """Reads what is between images, as far as sizes of images say where that is."""
        layout = self._layout
        behind, width = layout.behind, layout.before + layout.behind
        fd, end, before = self._shard.fd, self._size, layout.before
        field = slice(124 - BLOCK, 135 - BLOCK)  # Of the header at the end of each part.
        while len(starts) <= _SAMPLES:
            digits = parts[-1][field]
            try:
                size = int(digits, 8) if digits.isdigit() else -1
            except ValueError:
                return False
            next_ = starts[-1] + before + padded(size) + behind
            if size < 0 or next_ + before > end:
                return False
            part = _read(fd, width, next_ - behind)
            if len(part) < width:
                return False
            parts.append(part)
            starts.append(next_)
        return True

    def _add(self, data: bytes, starts: list[int], count: int) -> int:
        """Adds the rows of the first samples that are sound, but for the last of them.

        Args:
            data: The samples without their images, one after the other.
            starts: Where each of them begins in the shard.
            count: How many there are.

        Returns:
            How many are sound.
        """
        import numpy as np

        layout, shard = self._layout, self._shard
        width = layout.before + layout.behind
        table = np.frombuffer(data, np.uint8, count * width).reshape(count, width)
        plain = np.ones(count, bool)
        sizes = []
        for member in layout.members:
            found = tar_blocks.plain_file_sizes(table[:, member.header : member.header + BLOCK])
            plain &= found >= 0
            if member.kind != "jpg":
                plain &= found + BLOCK - 1 & -BLOCK == member.body_bytes
            sizes.append(found.tolist())
        wrong = np.flatnonzero(~plain)
        count = int(wrong[0]) if len(wrong) else count
        keys, labels, stems = self._named(data, sizes, count)
        kept = len(keys) - 1
        if kept > 0:
            rows = shard.rows
            rows.names.update(
                (len(rows) + row, f"{stem}.JPEG")
                for row, (key, stem) in enumerate(zip(keys[:kept], stems, strict=False))
                if key != f"{stem}.JPEG"
            )
            rows.keys += keys[:kept]
            rows.labels += labels[:kept]
            rows.files += [shard.position] * kept
            rows.offsets += [start + layout.before for start in starts[:kept]]
            rows.sizes += sizes[layout.image][:kept]
            self._position = starts[kept]
        return len(keys)

    def _named(
        self, data: bytes, sizes: list[list[int]], count: int
    ) -> tuple[list[str], list[int], list[str]]:
        """Keys, labels and names of the first samples, as long as all is as it should be."""
        layout, row_of = self._layout, self._shard.row_of
        width = layout.before + layout.behind
        ending = layout.members[0].ending
        keys: list[str] = []
        labels: list[int] = []
        stems: list[str] = []
        stem = b""
        for row, their_sizes in enumerate(itertools.islice(zip(*sizes, strict=True), count)):
            start = row * width
            end = data.find(ending, start, start + _NAME_BYTES)
            previous, stem = stem, data[start:end]
            if end < 0 or stem == previous or b"." in stem or 0 in stem:
                break
            name = stem.decode()
            try:
                key, label = row_of(f"{name}.JPEG")
            except ValueError:
                break
            if not self._is_right(data, start, their_sizes, name, label):
                break
            keys.append(key)
            labels.append(label)
            stems.append(name)
        return keys, labels, stems

    def _is_right(
        self, data: bytes, start: int, sizes: Sequence[int], name: str, label: int
    ) -> bool:
        """Whether the members of a sample have its name, and say its label."""
        classes = self._shard.classes
        base = classes.base
        stem = name.encode()
        said = b"" if base is None else b"%d" % (label + base)
        for member, size in zip(self._layout.members, sizes, strict=True):
            at = start + member.header
            if not data.startswith(stem + member.ending, at):
                return False
            at += BLOCK
            if member.kind == "cls":
                body = data[at : at + size]
                if size > MAX_CLS_BYTES:
                    return False
                if body != said and cls_problem(body, label, classes) is not None:
                    return False
            elif member.kind == "json":
                json = self._json
                if said and json is not None and json.says(data, at, at + size, said, stem):
                    continue
                if json_problem(data[at : at + size], name, label, classes) is not None:
                    return False
        return True


def _json_of(fd: int, members: Sequence[tar.Member]) -> AlikeJson | None:
    """Tells the texts like that of a sample, if it has one."""
    for member in members:
        if member.name.lower().endswith(".json"):
            return AlikeJson.of(_read(fd, member.size, member.offset))
    return None


def _read(fd: int, size: int, at: int) -> bytes:
    """So many bytes, or fewer: what is wrong, the careful way will meet again."""
    try:
        return os.pread(fd, size, at)
    except OSError:
        return b""
