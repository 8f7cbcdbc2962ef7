"""ILSVRC2012 with boxes: the archives of the pictures, and those of their annotations.

The annotations have every oddity that is known of the real ones; what a reader should make of each
is written beside it, by hand.
"""

import dataclasses
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from makers import archives, ilsvrc2012

TRAIN_BOXES = "ILSVRC2012_bbox_train_v2.tar.gz"
VALIDATION_BOXES = "ILSVRC2012_bbox_val_v3.tgz"

CLASSES = ("n01440764", "n01443537", "n02105855")
"""The classes of the train pictures; the last one is a dog, whose annotations name the breed."""

TRAIN_PER_CLASS = 4
VALIDATION = 6

Corners = tuple[float, float, float, float]


class Drawn(NamedTuple):
    """A box as an annotation has it, in pixels."""

    name: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


class Seen(NamedTuple):
    """A box as a reader should give it: class, and ymin, xmin, ymax, xmax from 0 to 1."""

    wnid: str
    corners: Corners


class Note(NamedTuple):
    """An annotation and what a reader should make of it.

    Attributes:
      drawn: its boxes.
      seen: what should come of them.
      size: width and height as shown to the annotator.
      filename: what it says of its own name, if that is not so.
      folder: the folder it lies in, if that is not its class's.
    """

    drawn: Sequence[Drawn]
    seen: Sequence[Seen]
    size: tuple[int, int] = (400, 200)
    filename: str | None = None
    folder: str | None = None


_TENCH, _GOLDFISH, _SHELTIE = CLASSES
_PLAIN: Corners = (0.25, 0.125, 0.75, 0.5)

# In the order of the sorted names of the pictures of each class. None is a picture without any.
_TRAIN: Mapping[str, Sequence[Note | None]] = {
    _TENCH: (
        Note(
            [Drawn(_TENCH, 50, 50, 200, 150), Drawn(_TENCH, 0, 0, 400, 200)],
            [Seen(_TENCH, _PLAIN), Seen(_TENCH, (0.0, 0.0, 1.0, 1.0))],
        ),
        # Beyond the frame on all sides, as n03127925_147.xml is on some.
        Note([Drawn(_TENCH, -8, -4, 500, 201)], [Seen(_TENCH, (0.0, 0.0, 1.0, 1.0))]),
        Note([Drawn(_TENCH, 200, 150, 50, 50)], [Seen(_TENCH, _PLAIN)], filename="%s"),
        None,
    ),
    _GOLDFISH: (
        # One without width, one wholly outside of the frame, and one that is there.
        Note(
            [
                Drawn(_GOLDFISH, 100, 20, 100, 90),
                Drawn(_GOLDFISH, 450, 20, 480, 90),
                Drawn(_GOLDFISH, 50, 50, 200, 150),
            ],
            [Seen(_GOLDFISH, _PLAIN)],
        ),
        # Nothing is left.
        Note([Drawn(_GOLDFISH, 10, 0, 20, 0)], []),
        # In the folder of another class; shown to the annotator far larger than it is.
        Note(
            [Drawn(_GOLDFISH, 500, 500, 2000, 1500)],
            [Seen(_GOLDFISH, _PLAIN)],
            size=(4000, 2000),
            folder="n06470073",
        ),
        None,
    ),
    _SHELTIE: (
        Note([Drawn("Shetland_sheepdog", 50, 50, 200, 150)], [Seen(_SHELTIE, _PLAIN)]),
        # A wnid that is not one of the 1,000 classes.
        Note([Drawn("n02084071", 50, 50, 200, 150)], [Seen(_SHELTIE, _PLAIN)]),
        # One that is, but not the picture's.
        Note([Drawn(_TENCH, 50, 50, 200, 150)], [Seen(_TENCH, _PLAIN)]),
        # No object at all.
        Note([], []),
    ),
}

COUNTS: Mapping[str, Mapping[str, int]] = {
    "train": {
        "boxes": 9,
        "boxes_swapped": 1,
        "boxes_clamped": 1,
        "boxes_dropped_as_empty": 3,
        "boxes_not_named_by_a_class": 2,
        "boxes_of_another_class": 1,
        "images_without_boxes": 4,
        "annotations_without_image": 1,
        "annotations_in_another_folder": 1,
        "annotations_repeated": 0,
    },
    "validation": {
        "boxes": 6,
        "boxes_swapped": 0,
        "boxes_clamped": 0,
        "boxes_dropped_as_empty": 0,
        "boxes_not_named_by_a_class": 0,
        "boxes_of_another_class": 0,
        "images_without_boxes": 0,
        "annotations_without_image": 0,
        "annotations_in_another_folder": 0,
        "annotations_repeated": 0,
    },
}
"""What a reader should count in each split."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Localization:
    """All that `make_imagenet2012_localization` wrote.

    Attributes:
      pictures: the pictures and their archives.
      boxes: path of the archive of the boxes of each split.
      seen: by the name of each picture, the boxes that a reader should give.
    """

    pictures: ilsvrc2012.Corpus
    boxes: Mapping[str, Path]
    seen: Mapping[str, Sequence[Seen]]


def make_imagenet2012_localization(
    directory: str | Path, *, train: bool = True, validation: bool = True
) -> Localization:
    """Writes small archives of pictures and boxes and returns what is in them.

    Args:
      directory: where to write; made if need be.
      train: whether to write the archives of the train split.
      validation: whether to write those of the validation split.
    """
    corpus = ilsvrc2012.make_corpus(
        directory,
        classes=CLASSES if train else (),
        train_per_class=TRAIN_PER_CLASS,
        val=VALIDATION if validation else 0,
        test=0,
        patch=0,
    )
    boxes: dict[str, Path] = {}
    seen: dict[str, Sequence[Seen]] = {}
    if train:
        members = []
        for wnid in CLASSES:
            names = sorted(name for name in corpus.train if name.startswith(wnid))
            for name, note in zip(names, _TRAIN[wnid], strict=True):
                seen[name] = [] if note is None else note.seen
                if note is not None:
                    members.append(_member(name, note, wnid))
        plain = Note([Drawn(_TENCH, 1, 2, 3, 4)], [])
        members.append(_member(f"{_TENCH}_99999.JPEG", plain, _TENCH))  # Of no picture here.
        boxes["train"] = corpus.directory / TRAIN_BOXES
        folders = sorted({name.partition("/")[0] for name, _ in members})
        write_boxes(boxes["train"], members, dirs=folders)
    if validation:
        members = []
        for name, stored in corpus.validation.items():
            wnid = str(stored.wnid)
            seen[name] = [Seen(wnid, _PLAIN)]
            members.append(_member(name, Note([Drawn(wnid, 50, 50, 200, 150)], seen[name]), "val"))
        boxes["validation"] = corpus.directory / VALIDATION_BOXES
        write_boxes(boxes["validation"], members, dirs=["val"])
    return Localization(pictures=corpus, boxes=boxes, seen=seen)


def _member(picture: str, note: Note, folder: str) -> tuple[str, bytes]:
    stem = picture.removesuffix(".JPEG")
    xml = annotation(note.drawn, size=note.size, folder=folder, filename=note.filename or stem)
    return f"{note.folder or folder}/{stem}.xml", xml


def annotation(
    objects: Iterable[Drawn],
    *,
    size: tuple[int, int] = (400, 200),
    folder: str = "n01440764",
    filename: str = "n01440764_18",
) -> bytes:
    """Returns an annotation as ILSVRC2012 has them."""
    lines = [
        "<annotation>",
        f"\t<folder>{folder}</folder>",
        f"\t<filename>{filename}</filename>",
        "\t<source>",
        "\t\t<database>ILSVRC_2012</database>",
        "\t</source>",
        "\t<size>",
        f"\t\t<width>{size[0]}</width>",
        f"\t\t<height>{size[1]}</height>",
        "\t\t<depth>3</depth>",
        "\t</size>",
        "\t<segmented>0</segmented>",
    ]
    for name, *corners in objects:
        named = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        lines += [
            "\t<object>",
            f"\t\t<name>{name}</name>",
            "\t\t<pose>Unspecified</pose>",
            "\t\t<truncated>0</truncated>",
            "\t\t<difficult>0</difficult>",
            "\t\t<bndbox>",
            *(f"\t\t\t<{tag}>{value}</{tag}>" for tag, value in named),
            "\t\t</bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""]).encode()


def write_boxes(
    path: str | Path, members: Iterable[archives.Member], dirs: Iterable[str] = ()
) -> None:
    """Writes an archive of annotations, gzip-compressed unless its name ends in `.tar`.

    Args:
      path: where to.
      members: names and bytes of the annotations, in the order to write.
      dirs: names of directory entries, written before them.
    """
    buffer = io.BytesIO()
    archives.write_tar(buffer, members, dirs=dirs)
    data = buffer.getvalue()
    if Path(path).suffix != ".tar":
        packed = bytearray(gzip.compress(data, mtime=0))
        packed[9] = 3  # Made on Unix; since Python 3.13 it is on an unknown system.
        data = bytes(packed)
    Path(path).write_bytes(data)
