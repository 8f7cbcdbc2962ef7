"""The catalog that the command makes of what was built, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import command_line
from support.browsing import WIDTHS, beyond, opened, violations
from support.building import DUMMY_ARCHIVES

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog of a dataset and an export of it, with pictures."""
    work = tmp_path_factory.mktemp("made")
    data_dir, site = work / "tfds", work / "site"
    assert command_line.build(DUMMY_ARCHIVES, data_dir).status == 0
    export = ("--to=webdataset", f"--out={data_dir / 'export'}")
    done = command_line.run("export", "imagenet2012", f"--data-dir={data_dir}", *export)
    assert done.status == 0, done.err
    options = (f"--out={site}", "--images=3", "--workers=1")
    done = command_line.run("catalog", f"--data-dir={data_dir}", *options)
    assert done.status == 0, done.err
    return site


def test_every_page_works(made: Path, browser: Browser) -> None:
    with opened(browser, made / "index.html") as found:
        page = found.page
        names = page.locator(".datasets a").evaluate_all("each => each.map((link) => link.href)")
        assert len(names) == 2
        for name in names:
            page.goto(name)
            page.get_by_label("Search").fill("goldfish")
            assert page.locator(".browser td.words").first.inner_text().startswith("goldfish")
            page.mouse.wheel(0, 20_000)
            page.wait_for_load_state("networkidle")
            assert violations(page) == []
            assert {width: beyond(page, width) for width in WIDTHS} == dict.fromkeys(WIDTHS, 0)
        assert found.complaints == []
        assert [each for each in found.requests if not each.startswith(made.as_uri())] == []


def test_every_picture_is_shown(made: Path, browser: Browser) -> None:
    (dataset,) = (path.parent for path in made.glob("*/pictures"))
    with opened(browser, dataset / "index.html") as found:
        pictures = found.page.locator(".pictures img")
        pictures.evaluate_all("each => each.map((picture) => (picture.loading = 'eager'))")
        found.page.wait_for_load_state("networkidle")
        assert pictures.evaluate_all("each => each.map((picture) => picture.naturalWidth > 0)") == (
            [True] * 9
        )


def test_what_a_page_leads_to_is_there(made: Path, browser: Browser) -> None:
    for index in made.rglob("index.html"):
        with opened(browser, index) as found:
            links = found.page.locator("a[href]").evaluate_all(
                "each => each.map((link) => [link.getAttribute('href'), link.href])"
            )
            assert links
            for written, target in links:
                if written.startswith("#"):
                    assert found.page.locator(written).count() == 1, written
                elif target.startswith("file:"):
                    file, _, place = target.removeprefix("file://").partition("#")
                    assert Path(file).is_file(), written
                    assert not place or f'id="{place}"' in Path(file).read_text(), written
