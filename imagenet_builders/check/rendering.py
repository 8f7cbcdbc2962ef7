"""A report as text for people, in at most 100 columns, and as JSON for scripts."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from imagenet_builders.check.report import (
    BAD,
    LISTED,
    MISSING,
    ODD,
    OFFICIAL,
    OK,
    Needs,
    Place,
    Report,
    Row,
)
from imagenet_builders.check.speed import Speed
from imagenet_builders.sources import kinds
from imagenet_builders.sources.inspection import ERROR, Problem
from imagenet_builders.words import size_text

WIDTH = 100

_HEADINGS = ("split", "source", "kind", "expected", "found", "size", "official", "verdict")
_RIGHT = frozenset({"expected", "found", "size", "official"})
_GAP = "  "

_RED, _YELLOW, _GREEN, _BOLD, _DIM = "31", "33", "32", "1", "2"
_COLOURS = {BAD: _RED, MISSING: _YELLOW, ODD: _YELLOW, OK: _GREEN, LISTED: _GREEN, OFFICIAL: _GREEN}


def uses_colour(stream: TextIO) -> bool:
    """Whether to write in colours: to a terminal, and if nobody objects (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def text(report: Report, *, colour: bool = False) -> str:
    """A report for people.

    Args:
        report: The report.
        colour: Whether to write in colours.

    Returns:
        Lines of at most 100 columns, except where a path alone is longer.
    """
    lines = [_printable(str(report.manual_dir))]
    lines += _table(report, colour=colour)
    problems = report.problems
    errors = sum(problem.severity == ERROR for problem in problems)
    if problems:
        lines += ["", _painted(f"{_counted(errors, len(problems) - errors)}:", _BOLD, colour)]
    for number, problem in enumerate(problems, start=1):
        lines += ["", *_problem(number, problem, colour=colour)]
    if report.needs is not None:
        lines += ["", *_needs(report.needs)]
    if report.speed is not None:
        lines += ["", *_speed(report.speed)]
    lines += ["", _conclusion(report, colour=colour)]
    return "".join(f"{line}\n" for line in lines)


def _printable(words: str) -> str:
    """The same without what a name of a file may hold, such as what moves a terminal's cursor."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)


def document(report: Report) -> dict[str, Any]:
    """A report for scripts; docs/reference/json-documents.md has its keys, which stay."""
    return {
        "manual_dir": str(report.manual_dir),
        "asked_for": list(report.asked_for),
        "can_be_built": report.can_be_built,
        "sources": [_row_document(row) for row in report.rows],
        "problems": [
            {
                "severity": problem.severity,
                "datasets": list(problem.datasets),
                "path": problem.path,
                "expected": problem.expected,
                "found": problem.found,
                "cause": problem.cause,
                "action": problem.action,
            }
            for problem in report.problems
        ],
        "needs": None
        if report.needs is None
        else {
            "output": _place_document(report.needs.output),
            "scratch": _place_document(report.needs.scratch),
            "same_file_system": report.needs.same_device,
            "not_estimated": list(report.needs.unknown),
            "copies_bytes": report.needs.copies,
        },
    } | ({} if report.speed is None else {"speed": report.speed.document()})


def _row_document(row: Row) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "config": row.config,
        "split": row.split,
        "part": row.part,
        "kind": row.kind or None,
        "layout": row.layout or None,
        "paths": [str(path) for path in row.paths],
        "preferred": row.preferred,
        "images_expected": row.images_expected,
        "images_found": row.images_found,
        "bytes": row.size,
        "official_bytes": row.official_size,
        "verdict": row.verdict,
        "note": row.note or None,
        "hashes": {path: dict(hashes) for path, hashes in row.hashes.items()},
    }


def _place_document(place: Place) -> dict[str, Any]:
    return {
        "path": str(place.path),
        "bytes": place.needed,
        "free_bytes": place.free,
        "files": place.files,
        "free_files": place.free_files,
    }


def _table(report: Report, *, colour: bool) -> Iterator[str]:
    rows = report.rows
    if not rows:
        return
    places = _places(rows)
    cells = [_cells(row, places[row.name]) for row in rows]
    columns = list(zip(_HEADINGS, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    # The source takes what the others leave.
    others = sum(widths) - widths[1] + len(_GAP) * len(widths)
    widths[1] = max(12, min(widths[1], WIDTH - others))
    yield ""
    yield _painted(_line(_HEADINGS, widths), _DIM, colour)
    name = ""
    for row, texts in zip(rows, cells, strict=True):
        if row.name != name:
            name = row.name
            yield _painted(name, _BOLD, colour) + _below(places[name], report.manual_dir)
        line = _line(texts, widths)
        painted = _COLOURS.get(row.verdict)
        if painted is not None and colour:
            line = line.removesuffix(row.verdict) + _painted(row.verdict, painted, colour)
        yield line
        if row.note:
            yield from textwrap.wrap(
                _printable(row.note), WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
            )


def _places(rows: Sequence[Row]) -> dict[str, Path | None]:
    """For each dataset, the directory that all its sources are in."""
    parents: dict[str, list[Path]] = {}
    for row in rows:
        parents.setdefault(row.name, []).extend(path.parent for path in row.paths)
    return {
        name: Path(os.path.commonpath(paths)) if paths else None for name, paths in parents.items()
    }


def _below(place: Path | None, manual_dir: Path) -> str:
    """Where a dataset is, if that is not `manual_dir` itself."""
    if place is None or place == manual_dir:
        return ""
    shown = place.relative_to(manual_dir) if place.is_relative_to(manual_dir) else place
    return _printable(f" in {shown}")


def _cells(row: Row, place: Path | None) -> tuple[str, ...]:
    def number(count: int | None) -> str:
        return "-" if count is None else f"{count:,}"

    def size(count: int | None) -> str:
        return "-" if count is None else size_text(count)

    return (
        row.split if row.part == "images" else f"+ {row.part}",
        _source(row, place),
        row.kind or "-",
        number(row.images_expected) if row.part == "images" else "",
        number(row.images_found) if row.part == "images" else "",
        size(row.size),
        size(row.official_size),
        row.verdict,
    )


def _source(row: Row, place: Path | None) -> str:
    if not row.paths or place is None:
        return "-"
    first = row.paths[0]
    shown = _printable(str(first.relative_to(place)))
    if kinds.kind(row.kind).form == "folder":
        shown += "/"
    more = len(row.paths) - 1
    return f"{shown} +{more:,}" if more else shown


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for heading, cell, width in zip(_HEADINGS, cells, widths, strict=True):
        fitting = cell if len(cell) <= width else _shortened(cell, width)
        parts.append(fitting.rjust(width) if heading in _RIGHT else fitting.ljust(width))
    return (_GAP + _GAP.join(parts)).rstrip()


def _shortened(path: str, width: int) -> str:
    """The ends of a path, which tell more than its middle."""
    tail = (width - 1) * 2 // 3
    return f"{path[: width - 1 - tail]}~{path[-tail:]}"


def _problem(number: int, problem: Problem, *, colour: bool) -> Iterator[str]:
    painted = _painted(problem.severity, _RED if problem.severity == ERROR else _YELLOW, colour)
    whom = f" ({', '.join(problem.datasets)})" if problem.datasets else ""
    path = _printable(problem.path)
    head = f"{number}. {problem.severity}: {path}{whom}"
    if len(head) > WIDTH:
        head = f"{number}. {problem.severity}: {path}"
    yield head.replace(problem.severity, painted, 1)
    for what, words in (
        ("expected", problem.expected),
        ("found", problem.found),
        ("likely", problem.cause),
        ("do", problem.action),
    ):
        if words:
            yield from textwrap.wrap(
                _printable(words),
                WIDTH,
                initial_indent=f"   {what:<10}",
                subsequent_indent=" " * 13,
                break_long_words=False,
                break_on_hyphens=False,
            )


def _needs(needs: Needs) -> Iterator[str]:
    yield "A build needs about:"
    for what, place in (("datasets", needs.output), ("scratch", needs.scratch)):
        room = []
        if place.free is not None:
            room.append(f"{size_text(place.free)} free")
        if place.free_files is not None:
            room.append(f"room for {place.free_files:,} files")
        there = f"; there: {', '.join(room)}" if room else ""
        files = f" in {place.files:,} files" if what == "datasets" else ""
        yield f"  {what:<9} {size_text(place.needed)}{files}{there}"
        yield f"            in {_printable(str(place.path))}"
        if what == "scratch" and needs.copies is not None:
            yield f"            {size_text(needs.copies)} of it for copies (--stage)"
    if needs.unknown:
        yield f"  not counted, for nobody knows its size: {', '.join(needs.unknown)}"


def _speed(speed: Speed) -> Iterator[str]:
    yield from speed.lines()
    yield from textwrap.wrap(f"Advice: {speed.advice}.", WIDTH, break_on_hyphens=False)


def _conclusion(report: Report, *, colour: bool) -> str:
    built = dict.fromkeys(
        row.name for row in report.rows if row.verdict not in (MISSING, BAD) and row.preferred
    )
    what = "Everything asked for" if report.asked_for else "Everything found"
    if report.can_be_built:
        return _painted(f"{what} can be built.", _GREEN, colour)
    if not report.asked_for and not built:
        return _painted("Nothing can be built.", _RED, colour)
    return _painted("Not everything can be built: see the errors.", _RED, colour)


def _counted(errors: int, warnings: int) -> str:
    parts = []
    if errors:
        parts.append(f"{errors} error{'s' if errors > 1 else ''}")
    if warnings:
        parts.append(f"{warnings} warning{'s' if warnings > 1 else ''}")
    return ", ".join(parts)


def _painted(words: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{words}\x1b[0m" if colour else words
