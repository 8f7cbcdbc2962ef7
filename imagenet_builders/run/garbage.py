"""Garbage collections, where they only take time.

Python looks for garbage whenever many objects were made. Where all of them are to stay, such as the
modules of an import, or the hundred thousand members of an archive, it looks at all of them again
and again, and finds none.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Garbage collections in the block do not look at what was made before it."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collections; what is no longer used is freed as ever, but for cycles."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
