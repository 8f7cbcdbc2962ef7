"""What forms say of an image besides what is in its example: its size and its format."""

from __future__ import annotations

from typing import NamedTuple

from imagenet_builders import images
from imagenet_builders.errors import SourceError
from imagenet_builders.images.plain_jpeg import plain_size

FORMATS = ("jpeg", "png")
"""The formats of images that datasets have."""


class Picture(NamedTuple):
    """What is said of an image.

    Attributes:
        format: One of `FORMATS`.
        width: Pixels.
        height: Pixels.
    """

    format: str
    width: int
    height: int


def facts_of(name: str, image: bytes) -> Picture:
    """What is said of an image that can be exported.

    Args:
        name: Its name, for messages.
        image: Its bytes.

    Raises:
        SourceError: It is another format, or not whole.
    """
    size = plain_size(image)
    if size is not None:
        return Picture("jpeg", *size)
    facts = images.inspect(image)
    if facts.format not in FORMATS or facts.problem is not None:
        what = facts.problem or f"found {facts.format}, expected JPEG or PNG"
        raise SourceError(f"the image {name} cannot be exported: {what}")
    return Picture(facts.format, facts.width, facts.height)
