"""A catalog that is made once, and a browser for each module of tests.

Playwright's loop of events keeps others from running in its process, so it ends with a module.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from support import browsing, catalog_sites

from imagenet_builders.catalog.model import Fault, Picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LARGE, SMALL = "imagenet21k_winter21-whole-1.0.0", "imagenet2012-5.1.0"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as started:
        yield started


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a dataset with 1,000 classes and pictures, of one with 19,167, and of 200 others."""
    out = tmp_path_factory.mktemp("catalog")
    pictures = tuple(
        Picture(
            "train", f"{number}.JPEG", 0, "tench", ((0.1, 0.2, 0.7, 0.8),), f"{number}.png", 90, 60
        )
        for number in range(3)
    )
    small = catalog_sites.entry(slug=SMALL, pictures=pictures)
    large = catalog_sites.entry(
        "imagenet21k_winter21", slug=LARGE, name="imagenet21k_winter21", config="whole"
    )
    others = [
        catalog_sites.entry(
            slug=f"other-{number}",
            name="tiny_imagenet" if number % 2 else "imagenet2012_resized",
            config=f"c{number}",
            form="webdataset" if number % 4 == 0 else "tfrecord",
            size=1000 * number,
            classes=(),
            statistics=(),
            no_statistics="The files cannot be read.",
            verified=None,
            built_at=None,
            terms=None,
        )
        for number in range(200)
    ]
    site = catalog_sites.site(
        small,
        large,
        *others,
        faults=(Fault("/shared/tfds/x/1.0.0", "It is being replaced."),),
        contact="data@example.org",
        notice="Users must **opt in**.",
    )
    catalog_sites.write(site, out)
    for picture in pictures:
        Image.new("RGB", (90, 60), "teal").save(out / SMALL / picture.file)
    return out


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages in which every text is hostile."""
    out = tmp_path_factory.mktemp("hostile")
    catalog_sites.write(catalog_sites.hostile(), out)
    return out
