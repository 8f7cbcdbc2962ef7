"""The one call that a build makes for every image."""

from __future__ import annotations

from typing import NamedTuple

from imagenet_builders.images.facts import ImageFacts
from imagenet_builders.images.recognition import look
from imagenet_builders.images.repairs import ImageProblemError, gunzip, repair


class Checked(NamedTuple):
    """An image as it can be stored, or why it cannot.

    Attributes:
        data: The bytes to store: those given, or the repaired ones. Those given, if there is a
            problem.
        repair: What was repaired, e.g. `PNG re-encoded as JPEG`; None for an image as it came.
        problem: Why the image cannot be stored; None if it can.
        width: Pixels; 0 when unknown.
        height: Pixels; 0 when unknown.
    """

    data: bytes
    repair: str | None
    problem: str | None
    width: int
    height: int


def checked(data: bytes, also: frozenset[str] = frozenset()) -> Checked:
    """Looks at an image, repairs it where that is documented, or says what is wrong with it.

    A whole JPEG of one or three channels is passed on as it is. A CMYK or YCCK JPEG and a PNG are
    re-encoded, a gzip-wrapped image is unpacked first; everything else is a problem.

    Args:
        data: An image file's content.
        also: Further formats to re-encode: `gif`, `bmp`.

    Returns:
        The image to store, or the problem. Never raises for what is in `data`.
    """
    facts = look(data)
    if facts.format == "jpeg" and facts.problem is None and facts.components != 4:
        return Checked(data, None, None, facts.width, facts.height)
    try:
        return _mended(data, facts, also)
    except ImageProblemError as e:
        return Checked(data, None, e.reason, facts.width, facts.height)


def _mended(data: bytes, facts: ImageFacts, also: frozenset[str]) -> Checked:
    done = []
    if facts.format == "gzip":
        data = gunzip(data)
        facts = look(data)
        done.append("gunzipped")
    if facts.format == "jpeg" and facts.problem is None and facts.components != 4:
        return Checked(data, done[0], None, facts.width, facts.height)
    try:
        data, how = repair(data, facts, also)
    except ImageProblemError as e:
        raise ImageProblemError(f"gzip-wrapped: {e.reason}" if done else e.reason) from e
    done.append(how)
    return Checked(data, "; ".join(done), None, facts.width, facts.height)
