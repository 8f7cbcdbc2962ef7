"""Says which links among the sources lead out of `manual_dir`, once all is indexed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagenet_builders.errors import SourceError
from imagenet_builders.locate import links
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.sources.noted import links_of
from imagenet_builders.words import logger

_LOG = logger(__name__)


def announce(manual_dir: Path, recipes: Sequence[SplitRecipe], *, strict: bool) -> None:
    """Names links that lead out of `manual_dir`: warns of those that somebody else has made.

    Args:
        manual_dir: The directory with all that is staged.
        recipes: The splits, which are indexed.
        strict: Refuse links that somebody else has made.

    Raises:
        SourceError: There are such links, and `strict` is set.
    """
    files = [file for each in recipes for file in (*each.index.files, *each.also_read)]
    of_paths = links.above(manual_dir, (Path(file.path) for file in files))
    found = links.added(of_paths, *(links_of(each.index.table) for each in recipes))
    foreign = links.made_by_others(found, manual_dir)
    for owner, link in sorted(found.items()):
        if owner in foreign:
            text = links.sentence(link, owner)
            if strict:
                raise SourceError(f"{text}, or build without --strict")
            _LOG.warning(text)
        else:
            _LOG.info(f"{link.path} leads out of {manual_dir}, to {link.target}{links.more(link)}")
