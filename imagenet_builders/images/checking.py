"""Inspects and repairs an image: the one call that a build makes for each."""

from __future__ import annotations

from typing import NamedTuple

from imagenet_builders.images.decoding import decode
from imagenet_builders.images.facts import ImageFacts
from imagenet_builders.images.plain_jpeg import plain_size
from imagenet_builders.images.recognition import inspect
from imagenet_builders.images.repairs import (
    MAX_REPAIRED_PIXELS,
    ImageProblemError,
    gunzip,
    repair,
)


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


def inspect_and_repair(
    data: bytes, also_repair: frozenset[str] = frozenset(), *, decode_all: bool = False
) -> InspectedImage:
    """Inspects an image, repairs it where that is documented, or says what is wrong with it.

    A whole JPEG of one or three channels is passed on as it is. A CMYK or YCCK JPEG and a PNG are
    re-encoded, a gzip-wrapped image is unpacked first; everything else is a problem. A JPEG with a
    marker in its compressed data that does not belong there is decoded, to see if TensorFlow can.

    Args:
        data: An image file's content.
        also_repair: Further formats to re-encode: `gif`, `bmp`.
        decode_all: Decode every image; one with lost pixels is a problem, then.

    Returns:
        The image to store, or the problem. Never raises for what is in `data`.
    """
    size = None if decode_all else plain_size(data)
    if size is not None:
        return InspectedImage(data, None, None, *size)
    return inspect_with_care(data, also_repair, decode_all)


def inspect_with_care(
    data: bytes, also_repair: frozenset[str], decode_all: bool = False
) -> InspectedImage:
    """As `inspect_and_repair`, without the short cut for the JPEG that most images are."""
    facts = inspect(data)
    if facts.format == "jpeg" and facts.problem is None and facts.components != 4:
        problem = _decoding_problem(data, facts, decode_all)
        return InspectedImage(data, None, problem, facts.width, facts.height)
    try:
        return _mended(data, facts, also_repair, decode_all)
    except ImageProblemError as e:
        return InspectedImage(data, None, e.reason, facts.width, facts.height)


def _decoding_problem(data: bytes, facts: ImageFacts, decode_all: bool) -> str | None:
    if facts.stray_marker is None and not decode_all:
        return None
    if facts.stray_marker is not None and facts.width * facts.height > MAX_REPAIRED_PIXELS:
        return (
            f"damaged JPEG: a marker within its image data, at byte {facts.stray_marker:,}, and at "
            f"{facts.width} x {facts.height} pixels too large to see whether it can be decoded"
        )
    decoded = decode(data, facts)
    if decoded.problem is not None:
        return f"damaged JPEG: it cannot be decoded ({decoded.problem})"
    if decode_all and decoded.lost is not None:
        return f"damaged JPEG: pixels are lost ({decoded.lost})"
    return None


def _mended(
    data: bytes, facts: ImageFacts, also_repair: frozenset[str], decode_all: bool
) -> InspectedImage:
    done = []
    if facts.format == "gzip":
        data = gunzip(data)
        facts = inspect(data)
        done.append("gunzipped")
    if facts.format == "jpeg" and facts.problem is None and facts.components != 4:
        problem = _decoding_problem(data, facts, decode_all)
        if problem is not None:
            raise ImageProblemError(f"gzip-wrapped: {problem}")
        return InspectedImage(data, done[0], None, facts.width, facts.height)
    try:
        data, how = repair(data, facts, also_repair)
    except ImageProblemError as e:
        raise ImageProblemError(f"gzip-wrapped: {e.reason}" if done else e.reason) from e
    done.append(how)
    return InspectedImage(data, "; ".join(done), None, facts.width, facts.height)
