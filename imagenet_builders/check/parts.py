"""Finds archives that somebody split into parts, and says how to put them together."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterable, Iterator

from imagenet_builders.formats.signatures import Signature

_ARCHIVE = r"\.(?:tar(?:\.(?:gz|bz2|xz|zst|lz4))?|tgz|tbz2|txz|zip|gz|7z|npz)"
_FORMS = (
    # a.tar.001, a.tar.partaa, a.tar.part-00, a.tar_part1, a.taraa
    re.compile(
        rf"(?P<whole>.+?{_ARCHIVE})(?P<by>[._-]?(?:part[._-]?)?)(?P<which>[0-9]{{1,5}}|[a-z]{{2}})"
    ),
    # a.part1.tar, a_part1.tar
    re.compile(
        rf"(?P<stem>.+?)(?P<by>[._-]part[._-]?)(?P<which>[0-9]{{1,5}}|[a-z]{{2}})(?P<end>{_ARCHIVE})"
    ),
    # a.z01, beside a.zip, which is the last part
    re.compile(r"(?P<stem>.+)(?P<by>\.z)(?P<which>[0-9]{2,5})"),
)
# Endings of two letters that are no parts.
_ENDINGS = frozenset({"gz", "xz", "lz", "md", "db"})
_ZIP = ".z"
_NAMED = 12


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of an archive.

    Attributes:
        whole: Name of the archive that they make.
        names: Their names, in order.
        lacking: Names of parts before the last of these that are not there.
        in_order: The names of both.
        by_zip: Whether zip split it and marked the parts; others need only be joined.
    """

    whole: str
    names: tuple[str, ...]
    lacking: tuple[str, ...] = ()
    in_order: tuple[str, ...] = ()
    by_zip: bool = False

    @property
    def sentence(self) -> str:
        """What they are, in words."""
        are = "is a part" if len(self.names) == 1 else "are parts"
        lacking = f"; not there: {_listed(self.lacking)}" if self.lacking else ""
        return f"{_listed(self.names)} {are} of {self.whole}{lacking}"

    @property
    def action(self) -> str:
        """What to do with them, in words."""
        if self.by_zip:
            join = f"zip -s 0 {shlex.quote(self.whole)} --out {shlex.quote(f'whole_{self.whole}')}"
        else:
            names = [shlex.quote(name) for name in self.in_order]
            shown = names if len(names) <= _NAMED else [*names[:2], "...", names[-1]]
            shown += ["..."] if len(names) == 1 else []
            join = f"cat {' '.join(shown)} > {shlex.quote(self.whole)}"
        if self.lacking or len(self.names) == 1:
            return f"get the other parts, then put all together, in order: {join}"
        return f"put them together, in this order: {join}"


@dataclasses.dataclass(frozen=True)
class _Family:
    """Names that differ in what counts them.

    Attributes:
        whole: Name of the archive.
        before: What stands before the count.
        after: What stands behind it.
        by: What says that it is a count.
        in_letters: Whether it counts from `aa`, not from 0 or 1.
    """

    whole: str
    before: str
    after: str
    by: str
    in_letters: bool

    def name(self, number: int, width: int) -> str:
        """The name of a part."""
        which = f"{number:0{width}}"
        if self.in_letters:
            which = chr(ord("a") + number // 26) + chr(ord("a") + number % 26)
        return f"{self.before}{which}{self.after}"


def are_archives(first: Signature | None, second: Signature | None) -> bool:
    """Whether the first two parts begin as archives of their own do.

    Args:
        first: What the first one begins with.
        second: What the second one begins with.
    """
    return first is not None and first == second


def find(names: Iterable[str]) -> Iterator[Parts]:
    """Finds the parts among the names of the files of a directory.

    Yields:
        Each archive that is in parts.
    """
    there = frozenset(names)
    families: dict[_Family, dict[int, str]] = {}
    for name in sorted(there):
        match = next(filter(None, (form.fullmatch(name) for form in _FORMS)), None)
        if match is not None and match["which"] not in _ENDINGS:
            family = _family(name, match)
            which = match["which"]
            if family.in_letters:
                number = 26 * (ord(which[0]) - ord("a")) + ord(which[1]) - ord("a")
            else:
                number = int(which)
            families.setdefault(family, {})[number] = name
    for family, members in families.items():
        if _is_split(family, members, there):
            yield _parts(family, members, there)


def _family(name: str, match: re.Match[str]) -> _Family:
    start, end = match.span("which")
    found = match.groupdict()
    ending = ".zip" if found["by"] == _ZIP else found.get("end")
    whole = found.get("whole") or f"{found['stem']}{ending}"
    return _Family(whole, name[:start], name[end:], found["by"], match["which"].isalpha())


def _is_split(family: _Family, members: dict[int, str], there: frozenset[str]) -> bool:
    """Whether names are those of parts: browsers and wget number copies, too (`a.tar.1`)."""
    if "part" in family.by or family.by == _ZIP:
        return True
    if family.whole in there:
        return False
    is_padded = any(name[len(family.before)] == "0" for name in members.values())
    if family.in_letters:
        return 0 in members
    return is_padded or (len(members) > 1 and min(members) <= 1)


def _parts(family: _Family, members: dict[int, str], there: frozenset[str]) -> Parts:
    names = [members[number] for number in sorted(members)]
    width = min(map(len, names)) - len(family.before) - len(family.after)
    first = 0 if family.in_letters or 0 in members else 1
    numbers = (number for number in range(first, max(members)) if number not in members)
    absent = {number: family.name(number, width) for number in numbers}
    lacking = list(absent.values())
    known = absent | members
    in_order = tuple(known[number] for number in sorted(known))
    by_zip = family.by == _ZIP
    if by_zip:
        (names if family.whole in there else lacking).append(family.whole)
    return Parts(family.whole, tuple(names), tuple(lacking), in_order, by_zip)


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {more:,} more up to {names[-1]}" if more > 0 else shown
