"""Directories of what is named by class: what the first entries say of the rest."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from imagenet_builders.labels.image_names import NAMED_IMAGE
from imagenet_builders.locate.access import unreadable
from imagenet_builders.locate.listing import LIST_ENDING
from imagenet_builders.locate.search import Place

# So many entries of a directory are looked at to see what it holds. Of images the first says it; of
# class folders there are a thousand, and some may not be unpacked yet, whichever comes first.
_PEEK = 10_000

# Names of which a directory has a thousand at most.
_IS_CLASS = re.compile(r"n[0-9]{8}(\.tar)?")


class Held(NamedTuple):
    """What a directory may hold.

    Attributes:
        words: What it is, for messages.
        names: Regular expression of the names.
    """

    words: str
    names: re.Pattern[str]


CLASS_FOLDERS = Held(
    "class folders",
    re.compile(f"n[0-9]{{8}}|{NAMED_IMAGE.pattern}", NAMED_IMAGE.flags),
)
"""Class folders, or images that lie in no class folder."""
CLASS_ARCHIVES = Held("class archives", re.compile(r"n[0-9]{8}\.tar"))
ANNOTATIONS = Held("annotations", re.compile(r"(n[0-9]{8}_[0-9]+|ILSVRC2012_val_[0-9]{8})\.xml"))
_ALL = (CLASS_FOLDERS, CLASS_ARCHIVES, ANNOTATIONS)


def holding(path: Path, wanted: Sequence[Held]) -> tuple[Path | None, Counter[Held]]:
    """The folder at a path that holds what is wanted, or None, and what it holds.

    Args:
        path: The folder, or one that has it inside, as an archive with a folder of its own leaves
            it once it is unpacked.
        wanted: What it should hold, any of it.

    Raises:
        SourceError: It cannot be read.
    """
    inside = [path / name for name in ("test", "val", "validation", "train")]
    for each in itertools.chain([path], filter(os.path.isdir, inside)):
        holds = _peek(each)
        if any(holds[one] for one in wanted):
            return each, holds
    return None, Counter()


def fewer(these: Held, others: Held, holds: Counter[Held]) -> str:
    """What to say of one of two things where a directory has more of the other, or nothing.

    Class archives half of which are unpacked are neither whole as archives nor as folders.
    """
    if holds[others] <= holds[these]:
        return ""
    return f"there are fewer of them than {others.words} beside them"


def lists_of(place: Place, name: str, folder: Path) -> tuple[Path, ...]:
    """The list of the files in a folder, where there is one beside it or in it.

    Args:
        place: Where the folder was found.
        name: Its name there.
        folder: The folder, or one inside that has the images.
    """
    wanted = {f"{each}{LIST_ENDING}".lower() for each in (name, place.part)}
    if place.part == "validation":
        wanted.add(f"val{LIST_ENDING}")
    beside = (e.name for e in place.tree.entries(place.directory) if e.name.lower() in wanted)
    lists = [place.directory / each for each in beside]
    if not lists:  # The folder itself may be long, and is not listed for that.
        lists = [folder / each for each in sorted(wanted) if os.path.lexists(folder / each)]
    return tuple(lists[:1])


def _peek(directory: Path) -> Counter[Held]:
    """How many of the first entries of a directory are what; of images, only the first counts."""
    found: Counter[Held] = Counter()
    try:
        with os.scandir(directory) as entries:
            for entry in itertools.islice(entries, _PEEK):
                for held in _ALL:
                    if held.names.fullmatch(entry.name):
                        found[held] += 1
                        if not _IS_CLASS.fullmatch(entry.name):
                            return found
    except OSError as error:
        raise unreadable(str(directory), error) from error
    return found
