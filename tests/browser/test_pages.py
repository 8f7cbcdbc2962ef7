"""A catalog's pages in Chromium: they load, work by keyboard, fit, and keep to themselves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browsing import WIDTHS, beyond, opened, violations

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

INDEX = "index.html"
DATASET = "imagenet2012-5.1.0/index.html"
LARGE = "imagenet21k_winter21-whole-1.0.0/index.html"
PLAIN = "other-1/index.html"


def words_of(page: Page) -> list[str]:
    """The words of the classes that are listed, from the first that can be seen."""
    return page.locator(".browser td.words").all_inner_texts()


def clipboard(page: Page, field: str) -> str:
    """What is in the clipboard, as seen by pasting it."""
    page.focus(field)
    page.keyboard.press("Control+V")
    return page.input_value(field)


@pytest.mark.parametrize("name", [INDEX, DATASET, LARGE, PLAIN])
def test_pages_load_without_a_complaint_and_have_no_barrier(
    browser: Browser, catalog: Path, name: str
) -> None:
    with opened(browser, catalog / name, color_scheme="light") as found:
        assert found.page.locator("h1").count() == 1
        if name == INDEX:
            found.page.get_by_label("Filter").fill("c19")  # 202 rows alike would take seconds.
        if name != LARGE:  # It is made as the other one.
            assert violations(found.page) == []
            found.page.emulate_media(color_scheme="dark")
            assert violations(found.page, "color-contrast") == []
        assert found.complaints == []


@pytest.mark.parametrize("name", [INDEX, DATASET, LARGE])
def test_no_request_leaves_the_page(browser: Browser, catalog: Path, name: str) -> None:
    with opened(browser, catalog / name) as found:
        found.page.mouse.wheel(0, 20_000)  # Lazy pictures too.
        found.page.wait_for_load_state("networkidle")
        assert len(found.requests) > 4
        inside = catalog.as_uri() + "/"
        assert [each for each in found.requests if not each.startswith(inside)] == []


@pytest.mark.parametrize("name", [INDEX, DATASET, LARGE, PLAIN])
def test_pages_do_not_scroll_sideways(browser: Browser, catalog: Path, name: str) -> None:
    with opened(browser, catalog / name) as found:
        assert {width: beyond(found.page, width) for width in WIDTHS} == dict.fromkeys(WIDTHS, 0)


def test_tabs_are_walked_by_keyboard_and_kept_for_the_next_page(
    browser: Browser, catalog: Path
) -> None:
    with opened(browser, catalog / DATASET) as found:
        page = found.page
        page.get_by_role("tab", name="TensorFlow").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("tab", name="PyTorch").get_attribute("aria-selected") == "true"
        assert (
            page.get_by_role("tabpanel").locator("code").inner_text().startswith("import pytorch")
        )
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert page.get_by_role("tabpanel").locator("code").inner_text().startswith("import shell")
        page.goto((catalog / PLAIN).as_uri())
        assert page.get_by_role("tab", name="shell").get_attribute("aria-selected") == "true"


def test_without_scripts_every_snippet_and_every_dataset_is_there(
    browser: Browser, catalog: Path
) -> None:
    with opened(browser, catalog / DATASET, java_script_enabled=False) as found:
        for tab in ("TensorFlow", "PyTorch", "JAX", "DALI", "timm", "shell"):
            assert found.page.get_by_role("heading", name=tab, exact=True).is_visible()
        assert found.page.get_by_text("import dali").is_visible()
        assert found.page.get_by_role("button").count() == 0
        assert "classes.csv" in found.page.locator("noscript").inner_text()
    with opened(browser, catalog / INDEX, java_script_enabled=False) as found:
        assert found.page.locator(".datasets tbody tr").count() == 202
        assert not found.page.locator("#filter").is_visible()


def test_where_a_script_fails_every_snippet_is_there(
    browser: Browser, catalog: Path, tmp_path: Path
) -> None:
    shutil.copytree(catalog / "assets", tmp_path / "assets")
    shutil.copytree((catalog / DATASET).parent, tmp_path / "dataset")
    (tmp_path / "assets" / "page.js").write_text("throw 1;")
    with opened(browser, tmp_path / "dataset" / "index.html") as found:
        assert found.complaints
        assert found.page.get_by_text("import dali").is_visible()


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_a_snippet_and_the_citation_are_copied(
    browser: Browser, catalog: Path, has_clipboard: bool
) -> None:
    with opened(browser, catalog / DATASET) as found:
        page = found.page
        if not has_clipboard:
            page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.get_by_role("button", name="Copy Path").press("Enter")
        page.get_by_text("Copied", exact=True).wait_for()
        assert clipboard(page, "#class-search") == "/shared/tfds/imagenet2012/5.1.0"
        page.fill("#class-search", "")
        page.get_by_role("button", name="Copy BibTeX").click()
        page.get_by_text("Copied", exact=True).last.wait_for()
        assert clipboard(page, "#class-search").startswith("@article{ILSVRC15,")
        assert found.complaints == []


def test_dark_colours_are_those_of_the_system_until_chosen_and_stay(
    browser: Browser, catalog: Path
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, catalog / DATASET, color_scheme="dark") as found:
        page = found.page
        dark = page.evaluate(background)
        button = page.get_by_role("button", name="Dark")
        assert button.get_attribute("aria-pressed") == "true"
        button.press("Space")
        light = page.evaluate(background)
        assert light != dark
        page.goto((catalog / INDEX).as_uri())
        assert page.evaluate(background) == light
        assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "false"
        assert found.complaints == []


def test_the_list_of_datasets_is_filtered_and_sorted_by_keyboard(
    browser: Browser, catalog: Path
) -> None:
    with opened(browser, catalog / INDEX) as found:
        page = found.page
        rows = page.locator(".datasets tbody tr:visible")
        page.get_by_label("Filter").focus()
        page.keyboard.type("tiny C19")
        assert rows.count() == 6  # c19 and c191 to c199, of odd numbers only.
        assert page.locator("#shown").inner_text() == "6 of 202"
        page.keyboard.type("x")
        assert rows.count() == 0
        assert page.get_by_text("No dataset has all these words").is_visible()
        page.keyboard.press("Escape")
        assert rows.count() == 202
        page.get_by_role("button", name="Size").press("Enter")
        assert "151 GB" in rows.first.inner_text()
        assert page.locator("th[aria-sort=descending]").inner_text().startswith("Size")
        page.get_by_role("button", name="Size").press("Enter")
        assert "0 B" in rows.first.inner_text()


def test_a_class_is_found_by_word_wnid_and_id(browser: Browser, catalog: Path) -> None:
    with opened(browser, catalog / LARGE) as found:
        page = found.page
        search = page.get_by_label("Search")
        assert page.locator(".browser tbody tr").count() < 60  # Of 19,167.
        search.focus()
        page.keyboard.type("tench")
        assert words_of(page)[0] == "tench, Tinca tinca"
        search.fill("n02110341")
        assert words_of(page) == ["dalmatian, coach dog, carriage dog"]
        search.fill("white shark")
        assert words_of(page)[0].startswith("great white shark")
        search.fill("no such class")
        assert words_of(page) == []
        assert page.locator(".browser [role=status]").inner_text() == "0 of 19,167"
        search.press("Escape")
        assert words_of(page)[0] == "organism, being"
    with opened(browser, catalog / DATASET) as found:
        found.page.get_by_label("Search").fill("254")
        listed = found.page.locator(".browser tbody tr:not(.gap)")
        assert listed.first.locator("td").first.inner_text() == "254"  # Its label comes first.
        assert "254" in listed.nth(1).inner_text()  # The id of another space.


def test_the_last_class_is_reached_by_keyboard(browser: Browser, catalog: Path) -> None:
    with opened(browser, catalog / LARGE) as found:
        page = found.page
        page.get_by_role("region", name="Classes that were found").focus()
        page.keyboard.press("End")
        last = page.locator(".browser tr[aria-rowindex='19168']")
        last.wait_for()
        assert last.locator("td").first.inner_text() == "19166"
        assert page.locator(".browser table").get_attribute("aria-rowcount") == "19168"


def test_classes_are_sorted_by_their_number_of_images(browser: Browser, catalog: Path) -> None:
    with opened(browser, catalog / DATASET) as found:
        page = found.page
        page.locator(".browser").get_by_role("button", name="train").press("Enter")
        counts = page.locator(".browser tbody tr:not(.gap) td:nth-child(4)").all_inner_texts()
        assert counts[0] == "1,300"
        page.locator(".browser").get_by_role("button", name="train").press("Enter")
        counts = page.locator(".browser tbody tr:not(.gap) td:nth-child(4)").all_inner_texts()
        assert counts[0] == "732"


def test_plots_name_what_the_pointer_or_the_keyboard_is_at(browser: Browser, catalog: Path) -> None:
    with opened(browser, catalog / DATASET) as found:
        page = found.page
        slider = page.get_by_role("slider").first
        slider.focus()
        page.keyboard.press("End")
        assert "732 images" in str(slider.get_attribute("aria-valuetext"))
        assert "732 images" in page.locator(".tip").inner_text()
        page.keyboard.press("Home")
        assert "1,300 images" in page.locator(".tip").inner_text()
        page.locator(".plot.by-class").first.hover()
        assert page.locator(".tip").inner_text().startswith("n0")
        page.locator(".plot.histogram").first.hover()
        assert "train: " in page.locator(".tip").inner_text()
        page.locator(".plot.density").first.hover()
        assert " wide, " in page.locator(".tip").inner_text()
        page.evaluate("for (const each of Object.values(catalogClasses.counts)) each.fill(1)")
        slider.press("End")
        assert " 1 image (" in str(slider.get_attribute("aria-valuetext"))
        assert found.complaints == []


def test_plots_have_their_text_as_text_and_a_table(browser: Browser, catalog: Path) -> None:
    with opened(browser, catalog / DATASET) as found:
        card = found.page.locator("figure", has_text="Bytes of an image")
        assert "100 kB" in card.locator("svg text").all_text_contents()
        card.get_by_text("As a table").click()
        assert card.locator("tbody tr").first.is_visible()


def test_on_paper_all_snippets_are_shown_in_dark_ink(browser: Browser, catalog: Path) -> None:
    with opened(browser, catalog / DATASET, color_scheme="dark") as found:
        page = found.page
        page.emulate_media(media="print")
        assert page.get_by_text("import dali").is_visible()
        assert not page.locator(".tablist").is_visible()
        assert not page.locator(".browser").is_visible()
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(24, 33, 31)"
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.get_by_text("n02105855_2933.JPEG").is_visible()
