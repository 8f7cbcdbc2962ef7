"""Names, notes and code that would act in a page show as text, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browsing import WIDTHS, beyond, opened, violations
from support.catalog_sites import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCRIPT, PICTURE, CLOSING = HOSTILE[:3]


@pytest.mark.parametrize("name", ["index.html", "hostile/index.html"])
def test_nothing_of_it_acts(browser: Browser, hostile: Path, name: str) -> None:
    with opened(browser, hostile / name) as found:
        page = found.page
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.hit") is None
        assert page.locator("script:not([src]):not([type='application/ld+json'])").count() == 0
        assert page.locator("[onerror], [onfocus], [autofocus], [src='x']").count() == 0
        assert page.locator("a[href^='javascript' i]").count() == 0
        assert [each for each in found.requests if not each.startswith("file:")] == []
        assert violations(page) == []


def test_it_shows_as_text(browser: Browser, hostile: Path) -> None:
    with opened(browser, hostile / "index.html") as found:
        text = found.page.locator("body").inner_text()
        assert text.count(SCRIPT) >= 3
        assert PICTURE in text
        assert "{{ 7*7 }}" in text
    with opened(browser, hostile / "hostile" / "index.html") as found:
        page = found.page
        assert page.locator("h1").inner_text().startswith(SCRIPT)
        assert page.title() == f"{SCRIPT}/{PICTURE}/{CLOSING}"
        assert page.get_by_role("tab").first.inner_text() == SCRIPT
        assert page.locator(".browser td.words").first.inner_text() == SCRIPT
        assert page.locator("th").get_by_text(PICTURE, exact=True).count() >= 1
        page.get_by_label("Search").fill("script")
        assert page.locator(".browser td.words").first.inner_text() == SCRIPT
        page.get_by_role("slider").first.press("Home")
        assert page.locator(".tip").inner_text().startswith(SCRIPT)
        page.locator(".plot.histogram").first.hover()
        assert SCRIPT in page.locator(".tip").inner_text()
        assert page.evaluate("window.hit") is None


def test_the_embedded_document_is_whole(browser: Browser, hostile: Path) -> None:
    with opened(browser, hostile / "hostile" / "index.html") as found:
        element = "document.querySelector('script[type=\"application/ld+json\"]')"
        assert found.page.evaluate(f"JSON.parse({element}.textContent).name") == CLOSING


@pytest.mark.parametrize("name", ["index.html", "hostile/index.html"])
def test_long_names_do_not_make_pages_scroll_sideways(
    browser: Browser, hostile: Path, name: str
) -> None:
    with opened(browser, hostile / name) as found:
        assert {width: beyond(found.page, width) for width in WIDTHS} == dict.fromkeys(WIDTHS, 0)
