"""Where the images and the boxes of imagenet2012_localization are staged, and how they meet.

An annotation belongs to the image of the same name, and every class comes from a name too: for
train it is in the name, for validation the number in the name gives it. Where an annotation lies,
and what it says of its own file name, decides nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from imagenet_builders import labels
from imagenet_builders.assembly.engine import SplitRecipe
from imagenet_builders.assembly.index import Index
from imagenet_builders.assembly.workroom import Workroom
from imagenet_builders.datasets.imagenet2012 import staged as imagenet2012
from imagenet_builders.datasets.imagenet2012_localization import examples, objects
from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.sources import box_archives, box_folders, slim_tfrecords
from imagenet_builders.sources.box_archives import Annotated
from imagenet_builders.sources.folder_images import saying_why
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.staging import layouts
from imagenet_builders.staging.choosing import (
    choose,
    choose_boxes,
    layout_of,
    nothing_staged,
)
from imagenet_builders.staging.found import Found, Survey

NAME = "imagenet2012_localization"
SPLITS = ("train", "validation")

_TRAIN_XML = re.compile(r"((n[0-9]{8})_[0-9]+)\.xml")
_VALIDATION_XML = re.compile(r"(ILSVRC2012_val_([0-9]{8}))\.xml")

# Less than this is parsed here: starting a process takes as long.
_SMALL_BYTES = 256 << 10


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """All that is staged of the dataset; see `imagenet_builders.datasets.SURVEYS`."""
    del config
    return layouts.survey(NAME, manual_dir, {split: split for split in SPLITS}, boxes=True)


def recipes(manual_dir: Path, room: Workroom) -> list[SplitRecipe]:
    """Finds and indexes the splits; warns of those that cannot be built and of what is odd.

    Args:
        manual_dir: Where the archives are.
        room: What to index with.

    Returns:
        A recipe for each split that has its images and its boxes.

    Raises:
        StagingError: No split has both.
        SourceError: A source is damaged or is not what its name says.
    """
    staged = survey(manual_dir)
    classes = labels.wnids("imagenet2012")
    made = []
    for split, images in _choose_whole(staged, room.options.source).items():
        boxes = choose_boxes(staged, split, images)
        image_of = train_image if split == "train" else validation_image
        index = imagenet2012.index_split(images, room)
        annotations = index_boxes([NAME, split], boxes, image_of, classes, room)
        made.append(boxed(images, index, boxes, annotations))
    return made


def _choose_whole(staged: Survey, source: str | None) -> dict[str, Found]:
    """What provides the images of the splits that have boxes too; warns of the other splits.

    Raises:
        StagingError: No split has both.
    """
    lacking = {
        split: "; ".join(
            f"there are no {what}: no {' or '.join(staged.missing[key])}"
            for what, key in (("images", split), ("boxes", f"{split} boxes"))
            if key in staged.missing
        )
        for split in SPLITS
    }
    whole = {split: staged.found[split] for split in SPLITS if not lacking[split]}
    if not whole and (staged.warnings or (not staged.found and not staged.boxes)):
        keys = [(split, what) for split in SPLITS for what in ("images", "boxes")]
        missing = {
            f"{split} {what}": staged.missing[split if what == "images" else f"{split} boxes"]
            for split, what in keys
        }
        raise nothing_staged(dataclasses.replace(staged, missing=missing), source)
    if not whole:
        said = ". ".join(f"Of {split}, {what}" for split, what in lacking.items())
        raise StagingError(
            f"nothing of {NAME} can be built: a split needs its images and its boxes. {said}"
        )
    for split, what in lacking.items():
        if what:
            warnings.warn(f"split {split} will be missing: {what}", stacklevel=4)
    return choose(dataclasses.replace(staged, found=whole, missing={}), source)


def boxed(images: Found, index: Index, boxes: Found, annotations: Index) -> SplitRecipe:
    """The recipe of images with boxes; warns where annotations have no image.

    Args:
        images: What provides the images.
        index: The rows of the images.
        boxes: What provides the boxes.
        annotations: The rows of the boxes, as `index_boxes` gives them.

    Returns:
        The recipe.

    Raises:
        SourceError: Not one annotation has its image.
    """
    indexed, counts = objects.with_objects(index, annotations.table)
    astray = counts["annotations_without_image"]
    box_path, image_path = boxes.paths[0], images.paths[0]
    if astray == len(annotations):
        raise SourceError(
            f"{box_path}: expected annotations of the images in {image_path}, found {astray:,} "
            "and none of them of an image that is there; check that both are the right archives"
        )
    if astray:
        warnings.warn(
            f"split {images.split}: {astray:,} of the {len(annotations):,} annotations in "
            f"{box_path} are of images that are not in {image_path}; they are left out",
            stacklevel=4,
        )
    also_read = tuple(file for file in annotations.files if file not in index.files)
    return recipe(images, indexed, counts, also_read, boxes)


def recipe(
    images: Found,
    index: Index,
    counts: dict[str, int],
    also_read: tuple[SourceFile, ...],
    boxes: Found | None,
) -> SplitRecipe:
    """The recipe of an index with the columns of `objects.with_objects`."""
    layout = layout_of(images) + (f"; boxes from {layout_of(boxes)}" if boxes else "")
    return SplitRecipe(
        images.split,
        index,
        f"{examples.__name__}:{examples.make_examples.__name__}",
        examples.example_sizes,
        counts=counts,
        also_read=also_read,
        layout=layout,
    )


def index_boxes(
    what: Sequence[str],
    found: Found,
    image_of: Callable[[str, dict[str, int]], Annotated],
    classes: Sequence[str],
    room: Workroom,
) -> Index:
    """The annotations that something provides.

    Args:
        what: Dataset and split, for the cache.
        found: What provides them.
        image_of: Gives an annotation's image from its name and the labels of the classes; raises
            ValueError with the reason for a name that should not be there.
        classes: All classes of the dataset, in the order of their labels.
        room: What to index with.

    Returns:
        A table of `box_archives.box_schema()`, each key once, and the files.

    Raises:
        SourceError: It is damaged or is not what its name says.
    """
    ids = {wnid: label for label, wnid in enumerate(classes)}
    root = found.paths[0]
    if found.kind == "tfrecord":
        # Also where images come from elsewhere: a record names its image.
        records = imagenet2012.index_split(found, room)
        return Index(slim_tfrecords.box_table(records.table), records.files)
    in_folders = found.kind == "folders"
    with saying_why(root):
        files = box_folders.folders_of(root) if in_folders else (SourceFile.of(root),)

    def make() -> Index:
        import pyarrow as pa

        def named(xml: str) -> Annotated:
            return image_of(xml, ids)

        if in_folders:
            name = str(root)
            parse = f"{box_folders.__name__}:{box_folders.parse_files.__name__}"
            batches = list(box_folders.file_batches(root, files, named, ids))
            parts = dict(room.workers.run(parse, batches, here=len(batches) == 1))
        else:
            with box_archives.opened(files[0], room.scratch) as (fd, name):
                jobs = box_archives.xml_batches(fd, name, named, ids)
                parse = f"{box_archives.__name__}:{box_archives.parse_batch.__name__}"
                parts = dict(room.workers.run(parse, jobs, here=files[0].size < _SMALL_BYTES))
        tables = [box_archives.box_schema().empty_table()]
        tables += [parts[number] for number in sorted(parts)]
        table = pa.concat_tables(tables).combine_chunks()
        return Index(box_archives.without_repeats(table, name), files)

    digest = hashlib.sha256("\n".join(classes).encode()).hexdigest()[:8]
    with saying_why(root):
        return room.cache.get([*what, "boxes", digest], files, make)


def train_image(name: str, ids: dict[str, int]) -> Annotated:
    """The image of an annotation by its name, `n01440764_18.xml`; see `index_boxes`."""
    match = _TRAIN_XML.fullmatch(name)
    if match is None:
        raise ValueError("only annotations such as n01440764_18.xml belong here")
    return Annotated(f"{match[1]}.JPEG", ids.get(match[2], -1), match[2])


def validation_image(name: str, ids: dict[str, int]) -> Annotated:
    """The image of an annotation, `ILSVRC2012_val_00000001.xml`; see `index_boxes`."""
    del ids  # The labels of validation images are those of all 1,000 classes.
    by_number = labels.validation_labels()
    match = _VALIDATION_XML.fullmatch(name)
    if match is None:
        raise ValueError("only annotations such as ILSVRC2012_val_00000001.xml belong here")
    number = int(match[2])
    if not 1 <= number <= len(by_number):
        raise ValueError(f"the images are numbered from 1 to {len(by_number):,}")
    return Annotated(f"{match[1]}.JPEG", int(by_number[number - 1]), None)
