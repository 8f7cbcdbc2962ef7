"""Where the images and the boxes of imagenet2012_localization are staged, and how they meet.

An annotation belongs to the image of the same name, and every class comes from a name too: for
train it is in the name, for validation the number in the name gives it. Where an annotation lies,
and what it says of its own file name, decides nothing.
"""

from __future__ import annotations

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
from imagenet_builders.sources import box_archives
from imagenet_builders.sources.box_archives import Annotated
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.staging import layouts
from imagenet_builders.staging.found import Survey
from imagenet_builders.staging.locate import locate

NAME = "imagenet2012_localization"

IMAGES = {split: imagenet2012.ARCHIVES[split] for split in ("train", "validation")}
"""Split to the names of the archive of its images."""

BOXES = {
    "train": tuple(f"ILSVRC2012_bbox_train_v2{end}" for end in (".tar.gz", ".tgz", ".tar")),
    "validation": tuple(f"ILSVRC2012_bbox_val_v3{end}" for end in (".tgz", ".tar.gz", ".tar")),
}
"""Split to the names of the archive of its boxes."""

_TRAIN_XML = re.compile(r"((n[0-9]{8})_[0-9]+)\.xml")
_VALIDATION_XML = re.compile(r"(ILSVRC2012_val_([0-9]{8}))\.xml")

# Less than this is parsed here: starting a process takes as long.
_SMALL_BYTES = 256 << 10


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """All that is staged of the dataset; see `imagenet_builders.datasets.SURVEYS`."""
    del config
    parts = {split: split for split in ("train", "validation")}
    return layouts.survey(NAME, manual_dir, parts, boxes=True)


def locate_splits(manual_dir: Path) -> tuple[dict[str, tuple[Path, Path]], dict[str, str]]:
    """Finds the archives of the splits under `manual_dir`.

    Args:
        manual_dir: Where to look.

    Returns:
        Split to its archives of images and of boxes, where there are both; and split to what is
        missing of it, in words, where there are not.

    Raises:
        StagingError: No split has both.
    """
    kinds = {"images": IMAGES, "boxes": BOXES}
    located = locate(
        NAME,
        manual_dir,
        {f"{split} {kind}": names[split] for split in IMAGES for kind, names in kinds.items()},
    )
    complete: dict[str, tuple[Path, Path]] = {}
    missing: dict[str, str] = {}
    for split in IMAGES:
        lacking = [
            f"there are no {kind}: no {' or '.join(map(str, located.missing[f'{split} {kind}']))}"
            for kind in kinds
            if f"{split} {kind}" in located.missing
        ]
        if lacking:
            missing[split] = "; ".join(lacking)
        else:
            complete[split] = (located.found[f"{split} images"], located.found[f"{split} boxes"])
    if not complete:
        said = ". ".join(f"Of {split}, {what}" for split, what in missing.items())
        raise StagingError(
            f"nothing of {NAME} can be built: a split needs its images and its boxes. {said}"
        )
    return complete, missing


def recipes(manual_dir: Path, room: Workroom) -> list[SplitRecipe]:
    """Finds and indexes the splits; warns of those that cannot be built and of what is odd.

    Args:
        manual_dir: Where the archives are.
        room: What to index with.

    Returns:
        A recipe for each split that has its images and its boxes.

    Raises:
        StagingError: No split has both.
        SourceError: An archive is damaged or is not what its name says.
    """
    complete, missing = locate_splits(manual_dir)
    for split, what in missing.items():
        warnings.warn(f"split {split} will be missing: {what}", stacklevel=3)
    made = []
    for split, (images, boxes) in complete.items():
        image_of = train_image if split == "train" else validation_image
        index = imagenet2012.index_split(split, images, room)
        classes = labels.wnids("imagenet2012")
        made.append(boxed(split, index, index_boxes([NAME, split], boxes, image_of, classes, room)))
    return made


def boxed(split: str, index: Index, boxes: Index) -> SplitRecipe:
    """The recipe of images with boxes; warns where annotations have no image.

    Args:
        split: Name of the split.
        index: Its images.
        boxes: Its annotations, as `index_boxes` gives them.

    Returns:
        The recipe.

    Raises:
        SourceError: Not one annotation has its image.
    """
    [archive] = boxes.files
    indexed, counts = objects.with_objects(index, boxes.table)
    astray = counts["annotations_without_image"]
    images = index.files[0].path
    if astray == len(boxes):
        raise SourceError(
            f"{archive.path}: expected annotations of the images in {images}, found {astray:,} "
            "and none of them of an image that is there; check that both are the right archives"
        )
    if astray:
        warnings.warn(
            f"split {split}: {astray:,} of the {len(boxes):,} annotations in {archive.path} are of "
            f"images that are not in {images}; they are left out",
            stacklevel=4,
        )
    return recipe(split, indexed, counts, (archive,))


def recipe(
    split: str, index: Index, counts: dict[str, int], also_read: tuple[SourceFile, ...]
) -> SplitRecipe:
    """The recipe of an index with the columns of `objects.with_objects`."""
    return SplitRecipe(
        split,
        index,
        f"{examples.__name__}:{examples.make_examples.__name__}",
        examples.example_sizes,
        counts=counts,
        also_read=also_read,
    )


def index_boxes(
    what: Sequence[str],
    archive: Path,
    image_of: Callable[[str, dict[str, int]], Annotated],
    classes: Sequence[str],
    room: Workroom,
) -> Index:
    """The annotations in an archive.

    Args:
        what: Dataset and split, for the cache.
        archive: The archive.
        image_of: Gives an annotation's image from its name and the labels of the classes; raises
            ValueError with the reason for a name that should not be there.
        classes: All classes of the dataset, in the order of their labels.
        room: What to index with.

    Returns:
        A table of `box_archives.box_schema()`, each key once, and the archive.

    Raises:
        SourceError: The archive is damaged or is not what its name says.
    """
    file = SourceFile.of(archive)
    ids = {wnid: label for label, wnid in enumerate(classes)}

    def make() -> Index:
        import pyarrow as pa

        with box_archives.opened(file, room.scratch) as (fd, name):
            jobs = box_archives.xml_batches(fd, name, lambda xml: image_of(xml, ids), ids)
            parse = f"{box_archives.__name__}:{box_archives.parse_batch.__name__}"
            parts = dict(room.workers.run(parse, jobs, here=file.size < _SMALL_BYTES))
        tables = [box_archives.box_schema().empty_table()]
        tables += [parts[number] for number in sorted(parts)]
        table = pa.concat_tables(tables).combine_chunks()
        return Index(box_archives.without_repeats(table, name), (file,))

    digest = hashlib.sha256("\n".join(classes).encode()).hexdigest()[:8]
    return room.cache.get([*what, "boxes", digest], [file], make)


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
