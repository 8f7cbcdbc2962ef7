"""The site is built without a warning, works offline, and has what the code says of itself."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.documents import DOCUMENTS, name_of
from support.paths import ROOT

# What a page may point to without that being fetched: a link that somebody follows.
_FETCHED = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)="([^"]*)"')


def _hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = _hooks()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_generated_part_of_a_page_has_content(document: Path) -> None:
    for name in re.findall(r"<!-- generated: (.+) -->", document.read_text()):
        assert HOOKS.generated(name).strip(), name


def test_links_of_the_repository_lead_to_pages_of_the_site() -> None:
    lead = HOOKS.site_links
    assert lead("[a](docs/steward/check.md#x)", "index.md") == "[a](steward/check.md#x)"
    assert lead("[a](../../README.md)", "steward/check.md") == "[a](../index.md)"
    assert lead("[a](../benchmarks/README.md)", "contributor/dummy-data.md") == "[a](benchmarks.md)"
    assert lead("[a](https://a.b/c.md)", "index.md") == "[a](https://a.b/c.md)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    for module in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(module, reason="needs the extra `docs`")
    target = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert {"index.html", "steward/quickstart.html", "reference/python.html"} <= pages


def test_pages_fetch_nothing_from_another_server(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert pages
    for page in pages:
        for target in _FETCHED.findall(page.read_text()):
            assert "//" not in target, (page.name, target)


def test_search_works_without_a_server(site: Path) -> None:
    assert (site / "search" / "search_index.js").stat().st_size > 10_000
    assert 'src="javascripts/iframe-worker.js"' in (site / "index.html").read_text()


def test_the_catalog_of_the_dummy_data_is_part_of_the_site(site: Path) -> None:
    catalog = site / "catalog"
    index = (catalog / "index.html").read_text()
    pages = re.findall(r'href="([^"]+/index.html)"', index)
    assert len(pages) >= 10
    for page in pages:
        text = (catalog / page).read_text()
        assert "/shared/tfds" in text
        assert str(ROOT) not in text
    assert any((catalog / "imagenet2012-5.1.0" / "pictures").iterdir())
    assert "imagenet2012-webdataset" in index
    assert 'href="../catalog/index.html"' in (site / "steward" / "catalog.html").read_text()
