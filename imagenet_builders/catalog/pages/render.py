"""Makes the pages of a catalog of a `Site`, from the templates beside this module."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from imagenet_builders.catalog.model import Entry, Site, Verified
from imagenet_builders.catalog.pages import class_data, figures, markdown, plots
from imagenet_builders.words import counted, size_text

_HERE = Path(__file__).parent
_MOST_NAMED = 500
"""So many repaired images are named on a page; thousands would make it slow."""

MAKERS = {
    "imagenet_builders": "imagenet_builders",
    "tfds": "TensorFlow Datasets",
    "export": "export",
}
"""`Entry.made_by` to what a page calls it."""


def pages(site: Site) -> Iterator[tuple[str, bytes]]:
    """The files of a catalog's pages, one after another.

    Args:
        site: What they show.

    Yields:
        The path of a file in the catalog, and its content.
    """
    for asset in sorted((_HERE / "assets").iterdir()):
        yield f"assets/{asset.name}", asset.read_bytes()
    entries = sorted(site.entries, key=_order)
    yield "index.html", _page("index.html.jinja", site=site, entries=entries, root="")
    for entry in site.entries:
        yield f"{entry.slug}/index.html", _page("dataset.html.jinja", **_of_dataset(site, entry))
        if entry.classes:
            yield f"{entry.slug}/{class_data.FILE}", class_data.script(entry)


def _order(entry: Entry) -> tuple[Any, ...]:
    """Sorts by name, in which numbers are numbers; exports come after what they were made of."""
    parts = re.split(r"0*([0-9]+)", entry.full_name)
    # Of two numbers without leading zeros, the one with more digits is larger.
    name = [(len(part) if place % 2 else -1, part) for place, part in enumerate(parts)]
    return name, entry.made_by == "export", entry.form


def _page(template: str, **values: Any) -> bytes:
    return _templates().get_template(template).render(values).encode(errors="backslashreplace")


def _of_dataset(site: Site, entry: Entry) -> dict[str, Any]:
    tabs: dict[str, list[Any]] = {}
    for snippet in entry.snippets:
        tabs.setdefault(snippet.tab, []).append(snippet)
    pictures: dict[str, list[Any]] = {}
    for picture in entry.pictures:
        pictures.setdefault(picture.split, []).append(picture)
    return {
        "site": site,
        "entry": entry,
        "root": "../",
        "tabs": tabs,
        "pictures": pictures,
        "by_class": figures.by_class(entry),
        "densities": figures.densities(entry),
        "spread": figures.spread(entry),
        "kinds": list(dict.fromkeys(kind for each in entry.statistics for kind, _ in each.kinds)),
        "spaces": class_data.spaces(entry),
        "others": [
            each for each in site.entries if each.name == entry.name and each.slug != entry.slug
        ],
        "most_named": _MOST_NAMED,
    }


@functools.cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "number": lambda number: f"{number:,}",
        "size": size_text,
        "moment": _moment,
        "markdown": markdown.html,
        "links": markdown.links,
        "web_address": markdown.web_address,
        "json_ld": _json_ld,
        "breakable": _breakable,
        "sentence": _sentence,
    }
    made.filters |= filters
    made.globals |= {
        "makers": MAKERS,
        "counted": counted,
        "share": plots.share,
        "series_class": plots.series_class,
        "verdict": verdict,
    }
    return made


def verdict(verified: Verified | None) -> tuple[str, str]:
    """The class of the style sheet for a verdict, and its words.

    Args:
        verified: What the last verification found.
    """
    if verified is None:
        return "unknown", "not verified"
    if not verified.ok:
        return "bad", counted(verified.problem_count, "problem")
    if not verified.current:
        return "unknown", "changed since verified"
    return "good", "verified"


def _moment(text: str | None) -> Markup:
    """A time such as `2026-11-30T02:15:45Z` in words."""
    if not text:
        return Markup("unknown")
    words = text.replace("T", " ").removesuffix("Z")[:16] if text.endswith("Z") else text
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(text, words, words)


def _sentence(text: str) -> str:
    """A text with the first letter and the end of a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _json_ld(text: str) -> Markup:
    """JSON for a script element, which no text in it can end."""
    return Markup(text.replace("<", "\\u003c"))


def _breakable(path: str) -> Markup:
    """A path that may be broken over lines after each `/`, and copied whole."""
    return Markup("<wbr>").join(f"{part}/" for part in path.split("/")[:-1]) + Markup(
        "<wbr>{}"
    ).format(path.rpartition("/")[2])
