"""Protobuf's numbers in base 128, and the error for bytes that are not what they should be.

Source: protobuf's "Encoding".
"""

from __future__ import annotations


class DamageError(ValueError):
    """The bytes are not what they should be; the message is all of the attributes.

    Attributes:
        what: What is wrong.
        expected: What should be there, or None.
        found: What is there, or None.
    """

    def __init__(self, what: str, expected: str | None = None, found: str | None = None):
        super().__init__(
            what if expected is None else f"{what}: expected {expected}, found {found}"
        )
        self.what, self.expected, self.found = what, expected, found


def encode_varint(number: int) -> bytes:
    """A number in base 128, a negative one as its 64-bit two's complement."""
    number &= 0xFFFFFFFFFFFFFFFF
    if number < 0x80:
        return _SMALL[number]
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SMALL = [bytes([number]) for number in range(0x80)]


def decode_varint(data: bytes, at: int, end: int, base: int = 0) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends.

    Args:
        data: The bytes.
        at: Where the number begins in them.
        end: Where it must have ended.
        base: Where the data begin, for messages.

    Returns:
        The number, from 0 to 2**64 - 1, and the position behind it.

    Raises:
        DamageError: It is cut off, larger, or not in the fewest bytes, as all writers have it.
    """
    number = shift = 0
    position = at
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >> 64 or (shift and not byte):
                break
            return number, position
        shift += 7
    raise DamageError(f"the number at byte {base + at:,} is too long or cut off")


def signed(number: int) -> int:
    """The number whose 64-bit two's complement is given."""
    return number - (1 << 64) if number >> 63 else number
