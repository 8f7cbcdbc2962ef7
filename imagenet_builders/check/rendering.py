"""A report as text for people, as wide as the terminal, and as JSON for scripts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
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
    Other,
    Place,
    Report,
    Row,
)
from imagenet_builders.run.terminal import fitting, wrapped
from imagenet_builders.sources import kinds
from imagenet_builders.sources.inspection import ERROR, Problem
from imagenet_builders.words import all_printable, counted, size_text
from imagenet_builders.write.space import under

# Longer lines are hard to read; the table may have them.
_MAX_PROSE = 100
# A reader does not recognise a path in a narrower column.
_MIN_SOURCE = 20
# In less, what stands before a line leaves too little of it.
_NARROW = 60

_HEADINGS = ("split", "source", "kind", "expected", "found", "size", "official", "verdict")
_RIGHT = frozenset({"expected", "found", "size", "official"})
_GAP = "  "
# So many of the things that are not read are named.
_OTHERS = 20

_RED, _YELLOW, _GREEN, _BOLD, _DIM = "31", "33", "32", "1", "2"
_COLOURS = {BAD: _RED, MISSING: _YELLOW, ODD: _YELLOW, OK: _GREEN, LISTED: _GREEN, OFFICIAL: _GREEN}


def uses_colour(stream: TextIO) -> bool:
    """Whether to write in colours: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def text(report: Report, *, colour: bool = False, width: int = _MAX_PROSE) -> str:
    """A report for people.

    Args:
        report: The report.
        colour: Whether to write in colours.
        width: Columns of a line, at least 20; only a path alone may be longer.
    """
    return "".join(f"{line}\n" for line in _Page(all_printable(report), colour, width).lines())


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
        "others": [
            {"path": str(each.path), "count": each.count, "what": each.what, "action": each.way}
            for each in report.others
        ],
        "notes": list(report.notes),
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
        "unread": row.unread or None,
        "hashes": {path: dict(hashes) for path, hashes in row.hashes.items()},
    }


def _place_document(place: Place) -> dict[str, Any]:
    return {
        "path": str(place.path),
        "bytes": place.needed,
        "free_bytes": place.free,
        "files": place.files,
        "free_files": place.free_files,
        "quota": place.quota,
        "files_quota": place.files_quota,
        "quotas_seen": place.quotas_seen,
    }


@dataclasses.dataclass(frozen=True)
class _Page:
    """Writes a report, line by line."""

    report: Report
    colour: bool
    width: int

    def lines(self) -> Iterator[str]:
        report = self.report
        yield str(report.manual_dir)
        if report.rows:
            yield ""
            yield from self._table(report.rows)
        if report.problems:
            yield ""
            yield self._painted(f"{_counted(report.problems)}:", _BOLD)
        for number, problem in enumerate(report.problems, start=1):
            yield ""
            yield from self._problem(number, problem)
        if report.others:
            yield ""
            yield from self._others(report.others)
        for note in report.notes:
            yield ""
            yield from self._wrapped(note)
        if report.needs is not None:
            yield ""
            yield from self._needs(report.needs)
        if report.speed is not None:
            yield ""
            for line in report.speed.lines():
                yield from self._wrapped(line, hang="    ")
            yield from self._wrapped(f"Advice: {report.speed.advice}.")
        yield ""
        yield from self._unread()
        words, colour = self._conclusion()
        yield from (self._painted(line, colour) for line in self._wrapped(words))

    def _table(self, rows: Sequence[Row]) -> Iterator[str]:
        places = _places(rows)
        cells = [_cells(row, places[row.name]) for row in rows]
        columns = list(zip(_HEADINGS, *cells, strict=True))
        widths = [max(map(len, column)) for column in columns]
        # The source has the columns that the others leave, or its own line if these are too few. If
        # the others do not fit either, each row has some lines.
        left = self.width - sum(widths) + widths[1] - len(_GAP) * len(widths)
        if left + len(_GAP) < 0:
            yield from self._stacked(rows, cells, places)
            return
        is_beneath = left < min(widths[1], _MIN_SOURCE)
        widths[1] = 0 if is_beneath else min(widths[1], left)
        yield self._painted(_line(_HEADINGS, widths), _DIM)
        name = ""
        for row, texts in zip(rows, cells, strict=True):
            if row.name != name:
                name = row.name
                yield from self._heading(name, places[name])
            line = _line(texts, widths)
            colour = _COLOURS.get(row.verdict)
            if colour is not None:
                line = line.removesuffix(row.verdict) + self._painted(row.verdict, colour)
            yield line
            if is_beneath and texts[1] != "-":
                yield f"      {fitting(texts[1], self.width - 6)}"
            if row.note:
                yield from self._wrapped(row.note, " " * 6)

    def _stacked(
        self,
        rows: Sequence[Row],
        cells: Sequence[Sequence[str]],
        places: Mapping[str, Path | None],
    ) -> Iterator[str]:
        """The table for a narrow terminal: the verdict first, and beneath it the other columns."""
        name = ""
        splits = max(len(texts[0]) for texts in cells)
        for row, texts in zip(rows, cells, strict=True):
            if row.name != name:
                name = row.name
                yield from self._heading(name, places[name])
            verdict = self._painted(row.verdict, _COLOURS.get(row.verdict, ""))
            yield f"  {texts[0]:<{splits}}  {verdict}"
            if texts[1] != "-":
                yield f"      {fitting(texts[1], self.width - 6)}"
            yield from self._wrapped(", ".join(_facts(row)), " " * 6)
            if row.note:
                yield from self._wrapped(row.note, " " * 6)

    def _heading(self, name: str, place: Path | None) -> Iterator[str]:
        """The name of a dataset and where it is."""
        first, *more = self._wrapped(f"{name}{_below(place, self.report.manual_dir)}", hang="  ")
        yield self._painted(name, _BOLD) + first.removeprefix(name)
        yield from more

    def _problem(self, number: int, problem: Problem) -> Iterator[str]:
        path = problem.path
        whom = f" ({', '.join(problem.datasets)})" if problem.datasets else ""
        if len(f"{number}. {problem.severity}: {path}{whom}") > self.width:
            whom = ""
        # In a log, programs look for both in one line.
        too_long = len(f"{number}. {problem.severity}: {path}") > self.width
        is_beneath = too_long and self.width < _MAX_PROSE
        colour = _RED if problem.severity == ERROR else _YELLOW
        start = f"{number}. {self._painted(problem.severity, colour)}:"
        yield from (start, f"   {path}") if is_beneath else (f"{start} {path}{whom}",)
        for what, words in (
            ("expected", problem.expected),
            ("found", problem.found),
            ("likely", problem.cause),
            ("do", problem.action),
        ):
            if words:
                is_narrow = self.width < _NARROW
                before = f"   {what}: " if is_narrow else f"   {what:<10}"
                yield from self._wrapped(words, before, hang=" " * 5 if is_narrow else None)

    def _others(self, others: Sequence[Other]) -> Iterator[str]:
        yield self._painted("Also there, and not read:", _BOLD)
        for other in [other for other in others if other.what][:_OTHERS]:
            yield from self._wrapped(self._other(other), "  ")
            way = f": {other.way}" if other.way else ""
            yield from self._wrapped(f"{other.what}{way}", " " * 6)
        left = [other for other in others if other.what][_OTHERS:]
        left += [other for other in others if not other.what]
        if left:
            shown = ", ".join(self._other(other) for other in left[:_OTHERS])
            more = f", and {counted(len(left) - _OTHERS, 'other')}" if len(left) > _OTHERS else ""
            yield from self._wrapped(f"of no kind that is known: {shown}{more}", "  ")

    def _other(self, other: Other) -> str:
        path, root = Path(os.path.abspath(other.path)), os.path.abspath(self.report.manual_dir)
        name = str(path.relative_to(root) if path.is_relative_to(root) else path)
        more = f" and {other.count - 1:,} more like it" if other.count > 1 else ""
        return f"{name}{'/' if other.is_folder else ''}{more}"

    def _needs(self, needs: Needs) -> Iterator[str]:
        yield "A build needs about:"
        for what, place in (("datasets", needs.output), ("scratch", needs.scratch)):
            room = []
            if place.free is not None:
                room.append(f"{size_text(place.free)} free{under(place.quota)}")
            if place.free_files is not None:
                files_free = f"room for {counted(place.free_files, 'file')}"
                room.append(f"{files_free}{under(place.files_quota)}")
            if room and not place.quotas_seen:
                room.append("quotas not seen")
            there = f"; there: {', '.join(room)}" if room else ""
            files = f" in {counted(place.files, 'file')}" if what == "datasets" else ""
            yield from self._wrapped(f"{size_text(place.needed)}{files}{there}", f"  {what:<9} ")
            yield from self._wrapped(f"in {place.path}", " " * 12)
            if what == "scratch" and needs.copies is not None:
                copies = f"{size_text(needs.copies)} of it for copies (--stage)"
                yield from self._wrapped(copies, " " * 12)
        if needs.unknown:
            unknown = ", ".join(needs.unknown)
            yield from self._wrapped(f"not counted, for nobody knows its size: {unknown}", "  ")

    def _unread(self) -> Iterator[str]:
        """What a build will read and the check has not, so that nobody takes it for sound."""
        unread = dict.fromkeys(
            row.unread for row in self.report.rows if row.preferred and row.unread
        )
        if unread and self.report.can_be_built:
            yield from self._wrapped(f"Not looked at: {'; '.join(unread)}. --deep reads them.")

    def _conclusion(self) -> tuple[str, str]:
        """The last words, and their colour."""
        report = self.report
        built = any(row.verdict not in (MISSING, BAD) and row.preferred for row in report.rows)
        what = "Everything asked for" if report.asked_for else "Everything found"
        if report.can_be_built:
            return f"{what} can be built.", _GREEN
        if not report.asked_for and not built:
            return "Nothing can be built.", _RED
        return "Not everything can be built: see the errors.", _RED

    def _wrapped(self, words: str, before: str = "", *, hang: str | None = None) -> list[str]:
        """Words in lines; `before` stands before the first, and `hang` before the others."""
        return wrapped(words, min(self.width, _MAX_PROSE), before, hang)

    def _painted(self, words: str, code: str) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if self.colour and code else words


def _places(rows: Sequence[Row]) -> dict[str, Path | None]:
    """Each dataset's directory, which all its sources are in."""
    parents: dict[str, list[Path]] = {}
    for row in rows:
        parents.setdefault(row.name, []).extend(path.parent for path in row.paths)
    return {
        name: Path(os.path.commonpath(paths)) if paths else None for name, paths in parents.items()
    }


def _below(place: Path | None, manual_dir: Path) -> str:
    """The directory of a dataset in words, if it is not `manual_dir` itself."""
    if place is None or place == manual_dir:
        return ""
    shown = place.relative_to(manual_dir) if place.is_relative_to(manual_dir) else place
    return f" in {shown}"


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


def _facts(row: Row) -> Iterator[str]:
    """The columns of a row in words."""
    if row.kind:
        yield row.kind
    if row.size is not None:
        yield size_text(row.size)
    if row.official_size is not None:
        yield f"{size_text(row.official_size)} official"
    if row.part != "images":
        return
    if row.images_found is not None:
        expected = row.images_expected
        of = "" if expected is None else f"{row.images_found:,} of "
        yield of + counted(row.images_found if expected is None else expected, "image")
    elif row.images_expected is not None:
        yield f"{counted(row.images_expected, 'image')} expected"


def _source(row: Row, place: Path | None) -> str:
    if not row.paths or place is None:
        return "-"
    first = row.paths[0]
    shown = str(first.relative_to(place))
    if kinds.kind(row.kind).form == "folder":
        shown += "/"
    more = len(row.paths) - 1
    return f"{shown} +{more:,}" if more else shown


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for heading, cell, width in zip(_HEADINGS, cells, widths, strict=True):
        if width:
            cut = fitting(cell, width)
            parts.append(cut.rjust(width) if heading in _RIGHT else cut.ljust(width))
    return (_GAP + _GAP.join(parts)).rstrip()


def _counted(problems: Sequence[Problem]) -> str:
    errors = sum(problem.severity == ERROR for problem in problems)
    numbers = ((errors, "error"), (len(problems) - errors, "warning"))
    return ", ".join(counted(number, word) for number, word in numbers if number)
