"""What forms say of an image besides what is in its example: its size and its format."""

from __future__ import annotations

from imagenet_builders import images
from imagenet_builders.errors import SourceError

FORMATS = ("jpeg", "png")
"""The formats of images that datasets have."""


def facts_of(name: str, image: bytes) -> images.ImageFacts:
    """The facts of an image that can be exported.

    Args:
        name: Its name, for messages.
        image: Its bytes.

    Returns:
        Its facts; the format is one of `FORMATS`.

    Raises:
        SourceError: It is another format, or not whole.
    """
    facts = images.inspect(image)
    if facts.format not in FORMATS or facts.problem is not None:
        what = facts.problem or f"found {facts.format}, expected JPEG or PNG"
        raise SourceError(f"the image {name} cannot be exported: {what}")
    return facts
