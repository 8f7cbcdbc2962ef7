"""Draws the pictures of examples, with labels and boxes, on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageFont

_TILE = (160, 160)
_CAPTION = 52
_LINE = 16
_COLUMNS = 6

# A line of a caption that is too long for its picture is written smaller.
_LETTERS = range(13, 6, -1)


class Picture(NamedTuple):
    """A picture of the contact sheet.

    Attributes:
        pixels: uint8 array of shape (height, width, 3).
        caption: Text below it, of at most three lines.
        boxes: Bounding boxes, float array of shape (n, 4): ymin, xmin, ymax, xmax from 0 to 1.
    """

    pixels: np.ndarray
    caption: str
    boxes: np.ndarray


def draw(pictures: Sequence[Picture]) -> Image.Image:
    """Draws pictures with their captions in rows.

    Args:
        pictures: The pictures, at most six in a row.

    Returns:
        The contact sheet.
    """
    from PIL import Image, ImageDraw

    width, height = _TILE
    rows = max(1, math.ceil(len(pictures) / _COLUMNS))
    sheet = Image.new("RGB", (_COLUMNS * width, rows * (height + _CAPTION)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (pixels, caption, boxes) in enumerate(pictures):
        left = number % _COLUMNS * width
        top = number // _COLUMNS * (height + _CAPTION)
        tile = Image.fromarray(pixels).convert("RGB")
        # Small pictures are enlarged, so that 8x8 pixels can be seen at all.
        scale = min((width - 8) / tile.width, (height - 8) / tile.height)
        size = (max(1, round(tile.width * scale)), max(1, round(tile.height * scale)))
        tile = tile.resize(size, Image.Resampling.NEAREST if scale > 1 else None)
        x, y = left + (width - tile.width) // 2, top + (height - tile.height) // 2
        sheet.paste(tile, (x, y))
        for ymin, xmin, ymax, xmax in boxes:
            corners = (xmin * tile.width, ymin * tile.height, xmax * tile.width, ymax * tile.height)
            box = [x + corners[0], y + corners[1], x + corners[2] - 1, y + corners[3] - 1]
            if box[0] < box[2] and box[1] < box[3]:
                pen.rectangle(box, outline="red", width=2)
        for line, text in enumerate(caption.splitlines()):
            at = (left + 6, top + height + line * _LINE)
            fitting, font = _fitting(text, width - 12)
            pen.text(at, fitting, fill="black", font=font)
    return sheet


def _fitting(text: str, width: int) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """A line no wider than so many pixels, and its font: of smaller letters, or of fewer."""
    from PIL import ImageFont

    for size in _LETTERS:
        font = ImageFont.load_default(size)
        if font.getlength(text) <= width:
            break
    while font.getlength(text) > width:
        text = text[:-1]
    return text, font
