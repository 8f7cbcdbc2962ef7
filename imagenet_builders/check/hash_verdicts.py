"""Compares the hashes of staged files with the official ones and with the site's own lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from imagenet_builders.check import hashing, inspect_files, site_lists
from imagenet_builders.check.gather import Checked, is_file
from imagenet_builders.check.hashing import Hashed
from imagenet_builders.check.report import BAD, LISTED, OFFICIAL, OK, SPARE
from imagenet_builders.check.site_lists import Listed
from imagenet_builders.locate.official import OfficialArchive, official_archive
from imagenet_builders.sources import kinds
from imagenet_builders.sources.inspection import ERROR, WARNING, Problem


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the hashes of a file say.

    Attributes:
        verdict: `official`, `listed` (only in the site's own list), `bad`, or `ok` where there is
            nothing to compare with.
        problem: What is wrong, or None.
    """

    verdict: str
    problem: Problem | None = None


def files_to_hash(checked: Sequence[Checked], manual_dir: Path) -> tuple[list[Path], list[str]]:
    """The files that have something to compare with: an official name, or a line in a site's list.

    Args:
        checked: What was checked.
        manual_dir: The directory with the archives, which may have lists of hashes too.

    Returns:
        The files, each once, and the lists that cannot be read, each with the reason.
    """
    # Reading to its end tells nothing new of a file that is known to be damaged.
    damaged = {one.path for each in checked for one in each.problems if one.severity == ERROR}
    files = [path for path in _files(checked) if str(path) not in damaged]
    listed, unreadable = site_lists.listed_hashes(_places(files, manual_dir), files)
    return [path for path in files if _official(path) or path in listed], unreadable


def judge_all(
    checked: Sequence[Checked], hashed: Mapping[Path, Hashed], manual_dir: Path
) -> tuple[list[Checked], list[Problem]]:
    """Gives each row what the hashes of its files say.

    Args:
        checked: The rows.
        hashed: The hashes of files; rows of other files stay as they are.
        manual_dir: The directory with the archives, which may have lists of hashes too.

    Returns:
        The rows, and the problems.
    """
    files = list(hashed)
    listed, _ = site_lists.listed_hashes(_places(files, manual_dir), files)
    judged = {path: _judge(one, listed.get(path, ())) for path, one in hashed.items()}
    rows: list[Checked] = []
    problems: list[Problem] = []
    for one in checked:
        mine = {path: judged[path] for path in _files([one]) if path in judged}
        problems += (
            dataclasses.replace(
                judgement.problem,
                datasets=(one.row.name,),
                severity=judgement.problem.severity if one.row.preferred else WARNING,
            )
            for judgement in mine.values()
            if judgement.problem is not None
        )
        hashes = {str(path): hashed[path].hashes for path in mine if hashed[path].hashes}
        row = dataclasses.replace(
            one.row, hashes=hashes, verdict=_verdict(one, [each.verdict for each in mine.values()])
        )
        rows.append(dataclasses.replace(one, row=row))
    return rows, problems


def remembered(checked: Sequence[Checked]) -> dict[Path, Hashed]:
    """The hashes that earlier runs remembered."""
    found = {path: hashing.remembered(path) for path in _files(checked)}
    return {path: one for path, one in found.items() if one is not None}


def _files(checked: Iterable[Checked]) -> list[Path]:
    """The files of rows, and the archives in folders of a few archives."""
    files: dict[Path, None] = {}
    for one in checked:
        for path in one.row.paths:
            if is_file(path, one.row.kind):
                files[path] = None
            elif archives_in := kinds.kind(one.row.kind).archives_in:
                files |= dict.fromkeys(archives_in(path))
    return list(files)


def _places(files: Iterable[Path], manual_dir: Path) -> list[Path]:
    """Directories that may have a site's lists: of the files, above them, and `manual_dir`."""
    places = [place for file in files for place in (file.parent, file.parent.parent)]
    inside = [place for place in places if place == manual_dir or manual_dir in place.parents]
    return list(dict.fromkeys([*inside, manual_dir]))


def _official(path: Path) -> OfficialArchive | None:
    """The official facts about a file, which may be an unpacked member of an archive."""
    itself = official_archive(path.name)
    if itself is not None:
        return itself
    for folder in path.parents[:2]:
        archive = official_archive(f"{folder.name}.zip")
        if archive is not None and path.name in archive.member_md5:
            return OfficialArchive(path.name, None, archive.member_md5[path.name], None, None)
    return None


def _judge(one: Hashed, listed: Sequence[Listed]) -> Judgement:
    if one.error is not None:
        error = one.error
        if isinstance(error, OSError):
            return Judgement(BAD, inspect_files.unreadable(one.path, error))
        expected = "a file that stays as it is"
        return Judgement(
            BAD, Problem(ERROR, str(one.path), expected, str(error), "", "check it again")
        )
    official = _official(one.path)
    known = official.hashes if official is not None else {}
    same = {name: one.hashes[name] in good for name, good in known.items() if name in one.hashes}
    is_official = any(same.values())
    wrong = [line for line in listed if one.hashes.get(line.algorithm) != line.digest]
    if wrong:
        return Judgement(OFFICIAL if is_official else BAD, _unlisted(one, wrong[0], is_official))
    if is_official:
        return Judgement(OFFICIAL)
    # The inspection has reported a file of another size as another edition.
    size_differs = official is not None and official.has_size(one.size) is False
    if same and not size_differs and not (listed and official and official.size is None):
        assert official is not None
        return _unofficial(one, official, listed)
    return Judgement(LISTED if listed else OK)


def _unlisted(one: Hashed, line: Listed, is_official: bool) -> Problem:
    """The problem of a file whose hash differs from the site's own list."""
    return Problem(
        WARNING if is_official else ERROR,
        str(one.path),
        f"{_shown(line.algorithm, line.digest)}, by {line.source}, line {line.line}",
        _shown(line.algorithm, one.hashes[line.algorithm])
        + (", the official one" if is_official else ""),
        "the list is of another file, or out of date"
        if is_official
        else "the file was damaged or replaced after the list was made",
        "correct the list"
        if is_official
        else "see which of the two is right; copy the file anew, or correct the list",
    )


def _unofficial(one: Hashed, official: OfficialArchive, listed: Sequence[Listed]) -> Judgement:
    algorithm, good = next((name, good) for name, good in official.hashes.items())
    certain = official.has_size(one.size) is True
    problem = Problem(
        ERROR if certain else WARNING,
        str(one.path),
        f"{' or '.join(_shown(algorithm, each) for each in sorted(good))}, the official one",
        _shown(algorithm, one.hashes[algorithm]),
        "bytes changed on the way or on the disk"
        if certain
        else "another edition under the official name, or a damaged copy",
        "copy it again"
        if certain
        else "see which edition it is; copy it anew if it should be the official one",
    )
    return Judgement(BAD if certain else LISTED if listed else OK, problem)


def _shown(algorithm: str, digest: str) -> str:
    return f"{'MD5' if algorithm == 'md5' else 'SHA-256'} {digest}"


def _verdict(one: Checked, verdicts: Sequence[str]) -> str:
    before = one.row.verdict
    if BAD in verdicts:
        return BAD if one.row.preferred else before
    if not verdicts or before in (BAD, SPARE) or len(verdicts) < len(_files([one])):
        return before
    if all(verdict == OFFICIAL for verdict in verdicts):
        return OFFICIAL
    if all(verdict in (OFFICIAL, LISTED) for verdict in verdicts):
        return LISTED
    return before
