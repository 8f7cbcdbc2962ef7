"""What other processes do with a data source, which find it wherever tests are run from."""

from __future__ import annotations

from typing import Any


def name_of(source: Any, number: int) -> bytes:
    """The file name of an example."""
    name: bytes = source[number]["file_name"]
    return name
