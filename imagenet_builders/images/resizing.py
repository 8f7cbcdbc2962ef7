"""Makes a JPEG smaller: decodes it, resizes it with Lanczos' filter, and encodes it, with Pillow.

The pixels are those that TensorFlow sees: the orientation in EXIF and colour profiles do not count,
and neither is kept. Grey stays grey. Where the image is large enough, the decoder leaves out detail
(libjpeg's DCT scaling to 1/2, 1/4 or 1/8), but never below twice the size that is wanted, so the
filter has the last word. The same versions of Pillow and of its libjpeg-turbo give the same bytes.
"""

from __future__ import annotations

import functools
import io
import warnings
from typing import TYPE_CHECKING

from imagenet_builders.images.recognition import inspect
from imagenet_builders.images.repairs import (
    MAX_REPAIRED_PIXELS,
    MAX_SCANS,
    ImageProblemError,
    detail,
    strict_pillow,
    too_many_scans,
)

if TYPE_CHECKING:
    from PIL import Image

FILTER = "Lanczos"
"""The filter: Pillow's, whose support grows with the scale, so that nothing is aliased."""

SUBSAMPLINGS = {"4:4:4": 0, "4:2:0": 2}
"""Subsampling of colours to what Pillow calls it."""

_AT_LEAST = 2  # Times the size that is wanted.


@functools.cache
def library() -> str:
    """What resizes, with its version and that of its decoder and encoder.

    Returns:
        Such as `Pillow 12.3.0 with libjpeg-turbo 3.1.4.1`.
    """
    import PIL
    from PIL import features

    jpeg = "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "libjpeg"
    version = features.version_feature("libjpeg_turbo") or features.version_codec("jpg")
    return f"Pillow {PIL.__version__} with {jpeg} {version}"


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height of an image whose short side has so many pixels, in its own aspect.

    Args:
        width: Pixels of the original.
        height: Pixels of the original.
        short_side: Pixels.

    Returns:
        Pixels; the long side is rounded, a half up. Those given if the short side is not larger.

    >>> resized_size(500, 375, 256), resized_size(375, 500, 256), resized_size(256, 900, 256)
    ((341, 256), (256, 341), (256, 900))
    """
    short = min(width, height)
    if short <= short_side:
        return width, height
    new_width, new_height = (
        (2 * side * short_side + short) // (2 * short) for side in (width, height)
    )
    return new_width, new_height


def resize(
    data: bytes, width: int, height: int, short_side: int, *, quality: int, subsampling: str
) -> bytes:
    """Makes an image smaller whose short side is larger than is wanted.

    Args:
        data: A JPEG of one or three channels, as `inspect_and_repair` passes it.
        width: Its width in pixels.
        height: Its height in pixels.
        short_side: Pixels that are wanted.
        quality: Of the JPEG, 1 to 100, on libjpeg's scale.
        subsampling: One of `SUBSAMPLINGS`.

    Returns:
        A JPEG; `data` if the short side is not larger.

    Raises:
        ImageProblemError: It cannot be decoded, or has more than `MAX_REPAIRED_PIXELS` or
            `MAX_SCANS`.
    """
    size = resized_size(width, height, short_side)
    if size == (width, height):
        return data
    if width * height > MAX_REPAIRED_PIXELS:
        raise ImageProblemError(
            f"a JPEG of {width} x {height} pixels; no more than {MAX_REPAIRED_PIXELS:,} are "
            "decoded to resize it"
        )
    facts = inspect(data)
    if facts.scans > MAX_SCANS:
        raise ImageProblemError(too_many_scans(facts.scans))
    with strict_pillow(), warnings.catch_warnings(action="ignore"):
        try:
            small = _resized_by_pillow(data, size)
        except MemoryError:
            raise
        except Exception as error:
            small = _resized_after_simplejpeg(data, facts.components, size, error)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=quality, subsampling=SUBSAMPLINGS[subsampling])
    return buffer.getvalue()


def _resized_by_pillow(data: bytes, size: tuple[int, int]) -> Image.Image:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        drafted = image.draft(None, (_AT_LEAST * size[0], _AT_LEAST * size[1]))
        # Of the scaled image, the last row and column may stand for less than a pixel.
        small = image.resize(size, Image.Resampling.LANCZOS, box=drafted[1] if drafted else None)
    small.info = {}  # Pillow would write comments into the JPEG.
    return small


def _resized_after_simplejpeg(
    data: bytes, components: int, size: tuple[int, int], first: Exception
) -> Image.Image:
    """Resizes what Pillow cannot decode, and TensorFlow perhaps can: simplejpeg warns only."""
    import simplejpeg
    from PIL import Image

    colours = "GRAY" if components == 1 else "RGB"
    try:
        pixels = simplejpeg.decode_jpeg(data, colours, fastupsample=False, strict=False)
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        raise ImageProblemError(f"JPEG cannot be decoded{detail(first)}") from error
    image = Image.fromarray(pixels[..., 0] if components == 1 else pixels)
    return image.resize(size, Image.Resampling.LANCZOS)
