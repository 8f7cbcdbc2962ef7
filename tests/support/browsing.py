"""Pages in a real browser: Chromium of the system, driven by Playwright."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (360, 800, 1600)


@dataclasses.dataclass(frozen=True)
class Opened:
    """A page, and what it asked for and complained of since it was opened.

    Attributes:
        page: The page.
        requests: The addresses of all requests.
        complaints: Messages of the console, errors of scripts, and failed requests.
    """

    page: Page
    requests: list[str]
    complaints: list[str]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, or the test that asks for it is skipped."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs the program chromium (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
    with playwright.sync_playwright() as started:
        # Its sandbox is not for root, nor for containers; the pages are our own.
        options = ["--no-sandbox"]
        browser = started.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1100, **options: Any) -> Iterator[Opened]:
    """A page that is opened from the disk, with storage and settings of its own.

    Args:
        browser: The browser.
        path: The file.
        width: The width of the window in pixels.
        **options: Options of a context of Playwright.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    try:
        page = context.new_page()
        found = Opened(page, [], [])
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("console", lambda message: found.complaints.append(message.text))
        page.on("pageerror", lambda error: found.complaints.append(str(error)))
        page.on("requestfailed", lambda request: found.complaints.append(request.url))
        page.goto(path.as_uri())
        yield found
    finally:
        context.close()


def beyond(page: Page, width: int) -> int:
    """By how many pixels a page is wider than a window of a width."""
    page.set_viewport_size({"width": width, "height": 900})
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(wide))


def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds that keeps people from using a page: rule, and the first elements.

    Args:
        page: The page.
        *rules: The rules to be checked, if not all.
    """
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"preload": False, "resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = rules
    found = Axe().run(page, options=options).response["violations"]
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes'][:3]]}" for each in found]
