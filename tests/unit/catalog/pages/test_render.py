"""The files of a catalog's pages."""

from __future__ import annotations

import dataclasses
import re

from support import catalog_sites

from imagenet_builders.catalog.pages.render import pages, verdict

_LOADED = re.compile(r'<(?:script|link|img)\b[^>]*?\b(?:src|href)="([^"]*)"')


def files(*entries: object, **changed: object) -> dict[str, str]:
    made = catalog_sites.site(*entries, **changed)  # type: ignore[arg-type]
    return {name: content.decode() for name, content in pages(made)}


def test_every_dataset_has_a_page_that_the_index_leads_to() -> None:
    found = files(catalog_sites.entry(), catalog_sites.entry(slug="b", name="other"))
    index = found["index.html"]
    for slug in ("imagenet2012-5.1.0", "b"):
        assert f'href="{slug}/index.html"' in index
        assert "<h1>" in found[f"{slug}/index.html"]


def test_datasets_are_listed_by_name_with_their_exports_behind_them() -> None:
    export = catalog_sites.entry(slug="export", made_by="export", form="webdataset")
    sizes = [
        catalog_sites.entry(slug=size, name="imagenet2012_downsampled", config=size)
        for size in ("16x16", "8x8")
    ]
    index = files(export, *sizes, catalog_sites.entry(slug="built"))["index.html"]
    assert re.findall(r'href="([^"]+)/index.html"', index) == ["built", "export", "8x8", "16x16"]


def test_what_pages_load_is_there() -> None:
    found = files(catalog_sites.entry())
    loaded = _LOADED.findall(found["index.html"])
    assert loaded
    assert set(loaded) <= set(found)
    inner = _LOADED.findall(found["imagenet2012-5.1.0/index.html"])
    assert {"classes.js"} < set(inner)
    assert {each.removeprefix("../") for each in inner} - {"classes.js"} <= set(found)


def test_the_terms_come_before_the_path() -> None:
    page = files(catalog_sites.entry())["imagenet2012-5.1.0/index.html"]
    main = page[page.index("<main") :]
    assert main.index("non-commercial research") < main.index("/shared/tfds/imagenet2012/5.1.0")


def test_a_page_of_19_167_classes_and_all_that_it_loads_is_below_two_megabytes() -> None:
    large = catalog_sites.entry("imagenet21k_winter21", slug="large")
    found = dict(pages(catalog_sites.site(large)))
    assert sum(map(len, found.values())) < 2_000_000


def test_an_empty_catalog_says_so() -> None:
    assert "There is no dataset under" in files()["index.html"]


def test_a_dataset_of_which_little_is_known_has_a_page() -> None:
    bare = catalog_sites.entry(
        slug="bare",
        made_by="export",
        form="webdataset",
        also_as=(),
        description="",
        homepage=None,
        release_notes=(),
        citation="",
        terms=None,
        splits=(),
        features="",
        supervised_keys=None,
        built_at=None,
        built_with={},
        built_from=(),
        differences=(),
        repaired=(),
        skipped=(),
        verified=None,
        statistics=(),
        no_statistics=None,
        classes=(),
        snippets=(),
    )
    page = files(bare)["bare/index.html"]
    assert "No verification is on record." in page
    assert "classes.js" not in page
    assert "Nothing beside the data says" in page


def test_thousands_of_repaired_images_are_counted_and_not_all_named() -> None:
    image = catalog_sites.entry().repaired[0]
    page = files(catalog_sites.entry(slug="many", repaired=(image,) * 1200))["many/index.html"]
    assert page.count("n02105855_2933.JPEG") == 500
    assert "and 700 more" in page


def test_the_verdict_is_in_words() -> None:
    sound = catalog_sites.entry().verified
    assert sound is not None
    assert verdict(None) == ("unknown", "not verified")
    assert verdict(sound) == ("good", "verified")
    assert verdict(dataclasses.replace(sound, current=False)) == (
        "unknown",
        "changed since verified",
    )
    assert verdict(dataclasses.replace(sound, ok=False, problem_count=1)) == ("bad", "1 problem")


def test_every_text_is_escaped() -> None:
    made = {name: content.decode() for name, content in pages(catalog_sites.hostile())}
    for name in ("index.html", "hostile/index.html"):
        page = re.sub(r'<script src="[^"]*"( defer)?></script>', "", made[name])
        page = re.sub(r'<script type="application/ld\+json">[^<]*</script>', "", page)
        assert "<script" not in page
        assert "<img src=x" not in page
        assert 'href="javascript:' not in page
