"""Pictures that need nobody's permission: drawn ones for people, noisy ones for benchmarks.

A drawn picture shows by its colours, its pattern, its shape and a word which class it belongs to,
so a wrong label is seen at a glance. A photo-like picture is smooth content with noise on it, which
makes JPEGs as large as photographs are. Both depend on their arguments only.
"""

import colorsys
import hashlib
import io
import math
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
Size = tuple[int, int]

_SIZES: tuple[Size, ...] = ((160, 120), (168, 112), (150, 124), (112, 160), (144, 144), (176, 108))


def draw(word: str, *, key: str, size: Size | None = None, seed: int = 0) -> Image.Image:
    """Draws a picture of a class.

    Args:
      word: what is written on it, e.g. "goldfish". It decides the colours, the pattern and the
        shape, which all pictures of the class share.
      key: which picture of the class, e.g. its file name. It decides the size (unless given), the
        shade and where the shape is, and its last part is written below the word.
      size: width and height in pixels.
      seed: another seed gives another variation of the same picture.

    Returns:
      An RGB picture.
    """
    style = _digest(word)
    # A str seeds through SHA-512, which is the same in every process and Python version.
    rng = random.Random(f"{seed}/{word}/{key}")
    width, height = size or rng.choice(_SIZES)
    hue = style[0] / 256 + rng.uniform(-0.015, 0.015)
    ground, ink = _rgb(hue, 0.35, 0.95), _rgb(hue, 0.55, rng.uniform(0.62, 0.78))
    image = Image.new("RGB", (width, height), ground)
    canvas = ImageDraw.Draw(image)
    _PATTERNS[style[1] % len(_PATTERNS)](canvas, (width, height), ink, rng.randrange(16))

    radius = min(width, height) * rng.uniform(0.24, 0.34)
    center = (width * rng.uniform(0.35, 0.65), height * rng.uniform(0.35, 0.5))
    turn = rng.uniform(0, math.tau)
    shape = _polygon(_CORNERS[style[2] % len(_CORNERS)], center, radius, turn)
    canvas.polygon(shape, fill=_rgb(hue + 0.5, 0.75, 0.9), outline=(20, 20, 20))

    _caption(canvas, word, (width / 2, height * 0.72), width * 0.9, height * 0.2)
    number = key.rpartition("_")[2].removesuffix(".JPEG")
    _caption(canvas, number, (width / 2, height * 0.91), width * 0.9, height * 0.12)
    return image


def photo_like(*, key: str, size: Size = (500, 375), noise: int = 12, seed: int = 0) -> Image.Image:
    """Makes an RGB picture that compresses as a photograph does: smooth content and some noise."""
    rng = np.random.default_rng([seed, int.from_bytes(_digest(key)[:8], "big")])
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-noise, noise + 1, smooth.shape, dtype=np.int16)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def jpeg(
    image: Image.Image, *, quality: int = 85, grey: bool = False, progressive: bool = False
) -> bytes:
    """Encodes as a JPEG with three components, or with one if `grey`."""
    return _save(
        image.convert("L" if grey else "RGB"), "JPEG", quality=quality, progressive=progressive
    )


def cmyk_jpeg(image: Image.Image, *, quality: int = 85) -> bytes:
    """Encodes as a JPEG with four inverted components and an Adobe marker, as Photoshop does.

    Pillow writes just that for CMYK. The 22 real ones are of this kind, and a reader that takes
    them for RGB shows wrong colours or fails.
    """
    return _save(image.convert("CMYK"), "JPEG", quality=quality)


def png(image: Image.Image, *, alpha: bool = True) -> bytes:
    """Encodes as PNG; with `alpha` it fades to fully transparent at the right edge."""
    if alpha:
        ramp = np.clip(np.linspace(510, 0, image.width), 0, 255).astype(np.uint8)
        mask = Image.fromarray(np.broadcast_to(ramp, (image.height, image.width)).copy())
        image = image.convert("RGB")
        image.putalpha(mask)
    return _save(image, "PNG", optimize=True)


def with_comment(data: bytes, comment: str) -> bytes:
    """Returns a JPEG with a comment (COM) segment near its start, which makes its bytes unique.

    The comment goes right after SOI, or after the JFIF header, which the JFIF standard wants to be
    the first segment.
    """
    head, tail = split_for_comment(data)
    return b"".join((head, comment_segment(comment), tail))


def split_for_comment(data: bytes) -> tuple[bytes, bytes]:
    """Returns the bytes of a JPEG before and after the place for a comment."""
    if data[:2] != b"\xff\xd8":
        raise ValueError(f"not a JPEG: begins with {data[:2]!r}, expected b'\\xff\\xd8'")
    at = 2
    if data[2:4] == b"\xff\xe0":
        at = 4 + int.from_bytes(data[4:6], "big")
    return data[:at], data[at:]


def comment_segment(comment: str) -> bytes:
    """Returns a JPEG COM segment. Its length field counts itself but not the marker."""
    text = comment.encode()
    return b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text


def photo_pool(count: int, *, mean_kb: float = 110, seed: int = 0) -> list[bytes]:
    """Makes photo-like JPEGs with the spread of sizes that ImageNet has.

    File sizes are the evenly spaced quantiles of a log-normal distribution, so even a small pool
    has the right mean and both tails: with 384 pictures and a mean of 110 KB, a few under 10 KB and
    some over 500 KB. Dimensions spread much less than file sizes, around 500x375.

    Args:
      count: how many.
      mean_kb: mean file size in KB of 1,000 bytes; hit within a few per cent.
      seed: another seed gives other pictures.
    """
    spread = NormalDist(0, 0.8)
    wanted = np.exp([spread.inv_cdf((i + 0.5) / count) for i in range(count)])
    wanted *= mean_kb * 1000 / wanted.mean()
    typical = float(np.median(wanted))
    # Pillow and NumPy release the interpreter's lock for nearly all of this.
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda i: _photo(i, float(wanted[i]), typical, seed), range(count)))


def _photo(number: int, wanted: float, typical: float, seed: int) -> bytes:
    """Makes the photo-like JPEG of about `wanted` bytes."""
    rng = random.Random(f"{seed}/photo/{number}")
    scale = (wanted / typical) ** 0.35 * rng.uniform(0.9, 1.1)
    width, height = round(500 * scale), round(375 * scale)
    if rng.random() < 0.25:
        width, height = height, width
    # The more bytes a pixel is to take, the more noise there must be to spend them on.
    noise = round(30 * wanted / (width * height) * rng.uniform(0.8, 1.2)) + 3
    image = photo_like(key=f"photo_{number}", size=(width, height), noise=noise, seed=seed)
    # The quality is searched on a piece in the middle, which is some ten times faster than on the
    # whole. The headers of about 0.6 KB do not grow with the area.
    side = min(128, width, height)
    left, top = (width - side) // 2, (height - side) // 2
    piece = image.crop((left, top, left + side, top + side))
    factor, headers = width * height / side**2, 620
    low, high, miss = 5, 98, {}
    while low <= high:
        quality = (low + high) // 2
        estimate = (len(jpeg(piece, quality=quality)) - headers) * factor + headers
        miss[quality] = abs(estimate - wanted)
        low, high = (quality + 1, high) if estimate <= wanted else (low, quality - 1)
    return jpeg(image, quality=min(miss, key=miss.__getitem__))


def _digest(text: str) -> bytes:
    """Returns bytes that depend on nothing but the text, unlike `hash`."""
    return hashlib.sha256(text.encode()).digest()


def _rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _save(image: Image.Image, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _caption(
    canvas: ImageDraw.ImageDraw, text: str, middle: tuple[float, float], width: float, height: float
) -> None:
    """Writes text in the middle of a place, as large as the place allows."""
    size = height
    length = canvas.textlength(text, ImageFont.load_default(size))
    if length > width:
        size *= width / length
    font = ImageFont.load_default(max(8.0, size))
    canvas.text(middle, text, (0, 0, 0), font, "mm", stroke_width=2, stroke_fill=(255, 255, 255))


def _polygon(
    corners: tuple[int, float], center: tuple[float, float], radius: float, turn: float
) -> list[tuple[float, float]]:
    """Returns the points of a star; with an inner radius of 1 it is a regular polygon."""
    count, inner = corners
    points = []
    for i in range(2 * count):
        reach = radius * (inner if i % 2 else 1)
        angle = turn + math.pi * i / count
        points.append((center[0] + reach * math.cos(angle), center[1] + reach * math.sin(angle)))
    return points


# Points and inner radius: triangle, square, hexagon, disc, stars of 4, 5, 8 and 12 points.
_CORNERS = ((3, 0.5), (4, 0.707), (6, 0.866), (24, 1), (4, 0.35), (5, 0.45), (8, 0.6), (12, 0.75))


def _stripes(canvas: ImageDraw.ImageDraw, size: Size, ink: Color, shift: int) -> None:
    for x in range(-size[1] - shift, size[0], 16):
        canvas.line((x, size[1], x + size[1], 0), fill=ink, width=6)


def _checks(canvas: ImageDraw.ImageDraw, size: Size, ink: Color, shift: int) -> None:
    for row, y in enumerate(range(-shift, size[1], 16)):
        for x in range(16 * (row % 2) - shift, size[0], 32):
            canvas.rectangle((x, y, x + 15, y + 15), fill=ink)


def _dots(canvas: ImageDraw.ImageDraw, size: Size, ink: Color, shift: int) -> None:
    for row, y in enumerate(range(-shift, size[1], 14)):
        for x in range(9 * (row % 2) - shift, size[0], 18):
            canvas.ellipse((x, y, x + 8, y + 8), fill=ink)


def _rings(canvas: ImageDraw.ImageDraw, size: Size, ink: Color, shift: int) -> None:
    middle = (size[0] / 2 + shift - 8, size[1] / 2 + shift - 8)
    for radius in range(8, sum(size), 14):
        canvas.circle(middle, radius, outline=ink, width=5)


def _rays(canvas: ImageDraw.ImageDraw, size: Size, ink: Color, shift: int) -> None:
    box = (-size[0], -size[1], 2 * size[0], 2 * size[1])
    for angle in range(shift, 360 + shift, 30):
        canvas.pieslice(box, angle, angle + 13, fill=ink)


def _bars(canvas: ImageDraw.ImageDraw, size: Size, ink: Color, shift: int) -> None:
    for y in range(-shift, size[1], 20):
        canvas.rectangle((0, y, size[0], y + 8), fill=ink)


_PATTERNS: tuple[Callable[[ImageDraw.ImageDraw, Size, Color, int], None], ...] = (
    _stripes,
    _checks,
    _dots,
    _rings,
    _rays,
    _bars,
)
