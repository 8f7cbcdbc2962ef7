"""Links among what is read that lead somewhere else: who made them, and where they lead.

What a link leads to is read with the rights of whoever builds, and goes into the dataset. Sites
keep whole layouts of links, to other volumes and into caches; their owners know that. A link that
somebody else has put there may lead to a private picture.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from imagenet_builders.words import counted


@dataclasses.dataclass(frozen=True)
class Link:
    """Links of one owner, by the first of them.

    Attributes:
        count: How many there are.
        path: The first.
        target: Where it leads.
    """

    count: int
    path: str
    target: str


Links = Mapping[int, Link]
"""Number of an owner to the links."""


def added(*each: Links) -> Links:
    """All of several."""
    found: dict[int, Link] = {}
    for links in each:
        for owner, link in links.items():
            known = found.get(owner)
            first = link if known is None else known
            count = link.count + (known.count if known is not None else 0)
            found[owner] = dataclasses.replace(first, count=count)
    return found


def leading_out(root: str | os.PathLike[str], paths: Iterable[str]) -> Links:
    """The links among paths that lead out of a directory.

    Args:
        root: The directory.
        paths: What is known to be links; what is not is passed over.
    """
    inside = os.path.join(os.path.realpath(root), "")
    found: dict[int, Link] = {}
    for path in paths:
        try:
            target = os.path.join(os.path.dirname(path), os.readlink(path))
            owner = os.lstat(path).st_uid
        except OSError:  # It is no link, or not there any more.
            continue
        if not os.path.join(os.path.realpath(path), "").startswith(inside):
            found = dict(added(found, {owner: Link(1, path, os.path.normpath(target))}))
    return found


def above(manual_dir: Path, paths: Iterable[Path]) -> Links:
    """The links that paths go through below `manual_dir` and that lead out of it.

    Args:
        manual_dir: The directory with all that is staged.
        paths: Files and directories; those that are elsewhere say nothing.
    """
    parts: dict[str, None] = {}
    root = Path(os.path.abspath(manual_dir))
    for path in map(Path, map(os.path.abspath, paths)):
        if path.is_relative_to(root):
            steps = path.relative_to(root).parts
            parts |= dict.fromkeys(str(root.joinpath(*steps[:n])) for n in range(1, len(steps) + 1))
    return leading_out(root, parts)


def made_by_others(links: Links, manual_dir: Path) -> list[int]:
    """The owners of links who are neither the reader, root nor the owner of `manual_dir`.

    Args:
        links: The links.
        manual_dir: The directory with all that is staged.
    """
    known = {0, os.geteuid()}
    with contextlib.suppress(OSError):
        known.add(os.stat(manual_dir).st_uid)
    return sorted(set(links).difference(known))


def sentence(link: Link, owner: int) -> str:
    """What is said of links of one owner."""
    return (
        f"{link.path} is a link that user {owner} made, to {link.target}{more(link)}; what it "
        "leads to is read with your rights and goes into the dataset, so see whether that is meant"
    )


def more(link: Link) -> str:
    """What is said of the links beside the first."""
    return f", and {counted(link.count - 1, 'more such link')}" if link.count > 1 else ""


def to_json(links: Links) -> str:
    """Links as text."""
    return json.dumps({str(owner): dataclasses.astuple(link) for owner, link in links.items()})


def from_json(text: str | bytes) -> Links:
    """Links from such a text."""
    return {int(owner): Link(*link) for owner, link in json.loads(text).items()}
