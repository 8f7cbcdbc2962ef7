"""The pixels of an image, without TensorFlow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError

if TYPE_CHECKING:
    import numpy as np


def pixels(image: bytes) -> np.ndarray:
    """The pixels of an image as TensorFlow decodes it: grey ones have three equal channels.

    Args:
        image: A JPEG or a PNG.

    Returns:
        uint8 of shape (height, width, 3).

    Raises:
        SourceError: It cannot be decoded.
    """
    import simplejpeg

    if image[:2] == b"\xff\xd8":
        try:
            decoded: np.ndarray = simplejpeg.decode_jpeg(image, "RGB")
            return decoded
        except ValueError:
            pass  # TurboJPEG does not take factors of sampling that libjpeg takes.
    return _by_pillow(image)


def _by_pillow(image: bytes) -> np.ndarray:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image), formats=("JPEG", "PNG")) as opened:
            return np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(f"an image cannot be decoded: {' '.join(str(error).split())}") from None
