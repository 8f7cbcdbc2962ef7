"""What becomes of an image that is not as it should be: repair, omission, or the build's end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from imagenet_builders import images
from imagenet_builders.errors import BadImageError
from imagenet_builders.plan.recipe import ImagePolicy, Note
from imagenet_builders.sources.reader import ImageRow, Reader

if TYPE_CHECKING:
    import pyarrow as pa


def good_images(
    rows: pa.Table,
    reader: Reader,
    policy: ImagePolicy,
    notes: list[Note],
    also_repair: frozenset[str] = frozenset(),
    wrong: Callable[[images.InspectedImage], str | None] = lambda image: None,
    remake: Callable[[images.InspectedImage], bytes] = lambda image: image.data,
) -> Iterator[tuple[ImageRow, bytes | None]]:
    """Reads the images of rows, inspects them, and repairs those that may be repaired.

    Args:
        rows: A part of an index.
        reader: Reads the files that the rows point into.
        policy: How to look at them, and what to do with bad ones.
        notes: Receives a note for each image that is repaired or skipped.
        also_repair: Formats to repair besides those that always are; see
            `images.inspect_and_repair`.
        wrong: Says what else is wrong with an image of this dataset, or None.
        remake: Makes the bytes to store of an image that is not wrong; raises `ImageProblemError`
            if that cannot be done.

    Yields:
        Each row, and the bytes to store, or None for an image to leave out.

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed, or cannot be read.
    """
    for row in reader.images(rows):
        problem, repair, data = row.problem, None, row.data
        if problem is None:
            image = images.inspect_and_repair(row.data, also_repair, decode_all=policy.decode)
            data, repair = image.data, image.repair
            problem = wrong(image) if image.problem is None else image.problem
            if problem is None:
                try:
                    data = remake(image)
                except images.ImageProblemError as error:
                    problem = error.reason
        if problem is None:
            if repair is not None:
                notes.append(Note(row.key, "repaired", repair, row.path, row.offset))
            yield row, data
        elif policy.bad_images == "skip":
            notes.append(Note(row.key, "skipped", problem, row.path, row.offset))
            yield row, None
        else:
            raise BadImageError(
                row.path,
                f"{problem}; compare the archive or file with the original, and copy it anew if "
                "they differ, or build with --bad-images skip to leave such images out",
                member=row.key,
                offset=row.offset,
            )
