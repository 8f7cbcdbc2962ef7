"""Makes piles."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

from toys.toy_kind.kind import CRC, ENTRY, HEAD, MARK


def write_pile(path: Path, images: Mapping[str, bytes]) -> Path:
    """Writes images by name, in their order, to a pile."""
    body = b"".join(
        ENTRY.pack(len(name), len(data)) + name.encode() + data + CRC.pack(zlib.crc32(data))
        for name, data in images.items()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEAD.pack(MARK, len(images), HEAD.size + len(body)) + body)
    return path
