"""Reads a JPEG's header as libjpeg does, and looks for markers up to its end.

The rules are libjpeg's (libjpeg-turbo 3, as in TensorFlow): what it only warns of passes, such as
garbage between segments, odd application segments, or bytes after the end; what makes it give up
is a problem. A marker that does not belong among the compressed data is found; whether libjpeg
gives up on it, only decoding tells. Other damage inside the compressed data is not looked for.
"""

from __future__ import annotations

import functools
import operator
import re
import struct

from imagenet_builders.images.facts import ImageFacts
from imagenet_builders.images.markers import holds_marker

START = b"\xff\xd8\xff"
_END = b"\xff\xd9"

_SEGMENT = struct.Struct(">BBH")  # 0xFF, marker, length (which counts itself)
_FRAME = struct.Struct(">BHHB")  # bits, height, width, components

_DHT, _SOI, _EOI, _SOS, _DQT, _DRI, _DAC = 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xCC
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xCA})
_ARITHMETIC_FRAMES = frozenset({0xC9, 0xCA})
_FRAMES = frozenset({0xC0, 0xC1}) | _PROGRESSIVE_FRAMES | _ARITHMETIC_FRAMES
_PARSED = _FRAMES | {_DHT, _SOS, _DQT, _DRI, _DAC}
_OTHER_FRAMES = {
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical progressive",
    0xC7: "hierarchical lossless",
    0xCB: "lossless arithmetic",
    0xCD: "hierarchical arithmetic",
    0xCE: "hierarchical progressive arithmetic",
    0xCF: "hierarchical lossless arithmetic",
    0xF7: "JPEG-LS",
}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM, RST0..RST7: nothing follows them
# APP0..APP15, COM and DNL are stepped over, whatever is in them.
_SKIPPED = frozenset({*range(0xE0, 0xF0), 0xFE, 0xDC})

# Among compressed data, FF 00 stands for an FF; more FFs may fill the space before a marker.
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_BUT_RESTART = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_CUT_OFF = "JPEG cut off: it ends before its image data begins"

MAX_SIDE = 65_500
"""libjpeg's JPEG_MAX_DIMENSION."""
TENSORFLOW_SAMPLES = 1 << 29
"""`tf.io.decode_jpeg` refuses this many and more."""

# Of 2**16 places, those that a code of 1, 2, ... bits takes.
_PLACES = [1 << 16 - length for length in range(1, 17)]
_MAX_BLOCKS = 10  # of all components of a scan together; libjpeg's D_MAX_BLOCKS_IN_MCU
_MAX_SEGMENTS = 100_000  # far above any real file; bounds the time for hostile bytes


class UnreadableError(Exception):
    """The header is one that libjpeg gives up on; the argument says why."""


class _Header:
    """The state of libjpeg between two segments.

    Attributes:
        frame: The marker of the frame, 0 before there is one.
        frame_at: Offset of the frame's segment.
        transform: The colour transform of Adobe's segment, or None.
        quantisation: Bit n: quantisation table n is defined.
        huffman: Bit n: Huffman table n is defined; those of AC coefficients are 4 to 7.
        bogus: Bit n: Huffman table n cannot be used.
        restarts: Whether restart markers stand among the compressed data.
        more_scans: Whether the JPEG has more scans than one.
    """

    __slots__ = (
        *("bogus", "frame", "frame_at", "huffman", "more_scans"),
        *("quantisation", "restarts", "transform"),
    )

    def __init__(self) -> None:
        self.frame = self.frame_at = self.quantisation = self.huffman = self.bogus = 0
        self.transform: int | None = None
        self.restarts = self.more_scans = False


def inspect_jpeg(data: bytes) -> ImageFacts:
    """Reads the header, the markers and the end of `data`, which begin with `START`."""
    facts = ImageFacts("jpeg")
    header = _Header()
    try:
        scan = _read_segments(data, 2, header)
        facts = _facts(data, header)
    except UnreadableError as e:
        return facts._replace(problem=str(e))
    except (struct.error, IndexError):
        return facts._replace(problem=_CUT_OFF)
    if (
        not (header.more_scans or header.restarts)
        and data.endswith(_END)
        and len(data) >= scan + 2
        and not holds_marker(data, scan, len(data) - 2)
    ):
        return facts
    return _follow_scans(data, scan, header, facts)


def _follow_scans(data: bytes, position: int, header: _Header, facts: ImageFacts) -> ImageFacts:
    """Finds the end of a JPEG by its markers, or the first marker that does not belong there.

    Args:
        data: The JPEG.
        position: Where the compressed data of the first scan begin.
        header: The state of libjpeg there.
        facts: What the header said.
    """
    for scans in range(1, _MAX_SEGMENTS):
        pattern = _MARKER_BUT_RESTART if header.restarts else _MARKER
        found = pattern.search(data, position)
        if found is None:
            return facts._replace(problem=_no_end(data))
        if data[found.end() - 1] == _EOI:
            trailing = 0 if data.endswith(_END) else len(data) - found.end()
            return facts._replace(trailing=trailing, scans=scans)
        position = found.end() - 2
        if not header.more_scans:
            break
        try:
            position = _read_segments(data, position, header)
        except (UnreadableError, struct.error, IndexError):
            break
    if data.find(_END, position) < 0:
        return facts._replace(problem=_no_end(data))
    return facts._replace(stray_marker=position, scans=scans)


def _no_end(data: bytes) -> str:
    zeros = len(data) - len(data.rstrip(b"\0"))
    tail = f", and its last {zeros:,} bytes are zero" if zeros > 16 else ""
    return f"JPEG cut off: no end marker (FF D9) in its {len(data):,} bytes{tail}"


def _read_segments(data: bytes, position: int, header: _Header) -> int:
    """Reads segments up to that of a scan; returns where the scan's compressed data begin.

    Args:
        data: The JPEG.
        position: Where the first segment is looked for.
        header: The state of libjpeg there, which is changed to that at the scan.

    Raises:
        UnreadableError: libjpeg would not read on.
        struct.error: The data end too early.
        IndexError: Likewise.
    """
    read = _SEGMENT.unpack_from
    size = len(data)
    for _ in range(_MAX_SEGMENTS):
        prefix, marker, length = read(data, position)
        if prefix != 0xFF or marker == 0xFF or marker == 0:
            position = _next_marker(data, position)
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        after: int = position + 2 + length
        if marker in _SKIPPED:
            if marker == 0xEE and length >= 14 and data.startswith(b"Adobe", position + 4):
                header.transform = data[position + 15]
            # A length below 2 is an error that libjpeg passes over.
            position = after if length >= 2 else position + 4
            continue
        if marker not in _PARSED:
            raise UnreadableError(_refusal(marker, position))
        if after > size:
            raise UnreadableError(_CUT_OFF)
        if length < 2:
            raise UnreadableError(f"damaged JPEG: wrong length of segment FF {marker:02X}")
        if marker == _DQT:
            header.quantisation |= _quantisation_tables(data, position + 4, after)
        elif marker == _DHT:
            defined, bogus = huffman_tables(data[position + 4 : after])
            header.huffman |= defined
            header.bogus = header.bogus & ~defined | bogus
        elif marker in _FRAMES:
            if header.frame:
                raise UnreadableError("damaged JPEG: two frame headers")
            header.frame, header.frame_at = marker, position
            _check_frame(data, position, length)
        elif marker == _SOS:
            if not header.frame:
                raise UnreadableError("damaged JPEG: its image data begins before any frame header")
            begin = header.frame_at + 10
            components = data[begin : begin + 3 * data[begin - 1]]
            problem, is_only = _inspect_scan(
                *(data[position + 2 : after], components, header.frame),
                *(header.quantisation, header.huffman, header.bogus),
            )
            if problem is not None:
                raise UnreadableError(problem)
            header.more_scans = header.more_scans or not is_only
            return after
        elif (length != 4) if marker == _DRI else (length % 2):
            raise UnreadableError(f"damaged JPEG: wrong length of segment FF {marker:02X}")
        elif marker == _DRI:
            header.restarts = data[position + 4 : after] != b"\0\0"
        elif not _are_conditions(data[position + 4 : after]):
            raise UnreadableError("damaged JPEG: its arithmetic coding conditions are not valid")
        position = after
    raise UnreadableError(f"damaged JPEG: more than {_MAX_SEGMENTS:,} segments in its header")


def _refusal(marker: int, position: int) -> str:
    if marker in _OTHER_FRAMES:
        return f"a {_OTHER_FRAMES[marker]} JPEG, which TensorFlow cannot decode"
    if marker == _EOI:
        return "damaged JPEG: it ends (FF D9) before any image data"
    if marker == _SOI:
        return "damaged JPEG: a second start (FF D8) in its header"
    return f"damaged JPEG: unknown marker FF {marker:02X} at byte {position:,}"


def _next_marker(data: bytes, position: int) -> int:
    """Returns where the next marker's last 0xFF is, past garbage, fill bytes and FF 00."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            raise UnreadableError(_CUT_OFF)
        following = data[position + 1]
        if following == 0xFF:
            position += 1
        elif following == 0:
            position += 2
        else:
            return position


def _quantisation_tables(data: bytes, position: int, end: int) -> int:
    """Returns a bit for each table that the DQT segment's content defines."""
    tables = 0
    while position < end:
        number = data[position]
        if number & 15 > 3:
            break
        tables |= 1 << (number & 15)
        position += 65 if number < 16 else 129
    if position != end:
        raise UnreadableError("damaged JPEG: its quantisation tables are not whole")
    return tables


# Most JPEGs have the tables of the standard's annex K, in one segment or four.
@functools.lru_cache(maxsize=512)
def huffman_tables(segment: bytes) -> tuple[int, int]:
    """The tables that the content of a DHT segment defines, and those of them that are bogus.

    Returns:
        Bits as `_Header.huffman` and `_Header.bogus` have them.
    """
    defined = bogus = position = 0
    while len(segment) - position > 16:
        number = segment[position]
        counts = segment[position + 1 : position + 17]
        symbols = segment[position + 17 : position + 17 + sum(counts)]
        if number & ~0x13 or sum(counts) > 256:
            break
        position += 17 + sum(counts)
        bit = 1 << (number >> 2 | number & 3)
        defined |= bit
        # A code of n bits has one of 2**n places, and those that begin with it are taken too. Codes
        # are given out in order, so if none may be of ones only, a place must be left at the end.
        taken = sum(map(operator.mul, counts, _PLACES))
        if taken >= 1 << 16 or (number < 4 and max(symbols, default=0) > 15):
            bogus |= bit
    if position != len(segment):
        raise UnreadableError("damaged JPEG: its Huffman tables are not whole")
    return defined, bogus


def _are_conditions(segment: bytes) -> bool:
    """Whether the content of a DAC segment has indexes up to 31 and bounds in order."""
    return all(
        index < 32 and (index > 15 or value & 15 <= value >> 4)
        for index, value in zip(segment[::2], segment[1::2], strict=True)
    )


def _check_frame(data: bytes, position: int, length: int) -> None:
    bits, height, width, components = _FRAME.unpack_from(data, position + 4)
    if length != 8 + 3 * components:
        raise UnreadableError("damaged JPEG: its frame header has a wrong length")
    if bits != 8:
        raise UnreadableError(f"a JPEG of {bits} bits per channel, which TensorFlow cannot decode")
    if not width or not height:
        raise UnreadableError(f"damaged JPEG: its size is {width} x {height}")
    if width > MAX_SIDE or height > MAX_SIDE:
        raise UnreadableError(
            f"a JPEG of {width} x {height} pixels; no side may be more than {MAX_SIDE:,}"
        )
    if components not in (1, 3, 4):
        raise UnreadableError(f"a JPEG of {components} channels, which TensorFlow cannot decode")


@functools.lru_cache(maxsize=1024)
def _inspect_scan(
    segment: bytes, components: bytes, frame: int, quantisation: int, huffman: int, bogus: int
) -> tuple[str | None, bool]:
    """Inspects a scan's header, and what it needs of the frame and the tables before it.

    Args:
        segment: The SOS segment from its length on.
        components: Of each of the frame's components its id, its sampling factors, its table.
        frame: As `_Header` has it, as the following.
        quantisation: Defined quantisation tables.
        huffman: Defined Huffman tables.
        bogus: Those of them that cannot be used.

    Returns:
        Why libjpeg gives up, or None; and whether the JPEG has no other scan.
    """
    count = segment[2]
    if len(segment) != 6 + 2 * count or not 1 <= count <= 4:
        return "damaged JPEG: its scan header has a wrong length", False
    ids, in_scan = components[::3], segment[3 : 3 + 2 * count : 2]
    if in_scan != ids and any(in_scan.count(i) > ids.count(i) for i in in_scan):
        return "damaged JPEG: its scan names channels that its frame does not have", False
    blocks = 0
    for index, sampling in enumerate(components[1::3]):
        across, down = sampling >> 4, sampling & 15
        if not (1 <= across <= 4 and 1 <= down <= 4):
            return "damaged JPEG: its sampling factors are not 1 to 4", False
        if ids[index] in in_scan:
            blocks += across * down
            table = components[3 * index + 2]
            if not quantisation >> table & 1:
                return "damaged JPEG: a quantisation table is missing", False
    if count > 1 and blocks > _MAX_BLOCKS:
        return "damaged JPEG: its sampling factors are too large together", False
    first, last, steps = segment[-3:]
    high, low = steps >> 4, steps & 15
    is_progressive = frame in _PROGRESSIVE_FRAMES
    if is_progressive and (
        (last != 0 if first == 0 else (first > last or last > 63 or count != 1))
        or (high and low != high - 1)
        or low > 13
    ):
        return "damaged JPEG: the parameters of a scan are not progressive", False
    for tables in segment[4 : 4 + 2 * count : 2] if frame not in _ARITHMETIC_FRAMES else b"":
        dc, ac = (tables >> 4, 0), (tables & 15, 4)
        used = [dc, ac] if not is_progressive else [ac] if first else [dc] if not high else []
        for number, kind in used:
            # For a missing one of the first two, libjpeg has the standard's, if not progressive.
            is_there = huffman >> kind + number & 1 or (number < 2 and not is_progressive)
            if number > 3 or not is_there or bogus >> kind + number & 1:
                return "damaged JPEG: a Huffman table is missing or cannot be used", False
    return None, not is_progressive and count == len(ids)


def _facts(data: bytes, header: _Header) -> ImageFacts:
    bits, height, width, components = _FRAME.unpack_from(data, header.frame_at + 4)
    problem = None
    # One of four channels is decoded here, with a lower bound.
    if width * height * components >= TENSORFLOW_SAMPLES and components != 4:
        problem = f"a JPEG of {width} x {height} pixels, more than TensorFlow decodes"
    progressive = header.frame in _PROGRESSIVE_FRAMES
    return ImageFacts(
        "jpeg", width, height, components, bits, progressive, header.transform, problem=problem
    )
