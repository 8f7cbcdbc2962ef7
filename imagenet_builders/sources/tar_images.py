"""Rows of the images in tar archives: flat, of class folders, of class tars, or many class tars.

Members are taken by strict name patterns. Directory entries and directory prefixes (`./`, `val/`)
mean nothing and are passed over; anything else that is not one of the images looked for is an
error, because an archive that holds what it should not is not the archive it is taken for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import member_names, tar
from imagenet_builders.labels.image_names import class_image, is_official
from imagenet_builders.locate.class_directories import PACKED_CLASS_ARCHIVE
from imagenet_builders.locate.listing import is_system_file
from imagenet_builders.sources.in_memory import are_in_memory, some_of
from imagenet_builders.sources.indexing import BATCH_BYTES, in_batches
from imagenet_builders.sources.rows import (
    MAX_CLASS_IMAGES,
    PassedOver,
    Rows,
    SourceFile,
    check_not_too_many,
    opened,
)
from imagenet_builders.sources.trees import class_folder, path_inside

if TYPE_CHECKING:
    import pyarrow as pa

# What is said of a member that is no plain file, where its kind alone would be no English.
_KINDS = {
    "sparse": "a file with holes (GNU tar's --sparse)",
    "other": "neither file nor directory nor link",
}

# Rows are moved to an Arrow table so often, because Python's lists of them are far larger.
_ROWS_AT_A_TIME = 1 << 17

# Headers lie far apart, and cold storage answers many at a time as fast as one.
_THREADS = 8

# Of a tar of small images all of it is read ahead, so far at a time; asking storage for one header
# after the other, each behind a few kilobytes to skip, takes longer.
_READ_AHEAD = 32 << 20


@dataclasses.dataclass(frozen=True)
class ClassTar:
    """A class's tar: a part of another, or a file of its own.

    Attributes:
        name: Its name in the outer archive; None for a file of its own.
        wnid: The class, from the name.
        start: Its first byte in the file on disk.
        end: Where it ends in the file.
        header_offset: Where its header in the outer archive begins.
    """

    name: str | None
    wnid: str
    start: int
    end: int
    header_offset: int


@dataclasses.dataclass(frozen=True)
class ClassTarsJob:
    """Some class tars of one archive to be indexed.

    Attributes:
        file: The archive.
        position: Its position among the files of the index.
        tars: The class tars with their labels.
    """

    file: SourceFile
    position: int
    tars: tuple[tuple[ClassTar, int], ...]


def flat_images(file: SourceFile, position: int, row_of: Callable[[str], tuple[str, int]]) -> Rows:
    """The rows of a tar of images, by a rule for their names alone; see `images_in`."""
    return images_in(file, position, lambda name, folder: row_of(name))


def images_in(
    file: SourceFile,
    position: int,
    row_of: Callable[[str, str | None], tuple[str, int]],
    inside: str = "",
    most: int | None = None,
) -> Rows:
    """The rows of a tar of images that may lie in class folders.

    Args:
        file: The archive.
        position: Its position among the files of the index.
        row_of: Gives an image's key and label from its name, without any directory, and the class
            folder that has it, or None; raises ValueError with the reason for an image that should
            not be there.
        inside: As in `Found`: the folder that has the images, where others have other things.
        most: Members to look at; None for all.

    Returns:
        The rows, in the order of the archive.

    Raises:
        ArchiveError: The archive is damaged, or holds something else than images.
    """
    rows = Rows()
    with opened(file) as fd:
        for member in itertools.islice(tar.walk(fd, file.path), most):
            if inside and not path_inside(member.name, inside):
                continue
            name = file_name(file.path, member)
            if name is None:
                continue
            try:
                key, label = row_of(name, class_folder(member.name))
            except ValueError as error:
                if is_system_file(member.name):
                    rows.pass_over(member.name)
                    continue
                raise unexpected(file.path, member, str(error)) from None
            rows.add(key, label, position, member.offset, member.size, name)
            check_not_too_many(file.path, len(rows))
    return rows


def class_tars(
    file: SourceFile, label_of: Callable[[str], int], most: int | None = None
) -> tuple[list[tuple[ClassTar, int]], PassedOver]:
    """The class tars inside an archive, in its order, each with its label.

    Args:
        file: The archive.
        label_of: Gives the label of a wnid; raises ValueError with the reason for one that is not
            of the dataset's classes.
        most: Members to look at; None for all.

    Returns:
        The class tars, and what is passed over.

    Raises:
        ArchiveError: The archive is damaged, holds something else, a class that is not known, or
            one class twice.
    """
    found: dict[str, tuple[ClassTar, int]] = {}
    passed_over = PassedOver()
    with opened(file) as fd:
        for member in itertools.islice(tar.walk(fd, file.path), most):
            name = file_name(file.path, member)
            if name is None:
                continue
            match = PACKED_CLASS_ARCHIVE.fullmatch(name)
            if match is None:
                if is_system_file(member.name):
                    passed_over += PassedOver(1, (member.name,))
                    continue
                raise unexpected(
                    file.path, member, "only class archives such as n01440764.tar belong here"
                )
            wnid = match[1].lower()
            try:
                label = label_of(wnid)
            except ValueError as error:
                raise unexpected(file.path, member, str(error)) from None
            if wnid in found:
                first = found[wnid][0].header_offset
                raise unexpected(
                    file.path, member, f"{wnid} is there twice, first at byte {first:,}"
                )
            end = member.offset + member.size
            one = ClassTar(member.name, wnid, member.offset, end, member.header_offset)
            found[wnid] = one, label
    return list(found.values()), passed_over


def class_images(jobs: Sequence[ClassTarsJob], report: Callable[[int, int], None]) -> pa.Table:
    """The rows of the images in class tars, read in place; a job for the workers.

    Args:
        jobs: Which.
        report: Not used, as by other jobs that take little time.

    Returns:
        A table of `row_schema()`, in the order of the jobs and of each class tar.

    Raises:
        ArchiveError: A class tar is damaged, empty, or holds something else than its images.
    """
    return class_rows(jobs).table()


def class_rows(jobs: Sequence[ClassTarsJob]) -> Rows:
    """The rows of the images in class tars; see `class_images`."""
    rows = Rows()
    with ThreadPoolExecutor(_THREADS) as threads:
        # Of one archive, several tars are read at a time; of many files, several files.
        tars, files = (threads.map, map) if len(jobs) == 1 else (map, threads.map)

        def rows_of(job: ClassTarsJob) -> list[Rows]:
            with opened(job.file) as fd:
                middles = ((fd, (each.start + each.end) // 2) for each, _ in some_of(job.tars))
                # Threads that need not wait for storage wait for each other.
                each_of = map if are_in_memory(middles) else tars
                return list(each_of(lambda each: _class_rows(fd, job, *each), job.tars))

        for parts in files(rows_of, jobs):
            for part in parts:
                rows.extend(part)
    return rows


def _class_rows(fd: int, job: ClassTarsJob, class_tar: ClassTar, label: int) -> Rows:
    """The rows of the images in one class tar."""
    rows = Rows()
    path = job.file.path
    inner, wnid = class_tar.name, class_tar.wnid
    position = job.position
    for member in tar.walk(fd, path, start=class_tar.start, end=class_tar.end, inner=inner):
        name, kind, offset, size, _ = member
        key = name
        if kind != "file" or not is_official(wnid, name):  # Few are.
            found = file_name(path, member, inner)
            if found is None:
                continue
            name = found
            try:
                key = class_image(wnid, name)
            except ValueError as error:
                if is_system_file(member.name):
                    rows.pass_over(f"{inner or os.path.basename(path)}/{member.name}")
                    continue
                raise unexpected(path, member, str(error), inner) from None
        rows.add(key, label, position, offset, size, name)
        if len(rows) > MAX_CLASS_IMAGES:
            reason = f"expected at most {MAX_CLASS_IMAGES:,} images of class {wnid}, found more"
            raise unexpected(path, member, reason, inner)
    if not rows:
        raise ArchiveError(
            path,
            "there is no image in this class's archive; compare the archive with the original",
            member=inner,
            offset=class_tar.header_offset,
        )
    return rows


class Place(NamedTuple):
    """What a folder in an archive holds.

    Attributes:
        split: Name of the split.
        wnid: The class, which the names of all images begin with.
        label: Its label.
    """

    split: str
    wnid: str
    label: int


def tree_images(
    file: SourceFile, position: int, place_of: Callable[[str], Place | None]
) -> dict[str, pa.Table]:
    """The rows of a tar of class folders, split by split.

    Args:
        file: The archive.
        position: Its position among the files of the index.
        place_of: Says of a folder's path in the archive (without `./`) what it holds, or None if it
            is to be passed over; raises ValueError with the reason for one that should not be
            there. Called once for each run of members in one folder.

    Returns:
        Tables of `row_schema()` by split, in the order of the archive.

    Raises:
        ArchiveError: The archive is damaged, or holds something else than images.
    """
    import pyarrow as pa

    collected: dict[str, Rows] = {}
    passed_over = PassedOver()
    tables: dict[str, list[pa.Table]] = {}
    current: str | None = None
    place: Place | None = None
    ahead = 0
    with opened(file) as fd:
        for member in tar.walk(fd, file.path):
            if member.offset >= ahead:
                ahead = member.offset + _READ_AHEAD
                _read_ahead(fd, member.offset, 2 * _READ_AHEAD)
            name = file_name(file.path, member)
            if name is None:
                continue
            if is_system_file(member.name):
                passed_over += PassedOver(1, (member.name,))
                continue
            folder = member_names.portable(member.name[: -len(name)])
            if folder != current:
                try:
                    place = place_of("/".join(p for p in folder.split("/") if p not in ("", ".")))
                except ValueError as error:
                    raise unexpected(file.path, member, str(error)) from None
                current = folder
            if place is None:
                continue
            try:
                key = class_image(place.wnid, name)
            except ValueError as error:
                raise unexpected(file.path, member, str(error)) from None
            rows = collected.setdefault(place.split, Rows())
            rows.add(key, place.label, position, member.offset, member.size, name)
            if len(rows) == _ROWS_AT_A_TIME:
                tables.setdefault(place.split, []).append(collected.pop(place.split).table())
    for split, rows in collected.items():
        tables.setdefault(split, []).append(rows.table())
    joined = {
        split: pa.concat_tables(parts, promote_options="default") for split, parts in tables.items()
    }
    for split in tuple(joined)[:1]:  # Whose it is, nothing tells.
        joined[split] = passed_over.noted_in(joined[split])
    return joined


def _read_ahead(fd: int, start: int, size: int) -> None:
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, start, size, os.POSIX_FADV_WILLNEED)


def file_name(archive: str, member: tar.Member, inner: str | None = None) -> str | None:
    """The name of a regular file without its directories, or None for a directory.

    Args:
        archive: Path of the archive, for messages.
        member: A member of it.
        inner: Name of the inner archive, for messages.

    Raises:
        ArchiveError: The member is neither, or its path leads out of the archive.
    """
    if member.kind == "directory":
        return None
    if member.kind != "file":
        kind = _KINDS.get(member.kind, f"a {member.kind}")
        raise unexpected(archive, member, f"{kind} where only plain files belong", inner)
    try:
        return member_names.parts(member.name)[-1]
    except ValueError as error:
        raise unexpected(archive, member, str(error), inner) from None


def unexpected(
    archive: str, member: tar.Member, reason: str, inner: str | None = None
) -> ArchiveError:
    """The error of a member that should not be there, for `reason`."""
    name = member.name if inner is None else f"{inner}/{member.name}"
    return ArchiveError(
        archive,
        f"this member does not belong in the archive: {reason}; "
        "check that this is the official archive, unaltered",
        member=name,
        offset=member.header_offset,
    )


def jobs_of_archive(
    file: SourceFile, position: int, tars: Sequence[tuple[ClassTar, int]]
) -> Iterator[tuple[ClassTarsJob, ...]]:
    """Jobs for the class tars in an archive, for `class_images`."""
    for batch in in_batches(tars, BATCH_BYTES, lambda each: each[0].end - each[0].start):
        yield (ClassTarsJob(file, position, batch),)


def jobs_of_files(
    files: Iterable[tuple[SourceFile, tuple[str, int]]], first: int = 0
) -> Iterator[tuple[ClassTarsJob, ...]]:
    """Jobs for class tars that are files, for `class_images`.

    Args:
        files: The files of the index, each with its wnid and label.
        first: Position of the first of them in the index.
    """
    jobs = (
        ClassTarsJob(file, position, ((ClassTar(None, wnid, 0, file.size, 0), label),))
        for position, (file, (wnid, label)) in enumerate(files, first)
    )
    return in_batches(jobs, BATCH_BYTES, lambda job: job.file.size)
