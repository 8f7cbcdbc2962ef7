"""Inspects and repairs an image: the one call that a build makes for each."""

from __future__ import annotations

from typing import NamedTuple

from imagenet_builders.images.facts import ImageFacts
from imagenet_builders.images.recognition import inspect
from imagenet_builders.images.repairs import ImageProblemError, gunzip, repair


class InspectedImage(NamedTuple):
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


def inspect_and_repair(data: bytes, also_repair: frozenset[str] = frozenset()) -> InspectedImage:
    """Inspects an image, repairs it where that is documented, or says what is wrong with it.

    A whole JPEG of one or three channels is passed on as it is. A CMYK or YCCK JPEG and a PNG are
    re-encoded, a gzip-wrapped image is unpacked first; everything else is a problem.

    Args:
        data: An image file's content.
        also_repair: Further formats to re-encode: `gif`, `bmp`.

    Returns:
        The image to store, or the problem. Never raises for what is in `data`.
    """
    facts = inspect(data)
    if facts.format == "jpeg" and facts.problem is None and facts.components != 4:
        return InspectedImage(data, None, None, facts.width, facts.height)
    try:
        return _mended(data, facts, also_repair)
    except ImageProblemError as e:
        return InspectedImage(data, None, e.reason, facts.width, facts.height)


def _mended(data: bytes, facts: ImageFacts, also_repair: frozenset[str]) -> InspectedImage:
    done = []
    if facts.format == "gzip":
        data = gunzip(data)
        facts = inspect(data)
        done.append("gunzipped")
    if facts.format == "jpeg" and facts.problem is None and facts.components != 4:
        return InspectedImage(data, done[0], None, facts.width, facts.height)
    try:
        data, how = repair(data, facts, also_repair)
    except ImageProblemError as e:
        raise ImageProblemError(f"gzip-wrapped: {e.reason}" if done else e.reason) from e
    done.append(how)
    return InspectedImage(data, "; ".join(done), None, facts.width, facts.height)
