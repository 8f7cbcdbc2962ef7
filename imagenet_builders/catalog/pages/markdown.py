"""Turns descriptions and notices, which are in Markdown, into HTML that shows text only."""

from __future__ import annotations

import functools
import re

from markdown_it import MarkdownIt
from markupsafe import Markup

_WEB = re.compile(r"https?://[^\s<>\"']+", re.IGNORECASE)
_FIRST_HEADING = 3


@functools.cache
def _parser() -> MarkdownIt:
    # HTML shows as text. A picture would be fetched from where its author says.
    return MarkdownIt("js-default").disable("image")


def html(text: str) -> Markup:
    """Markdown as HTML.

    HTML in it shows as text, only addresses of web pages are links, and no picture is loaded. Its
    headings are below those of the page.

    Args:
        text: Markdown, or plain text.
    """
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _FIRST_HEADING - 1, 6)}"
        inside = 0
        for child in token.children or ():
            inside += child.nesting if child.type.startswith("link_") else 0
            if child.type == "link_open" and not web_address(str(child.attrs.get("href", ""))):
                child.attrs = {}
            elif child.type == "text" and not inside:
                child.type, child.content = "html_inline", str(links(child.content))
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def web_address(text: str | None) -> str | None:
    """A text if it is the address of a web page; None for what a browser might run instead."""
    return text if text and _WEB.fullmatch(text) else None


def links(text: str) -> Markup:
    """Plain text in which the addresses of web pages are links, and lines stay lines."""
    parts: list[Markup] = []
    end = 0
    for found in _WEB.finditer(text):
        address = found[0].rstrip(".,;:!?)")
        parts.append(Markup.escape(text[end : found.start()]))
        parts.append(Markup('<a href="{0}">{0}</a>').format(address))
        end = found.start() + len(address)
    return Markup("").join([*parts, Markup.escape(text[end:])])
