"""Decodes every pixel of an image, to find out whether TensorFlow can.

`tf.io.decode_jpeg` is libjpeg: what that calls a warning passes, what it calls an error does not,
and neither does a JPEG whose decoder reads beyond the end of its data. simplejpeg has the same
library, but tells of the last warning or error only, by its words, and at the end of the data puts
an end marker of its own. So the data get a tail here that libjpeg cannot read without an error.
"""

from __future__ import annotations

import io
import warnings
from typing import NamedTuple

from imagenet_builders.images.facts import ImageFacts
from imagenet_builders.images.repairs import (
    MAX_REPAIRED_PIXELS,
    MAX_SCANS,
    strict_pillow,
    too_many_scans,
)

# Reserved markers, more than a segment is long: whatever reads beyond the data comes to one.
_TAIL = b"\xff\x02" * (1 << 15)

_LOST_PIXELS = "Corrupt JPEG data"
# How libjpeg's warnings begin (`jerror.h`, JWRN_*); all else are errors. Only those of a JPEG whose
# end is reached, because of the tail.
_WARNINGS = (
    _LOST_PIXELS,
    "Inconsistent progression sequence",
    "Invalid SOS parameters",
    "Unknown Adobe color transform",
    "Warning: unknown JFIF revision",
)


class Decoded(NamedTuple):
    """The outcome of decoding an image.

    Attributes:
        problem: Why TensorFlow cannot decode it; None if it can.
        lost: What libjpeg says of pixels that were lost in one that TensorFlow decodes, or None.
    """

    problem: str | None = None
    lost: str | None = None


def decode(data: bytes, facts: ImageFacts) -> Decoded:
    """Decodes all pixels of a JPEG of one or three channels, or of a PNG.

    Args:
        data: The image.
        facts: What `inspect(data)` found; no problem.

    Returns:
        Whether TensorFlow can decode it. Never raises for what is in `data`.
    """
    if facts.format != "jpeg":
        if facts.width * facts.height > MAX_REPAIRED_PIXELS:
            size = f"{facts.width:,} x {facts.height:,}"
            return Decoded(f"{size} pixels, more than any image of ImageNet has")
        return Decoded(_pillow_problem(data, "PNG"))
    if facts.scans > MAX_SCANS:
        return Decoded(too_many_scans(facts.scans))
    import simplejpeg

    data += _TAIL
    try:
        simplejpeg.decode_jpeg(data, "GRAY" if facts.components == 1 else "RGB")
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        said = _words(error)
        if said.startswith(_WARNINGS):
            # If that is of the header, nothing else was decoded.
            problem = _pillow_problem(data, "JPEG")
            return Decoded(problem, said if said.startswith(_LOST_PIXELS) else None)
        if "subsampling" not in said:
            return Decoded(said)
        # TurboJPEG does not take factors of sampling that libjpeg takes.
        return Decoded(_pillow_problem(data, "JPEG"))
    return Decoded()


def _pillow_problem(data: bytes, image_format: str) -> str | None:
    """Why Pillow cannot decode an image; None if it can, whatever its library warns of."""
    from PIL import Image

    try:
        with (
            strict_pillow(),
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=(image_format,)) as image,
        ):
            image.load()
    except MemoryError:
        raise
    except Exception as error:
        return _words(error)
    return None


def _words(error: Exception) -> str:
    words = " ".join(str(error).split())[:200]
    # Pillow names the file object that it could not identify, with its address in memory.
    return words if words and "<_io." not in words else type(error).__name__
