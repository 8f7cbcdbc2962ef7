"""Photographs of ImageNet's usual size, cut from those that scikit-image brings.

They are in the public domain, says scikit-image (`skimage/data/_fetchers.py`): `astronaut` is
NASA's, `rocket` SpaceX's, `coffee` (Rachel Michetti) and `chelsea` (Stefan van der Walt) are CC0.
Noise or discs would not do here: how well an image compresses decides what decoding costs.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

NAMES = ("astronaut", "rocket", "coffee", "chelsea")
LEAST_PART = 0.75
"""Of the height of a photograph, that a picture is cut from."""


def pictures(count: int, size: tuple[int, int] = (500, 375), seed: int = 0) -> list[Image]:
    """Pictures, each another part of a photograph.

    Args:
        count: How many.
        size: Width and height.
        seed: Of where they are cut.
    """
    import numpy as np
    import skimage.data
    from PIL import Image

    photographs = [Image.fromarray(getattr(skimage.data, name)()) for name in NAMES]
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        largest = min(photograph.width / size[0], photograph.height / size[1])
        scale = largest * rng.uniform(LEAST_PART, 1)
        width, height = size[0] * scale, size[1] * scale
        left = rng.uniform(0, photograph.width - width)
        top = rng.uniform(0, photograph.height - height)
        box = (left, top, left + width, top + height)
        made.append(photograph.resize(size, Image.Resampling.LANCZOS, box))
    return made


def jpeg(picture: Image, quality: int) -> bytes:
    """A picture as cameras and sites save it: 4:2:0."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling=2)
    return file.getvalue()
