"""What `check` says of a zip archive whose directory cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

from imagenet_builders.sources import zip_inspection


def found(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with path.open("rb") as stream:
        wrong, names = zip_inspection.inspect(path, stream.fileno(), os.path.getsize(path))
    assert wrong is not None
    assert names is None
    return wrong.found


def test_what_was_found_is_said_without_the_advice(tmp_path: Path) -> None:
    """The report has a line of its own for that."""
    cut = found(tmp_path / "a.zip", b"PK\3\4" + bytes(100))
    assert cut == "the archive has no end: it is cut off, or something was added to it"
    end = b"PK\5\6" + bytes(4) + b"\1\0\1\0" + b"\x40\0\0\0" + b"\x10\0\0\0" + bytes(2)
    damaged = found(tmp_path / "b.zip", b"PK\3\4" + bytes(200) + end)
    assert "copy the archive again" not in damaged
    assert "at byte " in damaged
