"""The rules of the rooms that no linter knows: sizes, first sentences, where tests are.

Which room may import which is checked by import-linter, whose contract is in `pyproject.toml`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT, TESTS

PACKAGE = ROOT / "imagenet_builders"
MODULES = sorted(PACKAGE.rglob("*.py"))
SUPPORT = sorted((TESTS / "support").rglob("*.py"))
MOST_LINES = 400


def named(paths: Iterator[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_every_module_can_be_read_in_one_sitting() -> None:
    long = (p for p in [*MODULES, *SUPPORT] if p.read_text().count("\n") > MOST_LINES)
    assert named(long) == []


def test_every_module_begins_with_one_sentence_on_one_line() -> None:
    first = {path: _first_paragraph(path) for path in [*MODULES, *SUPPORT]}
    bad = (path for path, text in first.items() if not re.fullmatch(r"[A-Z0-9`].*[.:]", text))
    assert named(bad) == []


def _first_paragraph(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]


def test_functions_are_referred_to_and_not_named_in_strings() -> None:
    """So that editors and type checkers follow them."""
    name = re.compile(r"[a-z_]+(\.[a-z_0-9]+)+:[A-Za-z_]+")
    found = [
        f"{path.relative_to(ROOT)}: {node.value}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and name.fullmatch(node.value)
    ]
    assert found == []


def test_every_unit_test_lies_where_its_module_does() -> None:
    """`test_tar.py` and `test_tar_damage.py` are of `tar.py`, or of a package of that name."""
    units = sorted((TESTS / "unit").rglob("test_*.py"))
    assert units
    assert named(unit for unit in units if not _has_module(unit)) == []


def _has_module(unit: Path) -> bool:
    folder = PACKAGE / unit.parent.relative_to(TESTS / "unit")
    words = unit.stem.removeprefix("test_").split("_")
    names = {"_".join(words[:count]) for count in range(1, len(words) + 1)}
    return folder.is_dir() and (
        folder.name in names
        or any((folder / f"{name}.py").is_file() or (folder / name).is_dir() for name in names)
    )


def test_nothing_is_imported_from_a_test_module() -> None:
    """What several need is in `support`, or a fixture in `conftest.py`."""
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name in _imports(path)
        if any(part.startswith("test_") or part == "conftest" for part in name.split("."))
    ]
    assert found == []


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
