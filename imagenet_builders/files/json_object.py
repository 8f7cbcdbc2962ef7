"""JSON in files that others may write to, or that may be damaged."""

from __future__ import annotations

import json
from typing import Any


def json_object(content: bytes) -> dict[str, Any] | None:
    """The JSON object that a file has; None for anything else, however it is damaged.

    >>> json_object(b'{"a": 1}'), json_object(b"[1]"), json_object(b'{"a"')
    ({'a': 1}, None, None)
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
