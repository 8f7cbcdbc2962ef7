"""Indexes Tiny ImageNet: images with their classes and boxes.

A train image's class is in its name, a validation image's in the annotations; the order of files
tells nothing. Every train and validation image has one box, in a line of a text file. An image
without a line, or a line without an image, is an error, because a part of the copy is missing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imagenet_builders import labels
from imagenet_builders.datasets.tiny_imagenet import boxes as tiny
from imagenet_builders.datasets.tiny_imagenet import examples, layouts
from imagenet_builders.datasets.tiny_imagenet.contents import (
    ANNOTATIONS,
    Archive,
    Contents,
    Folder,
    Images,
)
from imagenet_builders.datasets.tiny_imagenet.dataset import DATASET
from imagenet_builders.datasets.tiny_imagenet.layouts import (
    ARCHIVE,
    CLASS_LIST,
    FOLDER,
    NAME,
    SPLITS,
    survey,
)
from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.locate.choose import layout_of, nothing_staged, say
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.official import official_archives
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.sources import kinds
from imagenet_builders.sources.reader import Access
from imagenet_builders.sources.rows import NO_COPIES, row_schema

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)

NO_BOX = (0.0, 0.0, 0.0, 0.0)
"""The `bbox` of an image without one."""

NO_LABEL = -1

# Names in a message, and characters of one.
_NAMED = 5
_SHOWN = 60

_Line = TypeVar("_Line")


def recipes(manual_dir: Path, context: BuildContext) -> list[SplitRecipe]:
    """Finds and indexes the splits staged under `manual_dir`; warns of missing images.

    Args:
        manual_dir: The directory with the archive.
        context: What to index with.

    Returns:
        A recipe for each split that is staged.

    Raises:
        StagingError: Nothing is staged.
        SourceError: The source is damaged, or images are missing and `strict` is set.
    """
    contents, found = open_staged(manual_dir, context.options.source, context.copies)
    access = kinds.kind(found.kind).access
    indexes = {split: index_split(split, contents, context, access) for split in SPLITS}
    if not any(map(len, indexes.values())):
        raise StagingError(
            f"nothing of {NAME} is staged: there is {CLASS_LIST} in {contents.path}, but no image"
        )
    missing = check_complete(contents, indexes)
    if missing is not None and context.options.strict:
        raise SourceError(f"{missing}; stage all of it, or build without --strict")
    if missing is not None:
        _LOG.warning(missing)
    return [
        SplitRecipe(
            split,
            index,
            examples.make_examples,
            examples.example_sizes,
            counts=_counts(index),
            also_read=tuple(contents.text_sources(split)),
            layout=layout_of(found),
        )
        for split, index in indexes.items()
        if len(index)
    ]


def open_staged(
    manual_dir: Path, source: str | None = None, copies: Mapping[str, str] = NO_COPIES
) -> tuple[Contents, Found]:
    """Finds Tiny ImageNet: the archive, else the folder, which may be `manual_dir` itself.

    Args:
        manual_dir: The directory with the archive.
        source: `zip` or `folders` for one kind only, or None.
        copies: As for `SourceFile.of`.

    Returns:
        The contents, and the source as `survey` has it for one of the splits.

    Raises:
        StagingError: Nothing is staged; the message lists the paths.
        SourceError: The folder holds a file that does not belong.
    """
    staged = survey(manual_dir)
    found = [each for of_split in staged.found.values() for each in of_split]
    wanted = [each for each in found if source in (None, each.kind)]
    if not found:
        there = [
            folder for folder in layouts.folders(manual_dir) if (folder / CLASS_LIST).is_file()
        ]
        if there:
            raise StagingError(
                f"nothing of {NAME} is staged: there is {CLASS_LIST} in {there[0]}, but no image"
            )
        raise StagingError(
            f"nothing of {NAME} is staged; looked for {manual_dir / ARCHIVE}, for "
            f"{manual_dir / FOLDER} with {CLASS_LIST} in it, and for {manual_dir / CLASS_LIST}"
        )
    if not wanted:
        raise nothing_staged(staged, source)
    others = {each.paths: each for each in found if each.paths != wanted[0].paths}
    if others:
        say(NAME, wanted[0], (wanted[0], *others.values()))
    label_of = labels.space(NAME).id_of
    path = wanted[0].paths[0]
    if path.is_file():
        return Archive(path, label_of, copies), wanted[0]
    return Folder(path, label_of), wanted[0]


def index_split(split: str, contents: Contents, context: BuildContext, access: Access) -> Index:
    """The rows of a split.

    Args:
        split: `train`, `validation` or `test`.
        contents: The contents of the source.
        context: What to index with.
        access: How the rows are read.

    Returns:
        The rows in the order of the source, with three more columns: `bbox` (four float32: ymin,
        xmin, ymax, xmax, relative to the image; `NO_BOX` for test), `packed` (int64: bytes of the
        image in the archive, deflated; 0 if it is not deflated) and `crc` (int64: its CRC-32, or
        -1 if it is unknown). Keys are the images' file names. There are no rows if the split is
        not staged.

    Raises:
        SourceError: The source is damaged, or is not Tiny ImageNet.
    """
    sources = contents.image_sources(split)
    read = [*sources, *contents.text_sources(split)]

    def make() -> Index:
        _check_class_list(contents)
        images = contents.images(split)
        return Index(_table(images, _boxes(split, images, contents)), tuple(sources))

    if not sources:
        return Index(_schema().empty_table(), ())
    return context.cache.get([NAME, split], read, make, access)


def check_complete(contents: Contents, indexes: Mapping[str, Index]) -> str | None:
    """Compares the numbers of images with the official ones.

    Args:
        contents: The contents of the source.
        indexes: The rows of each split.

    Returns:
        A sentence on missing images, or None.

    Raises:
        SourceError: The archive has the official size, so that nothing may be missing.
    """
    found = {split: len(index) for split, index in indexes.items()}
    expected = {split.name: split.images for split in DATASET.configs[0].splits}
    if found == expected:
        return None
    counts = ", ".join(
        f"{split} {found[split]:,} of {official:,}"
        for split, official in expected.items()
        if found[split] != official
    )
    official = official_archives()[ARCHIVE]
    if isinstance(contents, Archive) and contents.size == official.size:
        raise SourceError(
            f"{contents.path}: the archive has the official size of {official.size:,} bytes but "
            f"not its images ({counts}), so a part of it is damaged; compare its MD5 with "
            f"{official.md5} and copy it again"
        )
    there = set(indexes["train"].table["label"].to_pylist())
    missing = {wnid for label, wnid in enumerate(labels.wnids(NAME)) if label not in there}
    classes = ""
    if there and missing:
        classes = (
            f"; train has no images of {len(missing)} of the {len(labels.wnids(NAME))} classes, "
            f"{_named(missing)}"
        )
    return f"{contents.path}: this is only a part of Tiny ImageNet (images: {counts}{classes})"


def _counts(index: Index) -> dict[str, int]:
    """Counts of boxes, for `provenance.json`."""
    boxes = index.table["bbox"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
    is_box = index.table["label"].to_numpy() != NO_LABEL
    flat = ((boxes[:, 0] == boxes[:, 2]) | (boxes[:, 1] == boxes[:, 3])) & is_box
    return {"boxes": int(is_box.sum()), "boxes_without_area": int(flat.sum())}


def _check_class_list(contents: Contents) -> None:
    """Refuses another list of classes, which means that this is another dataset."""
    data = contents.text(CLASS_LIST)
    if data is None:
        raise contents.error(CLASS_LIST, "the list of classes is missing; copy it again")
    try:
        found = data[: tiny.MAX_BYTES].decode("utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise contents.error(CLASS_LIST, f"expected wnids, found {error}") from None
    known = labels.space(NAME).wnids
    differences = {
        "it lacks": set(known).difference(found),
        "it also has": set(found).difference(known),
        "it has more than once": {wnid for wnid, n in Counter(found).items() if n > 1},
    }
    problems = [f"{what} {_named(wnids)}" for what, wnids in differences.items() if wnids]
    if problems:
        raise contents.error(
            CLASS_LIST,
            f"expected the {len(known)} classes of Tiny ImageNet, but {'; '.join(problems)}; "
            "stage the official archive",
        )


def _boxes(split: str, images: Images, contents: Contents) -> list[tuple[float, ...]]:
    """The box of each image; it also sets the labels of validation images."""
    rows = images.rows
    if split == "train":
        by_class: dict[int, list[str]] = {}
        for key, label in zip(rows.keys, rows.labels, strict=True):
            by_class.setdefault(label, []).append(key)
        found: dict[str, tuple[float, ...]] = {}
        for label, keys in by_class.items():
            wnid = labels.wnids(NAME)[label]
            name = f"train/{wnid}/{wnid}_boxes.txt"
            for key, box in _lines(contents, name, keys, tiny.train_boxes).items():
                found[key] = tiny.relative(box)
        return [found[key] for key in rows.keys]
    if split == "validation" and rows.keys:
        classes = labels.space(NAME)
        lines = _lines(
            contents,
            ANNOTATIONS,
            rows.keys,
            lambda data: tiny.validation_boxes(data, classes.__contains__),
        )
        rows.labels[:] = [classes.id_of(lines[key][0]) for key in rows.keys]
        return [tiny.relative(lines[key][1]) for key in rows.keys]
    rows.labels[:] = [NO_LABEL] * len(rows)
    return [NO_BOX] * len(rows)


def _lines(
    contents: Contents,
    name: str,
    keys: list[str],
    parse: Callable[[bytes], dict[str, _Line]],
) -> dict[str, _Line]:
    """The lines of a file of boxes, which must have one for each image."""
    data = contents.text(name)
    if data is None:
        raise contents.error(
            name,
            f"there are {len(keys):,} images that this file should describe, but it is missing; "
            "stage the original archive",
        )
    try:
        lines = parse(data)
    except tiny.BoxFileError as error:
        raise contents.error(name, f"{error}; stage the original archive") from None
    without = [key for key in keys if key not in lines]
    if without:
        raise contents.error(
            name,
            f"expected a line for each image, found none for {without[0]!r}"
            f"{_and_others(without)}; stage the original archive",
        )
    images = set(keys)
    astray = [image for image in lines if image not in images]
    if astray:
        raise contents.error(
            name,
            f"it has a line for {astray[0][:_SHOWN]!r}{_and_others(astray)}, but there is no such "
            "image; copy or unpack the images again",
        )
    return lines


def _named(wnids: set[str]) -> str:
    """Some of the wnids, for messages."""
    names = [wnid[:_SHOWN] if wnid.isalnum() else ascii(wnid[:_SHOWN]) for wnid in sorted(wnids)]
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _and_others(names: list[str]) -> str:
    more = len(names) - 1
    return f" and {more:,} other{'s' if more > 1 else ''}" if more else ""


def _schema() -> pa.Schema:
    import pyarrow as pa

    return row_schema(
        ("bbox", pa.list_(pa.float32(), 4)), ("packed", pa.int64()), ("crc", pa.int64())
    )


def _table(images: Images, boxes: list[tuple[float, ...]]) -> pa.Table:
    import pyarrow as pa

    schema = _schema()
    table = images.rows.table()
    for name, column in (("bbox", boxes), ("packed", images.packed), ("crc", images.crcs)):
        field = schema.field(name)
        table = table.append_column(field, pa.array(column, field.type))
    return table
