"""The kind of source `tar`: official archives, of images or of one tar for each class.

An archive of train images is a tar of class tars, any other a flat tar; the patch of the test
archive replaces images of it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from imagenet_builders import labels
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats import member_names, tar, tar_header
from imagenet_builders.formats.gzip_stream import StreamError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.glimpse import Glimpse
from imagenet_builders.locate.listing import COMPRESSED_TAR, is_system_file
from imagenet_builders.locate.official import check_image_count, official_archives
from imagenet_builders.locate.search import Match, Place, named_files
from imagenet_builders.sources import box_archives, duplicates, tar_counts, tar_images
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources.indexing import Prepared, Runner, run_for_table
from imagenet_builders.sources.inspection import (
    COPY_AGAIN,
    Counted,
    Inspection,
    Problem,
    Wrong,
    refused,
)
from imagenet_builders.sources.kind import Copies, Expected, Kind
from imagenet_builders.sources.rows import PassedOver, Rows, SourceFile, check_not_too_many, opened
from imagenet_builders.sources.trees import path_inside
from imagenet_builders.sources.unpacking import (
    Means,
    Packed,
    decompressed,
    is_compressed,
    is_compressed_file,
    plain_tars,
    unpacked_bytes,
)
from imagenet_builders.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

_END_OF_TAR = 1024
_TWO_BLOCKS = "a tar archive that ends in two blocks of zeros"
_TAIL_BYTES = 16 << 10
_PIECE_BYTES = 1 << 20
_MAX_ZEROS = 65 << 20

# The first members of an archive tell whose images it has.
_GLIMPSED = 8

_NUMBERED = re.compile(rf"(.*_images_)([0-9]+)(\.tar|{COMPRESSED_TAR})", re.IGNORECASE)

# In so many archives Hugging Face has the train images. Source: the files of `imagenet-1k` there.
_NUMBERED_ARCHIVES = 5


def recognise(place: Place) -> Iterator[Match]:
    """Recognises archives, and numbered ones as one source; see `search.Recognise`."""
    numbered: list[tuple[int, str]] = []
    name_of = "{}".format
    for match in named_files(place):
        name = match.paths[0].name
        parts = _NUMBERED.fullmatch(name)
        if parts is None:
            yield match
            continue
        numbered.append((int(parts[2]), name))
        name_of = f"{parts[1]}{{}}{parts[3]}".format
    if numbered:
        yield sets.match_of(place, sets.numbered_set(numbered, name_of, _NUMBERED_ARCHIVES))


def prepare_images(found: Found, naming: Naming, workers: Means, *, strict: bool) -> Prepared:
    """Prepares an archive, and its patch if it has one, to be indexed; see `PrepareImages`."""
    archives = tuple(SourceFile.of(path, found.copies) for path in found.paths)
    files = plain_tars(archives, workers)
    first = _first_file(files[0]) if naming.is_train and not found.inside else None
    is_of_tars = first is not None and not naming.is_image(first.name)
    if is_of_tars:
        _check_only(files)
    packed: dict[str, SourceFile] = {}
    if first is not None and is_of_tars and first.is_compressed:
        packed = _packed_class_tars(files[0], naming, workers)
    # No row points into an archive that was unpacked, but it is what was staged.
    also = tuple(archive for archive in archives if archive not in files)

    def make() -> pa.Table:
        if is_of_tars:
            table = _class_tars_in(files[0], naming, workers, packed)
        else:
            table = _images(files, naming, found.inside).table()
        check_image_count(found.paths[0], files[0].size, table.num_rows)
        return table

    return Prepared((*files, *packed.values(), *also), make)


def _images(files: Sequence[SourceFile], naming: Naming, inside: str) -> Rows:
    """The rows of archives of images, or of one and its patch."""
    rows = tar_images.images_in(files[0], 0, naming.row_of_file, inside)
    for position, file in enumerate(files[1:], start=1):
        if naming.is_train:
            rows.extend(tar_images.images_in(file, position, naming.row_of_file))
        else:
            _apply_patch(rows, file, position, naming)
    return rows


def _check_only(files: Sequence[SourceFile]) -> None:
    """Class tars are read out of one archive, not of several."""
    if len(files) > 1:
        raise SourceError(
            f"{files[0].path}: expected the images of train, as in each of {len(files)} archives, "
            "found class archives; put the class archives of all into one directory, train"
        )


class _First(NamedTuple):
    """The first file in a tar: its name, without its folders, and whether it is compressed."""

    name: str
    is_compressed: bool


def _first_file(file: SourceFile) -> _First:
    """The first file in a tar of train images, which tells whether it has these or class tars.

    It also tells whether class tars are compressed: to look into each at every build would take
    some time.
    """
    with opened(file) as fd:
        for member in tar.walk(fd, file.path):
            if member.kind == "file" and not is_system_file(member.name):
                name = member_names.portable(member.name).rpartition("/")[2]
                return _First(name, is_compressed(fd, member.offset))
    return _First("", False)


def _packed_class_tars(file: SourceFile, naming: Naming, workers: Means) -> dict[str, SourceFile]:
    """The class tars in an archive that are compressed, by their wnids, once they are unpacked."""
    with opened(file) as fd:
        tars = [each for each, _ in tar_images.class_tars(file, naming.label_of)[0]]
        tars = [each for each in tars if is_compressed(fd, each.start)]
    parts = [
        Packed(file, f"{each.wnid}.tar", decompressed, each.start, each.end, each.name)
        for each in tars
    ]
    return dict(zip([each.wnid for each in tars], workers.unpack(parts), strict=True))


def _class_tars_in(
    file: SourceFile, naming: Naming, workers: Runner, packed: Mapping[str, SourceFile]
) -> pa.Table:
    tars, passed_over = tar_images.class_tars(file, naming.label_of)
    in_place = [each for each in tars if each[0].wnid not in packed]
    labelled = [(wnid, naming.label_of(wnid)) for wnid in packed]
    jobs = itertools.chain(
        tar_images.jobs_of_archive(file, 0, in_place),
        tar_images.jobs_of_files(zip(packed.values(), labelled, strict=True), first=1),
    )
    table = run_for_table(
        workers,
        tar_images.class_images,
        jobs,
        counted=lambda count: check_not_too_many(file.path, count),
    )
    if naming.part == "train":
        _check_class_counts(file, table)
    return (passed_over + PassedOver.of(table)).noted_in(table)


def _check_class_counts(file: SourceFile, table: pa.Table) -> None:
    """In an archive of the official size, every class has its official number of images."""
    official = official_archives()["ILSVRC2012_img_train.tar"]
    if file.size != official.size:
        return
    found = Counter(table["label"].to_pylist())
    for label, (wnid, expected) in enumerate(labels.train_counts().items()):
        if found[label] != expected:
            raise SourceError(
                f"{file.path}: class {wnid} has {counted(found[label], 'image')} instead of the "
                f"official {expected:,}, though the archive has the official size of {file.size:,} "
                f"bytes; compare its MD5 with {official.md5} and copy it again"
            )


def _apply_patch(rows: Rows, patch: SourceFile, position: int, naming: Naming) -> None:
    """Lets rows point to the patch where it has an image of the same name."""
    at = {key: row for row, key in enumerate(rows.keys)}
    patched = tar_images.flat_images(patch, position, naming.row_of)
    if not patched:  # As a copy into a preallocated file leaves it, which would pass unnoticed.
        raise ArchiveError(
            patch.path,
            "there is no image in this patch of the test archive; copy it again, or move it away "
            "to build without it",
        )
    first: dict[str, int] = {}
    for key, offset, size in zip(patched.keys, patched.offsets, patched.sizes, strict=True):
        if first.setdefault(key, offset) != offset:
            raise ArchiveError(
                patch.path,
                f"this image is there twice, first at byte {first[key]:,}, and only one of them "
                "can replace that of the test archive; check that this is the official patch",
                member=key,
                offset=offset,
            )
        if key not in at:
            raise ArchiveError(
                patch.path,
                "the patch replaces images of the test archive, but the test archive has no such "
                "image; check that both are complete",
                member=key,
                offset=offset,
            )
        row = at[key]
        rows.files[row], rows.offsets[row], rows.sizes[row] = position, offset, size


def classes(found: Found, workers: Means) -> tuple[str, ...]:
    """The classes of the tars in an archive of train images."""
    (file,) = plain_tars([SourceFile.of(found.paths[0], found.copies)], workers)
    tars, _ = tar_images.class_tars(file, lambda wnid: 0)
    return tuple(sorted(class_tar.wnid for class_tar, _ in tars))


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, None]:
    """What is wrong with the ends of a tar; see `Kind.inspect`."""
    return wrong_inside(path, fd) if is_compressed(fd) else _wrong(fd, size), None


def wrong_inside(path: Path, fd: int) -> Wrong | None:
    """What is wrong with the first bytes that a compressed tar unpacks to."""
    size = os.fstat(fd).st_size
    begin = Packed(SourceFile.of(path), path.name, decompressed, 0, min(size, _PIECE_BYTES))
    head = b""
    try:
        for piece in decompressed(begin, fd, lambda size: None):
            head += piece
            if len(head) >= tar_header.BLOCK:
                break
    except StreamError as error:
        if size > _PIECE_BYTES and error.offset >= _PIECE_BYTES:
            return None  # So far it is sound.
        found, _, action = error.problem.partition("; ")
        return Wrong("a compressed tar archive", found, "", action or COPY_AGAIN)
    block = head[: tar_header.BLOCK]
    if is_header(block) or (not block and size > _PIECE_BYTES):
        return None
    return Wrong("a compressed tar archive", *foreign(block))


def _wrong(fd: int, size: int) -> Wrong | None:
    block = os.pread(fd, tar_header.BLOCK, 0)
    expected = "a tar archive"
    if not any(block):
        return Wrong(
            expected,
            "zeros where the first header should be",
            "a copy into a file that was made at its full size first, which is not done yet or "
            "broke off",
        )
    if not is_header(block):
        return Wrong(expected, *foreign(block))
    tail = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    if any(tail[-_END_OF_TAR:]) or len(tail) < _END_OF_TAR:
        cause = "the copy was cut off or is not done yet, or something was appended"
        if size % tar_header.BLOCK:
            found = (
                f"{size:,} bytes (no multiple of {tar_header.BLOCK}), and not only zeros at the end"
            )
            return Wrong(_TWO_BLOCKS, found, cause)
        cause += ", or its writer left out the end"
        return Wrong(
            _TWO_BLOCKS, f"{size:,} bytes, and not only zeros at the end", cause, tar_header.NO_END
        )
    zeros = 0 if any(tail) else _zeros_at_the_end(fd, size)
    if not tar_header.is_padding(size, zeros):
        return Wrong(
            "a tar archive whose end fills one record",
            f"{size:,} bytes, of which the last million and more are zeros",
            tar_header.TOO_MANY_ZEROS,
            tar_header.IF_TOO_MANY_ZEROS,
        )
    return None


def _zeros_at_the_end(fd: int, size: int) -> int:
    """Whole blocks of zeros at the end of a file, in bytes; not counted beyond any padding."""
    end = size
    while end > 0 and size - end <= _MAX_ZEROS:
        start = max(0, end - _PIECE_BYTES)
        data = os.pread(fd, end - start, start).rstrip(b"\0")
        if data:
            return (size - start - len(data)) // tar_header.BLOCK * tar_header.BLOCK
        end = start
    return size - end


def is_header(block: bytes) -> bool:
    """Whether a block is the header of a member of a tar."""
    return len(block) == tar_header.BLOCK and tar_header.has_right_checksum(block)


def foreign(block: bytes) -> tuple[str, str, str]:
    """Found, cause and action, from the words that a build has for a file that is no tar."""
    said = tar_header.describe_foreign(block)
    found, _, rest = said.removeprefix("expected a tar archive, found ").partition(";")
    first, _, cause = found.partition(", ")
    return first, cause, rest.strip() or COPY_AGAIN


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts images by the rules of a build, in some thousand headers; see `Kind.count`."""
    sizes = {path: inspected[path].size or 0 for path in found.paths}
    packed = sum(sizes[path] for path in found.paths if is_compressed_file(path))
    names = "the names in " + " and ".join(map(str, found.paths))
    if packed:
        return Counted(unpacked_bytes=unpacked_bytes(packed), unread=names), []
    if expected.naming is None:
        return Counted(unread=names), []
    files = tuple(map(SourceFile.of, found.paths))
    try:
        rows, counts = _count(files, expected.naming, found.inside)
    except SourceError as error:
        return Counted(), [refused(error, found.paths[0])]
    twice = duplicates.find(rows, files)
    return counts, [] if twice is None else [refused(twice, found.paths[0])]


def _count(files: Sequence[SourceFile], naming: Naming, inside: str) -> tuple[Rows, Counted]:
    if naming.is_train and not inside and not naming.is_image(_first_file(files[0]).name):
        _check_only(files)
        return tar_counts.class_tars(files[0], naming)
    if any(map(tar_counts.has_more_members, files)):
        return tar_counts.first_images(files, naming, inside)
    rows = _images(files, naming, inside)
    keys = rows.keys if naming.is_train else ()
    classes = frozenset(key.partition("_")[0] for key in keys)
    return rows, Counted(len(rows), classes or None)


def copies(found: Found) -> Copies:
    """What is copied: what is read at random, which excludes what is unpacked."""
    return Copies(tuple(path for path in found.paths if not is_compressed_file(path)))


def glimpse(path: Path, inside: str = "") -> Glimpse:
    """The names of the first members; what is damaged or may not be read shows nothing."""
    try:
        fd = open_regular(path, follow=True)
    except OSError:
        return Glimpse(path)
    names: list[str] = []
    try:
        for member in itertools.islice(tar.walk(fd, str(path)), _GLIMPSED):
            name = member_names.portable(member.name)
            if not inside or path_inside(name, inside):
                names.append(name)
    except (ArchiveError, OSError):
        pass
    finally:
        os.close(fd)
    return Glimpse(path, names=tuple(names))


KIND = Kind(
    name="tar",
    glimpse=glimpse,
    recognise=recognise,
    takes_patch=True,
    images=prepare_images,
    classes=classes,
    boxes=box_archives.prepare_boxes,
    copies=copies,
    inspect=inspect,
    count=count,
    not_whole=sets.not_whole,
)
