"""What is written in the package's code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and value of each text in a module that is no docstring."""
    tree = ast.parse(path.read_text())
    docstrings: set[ast.AST] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for each in body if isinstance(body, list) else []:
            if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
                docstrings.add(each.value)  # Of attributes as well.
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in docstrings and type(node.value) is str:
            yield node.lineno, node.value
