"""Seals of what processes exchange by files: only who has the key can have made them.

A job names the function that does it, and an outcome decides what is published. So each file begins
with an HMAC over its name and its content, and is read only if that is right. The key is new for
each list of jobs and travels with the runner's own items, never by a file.
"""

from __future__ import annotations

import hmac
import secrets

_HASH = "sha256"
_BYTES = 32


def new_key() -> str:
    """A new key, as text."""
    return secrets.token_hex(_BYTES)


def sealed(key: str, name: str, content: bytes) -> bytes:
    """Content with its seal.

    Args:
        key: The key.
        name: Name of the file; content that is right in one file is none in another.
        content: What to seal.
    """
    return _seal(key, name, content) + content


def unsealed(key: str, name: str, data: bytes) -> bytes | None:
    """The content of what `sealed` made; None if the seal is not that of this key and name."""
    seal, content = data[:_BYTES], data[_BYTES:]
    return content if hmac.compare_digest(seal, _seal(key, name, content)) else None


def _seal(key: str, name: str, content: bytes) -> bytes:
    made = hmac.new(bytes.fromhex(key), name.encode() + b"\0", _HASH)
    made.update(content)
    return made.digest()
