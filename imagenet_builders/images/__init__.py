"""Inspects an image's bytes once on their way to the shard, and repairs what may be repaired.

`inspect_and_repair(data)` is the one call that a build makes for every image. For an ordinary JPEG
it reads the header, looks for markers up to the end, and decodes no pixel (`inspect`). Pillow,
simplejpeg and, as a last resort, TensorFlow are imported only when an image needs a repair
(`repair`), or when only decoding tells whether TensorFlow can decode it (`decode`).
"""

from __future__ import annotations

from imagenet_builders.images.checking import InspectedImage, inspect_and_repair
from imagenet_builders.images.decoding import Decoded, decode
from imagenet_builders.images.facts import ImageFacts
from imagenet_builders.images.recognition import inspect
from imagenet_builders.images.repairs import (
    MAX_GUNZIPPED_BYTES,
    MAX_REPAIRED_PIXELS,
    OPTIONAL_REPAIRS,
    ImageProblemError,
    gunzip,
    repair,
    to_rgb_jpeg,
)

__all__ = [
    "MAX_GUNZIPPED_BYTES",
    "MAX_REPAIRED_PIXELS",
    "OPTIONAL_REPAIRS",
    "Decoded",
    "ImageFacts",
    "ImageProblemError",
    "InspectedImage",
    "decode",
    "gunzip",
    "inspect",
    "inspect_and_repair",
    "repair",
    "to_rgb_jpeg",
]
