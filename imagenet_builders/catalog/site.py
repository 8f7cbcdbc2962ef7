"""Makes a catalog: finds what there is, looks at it, and puts the site in its place."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagenet_builders
from imagenet_builders.catalog import (
    card,
    croissant,
    entry,
    export_entry,
    health,
    kept,
    listing,
    place,
    verdicts,
)
from imagenet_builders.catalog.entry import Dataset
from imagenet_builders.catalog.export_entry import Export
from imagenet_builders.catalog.find import Found, find
from imagenet_builders.catalog.kept import Kept
from imagenet_builders.catalog.model import Entry, Fault, Picture, Site, Verified
from imagenet_builders.catalog.survey import Surveyed
from imagenet_builders.errors import DatasetError, ImagenetBuildersError, TargetError
from imagenet_builders.publish import readable
from imagenet_builders.words import logger, printable

_LOG = logger(__name__)

_TRIES = 3
_PAUSE_SECONDS = 0.2
_MAX_SLUG = 100

_Item = Dataset | Export


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What a catalog is asked to have.

    Attributes:
        images: Thumbnails of each split; 0 for none.
        notice: The site's own words, or empty.
        contact: Whom to ask, or empty.
        verify: Whether everything is verified, which reads all of it.
        workers: Number of processes.
    """

    images: int = 0
    notice: str = ""
    contact: str = ""
    verify: bool = False
    workers: int = 1


def make(data_dir: Path, out: Path, wishes: Wishes) -> Site:
    """Makes the catalog of a data directory, which takes the place of the last one in one step.

    Nothing is written into the data directory, unless `out` lies in it.

    Args:
        data_dir: Where datasets and exports are.
        out: The directory of the catalog.
        wishes: What it is asked to have.

    Returns:
        What its pages show.

    Raises:
        OptionError: `out` is or has something else.
        StagingError: There is no data directory.
        TargetError: The catalog cannot be written.
        WorkerError: A worker was killed.
    """
    from imagenet_builders.catalog.pages.render import pages

    data_dir, out = data_dir.absolute(), out.absolute()
    place.check(out, data_dir)
    found, faults = find(data_dir, skip=[out])
    for left in reversed(range(_TRIES)):
        before = [readable.identity(each.directory) for each in found]
        items, unread = _read_all(found)
        named = list(zip(_slugs([item.name for item in items]), items, strict=True))
        remembered = _remembered(named, out, wishes)
        if before == [readable.identity(each.directory) for each in found] or not left:
            break  # Nothing was replaced meanwhile.
    faults += unread
    with place.new_site(out) as site:
        entries = []
        for slug, item in named:
            try:
                entry_of = _write_entry(site, slug, item, remembered[slug], wishes)
                entries.append((item, entry_of))
            except (ImagenetBuildersError, OSError) as error:
                if isinstance(error, TargetError):
                    raise
                faults.append(_fault(_directory(item), error))
        made = Site(
            data_dir=printable(str(data_dir)),
            made_at=health.now(),
            entries=_with_origins(entries),
            faults=tuple(sorted(faults, key=lambda each: each.path)),
            contact=wishes.contact,
            notice=wishes.notice,
            package_version=imagenet_builders.__version__,
        )
        for name, content in pages(made):
            place.write(site / name, content)
    return made


def _read_all(found: Sequence[Found]) -> tuple[list[_Item], list[Fault]]:
    items: list[_Item] = []
    faults = []
    for each in found:
        try:
            items.append(_read(each))
        except (ImagenetBuildersError, OSError) as error:
            faults.append(_fault(each.directory, error))
    return items, faults


def _fault(directory: Path, error: Exception) -> Fault:
    return Fault(printable(str(directory)), printable(_words(error)), unread=True)


def _read(found: Found) -> _Item:
    """Reads a dataset or an export, again if it was replaced meanwhile."""
    directory = found.directory
    for left in reversed(range(_TRIES)):
        before = readable.identity(directory)
        try:
            item: _Item = (
                export_entry.read(directory)
                if found.is_export
                else entry.read(directory, found.being_built)
            )
        except (ImagenetBuildersError, OSError):
            if before == readable.identity(directory) or not left:
                raise
        else:
            if before == readable.identity(directory):
                return item
        time.sleep(_PAUSE_SECONDS)
    raise DatasetError(
        f"{directory} was replaced again and again while it was read; make the catalog again when "
        "its build is done"
    )


def _slugs(names: Sequence[str]) -> Iterator[str]:
    """A name for the directory of each page, which no other one has."""
    taken = set(_RESERVED)
    for name in names:
        plain = re.sub("[^A-Za-z0-9_.-]+", "_", name).strip(".-")[:_MAX_SLUG] or "dataset"
        slug, number = plain, 1
        while slug.lower() in taken:  # Some file systems do not tell cases apart.
            number += 1
            slug = f"{plain}-{number}"
        taken.add(slug.lower())
        yield slug


_RESERVED = ("assets", "index.html")


def _remembered(named: Sequence[tuple[str, _Item]], out: Path, wishes: Wishes) -> dict[str, Kept]:
    """What is known of each item: kept of an earlier catalog, or looked at now."""
    earlier = {slug: kept.read(out, slug) for slug, _ in named}
    known: dict[str, Kept] = {}
    unknown: list[tuple[str, Dataset]] = []
    for slug, item in named:
        before = earlier[slug]
        surveyed = None
        if isinstance(item, Dataset):
            if before is not None and before.identity == item.identity and _is_sound(before):
                surveyed = before.surveyed
            else:
                unknown.append((slug, item))
        verified, verified_identity = _last_verdict(item, before)
        known[slug] = Kept(item.identity, surveyed, verified, verified_identity)
    if unknown:
        from imagenet_builders.catalog.survey import survey

        surveys = survey([item.described for _, item in unknown], wishes.workers)
        for (slug, _), of_item in zip(unknown, surveys, strict=True):
            known[slug] = dataclasses.replace(known[slug], surveyed=of_item)
    if wishes.verify:
        for slug, item in named:
            known[slug] = dataclasses.replace(
                known[slug],
                verified=_verified(item, wishes.workers),
                verified_identity=item.identity,
            )
    return known


def _is_sound(before: Kept) -> bool:
    """Whether a survey need not be made again: what was wrong may be right by now.

    Rights and libraries change without a trace in the files of a dataset.
    """
    return before.surveyed is not None and before.surveyed.why_not is None


def _last_verdict(item: _Item, before: Kept | None) -> tuple[Verified | None, str]:
    """The last verdict, of an earlier catalog or of `verify`, and what the files were like then."""
    noted = verdicts.last(_directory(item))
    verified = before.verified if before is not None else None
    if noted is not None and (verified is None or noted.verified.at >= verified.at):
        return noted.verified, noted.identity
    return verified, before.verified_identity if before is not None else ""


def _directory(item: _Item) -> Path:
    return item.directory if isinstance(item, Export) else item.described.directory


def _verified(item: _Item, workers: int) -> Verified | None:
    directory = _directory(item)
    document = item.document if isinstance(item, Export) else None
    try:
        if isinstance(item, Dataset):
            reason = health.not_verifiable(item.described)
            if reason is not None:
                _LOG.info(f"{directory} is not verified: {reason}")
                return None
        return health.verified(directory, document, workers)
    except (ImagenetBuildersError, OSError) as error:
        _LOG.warning(f"{directory} could not be verified: {_words(error)}")
        return None


def _write_entry(site: Path, slug: str, item: _Item, known: Kept, wishes: Wishes) -> Entry:
    """Writes all of a page but the page itself, and gives what that shows."""
    verified = known.verified
    if verified is not None:
        is_current = known.verified_identity == item.identity
        verified = dataclasses.replace(verified, current=is_current)
    if isinstance(item, Export):
        made, files = export_entry.entry_of(item, slug, verified)
    else:
        made, files = entry.entry_of(item, slug, known.surveyed or Surveyed(), verified)
    directory = site / slug
    classes_sha256 = None
    if made.classes:
        place.write(directory / croissant.CLASSES, croissant.classes_csv(made))
        classes_sha256 = listing.sha256_of(directory / croissant.CLASSES)
    document = croissant.document(made, files, classes_sha256)
    place.write(directory / croissant.DOCUMENT, croissant.text_of(document))
    place.write(directory / card.CARD, card.card(made, wishes.notice, wishes.contact))
    place.write(site / kept.FOLDER / f"{slug}.json", kept.text_of(known))
    return dataclasses.replace(
        made,
        json_ld=croissant.embedded(document),
        pictures=_pictures(directory, item, made, wishes.images),
    )


def _with_origins(entries: Sequence[tuple[_Item, Entry]]) -> tuple[Entry, ...]:
    """Entries of which exports name the page of the very dataset that they were made from.

    They tell it by the digest of its provenance, so it has not changed since.
    """
    slugs = {
        str(item.document.get("self")): entry.slug
        for item, entry in entries
        if isinstance(item, Dataset)
    }
    return tuple(
        dataclasses.replace(entry, exported_from=slugs.get(str(digest), "") if digest else "")
        for item, entry in entries
        for digest in (item.document.get("exported_from"),)
    )


def _pictures(directory: Path, item: _Item, made: Entry, count: int) -> tuple[Picture, ...]:
    """Writes thumbnails, of the examples that can be read."""
    if not count or isinstance(item, Export) or item.described.images is None:
        return ()
    from imagenet_builders.catalog import pictures

    found = []
    problems: list[Exception] = []
    for each in pictures.thumbnails(item.described, made.classes, count, problems.append):
        place.write(directory / each.picture.file, each.content)
        found.append(each.picture)
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        said = f"{_words(problems[0])}{more}"
        _LOG.warning(f"{item.described.directory}: not all pictures are shown: {said}")
    return tuple(found)


def _words(error: Exception) -> str:
    if (
        isinstance(error, OSError)
        and error.strerror
        and not isinstance(error, ImagenetBuildersError)
    ):
        return f"it cannot be read: {error.strerror}"
    return str(error)
