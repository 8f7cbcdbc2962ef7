"""Pages have names of their own, whatever datasets are called."""

from __future__ import annotations

from imagenet_builders.catalog.site import _slugs


def test_every_page_has_a_name_that_no_other_has() -> None:
    names = [
        "a-1.0.0",
        "a-1.0.0",
        "A-1.0.0",
        "assets",
        "index.html",
        "é/ü",
        "..",
        ".kept",
        "x" * 300,
    ]
    slugs = list(_slugs(names))
    assert slugs[:4] == ["a-1.0.0", "a-1.0.0-2", "A-1.0.0-3", "assets-2"]
    assert len({slug.lower() for slug in slugs}) == len(names)
    for slug in slugs:
        assert slug.isascii()
        assert "/" not in slug
        assert not slug.startswith(".")
        assert len(slug) <= 110
