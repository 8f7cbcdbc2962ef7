"""How numbers are worded for people: sizes in a unit that fits, plurals, durations.

>>> size_text(265_728), counted(1, "image"), counted(1_200, "image"), duration_text(4_000)
('266 kB', '1 image', '1,200 images', '1:06:40')
"""

from __future__ import annotations

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def size_text(size: int) -> str:
    """A number of bytes in the unit that fits, in about six characters."""
    for unit, factor in _UNITS:
        if size >= factor:
            return f"{size / factor:.{0 if size >= 100 * factor else 1}f} {unit}"
    return f"{size} B"


def sizes_apart(size: int, other: int) -> tuple[str, str]:
    """Two numbers of bytes that a message compares: exact where their short forms are the same.

    >>> sizes_apart(148_400_000_000, 148_100_000_000)
    ('148,400,000,000 bytes', '148,100,000,000 bytes')
    """
    texts = size_text(size), size_text(other)
    if texts[0] == texts[1]:
        return counted(size, "byte"), counted(other, "byte")
    return texts


def counted(count: int, what: str, plural: str | None = None) -> str:
    """A number and what it counts, in the singular or the plural.

    >>> counted(0, "shard"), counted(1, "archive"), counted(2, "class", "classes")
    ('0 shards', '1 archive', '2 classes')
    """
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def duration_text(seconds: float) -> str:
    """A duration as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
