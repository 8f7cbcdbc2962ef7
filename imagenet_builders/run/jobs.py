"""DOCSTRING of run/jobs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Report = Callable[[int, int], None]
"""Called with the images and bytes done since the last call."""


def load_function(reference: str) -> Callable[..., Any]:
    """The function that `module:function` names."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function
