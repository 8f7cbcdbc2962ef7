"""Reads a JPEG's header as libjpeg does, and checks that its end is there.

The rules are libjpeg's (libjpeg-turbo 3, as in TensorFlow): what it only warns of passes, such as
garbage between segments, odd application segments, or bytes after the end; what makes it give up
before the first pixel is a problem. Damage inside the compressed pixels is not looked for.
"""

from __future__ import annotations

import struct

from imagenet_builders.images.facts import ImageFacts

START = b"\xff\xd8\xff"
_END = b"\xff\xd9"

_SEGMENT = struct.Struct(">BBH")  # 0xFF, marker, length (which counts itself)
_FRAME = struct.Struct(">BHHB")  # bits, height, width, components

_DHT, _SOI, _EOI, _SOS, _DQT, _DRI, _DAC = 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xCC
_BASELINE, _PROGRESSIVE, _PROGRESSIVE_ARITHMETIC = 0xC0, 0xC2, 0xCA
_FRAMES = frozenset({_BASELINE, 0xC1, _PROGRESSIVE, 0xC9, _PROGRESSIVE_ARITHMETIC})
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

_MAX_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_MAX_BLOCKS = 10  # of all components of a scan together; libjpeg's D_MAX_BLOCKS_IN_MCU
_MAX_SEGMENTS = 100_000  # far above any real file; bounds the time for hostile bytes
_TENSORFLOW_SAMPLES = 1 << 29  # tf.io.decode_jpeg refuses this many and more


class _UnreadableError(Exception):
    """The header is one that libjpeg gives up on; the argument says why."""


def inspect_jpeg(data: bytes) -> ImageFacts:
    """Returns what the header and the end of `data`, which begins with `START`, say."""
    facts = ImageFacts("jpeg")
    try:
        facts, scan = _read_header(data)
    except _UnreadableError as e:
        return facts._replace(problem=str(e))
    except (struct.error, IndexError):
        return facts._replace(problem="JPEG cut off: it ends before its image data begins")
    if data.endswith(_END) and len(data) >= scan + 2:
        return facts
    # Compressed data never holds FF D9 (an FF in it is followed by 00 or a restart marker), and
    # thumbnails, which have an end of their own, lie before the first scan.
    end = data.find(_END, scan)
    if end < 0:
        return facts._replace(problem=_no_end(data))
    return facts._replace(trailing=len(data) - end - 2)


def _no_end(data: bytes) -> str:
    zeros = len(data) - len(data.rstrip(b"\0"))
    tail = f", and its last {zeros:,} bytes are zero" if zeros > 16 else ""
    return f"JPEG cut off: no end marker (FF D9) in its {len(data):,} bytes{tail}"


def _read_header(data: bytes) -> tuple[ImageFacts, int]:
    """Returns the facts and the offset of the first scan's compressed data.

    Raises:
        _UnreadableError: libjpeg would not read on.
        struct.error: The data ends too early.
        IndexError: Likewise.
    """
    read = _SEGMENT.unpack_from
    size = len(data)
    position = 2
    frame = 0
    frame_at = 0
    transform: int | None = None
    tables = 0  # bit n: quantisation table n is defined
    for _ in range(_MAX_SEGMENTS):
        prefix, marker, length = read(data, position)
        if prefix != 0xFF or marker == 0xFF or marker == 0:
            position = _next_marker(data, position)
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        after = position + 2 + length
        if marker in _SKIPPED:
            if marker == 0xEE and length >= 14 and data.startswith(b"Adobe", position + 4):
                transform = data[position + 15]
            # A length below 2 is an error that libjpeg passes over.
            position = after if length >= 2 else position + 4
            continue
        if marker not in _PARSED:
            raise _UnreadableError(_refusal(marker, position))
        if after > size:
            raise _UnreadableError("JPEG cut off: it ends before its image data begins")
        if marker == _DQT:
            tables |= _quantisation_tables(data, position + 4, after)
        elif marker == _DHT:
            _check_huffman_tables(data, position + 4, after)
        elif marker in _FRAMES:
            if frame:
                raise _UnreadableError("damaged JPEG: two frame headers")
            frame, frame_at = marker, position
            _check_frame(data, position, length)
        elif marker == _SOS:
            if not frame:
                raise _UnreadableError(
                    "damaged JPEG: its image data begins before any frame header"
                )
            _check_scan(data, position, length, frame, frame_at, tables)
            return _facts(data, frame, frame_at, transform), after
        elif (length != 4) if marker == _DRI else (length < 2 or length % 2):
            raise _UnreadableError(f"damaged JPEG: wrong length of segment FF {marker:02X}")
        position = after
    raise _UnreadableError(f"damaged JPEG: more than {_MAX_SEGMENTS:,} segments in its header")


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
            raise _UnreadableError("JPEG cut off: it ends before its image data begins")
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
        raise _UnreadableError("damaged JPEG: its quantisation tables are not whole")
    return tables


def _check_huffman_tables(data: bytes, position: int, end: int) -> None:
    while end - position > 16:
        count = sum(data[position + 1 : position + 17])
        if data[position] & ~0x13 or count > 256:
            break
        position += 17 + count
    if position != end:
        raise _UnreadableError("damaged JPEG: its Huffman tables are not whole")


def _check_frame(data: bytes, position: int, length: int) -> None:
    bits, height, width, components = _FRAME.unpack_from(data, position + 4)
    if length != 8 + 3 * components:
        raise _UnreadableError("damaged JPEG: its frame header has a wrong length")
    if bits != 8:
        raise _UnreadableError(f"a JPEG of {bits} bits per channel, which TensorFlow cannot decode")
    if not width or not height:
        raise _UnreadableError(f"damaged JPEG: its size is {width} x {height}")
    if width > _MAX_SIDE or height > _MAX_SIDE:
        raise _UnreadableError(
            f"a JPEG of {width} x {height} pixels; no side may be more than {_MAX_SIDE:,}"
        )
    if components not in (1, 3, 4):
        raise _UnreadableError(f"a JPEG of {components} channels, which TensorFlow cannot decode")


def _check_scan(
    data: bytes, position: int, length: int, frame: int, frame_at: int, tables: int
) -> None:
    """Checks the first scan's header, and what it needs of the frame's."""
    count = data[position + 4]
    if length != 6 + 2 * count or not 1 <= count <= 4:
        raise _UnreadableError("damaged JPEG: its scan header has a wrong length")
    # Of a frame's component there are three bytes: its id, its sampling factors, its table.
    components = data[frame_at + 10 : frame_at + 10 + 3 * data[frame_at + 9]]
    ids = components[::3]
    in_scan = data[position + 5 : position + 5 + 2 * count : 2]
    if in_scan != ids and any(in_scan.count(i) > ids.count(i) for i in in_scan):
        raise _UnreadableError("damaged JPEG: its scan names channels that its frame does not have")
    blocks = 0
    for index, sampling in enumerate(components[1::3]):
        across, down = sampling >> 4, sampling & 15
        if not (1 <= across <= 4 and 1 <= down <= 4):
            raise _UnreadableError("damaged JPEG: its sampling factors are not 1 to 4")
        if ids[index] in in_scan:
            blocks += across * down
            table = components[3 * index + 2]
            if not tables >> table & 1:
                raise _UnreadableError("damaged JPEG: a quantisation table is missing")
    if count > 1 and blocks > _MAX_BLOCKS:
        raise _UnreadableError("damaged JPEG: its sampling factors are too large together")
    if frame in (_PROGRESSIVE, _PROGRESSIVE_ARITHMETIC):
        first, last, steps = data[position + length - 1 : position + length + 2]
        high, low = steps >> 4, steps & 15
        if (
            (last != 0 if first == 0 else (first > last or last > 63 or count != 1))
            or (high and low != high - 1)
            or low > 13
        ):
            raise _UnreadableError(
                "damaged JPEG: the parameters of its first scan are not progressive"
            )


def _facts(data: bytes, frame: int, frame_at: int, transform: int | None) -> ImageFacts:
    bits, height, width, components = _FRAME.unpack_from(data, frame_at + 4)
    problem = None
    # One of four channels is decoded here, with a lower bound.
    if width * height * components >= _TENSORFLOW_SAMPLES and components != 4:
        problem = f"a JPEG of {width} x {height} pixels, more than TensorFlow decodes"
    progressive = frame in (_PROGRESSIVE, _PROGRESSIVE_ARITHMETIC)
    return ImageFacts(
        "jpeg", width, height, components, bits, progressive, transform, problem=problem
    )
