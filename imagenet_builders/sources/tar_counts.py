"""Counts the images in tars by the rules of a build, as far as some thousand headers go."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from imagenet_builders.formats import tar
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.sources import tar_images
from imagenet_builders.sources.inspection import Counted
from imagenet_builders.sources.rows import Rows, SourceFile, opened
from imagenet_builders.sources.unpacking import is_compressed

# Of the official archive all is known, so that counting in others is enough; so much is read: that
# many headers, or those of class tars of that many bytes in all (2,000 images or so).
_MAX_HEADERS = 2_000
_READ_BYTES = 256 << 20


def has_more_members(file: SourceFile) -> bool:
    """Whether an archive has more members than are looked at."""
    with opened(file) as fd:
        members = tar.walk(fd, file.path)
        return next(itertools.islice(members, _MAX_HEADERS, None), None) is not None


def class_tars(file: SourceFile, naming: Naming) -> tuple[Rows, Counted]:
    """Looks at the class tars in an archive.

    Args:
        file: The archive.
        naming: The rule for the names of images.

    Returns:
        The rows of the images that were looked at, and what was counted.

    Raises:
        SourceError: A build will refuse the archive.
    """
    tars, _ = tar_images.class_tars(file, naming.label_of, _MAX_HEADERS)
    so_far = itertools.accumulate(class_tar.end - class_tar.start for class_tar, _ in tars)
    some = [each for each, size in zip(tars, so_far, strict=True) if size <= _READ_BYTES]
    some = some or tars[:1]
    with opened(file) as fd:
        packed = {each for each in tars if is_compressed(fd, each[0].start)}
    # Those that are compressed, only a build unpacks; it reads none where the first is not.
    in_order = sorted(tars, key=lambda each: each[0].start)
    if packed and in_order[0] not in packed:
        some = [next(each for each in in_order if each in packed)]
    else:
        some = [each for each in some if each not in packed]
    rows = tar_images.class_rows([tar_images.ClassTarsJob(file, 0, tuple(some))])
    if has_more_members(file):
        return rows, Counted(unread=_after_the_first(file))
    wnids = frozenset(class_tar.wnid for class_tar, _ in tars)
    if len(some) == len(tars):
        return rows, Counted(len(rows), wnids)
    unread = f"the names in {len(tars) - len(some):,} of the class archives in {file.path}"
    return rows, Counted(None, wnids, unread=unread)


def first_images(files: Sequence[SourceFile], naming: Naming, inside: str) -> tuple[Rows, Counted]:
    """Looks at the first images in archives of them, each of which has many.

    Args:
        files: The archives.
        naming: The rule for the names of images.
        inside: As in `Found`.

    Returns:
        The rows of the images that were looked at, and what was counted.

    Raises:
        SourceError: A build will refuse an archive.
    """
    rows = Rows()
    for position, file in enumerate(files):
        rows.extend(tar_images.images_in(file, position, naming.row_of_file, inside, _MAX_HEADERS))
    return rows, Counted(unread="; ".join(map(_after_the_first, files)))


def _after_the_first(file: SourceFile) -> str:
    return f"the names after the first {_MAX_HEADERS:,} in {file.path}"
