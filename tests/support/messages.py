"""The messages in the code of the package, and the patterns of the page that explains them.

A message in the code is a text with gaps, `…`, where values go; so is a pattern on the page. They
belong together if all that the one says between its gaps is in the other, in the same order.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

from support.paths import ROOT

PACKAGE = ROOT / "imagenet_builders"
PAGE = ROOT / "docs" / "steward" / "troubleshooting.md"

GAP = "…"

# A term of a definition list that is code: a message, or the beginning of one.
_TERM = re.compile(r"^`([^`]+)`$", re.MULTILINE)

# Arguments of calls that are no messages.
_NO_MESSAGES = {"help", "description", "metavar", "epilog"}


def patterns() -> list[str]:
    """The messages on the page, in order."""
    return _TERM.findall(PAGE.read_text())


def in_the_code(pattern: str) -> bool:
    """Whether a text in the code says all that a pattern says."""
    return any(_says(text, pattern) for text in texts())


def belong_together(one: str, other: str) -> bool:
    """Whether a text with gaps says all that the other says, or the reverse."""
    return _says(one, other) or _says(other, one)


def _says(text: str, less: str) -> bool:
    at = 0
    for part in less.split(GAP):
        part = part.strip()
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


@functools.cache
def texts() -> dict[str, str]:
    """Each text in the code that has words, with its gaps, to where it is."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        constants = _constants(tree)
        for line, text in _texts(tree, constants):
            found.setdefault(text, f"{path.relative_to(ROOT)}:{line}")
    return found


@functools.cache
def messages() -> dict[str, str]:
    """Each text that is raised, warned of or reported, to where it is."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        constants = _constants(tree)
        for node in ast.walk(tree):
            if not _is_said(node):
                continue
            for line, text in _texts(node, constants):
                found.setdefault(text, f"{path.relative_to(ROOT)}:{line}")
    return found


def error_classes() -> set[str]:
    """The names of the errors of the package."""
    tree = ast.parse((PACKAGE / "errors.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def _is_said(node: ast.AST) -> bool:
    """Whether a statement or call says something to people."""
    if isinstance(node, ast.Raise):
        return True
    if not isinstance(node, ast.Call):
        return False
    words = r"warn|warning|info|error|announce|say|add_note|\w*Error|Problem"
    return bool(re.fullmatch(words, _name_of(node).lstrip("_")))


def _name_of(call: ast.Call) -> str:
    """The name of what is called."""
    return ast.unparse(call.func).rpartition(".")[2]


def _texts(root: ast.AST, constants: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Line and text of all that has three words and is no docstring, the largest texts only."""
    waiting: list[ast.AST] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
            for text in _rendered(node, constants):
                if text.count(" ") >= 2 and re.search(r"[a-z]{2}", text):
                    yield node.lineno, text
            if not isinstance(node, ast.BinOp) or _rendered(node, constants):
                continue
        for _, value in ast.iter_fields(node):
            if isinstance(node, ast.Expr) and isinstance(value, ast.Constant):
                continue
            if isinstance(node, ast.keyword) and node.arg in _NO_MESSAGES:
                continue
            values = value if isinstance(value, list) else [value]
            waiting += [each for each in values if isinstance(each, ast.AST)]


def _constants(tree: ast.Module) -> dict[str, str]:
    """Names of a module that stand for one text."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            for text in _rendered(node.value, found)[:1]:
                found[ast.unparse(node.targets[0])] = text
    return found


def _plural(call: ast.Call) -> str:
    """What `words.counted` says after the number of several things."""
    words = [str(each.value) for each in call.args[1:] if isinstance(each, ast.Constant)]
    return words[1] if len(words) == 2 else f"{words[0]}s" if words else ""


def _rendered(node: ast.AST, constants: dict[str, str]) -> list[str]:
    """The texts that an expression may be; none if it is not one made of texts."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        texts = [""]
        for part in node.values:
            more = [GAP]
            if isinstance(part, ast.Constant):
                more = [str(part.value)]
            elif isinstance(part, ast.FormattedValue):
                value = part.value
                if isinstance(value, ast.Name) and value.id in constants:
                    more = [constants[value.id]]
                elif isinstance(value, ast.IfExp):
                    more = _rendered(value, constants) or [GAP]
                elif isinstance(value, ast.Call) and _name_of(value) == "counted":
                    more = [f"{GAP} {_plural(value)}"]
            texts = [before + after for before in texts for after in more]
        return texts
    if isinstance(node, ast.IfExp):
        return [
            text
            for each in (node.body, node.orelse)
            for text in _rendered(each, constants) or [GAP]
        ]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _rendered(node.left, constants), _rendered(node.right, constants)
        if left or right:
            return [a + b for a in left or [GAP] for b in right or [GAP]]
    return []
