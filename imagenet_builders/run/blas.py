"""Threads for linear algebra, which nothing here does."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Environment in which NumPy's OpenBLAS starts no thread for each CPU; these spin for a while."""


@contextlib.contextmanager
def without_threads() -> Iterator[None]:
    """Where NumPy is imported first, it starts no threads, unless the user has said how many.

    OpenBLAS looks at the environment only when it is loaded, so what this process starts later has
    the user's environment.
    """
    new = {name: value for name, value in ONE_THREAD.items() if name not in os.environ}
    if "numpy" in sys.modules:
        new = {}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
