"""Makes the documented repairs; the bytes are those that TFDS itself makes of the image.

TFDS re-encodes the 22 CMYK JPEGs and the one PNG of ILSVRC2012 with TensorFlow
(`tfds.core.utils.jpeg_cmyk_to_rgb` and `png_to_jpeg`). The same is done here with simplejpeg and
Pillow, which a worker process loads in a fraction of the time and memory; an image that they refuse
goes to TFDS's own functions, which have the last word.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from imagenet_builders.errors import ImagenetBuildersError
from imagenet_builders.images.facts import ImageFacts

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MAX_REPAIRED_PIXELS = 64_000_000
"""Larger images are not decoded for a repair: what they claim is taken from memory first."""

MAX_SCANS = 100
"""JPEGs of more scans are not decoded: each goes over all pixels. Encoders make some ten."""

MAX_GUNZIPPED_BYTES = 1 << 26
"""What a gzip-wrapped image may at most unpack to."""

OPTIONAL_REPAIRS = frozenset({"gif", "bmp"})
"""Formats that are made a JPEG only on request."""

_NAMES = {"jpeg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "gzip": "gzip"}
_KINDS = {"gif": "image", "bmp": "image", "gzip": "file"}
_MAX_GZIP_MEMBERS = 100  # one is usual; each costs a copy of all that follow
_BAND_PIXELS = 1 << 20


class ImageProblemError(ImagenetBuildersError):
    """An image's bytes cannot be stored.

    Attributes:
        reason: Why, without the place, e.g. `empty (0 bytes)`.
    """

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(reason)


def repair(
    data: bytes, facts: ImageFacts, also_repair: frozenset[str] = frozenset()
) -> tuple[bytes, str]:
    """Makes a JPEG of one or three channels of an image that is not one, where that is documented.

    Args:
        data: A four-channel JPEG, a PNG, or, when `also_repair` names it, a GIF or BMP.
        facts: What `inspect(data)` found.
        also_repair: Further formats to repair, of `OPTIONAL_REPAIRS`.

    Returns:
        The repaired image and what was done, e.g. `CMYK JPEG re-encoded as RGB`.

    Raises:
        ImageProblemError: The image is damaged, too large, or of a kind that is not repaired.
        ValueError: The image needs no repair.
    """
    if facts.problem is not None:
        raise ImageProblemError(facts.problem)
    if facts.format == "jpeg" and facts.components == 4:
        colours = "YCCK" if facts.adobe_transform else "CMYK"
        return to_rgb_jpeg(data, facts), f"{colours} JPEG re-encoded as RGB"
    if facts.format == "png" or facts.format in also_repair & OPTIONAL_REPAIRS:
        return to_rgb_jpeg(data, facts), f"{_NAMES[facts.format]} re-encoded as JPEG"
    if facts.format == "jpeg":
        raise ValueError("a JPEG of one or three channels needs no repair")
    raise ImageProblemError(f"a {_NAMES[facts.format]} {_KINDS[facts.format]}, not a JPEG")


def to_rgb_jpeg(data: bytes, facts: ImageFacts) -> bytes:
    """Decodes a CMYK or YCCK JPEG, a PNG, a GIF's first frame or a BMP, and encodes it as RGB JPEG.

    The result equals `tf.io.encode_jpeg(pixels, "rgb", quality=100)` of the pixels that TFDS
    decodes; for GIF and BMP, `tf.io.decode_image(data, channels=3, expand_animations=False)`, but
    that a BMP's palette is applied, which TensorFlow ignores.

    Raises:
        ImageProblemError: The image cannot be decoded, or has more than `MAX_REPAIRED_PIXELS`
            or `MAX_SCANS`.
    """
    name = _NAMES[facts.format]
    if facts.width * facts.height > MAX_REPAIRED_PIXELS:
        raise ImageProblemError(
            f"a {name} of {facts.width} x {facts.height} pixels; no more than "
            f"{MAX_REPAIRED_PIXELS:,} are decoded for a repair"
        )
    if facts.scans > MAX_SCANS:
        raise ImageProblemError(too_many_scans(facts.scans))
    try:
        with strict_pillow():
            return _encode(_DECODERS[facts.format](data, facts))
    except (ImportError, MemoryError):
        raise  # no fault of the image
    except Exception as ours:
        try:
            return _with_tensorflow(data, facts)
        except MemoryError:
            raise
        except Exception as theirs:
            raise ImageProblemError(f"{name} cannot be decoded{detail(ours)}") from theirs


def too_many_scans(scans: int) -> str:
    """What to say of a JPEG that has more than `MAX_SCANS`."""
    return f"a JPEG of {scans:,} scans; no more than {MAX_SCANS} are decoded"


@contextlib.contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow with its default strictness: TFDS has it take truncated images, process-wide."""
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def detail(error: Exception) -> str:
    """What an error says, as the end of a sentence; empty if that tells nothing."""
    words = " ".join(str(error).split())
    # Pillow names the file object that it could not identify, with its address in memory.
    return f": {words}" if words and "<_io." not in words else ""


def gunzip(data: bytes) -> bytes:
    """Returns what a gzip file holds; bytes after its end are dropped.

    Raises:
        ImageProblemError: It is damaged, cut off, or unpacks to more than `MAX_GUNZIPPED_BYTES`.
    """
    parts: list[bytes] = []
    room = MAX_GUNZIPPED_BYTES
    while data.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(wbits=31)
        try:
            part = unpacker.decompress(data, room + 1)
        except zlib.error as e:
            raise ImageProblemError(f"gzip-wrapped and damaged ({e})") from e
        room -= len(part)
        if room < 0:
            raise ImageProblemError(
                f"gzip-wrapped, and unpacks to more than {MAX_GUNZIPPED_BYTES:,} bytes"
            )
        if not unpacker.eof:
            raise ImageProblemError("gzip-wrapped and cut off")
        parts.append(part)
        if len(parts) > _MAX_GZIP_MEMBERS:
            raise ImageProblemError(f"gzip-wrapped, in more than {_MAX_GZIP_MEMBERS} members")
        data = unpacker.unused_data
    return b"".join(parts)


def _encode(image: Image.Image) -> bytes:
    # What tf.io.encode_jpeg(..., quality=100) says by default: 4:2:0, and 300 dpi.
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=100, subsampling=2, dpi=(300, 300))
    return buffer.getvalue()


def _decode_cmyk(data: bytes, facts: ImageFacts) -> Image.Image:
    import numpy as np
    import simplejpeg
    from PIL import Image

    # TensorFlow's choices: the fast DCT and smooth upsampling; warnings do not matter to it.
    cmyk = simplejpeg.decode_jpeg(data, "CMYK", fastdct=True, fastupsample=False, strict=False)
    height, width, _ = cmyk.shape
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // width)  # in bands, for the memory of the 16-bit products
    for top in range(0, height, rows):
        band = cmyk[top : top + rows].astype(np.uint16)
        if facts.adobe_transform is None:
            band = 255 - band
        rgb[top : top + rows] = band[..., :3] * band[..., 3:] // 255
    return Image.fromarray(rgb)


def _decode_png(data: bytes, facts: ImageFacts) -> Image.Image:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.load()
        if facts.bits == 16 and facts.components == 1:
            pixels: np.ndarray[Any, Any] = np.asarray(image)
            return Image.fromarray((pixels >> 8).astype(np.uint8)).convert("RGB")
        return _plain_rgb(image)


def _decode_gif(data: bytes, facts: ImageFacts) -> Image.Image:
    import numpy as np
    from PIL import Image

    if not data.endswith(b";"):
        raise ValueError("its end is missing")
    with Image.open(io.BytesIO(data), formats=("GIF",)) as image:
        if not image.tile or image.tile[0][1] != (0, 0, facts.width, facts.height):
            raise ValueError("its first frame does not fill the canvas")
        image.load()
        transparent = image.info.get("transparency")
        rgb = _plain_rgb(image)
        if transparent is None:
            return rgb
        pixels = np.array(rgb)
        pixels[np.asarray(image) == transparent] = 0  # black, as TensorFlow has it
        return Image.fromarray(pixels)


def _decode_bmp(data: bytes, facts: ImageFacts) -> Image.Image:
    # Here TensorFlow is not followed where it is wrong: it takes palette indices for grey values.
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("BMP",)) as image:
        image.load()
        return _plain_rgb(image)


def _plain_rgb(image: Image.Image) -> Image.Image:
    """Drops alpha without blending it in, and everything that is not pixels."""
    image.info = {}  # Pillow would write a comment into the JPEG, and mind a transparent colour
    return image.convert("RGB")


_DECODERS: dict[str, Callable[[bytes, ImageFacts], Image.Image]] = {
    "jpeg": _decode_cmyk,
    "png": _decode_png,
    "gif": _decode_gif,
    "bmp": _decode_bmp,
}


def _with_tensorflow(data: bytes, facts: ImageFacts) -> bytes:
    """Does the repair as TFDS does: exact by definition, but some seconds and 400 MB to load."""
    if facts.format in OPTIONAL_REPAIRS:
        import tensorflow as tf

        pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
        return bytes(tf.io.encode_jpeg(pixels, "rgb", quality=100).numpy())
    from tensorflow_datasets.core.utils import image_utils

    again = image_utils.png_to_jpeg if facts.format == "png" else image_utils.jpeg_cmyk_to_rgb
    return bytes(again(data))
