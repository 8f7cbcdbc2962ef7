"""Reads the bounding boxes in annotations of PASCAL VOC, which are XML.

    annotation/size/{width,height}
    annotation/object*/{name, bndbox/{xmin,ymin,xmax,ymax}}

Nothing else in a file is of interest: `filename` is now and then the literal `%s`, and `folder` may
be that of another class, so the caller must know which image the boxes belong to.

Annotations are hostile input. They have no use for a document type, so one is refused, and with it
every entity that could expand or point elsewhere. Size and depth are bounded.

>>> annotation = parse(
...     b"<annotation><size><width>500</width><height>400</height></size><object>"
...     b"<name>tench</name><bndbox><xmin>300</xmin><ymin>100</ymin><xmax>50</xmax>"
...     b"<ymax>480</ymax></bndbox></object></annotation>"
... )
>>> annotation.objects
(VocObject(name='tench', xmin=300.0, ymin=100.0, xmax=50.0, ymax=480.0),)
>>> relative(annotation)  # doctest: +NORMALIZE_WHITESPACE
Boxes(corners=array('f', [0.25, 0.10000000149011612, 1.0, 0.6000000238418579]),
      names=('tench',), swapped=1, clamped=1, empty=0)

Source: the devkit's `VOCreadrecxml.m`; `process_bounding_boxes.py` of TensorFlow's slim.
"""

from __future__ import annotations

import re
from array import array
from typing import NamedTuple, NoReturn
from xml.parsers import expat

MAX_BYTES = 1 << 20
"""Bound on one annotation; a real one has about 500 bytes an object."""
MAX_DEPTH = 16
"""Bound on the nesting of elements; a real annotation has four levels."""

_ROOT = "annotation"
_OBJECT = "annotation/object"
_SIZE_FIELDS = {"annotation/size/width": "width", "annotation/size/height": "height"}
_OBJECT_FIELDS = {"annotation/object/name": "name"} | {
    f"annotation/object/bndbox/{name}": name for name in ("xmin", "ymin", "xmax", "ymax")
}
_FIELDS = _SIZE_FIELDS | _OBJECT_FIELDS

_Fields = dict[str, str]

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{1,9})?")

# How nearly all annotations are written: a space stands for white space, T for text without markup
# and without anything that is not the same in every encoding.
_OBJECT_LAYOUT = (
    "<object> <name>(T)</name> <pose>T</pose> <truncated>T</truncated> <difficult>T</difficult> "
    "<bndbox> <xmin>(T)</xmin> <ymin>(T)</ymin> <xmax>(T)</xmax> <ymax>(T)</ymax> </bndbox> "
    "</object> "
)
_LAYOUT = (
    "<annotation> <folder>T</folder> <filename>T</filename> "
    "<source> <database>T</database> </source> "
    "<size> <width>(T)</width> <height>(T)</height> <depth>T</depth> </size> "
    f"<segmented>T</segmented> ((?:{_OBJECT_LAYOUT.replace('(T)', 'T')})*)</annotation> "
)


def _pattern(layout: str) -> re.Pattern[str]:
    text = layout.replace(" ", r"[ \t\r\n]*").replace("T", "[ !-%'-;=?-~]*")
    return re.compile(text, re.ASCII)


_PLAIN = _pattern(_LAYOUT)
_PLAIN_OBJECT = _pattern(_OBJECT_LAYOUT)


class AnnotationError(ValueError):
    """An annotation cannot be read; the message says what was expected and what was found."""


class VocObject(NamedTuple):
    """An object in an image.

    Attributes:
        name: The class that the annotation gives it, in whatever words.
        xmin: One corner, in pixels of the image as it was shown to the annotator.
        ymin: The same corner.
        xmax: The other corner, which may be to the left of the first.
        ymax: The other corner.
    """

    name: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float


class Annotation(NamedTuple):
    """The content of an annotation: the size of an image, and its objects.

    Attributes:
        width: Of the image as it was shown to the annotator, in pixels; that of the JPEG may
            differ. More than 0 where there are objects.
        height: Likewise.
        objects: The objects in the order of the annotation.
    """

    width: float
    height: float
    objects: tuple[VocObject, ...]


class Boxes(NamedTuple):
    """The boxes of an image relative to its size, each within the image and not empty.

    Attributes:
        corners: float32; ymin, xmin, ymax, xmax of each box in turn, all in [0, 1], min < max.
        names: The class of each box, as the annotation gives it.
        swapped: How many of the boxes had a min greater than its max.
        clamped: How many of the boxes went beyond the image.
        empty: How many more boxes there were that had no area within the image.
    """

    corners: array[float]
    names: tuple[str, ...]
    swapped: int
    clamped: int
    empty: int


def parse(data: bytes) -> Annotation:
    """Reads an annotation.

    Args:
        data: The XML.

    Returns:
        Its content.

    Raises:
        AnnotationError: It is not well-formed XML, not an annotation, too large or too deep, has a
            document type, or an object of it lacks a name, a corner, or a size to go with them.
    """
    if len(data) > MAX_BYTES:
        raise AnnotationError(
            f"expected an annotation of at most {MAX_BYTES:,} bytes, found {len(data):,}"
        )
    size, objects = _plain_fields(data) or _fields(data)
    if not objects:
        return Annotation(0.0, 0.0, ())
    width, height = (_length(size, name) for name in ("width", "height"))
    return Annotation(width, height, tuple(map(_object, objects)))


def relative(annotation: Annotation) -> Boxes:
    """The boxes of an annotation relative to the size that it gives for the image.

    A min greater than its max is exchanged with it, a side beyond the image is moved to the border,
    and a box without area is left out.

    Args:
        annotation: As `parse` gives it.

    Returns:
        The boxes that are left, in the order of the annotation.
    """
    corners = array("f")
    names = []
    swapped = clamped = empty = 0
    width, height, objects = annotation
    for name, x0, y0, x1, y1 in objects:
        found = [y0 / height, x0 / width, y1 / height, x1 / width]
        inside = [min(max(0.0, value), 1.0) for value in found]
        # Rounded to float32 before they are compared: what is stored must not be empty.
        top, left, bottom, right = array("f", inside)
        if top == bottom or left == right:
            empty += 1
            continue
        swapped += y0 > y1 or x0 > x1
        clamped += inside != found
        corners.extend((min(top, bottom), min(left, right), max(top, bottom), max(left, right)))
        names.append(name)
    return Boxes(corners, tuple(names), swapped, clamped, empty)


def _plain_fields(data: bytes) -> tuple[_Fields, list[_Fields]] | None:
    """The fields of an annotation in the layout of nearly all, or None for another layout.

    There are half a million annotations, and this takes a fifth of a parser's time.
    """
    match = _PLAIN.fullmatch(data.decode("latin-1"))
    if match is None:
        return None
    width, height, objects = match.groups()
    size = {"width": width.strip(), "height": height.strip()}
    names = _OBJECT_FIELDS.values()
    return size, [
        dict(zip(names, map(str.strip, found), strict=True))
        for found in _PLAIN_OBJECT.findall(objects)
    ]


def _fields(data: bytes) -> tuple[_Fields, list[_Fields]]:
    """The fields of the size and of each object in any well-formed annotation."""
    size: _Fields = {}
    objects: list[_Fields] = []
    paths = [""]
    text: list[str] = []

    def start(name: str, attributes: object) -> None:
        parent = paths[-1]
        path = f"{parent}/{name}" if parent else name
        if len(paths) > MAX_DEPTH:
            raise AnnotationError(f"expected elements {MAX_DEPTH} deep at most, found deeper ones")
        if not parent and name != _ROOT:
            raise AnnotationError(f"expected <{_ROOT}>, found another element")
        if path == _OBJECT:
            objects.append({})
        paths.append(path)
        text.clear()

    def end(name: str) -> None:
        path = paths.pop()
        field = _FIELDS.get(path)
        if field is not None:
            fields = objects[-1] if path in _OBJECT_FIELDS else size
            if field in fields:
                raise AnnotationError(f"expected one <{field}>, found a second one beside it")
            fields[field] = "".join(text).strip()
        text.clear()

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = _refuse_document_type
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise AnnotationError(f"expected well-formed XML, found {error}") from None
    except (LookupError, UnicodeError) as error:  # An encoding that there is not.
        raise AnnotationError(f"expected XML in a known encoding, found {error}") from None
    return size, objects


def _object(fields: dict[str, str]) -> VocObject:
    missing = [name for name in _OBJECT_FIELDS.values() if name not in fields]
    if missing:
        raise AnnotationError(f"expected an <object> with its <{missing[0]}>, found none")
    corners = (_number(fields, name) for name in ("xmin", "ymin", "xmax", "ymax"))
    return VocObject(fields["name"], *corners)


def _length(fields: dict[str, str], name: str) -> float:
    if name not in fields:
        raise AnnotationError(f"expected the image's <{name}> beside its objects, found none")
    length = _number(fields, name)
    if length <= 0:
        raise AnnotationError(f"expected a <{name}> greater than 0, found {fields[name]!r}")
    return length


def _number(fields: dict[str, str], name: str) -> float:
    if not _NUMBER.fullmatch(fields[name]):
        raise AnnotationError(f"expected a number as <{name}>, found {fields[name][:40]!r}")
    return float(fields[name])


def _refuse_document_type(*_: object) -> NoReturn:
    raise AnnotationError(
        "expected an annotation, found a document type, which may define entities that expand "
        "without end; no official annotation has one"
    )
