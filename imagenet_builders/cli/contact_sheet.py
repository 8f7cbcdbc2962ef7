"""Shows what a built dataset holds, read the way any user of TensorFlow Datasets reads it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imagenet_builders import datasets as datasets_
from imagenet_builders import labels
from imagenet_builders.errors import LabelError, StagingError
from imagenet_builders.write import outputs

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_TILE = (160, 160)
_CAPTION = 52
_CAPTION_LETTERS = 23
_COLUMNS = 6


class Picture(NamedTuple):
    """A picture of the contact sheet.

    Attributes:
        pixels: uint8 array of shape (height, width, 3).
        caption: Text below it.
        boxes: Bounding boxes, float array of shape (n, 4): ymin, xmin, ymax, xmax from 0 to 1.
    """

    pixels: np.ndarray
    caption: str
    boxes: np.ndarray


def show(
    datasets: Sequence[str], data_dir: str | None, out: Path | None, count: int
) -> Iterator[str]:
    """Describes built datasets and their first examples, and draws a contact sheet of them.

    Args:
        datasets: Names, with configuration and version if wanted, as in `tfds.load`; `all` for
            every dataset of this package that is there.
        data_dir: Where datasets are; TensorFlow Datasets' default if None.
        out: Where to save the contact sheet (a PNG). None draws none.
        count: How many examples of each split.

    Yields:
        Lines of text.

    Raises:
        StagingError: A dataset has not been built there.
    """
    pictures: list[Picture] = []
    for builder in _builders(datasets, data_dir):
        yield from _show_one(builder, count, pictures)
    if out is not None:
        _contact_sheet(pictures).save(out)
        yield f"contact sheet: {out}"


def _builders(datasets: Sequence[str], data_dir: str | None) -> list[Any]:
    """Readers of the datasets, made before anything is shown: a wrong name is said first."""
    import tensorflow_datasets as tfds

    builders = []
    for name in datasets:
        if name != "all":
            builder = tfds.builder(name, data_dir=data_dir)
            if not Path(builder.data_dir).is_dir():
                raise StagingError(f"{builder.data_dir}: there is no dataset; build it first")
            builders.append(builder)
            continue
        for each in datasets_.every():
            for config in each.configs:
                builder = tfds.builder(each.name, config=config.name, data_dir=data_dir)
                if Path(builder.data_dir).is_dir():
                    builders.append(builder)
    if not builders:
        raise StagingError(f"{data_dir}: there is no dataset of this package; build one first")
    return builders


def _show_one(builder: Any, count: int, pictures: list[Picture]) -> Iterator[str]:
    """Describes a dataset and adds its first pictures."""
    info = builder.info
    yield f"{info.full_name} in {builder.data_dir}"
    for split, split_info in info.splits.items():
        yield f"{split}: {split_info.num_examples:,} examples in {split_info.num_shards:,} shards"
        for example in _first(builder, split, count):
            label = int(example["label"])
            wnid = info.features["label"].int2str(label) if label >= 0 else None
            name = _text(example.get("file_name", example.get("id", b"")))
            height, width = example["image"].shape[:2]
            said = "no label" if wnid is None else f"label {label} = {wnid}, {_words(wnid)}"
            yield f"  {name} ({width}x{height}): {said}"
            first_words = "no label" if wnid is None else _words(wnid).split(",")[0]
            lines = (_short(info.full_name), f"{split} {label}", first_words)
            caption = "\n".join(line[:_CAPTION_LETTERS] for line in lines)
            pictures.append(Picture(example["image"], caption, _boxes(example)))


def _short(full_name: str) -> str:
    """The name of a dataset as it fits below a picture: without version, its end at least."""
    return full_name.rpartition("/")[0].replace("imagenet", "in")[-_CAPTION_LETTERS:]


def _first(builder: Any, split: str, count: int) -> Iterator[dict[str, Any]]:
    """The first examples of a split, in whatever format it was written."""
    output = outputs.get(builder.info.file_format.value)
    if output is not None and output.tfds_call == "data_source":
        source = builder.as_data_source(split)
        yield from (source[number] for number in range(min(count, len(source))))
    else:
        yield from builder.as_dataset(split=split).take(count).as_numpy_iterator()


def _boxes(example: dict[str, Any]) -> np.ndarray:
    """The bounding boxes of an example; none for a dataset without them."""
    import numpy as np

    boxes = example["objects"]["bbox"] if "objects" in example else example.get("bbox", ())
    return np.asarray(boxes, dtype=np.float32).reshape(-1, 4)


def _words(wnid: str) -> str:
    try:
        return labels.words(wnid)
    except LabelError:
        return wnid


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _contact_sheet(pictures: list[Picture]) -> Image.Image:
    """Draws pictures with their captions in rows."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = _TILE
    rows = max(1, math.ceil(len(pictures) / _COLUMNS))
    sheet = Image.new("RGB", (_COLUMNS * width, rows * (height + _CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
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
                draw.rectangle(box, outline="red", width=2)
        draw.multiline_text((left + 6, top + height), caption, fill="black", font=font)
    return sheet
