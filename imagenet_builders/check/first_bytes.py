"""Says what a file is, from its status and its first bytes; nothing is waited for."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from imagenet_builders.formats import signatures
from imagenet_builders.formats.signatures import Signature


class FirstBytes(NamedTuple):
    """What a file shows at its beginning.

    Attributes:
        size: Its bytes; None where it cannot be read or is no plain file.
        signature: The format, or None where it is not known.
        is_zeros: Whether the bytes are zeros.
        leads_to: Where the file is a link that leads nowhere: what it names; else empty.
    """

    size: int | None
    signature: Signature | None = None
    is_zeros: bool = False
    leads_to: str = ""

    @property
    def words(self) -> str:
        """What the file is, where that contradicts any name; else empty."""
        if self.leads_to:
            return f"a link to {self.leads_to}, which is not there"
        if self.size == 0:
            return "an empty file (0 bytes)"
        if self.signature in (signatures.GIT_LFS, signatures.HTML):
            return self.signature.name
        return "zeros, as of a copy or download that is not done" if self.is_zeros else ""

    @property
    def action(self) -> str:
        """What to do about that."""
        if self.leads_to:
            if "/blobs/" in f"/{self.leads_to}":
                return (
                    "it belongs to a cache of Hugging Face that is not complete or was moved: "
                    "download there once more, which fetches only what is lacking, or bring the "
                    "folder blobs/ to where the link leads"
                )
            return "bring the file that it names, or mend the link"
        if self.signature is not None and self.size:
            return self.signature.action
        return "finish the download or copy"


def first_bytes(path: Path) -> FirstBytes:
    """Reads the beginning of a file.

    Args:
        path: The file; not opened unless it is a plain one, or a link to one.

    Returns:
        What it shows.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return FirstBytes(None)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        with contextlib.suppress(OSError):
            return FirstBytes(None, leads_to=_target(path))
        return FirstBytes(None)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return FirstBytes(None)
        block = os.pread(fd, signatures.BYTES, 0)
        signature = signatures.recognise(block)
        return FirstBytes(status.st_size, signature, bool(block) and not any(block))
    except OSError:
        return FirstBytes(None)
    finally:
        os.close(fd)


def _target(path: Path) -> str:
    """What a link names that is not there."""
    named = os.readlink(path)
    return "" if os.path.exists(path) else named
