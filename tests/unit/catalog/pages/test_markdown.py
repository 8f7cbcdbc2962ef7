"""Markdown of descriptions and notices does no more than show text and lead to web pages."""

from __future__ import annotations

import pytest

from imagenet_builders.catalog.pages import markdown


def test_descriptions_look_as_they_were_written() -> None:
    found = markdown.html("# A\n\n*b* and `c`:\n\n1. d\n\n[e](https://image-net.org/)")
    assert "<h3>A</h3>" in found
    assert "<em>b</em> and <code>c</code>" in found
    assert "<ol>\n<li>d</li>\n</ol>" in found
    assert '<a href="https://image-net.org/">e</a>' in found


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "a <img src=x onerror=y>",
        "![a](https://example.invalid/a.png)",
        "[a](javascript:x)",
        "[a](data:text/html,x)",
        "[a](file:///etc/passwd)",
        "[a](//example.invalid)",
        "<https://a'onclick=x>",
    ],
)
def test_nothing_in_them_acts_or_is_loaded(text: str) -> None:
    found = markdown.html(text)
    assert "<script" not in found
    assert "<img" not in found
    assert 'href="javascript' not in found
    assert 'href="data' not in found
    assert 'href="file' not in found
    assert 'href="//' not in found
    assert "<a onclick" not in found


def test_an_address_in_a_description_is_a_link_as_it_stands() -> None:
    found = markdown.html("Terms <b>: https://a.org/x?y=1&z. [https://b.org](https://b.org)")
    assert found == (
        '<p>Terms &lt;b&gt;: <a href="https://a.org/x?y=1&amp;z">https://a.org/x?y=1&amp;z</a>. '
        '<a href="https://b.org">https://b.org</a></p>\n'
    )


def test_only_addresses_of_web_pages_are_links() -> None:
    assert markdown.web_address("https://image-net.org/") == "https://image-net.org/"
    for other in (None, "", "javascript:x", "ftp://a", 'https://a" onclick="x', "https://a b"):
        assert markdown.web_address(other) is None


def test_addresses_in_plain_text_are_links_without_the_full_stop() -> None:
    assert markdown.links("Ask <b>: https://a.org/x?y=1&z.") == (
        'Ask &lt;b&gt;: <a href="https://a.org/x?y=1&amp;z">https://a.org/x?y=1&amp;z</a>.'
    )
