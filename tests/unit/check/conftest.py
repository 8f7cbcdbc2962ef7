"""Archives that pass for the official ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagenet_builders.locate.official import OfficialArchive, official_archives


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets small files be the official ones: `official(OfficialArchive(...), ...)`."""

    def replace(*archives: OfficialArchive) -> None:
        known = official_archives() | {archive.name: archive for archive in archives}
        # Where it is used: a module that is imported meanwhile must not keep it.
        for module in ("gather", "hash_verdicts"):
            monkeypatch.setattr(f"imagenet_builders.check.{module}.official_archive", known.get)

    return replace
