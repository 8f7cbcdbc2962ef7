"""What must be unpacked, and what is looked at to know it."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from imagenet_builders.sources.unpacking import is_compressed_file


def test_a_file_is_looked_at_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(gzip.compress(b"content"))
    opened: list[str] = []
    active = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if active and event == "open" and str(arguments[0]) == str(path):
            opened.append(event)

    sys.addaudithook(hook)
    assert [is_compressed_file(path) for _ in range(3)] == [True] * 3
    assert len(opened) == 1
    path.write_bytes(b"another content")
    opened.clear()
    assert [is_compressed_file(path) for _ in range(3)] == [False] * 3
    assert len(opened) == 1
    active = False
