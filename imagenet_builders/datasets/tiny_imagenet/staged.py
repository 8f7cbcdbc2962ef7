"""Indexes Tiny ImageNet: images with their classes and boxes.

A train image's class is in its name. A validation image's is in the annotations, and in the name of
its folder where a script has sorted the images; the two must agree. The order of files tells
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from imagenet_builders import labels
from imagenet_builders.datasets.tiny_imagenet import boxes as tiny
from imagenet_builders.datasets.tiny_imagenet import examples, layouts
from imagenet_builders.datasets.tiny_imagenet.archives import Archive
from imagenet_builders.datasets.tiny_imagenet.contents import NO_LABEL, Contents, Images
from imagenet_builders.datasets.tiny_imagenet.counting import contents_of, without_boxes
from imagenet_builders.datasets.tiny_imagenet.dataset import DATASET
from imagenet_builders.datasets.tiny_imagenet.layouts import (
    ARCHIVE,
    CLASS_LIST,
    NAME,
    PACKED,
    SPLITS,
)
from imagenet_builders.datasets.tiny_imagenet.split_boxes import boxes_of
from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.locate import listing
from imagenet_builders.locate.choose import layout_of, not_it, nothing_staged, say
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.official import official_archives
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index, IndexCache
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.scratch.means import ScratchMeans
from imagenet_builders.sources import kinds
from imagenet_builders.sources.columns import number_array, numbers_in
from imagenet_builders.sources.rows import SourceFile, row_schema
from imagenet_builders.sources.unpacking import packed_tar
from imagenet_builders.words import counted, logger

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logger(__name__)

# Names in a message.
_NAMED = 5
_NO_BOXES = {"boxes": 0, "boxes_without_area": 0}


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
    there = open_staged(manual_dir, context)
    contents = there.contents
    if CLASS_LIST not in contents.texts:
        _LOG.warning(
            f"{contents.path}: there is no {CLASS_LIST} in it; its folders, names and annotations "
            "tell the classes"
        )
    indexes = {split: index_split(split, there) for split in SPLITS}
    if not any(map(len, indexes.values())):
        raise StagingError(
            f"nothing of {NAME} is staged: there is {CLASS_LIST} in {contents.path}, but no image"
        )
    no_boxes = {
        split: without_boxes(contents, split, contents.classes(split) or ())
        for split, index in indexes.items()
        if len(index)
    }
    missing = [f"{contents.path}: {text}" for text in no_boxes.values() if text is not None]
    for text in filter(None, [*missing, check_complete(contents, indexes, context.kept)]):
        if context.options.strict:
            raise SourceError(f"{text}; stage all of it, or build without --strict")
        _LOG.warning(text)
    return [
        SplitRecipe(
            split,
            index,
            examples.make_examples,
            examples.example_sizes,
            counts=_counts(index.table) if no_boxes[split] is None else _NO_BOXES,
            recount=_counts if no_boxes[split] is None else None,
            also_read=(*there.also_read, *contents.text_sources(split)),
            layout=layout_of(there.found),
        )
        for split, index in indexes.items()
        if len(index)
    ]


class Staged(NamedTuple):
    """Tiny ImageNet as it is staged.

    Attributes:
        contents: Its contents.
        found: The source, as `survey` has it for one of the splits.
        cache: Where its indexes are kept.
        also_read: The archive that the contents were unpacked from, if they were.
    """

    contents: Contents
    found: Found
    cache: IndexCache
    also_read: tuple[SourceFile, ...] = ()


def open_staged(manual_dir: Path, context: BuildContext) -> Staged:
    """Finds Tiny ImageNet: an archive, else the folder, which may be `manual_dir` itself.

    Args:
        manual_dir: The directory with the archive.
        context: What to build with; it may ask for one kind of source.

    Returns:
        What is there.

    Raises:
        StagingError: Nothing is staged; the message lists the paths.
        SourceError: The folder holds a file that does not belong, or the archive is damaged.
        OptionError: There is too little space to unpack the archive.
    """
    source = context.options.source
    staged = DATASET.survey(manual_dir)
    if staged.is_other:
        raise not_it(staged)
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
            f"nothing of {NAME} is staged; looked for {' or '.join(staged.missing['train'])}"
        )
    if not wanted:
        raise nothing_staged(staged, source)
    usable = [each for each in wanted if not each.problem]
    if not usable:
        raise SourceError(wanted[0].problem)
    wanted = usable
    others = {each.paths: each for each in found if each.paths != wanted[0].paths}
    if others:
        say(NAME, wanted[0], (wanted[0], *others.values()))
    path = wanted[0].paths[0]
    if wanted[0].kind == PACKED:
        archive = SourceFile.of(path)
        [file] = ScratchMeans(NAME, context).unpack([packed_tar(archive)])
        # The indexes lie beside the file and are removed with it.
        cache = IndexCache(Path(file.copy).parent)
        return Staged(contents_of(wanted[0], file, at_once=True), wanted[0], cache, (archive,))
    return Staged(
        contents_of(wanted[0], context.source_file(path), at_once=True), wanted[0], context.cache
    )


def index_split(split: str, staged: Staged) -> Index:
    """The rows of a split.

    Args:
        split: `train`, `validation` or `test`.
        staged: What is staged.

    Returns:
        The rows in the order of the source, with three more columns: `bbox` (four float32: ymin,
        xmin, ymax, xmax, relative to the image; `NO_BOX` for test), `packed` (int64: bytes of the
        image in the archive, deflated; 0 if it is not deflated) and `crc` (int64: its CRC-32, or
        -1 if it is unknown). Keys are the images' file names. There are no rows if the split is
        not staged.

    Raises:
        SourceError: The source is damaged, or is not Tiny ImageNet.
    """
    contents = staged.contents
    sources = contents.image_sources(split)
    read = [*sources, *contents.text_sources(split)]

    def make() -> Index:
        _check_class_list(contents)
        images = contents.images(split)
        return Index(_table(images, boxes_of(split, images, contents)), tuple(sources))

    if not sources:
        return Index(_schema().empty_table(), ())
    return staged.cache.get([NAME, split], read, make, kinds.kind(staged.found.kind).access)


def check_complete(
    contents: Contents, indexes: Mapping[str, Index], kept: Collection[str] = ()
) -> str | None:
    """Compares the numbers of images with the official ones.

    Args:
        contents: The contents of the source.
        indexes: The rows of each split.
        kept: Splits that are built already and need not be there.

    Returns:
        A sentence on missing images, or None.

    Raises:
        SourceError: The archive has the official size, so that nothing may be missing.
    """
    found = {split: len(index) for split, index in indexes.items()}
    expected = {
        split.name: split.images
        for split in DATASET.configs[0].splits
        if split.name not in kept or found[split.name]
    }
    if all(found[split] == official for split, official in expected.items()):
        return None
    counts = ", ".join(
        f"{split} {found[split]:,} of {official:,}"
        for split, official in expected.items()
        if found[split] != official
    )
    official = official_archives()[ARCHIVE]
    if (
        isinstance(contents, Archive)
        and contents.path.name == ARCHIVE
        and contents.size == official.size
    ):
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


def _counts(rows: pa.Table) -> dict[str, int]:
    """Counts of boxes, for `provenance.json`."""
    boxes = numbers_in(rows["bbox"].combine_chunks().flatten()).reshape(-1, 4)
    is_box = numbers_in(rows["label"]) != NO_LABEL
    flat = ((boxes[:, 0] == boxes[:, 2]) | (boxes[:, 1] == boxes[:, 3])) & is_box
    return {"boxes": int(is_box.sum()), "boxes_without_area": int(flat.sum())}


def _check_class_list(contents: Contents) -> None:
    """Refuses another list of classes, which means that this is another dataset."""
    data = contents.text(CLASS_LIST)
    if data is None:  # Folders and annotations tell the classes, and all of them are known.
        return
    try:
        found = data[: tiny.MAX_BYTES].decode("utf-8-sig").split()
    except UnicodeDecodeError:
        raise contents.error(CLASS_LIST, "expected wnids, found bytes that are no text") from None
    strangers = sum(listing.WNID.fullmatch(each) is None for each in found)
    if strangers:  # It may be a private file, of which nothing is to be repeated.
        raise contents.error(
            CLASS_LIST,
            f"expected wnids, found {counted(strangers, 'word')} of another kind; stage the "
            "official archive",
        )
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


def _named(wnids: set[str]) -> str:
    """Some of the wnids, for messages."""
    names = sorted(wnids)
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _schema() -> pa.Schema:
    import pyarrow as pa

    return row_schema(
        ("bbox", pa.list_(pa.float32(), 4)), ("packed", pa.int64()), ("crc", pa.int64())
    )


def _table(images: Images, boxes: list[tiny.PixelBox]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    # Not by `pa.array`; see `sources.columns`.
    sides = number_array(tiny.relative(boxes).ravel(), pa.float32())
    columns = {
        "bbox": pa.FixedSizeListArray.from_arrays(sides, 4),
        "packed": number_array(np.array(images.packed, np.int64), pa.int64()),
        "crc": number_array(np.array(images.crcs, np.int64), pa.int64()),
    }
    schema = _schema()
    table = images.rows.table()
    for name, column in columns.items():
        table = table.append_column(schema.field(name), column)
    return table
