"""Whatever is in a file that should have a JSON object."""

from __future__ import annotations

import pytest

from imagenet_builders.files.json_object import json_object


def test_an_object_is_read() -> None:
    assert json_object(b'{"name": ["a", 1, null]}') == {"name": ["a", 1, None]}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[1]", b'"text"', b'{"a": 1} b', b"\xff\xfe\x00", b"[" * 100_000],
    ids=["empty", "cut off", "null", "list", "text", "more", "no text", "nested"],
)
def test_anything_else_is_none(content: bytes) -> None:
    assert json_object(content) is None
