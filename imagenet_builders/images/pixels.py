"""The pixels of an image, without TensorFlow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError

if TYPE_CHECKING:
    import numpy as np


# A JPEG is blocks of 8 x 8 pixels, of which these parts cost less than the whole to compute.
_PARTS = (8, 4, 2)


def pixels(image: bytes, at_least: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The pixels of an image as TensorFlow decodes it: grey ones have three equal channels.

    Args:
        image: A JPEG or a PNG.
        at_least: Height and width that are needed. A JPEG that is at least twice as large is
            decoded at 1/2, 1/4 or 1/8 of its size, the least that is not below either, which costs
            less. 0, 0 is the whole size.

    Returns:
        uint8 of shape (height, width, 3); each side of a smaller one is rounded up.

    Raises:
        SourceError: It cannot be decoded.
    """
    import simplejpeg

    if image[:2] == b"\xff\xd8":
        try:
            smaller = (0, 0)
            if any(at_least):
                smaller = _smaller(simplejpeg.decode_jpeg_header(image)[:2], at_least)
            decoded: np.ndarray = simplejpeg.decode_jpeg(
                image, "RGB", min_height=smaller[0], min_width=smaller[1]
            )
            return decoded
        except ValueError:
            pass  # TurboJPEG does not take factors of sampling that libjpeg takes.
    return _by_pillow(image, at_least)


def _smaller(size: tuple[int, int], at_least: tuple[int, int]) -> tuple[int, int]:
    """The size at which an image is decoded; 0, 0 for its own.

    >>> _smaller((375, 500), (160, 160)), _smaller((375, 500), (224, 224))
    ((188, 250), (0, 0))
    """
    for part in _PARTS:
        height, width = (-(-side // part) for side in size)
        if height >= at_least[0] and width >= at_least[1]:
            return height, width
    return 0, 0


def _by_pillow(image: bytes, at_least: tuple[int, int]) -> np.ndarray:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image), formats=("JPEG", "PNG")) as opened:
            if any(at_least):
                smaller = _smaller((opened.height, opened.width), at_least)
                if any(smaller):
                    opened.draft(None, smaller[::-1])
            return np.array(opened.convert("RGB"))  # PyTorch warns of one that is not writable.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(f"an image cannot be decoded: {' '.join(str(error).split())}") from None
