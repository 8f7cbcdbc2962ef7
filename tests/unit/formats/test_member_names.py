"""Names of members in archives: what leads out is refused, whatever system's tools wrote it."""

from __future__ import annotations

import pytest

from imagenet_builders.formats import member_names


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("n01440764_1.JPEG", ["n01440764_1.JPEG"]),
        ("./train/n01440764/a.JPEG", [".", "train", "n01440764", "a.JPEG"]),
        (r"train\n01440764\a.JPEG", ["train", "n01440764", "a.JPEG"]),
        (r"train/n01440764\a..JPEG", ["train", "n01440764", "a..JPEG"]),
    ],
)
def test_a_name_is_taken_apart(name: str, parts: list[str]) -> None:
    assert member_names.parts(name) == parts


@pytest.mark.parametrize(
    "name", ["", "/a", r"\a", "../a", r"..\a", r"a\..\..\b", "a/../b", r"c:\a", "c:a", "a\0b"]
)
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out of the archive"):
        member_names.parts(name)
