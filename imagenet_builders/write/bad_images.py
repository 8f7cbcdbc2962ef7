"""What becomes of an image that is not what it should be: repair, omission, or the build's end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagenet_builders import images
from imagenet_builders.errors import BadImageError
from imagenet_builders.plan.recipe import Note
from imagenet_builders.sources.reader import ImageRow, Reader

if TYPE_CHECKING:
    import pyarrow as pa


def look_at(
    data: bytes,
    *,
    key: str,
    path: str,
    offset: int,
    policy: str,
    notes: list[Note],
    also: frozenset[str] = frozenset(),
) -> bytes | None:
    """Looks at an image, and repairs it where that is documented.

    Args:
        data: The image as it was found.
        key: Its name.
        path: The file it was read from.
        offset: Its first byte there.
        policy: `fail` or `skip`.
        notes: Receives a note for an image that is repaired or skipped.
        also: Formats to repair beside those that always are; see `images.checked`.

    Returns:
        The bytes to store, or None for an image to leave out.

    Raises:
        BadImageError: The image is bad and the policy is to fail.
    """
    checked = images.checked(data, also)
    if checked.problem is None and checked.repair is None:
        return checked.data
    if checked.problem is None:
        notes.append(Note(key, "repaired", str(checked.repair), path, offset))
        return checked.data
    if policy == "skip":
        notes.append(Note(key, "skipped", checked.problem, path, offset))
        return None
    raise BadImageError(
        path,
        f"{checked.problem}; copy the archive again, or build with --bad-images skip "
        "to leave such images out",
        member=key,
        offset=offset,
    )


def good_images(
    rows: pa.Table,
    reader: Reader,
    policy: str,
    notes: list[Note],
    also: frozenset[str] = frozenset(),
) -> Iterator[tuple[ImageRow, bytes | None]]:
    """Reads the images of rows and looks at each.

    Args:
        rows: A part of an index.
        reader: Reads the files that the rows point into.
        policy: `fail` or `skip`.
        notes: Receives a note for each image that is repaired or skipped.
        also: As for `look_at`.

    Yields:
        Each row, and the bytes to store, or None for an image to leave out.

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed, or cannot be read.
    """
    for row in reader.images(rows):
        image = look_at(
            row.data,
            key=row.key,
            path=row.path,
            offset=row.offset,
            policy=policy,
            notes=notes,
            also=also,
        )
        yield row, image
