"""Boxes in VOC XML: what is odd is read as documented, what is no annotation is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers.imagenet2012_localization import Drawn, annotation

from imagenet_builders.formats import voc
from imagenet_builders.formats.voc import AnnotationError, VocObject

TENCH = "n01440764"
WHOLE = Drawn(TENCH, 50, 50, 200, 150)
XML = annotation([WHOLE])


def test_an_annotation_gives_its_size_and_objects_in_order():
    data = annotation([WHOLE, Drawn("dog", 1, 2, 3, 4)], size=(400, 200))
    assert voc.parse(data) == voc.Annotation(
        400, 200, (VocObject(TENCH, 50, 50, 200, 150), VocObject("dog", 1, 2, 3, 4))
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "us-ascii"])
def test_an_annotation_may_declare_its_encoding(encoding: str):
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n' + XML.decode()
    assert voc.parse(text.encode(encoding)) == voc.parse(XML)


@pytest.mark.parametrize(
    "change",
    [
        lambda xml: xml.replace(b"\n", b"\r\n"),
        lambda xml: xml.replace(b"\n", b"").replace(b"\t", b""),
        lambda xml: b"\n " + xml,
        lambda xml: b"\xef\xbb\xbf" + xml,
        lambda xml: xml.replace(b"<size>", b"<!-- of the picture --><size>"),
        lambda xml: xml.replace(b"<xmin>50<", b"<xmin>\n50.0 <"),
        lambda xml: xml.replace(b"<name>n01440764<", b"<name><![CDATA[n01440764]]><"),
        lambda xml: xml.replace(b"<name>n01440764<", b"<name>n0144076&#52;<"),
        lambda xml: xml.replace(b"<segmented>0</segmented>", b"<segmented verified='yes'/>"),
        lambda xml: xml.replace(b"<folder>n01440764</folder>", "<folder>é</folder>".encode()),
        # As in VOC's person layout: a part of an object has a name and corners of its own.
        lambda xml: xml.replace(
            b"</object>",
            b"<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax>"
            b"<ymax>2</ymax></bndbox></part></object>",
        ),
    ],
)
def test_other_ways_to_write_the_same_are_read_the_same(change: Callable[[bytes], bytes]):
    assert change(XML) != XML
    assert voc.parse(change(XML)) == voc.parse(XML)


def test_an_annotation_without_objects_needs_no_size():
    assert voc.parse(b"<annotation/>").objects == ()
    assert voc.parse(annotation([], size=(0, 0))).objects == ()


def test_a_placeholder_file_name_is_ignored():
    assert voc.parse(annotation([WHOLE], filename="%s")) == voc.parse(XML)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + b"".join(b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(9))
    + b"]><annotation><folder>&l9;</folder></annotation>"
)
REFUSED = {
    "an entity bomb": (BOMB, "found a document type"),
    "an external entity": (
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        "found a document type",
    ),
    "a document type alone": (b"<!DOCTYPE annotation><annotation/>", "found a document type"),
    "an entity that is not defined": (b"<annotation>&x;</annotation>", "undefined entity"),
    "nothing": (b"", "no element found"),
    "zeros": (bytes(400), "expected well-formed XML"),
    "an image": (b"\xff\xd8\xff\xe0" + bytes(50), "expected well-formed XML"),
    "an annotation that is cut off": (XML[:300], "expected well-formed XML"),
    "two annotations": (XML + XML, "junk after document element"),
    "a web page": (
        b"<html><body>404</body></html>",
        "expected <annotation>, found another element",
    ),
    "an encoding that there is not": (
        b'<?xml version="1.0" encoding="klingon"?><annotation/>',
        "unknown encoding",
    ),
    "too deep": (b"<annotation>" + b"<a>" * 50, "16 deep at most"),
    "far too deep": (b"<annotation>" + b"<a>" * 300_000, "16 deep at most"),
    "too large": (XML.replace(b"\n", b"\n" * (1 << 16)), "at most 1,048,576 bytes"),
    "no size": (XML.replace(b"size>", b"extent>"), "the image's <width> beside its objects"),
    "no width": (XML.replace(b"width>", b"w>"), "the image's <width> beside its objects"),
    "a width of zero": (annotation([WHOLE], size=(0, 200)), "<width> greater than 0, found '0'"),
    "a height of zero": (annotation([WHOLE], size=(400, 0)), "<height> greater than 0, found '0'"),
    "a negative height": (annotation([WHOLE], size=(400, -5)), "<height> greater than 0"),
    "a width that is no number": (XML.replace(b">400<", b">wide<"), "as <width>, found 'wide'"),
    "two widths": (XML.replace(b"depth>", b"width>"), "one <width>, found a second one"),
    "two boxes of one object": (
        XML.replace(b"</object>", b"<bndbox><xmin>1</xmin></bndbox></object>"),
        "one <xmin>, found a second one",
    ),
    "no box": (XML.replace(b"bndbox>", b"box>"), "an <object> with its <xmin>, found none"),
    "a corner missing": (XML.replace(b"xmax>", b"right>"), "with its <xmax>, found none"),
    "no name": (XML.replace(b"name>", b"title>"), "with its <name>, found none"),
    "a corner without text": (XML.replace(b"<xmax>200<", b"<xmax><"), "as <xmax>, found ''"),
    "a corner that is not a number": (
        XML.replace(b"<xmax>200<", b"<xmax>nan<"),
        "as <xmax>, found 'nan'",
    ),
    "a corner at infinity": (XML.replace(b"<xmax>200<", b"<xmax>1e999<"), "found '1e999'"),
    "a corner of many digits": (XML.replace(b"<xmax>200<", b"<xmax>%s<" % (b"9" * 5000)), "<xmax>"),
    "a corner in other digits": (
        XML.replace(b"<xmax>200<", "<xmax>٢٠٠<".encode()),
        "expected a number as <xmax>",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_annotation_is_refused_with_the_expected_form(name: str):
    data, problem = REFUSED[name]
    with pytest.raises(AnnotationError) as caught:
        voc.parse(data)
    assert problem in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


BOXES = {
    "inside": ((50, 50, 200, 150), (0.25, 0.125, 0.75, 0.5), (0, 0)),
    "the whole frame": ((0, 0, 400, 200), (0, 0, 1, 1), (0, 0)),
    "beyond the right edge": ((200, 0, 401, 200), (0, 0.5, 1, 1), (0, 1)),
    "beyond all edges": ((-8, -4, 500, 201), (0, 0, 1, 1), (0, 1)),
    "left and right swapped": ((200, 50, 50, 150), (0.25, 0.125, 0.75, 0.5), (1, 0)),
    "top and bottom swapped": ((50, 150, 200, 50), (0.25, 0.125, 0.75, 0.5), (1, 0)),
    "both swapped and beyond": ((500, 150, 50, -50), (0, 0.125, 0.75, 1), (1, 1)),
    "no width": ((50, 50, 50, 150), None, (0, 0)),
    "no height": ((50, 50, 200, 50), None, (0, 0)),
    "a point": ((0, 0, 0, 0), None, (0, 0)),
    "wholly to the right": ((400, 50, 500, 150), None, (0, 0)),
    "wholly above": ((50, -20, 200, -1), None, (0, 0)),
}


@pytest.mark.parametrize("name", BOXES)
def test_a_box_is_clipped_to_the_image_or_omitted(name: str):
    drawn, seen, (swapped, clamped) = BOXES[name]
    boxes = voc.relative(voc.parse(annotation([Drawn(TENCH, *drawn)], size=(400, 200))))
    assert boxes.corners.tolist() == list(seen or ())
    assert boxes.names == ((TENCH,) if seen else ())
    assert (boxes.swapped, boxes.clamped, boxes.empty) == (swapped, clamped, 0 if seen else 1)


def test_a_box_too_thin_for_float32_is_empty():
    thin = voc.Annotation(9e8, 10.0, (VocObject("x", 8e8, 0, 8e8 + 1, 10),))
    assert voc.relative(thin).empty == 1


NUMBERS = st.integers(-20, 700).map(str) | st.from_regex(r"\A[+-]?[0-9]{1,9}(\.[0-9]{1,9})?\Z")
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="<>&"))
DRAWN = st.builds(Drawn, TEXT, NUMBERS, NUMBERS, NUMBERS, NUMBERS)


@given(objects=st.lists(DRAWN, max_size=5), width=NUMBERS, height=NUMBERS, filename=TEXT)
def test_the_fast_path_reads_an_annotation_as_the_parser_does(objects, width, height, filename):
    data = annotation(objects, size=(width, height), filename=filename)
    quick = voc._plain_fields(data)
    assert quick is not None
    assert quick == voc._fields(data)


def check_fuzzed(data: bytes) -> None:
    """Whatever the bytes: an error of ours, or boxes that TensorFlow Datasets accepts."""
    quick = voc._plain_fields(data)
    assert quick is None or quick == voc._fields(data)
    try:
        found = voc.parse(data)
    except AnnotationError as error:
        problem = str(error)
        assert problem.isprintable()
        return
    boxes = voc.relative(found)
    assert len(boxes.corners) == 4 * len(boxes.names)
    assert len(boxes.names) + boxes.empty == len(found.objects)
    for start in range(0, len(boxes.corners), 4):
        top, left, bottom, right = boxes.corners[start : start + 4]
        assert 0 <= top < bottom <= 1
        assert 0 <= left < right <= 1


@given(changes=st.lists(st.tuples(st.integers(0, len(XML) - 1), st.integers(0, 255)), max_size=4))
def test_changed_bytes_give_boxes_or_an_error(changes):
    data = bytearray(XML)
    for position, byte in changes:
        data[position] = byte
    check_fuzzed(bytes(data))


PIECES = [
    *(f"<{end}{name}>" for name in ("annotation", "object", "bndbox", "xmin") for end in ("", "/")),
    *("<size>", "<width>4</width>", "<height>5</height>", "</size>", "<!--", "-->", "<![CDATA["),
    *(
        "]]>",
        "<?xml version='1.0' encoding='utf-16'?>",
        "&lt;",
        "&#0;",
        "<xmin>3</xmin>",
        "%s",
        "9",
    ),
]


@given(data=st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join))
def test_random_text_gives_boxes_or_an_error(data):
    check_fuzzed(data.encode("utf-8", "surrogatepass"))
    check_fuzzed(f"<annotation>{data}</annotation>".encode("utf-8", "surrogatepass"))
