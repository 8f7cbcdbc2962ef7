"""What is kept comes back as it was, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from imagenet_builders.catalog import kept
from imagenet_builders.catalog.kept import Kept
from imagenet_builders.catalog.metadata import describe
from imagenet_builders.catalog.model import Verified
from imagenet_builders.catalog.survey import Surveyed, survey

VERIFIED = Verified("2026-11-30T00:00:00Z", False, ("a problem",), 1, (), True, True)


@pytest.fixture(scope="module")
def surveyed(boxes: Path) -> Surveyed:
    return survey([describe(boxes)], 1)[0]


def write(site: Path, content: bytes) -> None:
    (site / kept.FOLDER).mkdir(exist_ok=True)
    (site / kept.FOLDER / "x.json").write_bytes(content)


def test_it_comes_back(surveyed: Surveyed, tmp_path: Path) -> None:
    for each in (
        Kept("id", surveyed, VERIFIED, "other"),
        Kept("id", None, None, ""),
        Kept("id", Surveyed(), None, ""),
    ):
        write(tmp_path, kept.text_of(each))
        assert kept.read(tmp_path, "x") == each


def test_what_is_not_of_the_right_type_does_not(surveyed: Surveyed, tmp_path: Path) -> None:
    """Others may write there, and a page shows it."""
    whole = json.loads(kept.text_of(Kept("id", surveyed, VERIFIED, "")))
    statistics = whole["kept"]["surveyed"]["statistics"][0]

    def changed(inner: dict[str, Any], name: str, value: Any) -> bytes:
        before = dict(inner)
        inner[name] = value
        try:
            return json.dumps(whole).encode()
        finally:
            inner.clear()
            inner.update(before)

    for content in (
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        changed(whole, "version", 0),
        changed(whole, "kept", None),
        changed(whole["kept"], "identity", 7),
        changed(whole["kept"], "verified", "yes"),
        changed(whole["kept"]["verified"], "ok", "false"),
        changed(statistics, "examples", "<b>"),
        changed(statistics, "examples", True),
        changed(statistics, "kinds", [["JPEG", "many"]]),
        changed(statistics, "kinds", [["JPEG", 1, 2]]),
        changed(statistics["sizes"], "counts", {"a": 1}),
        changed(whole["kept"]["surveyed"], "counts", {"train": {"x": 1}}),
        changed(whole["kept"]["surveyed"], "extra", 1),
    ):
        write(tmp_path, content)
        assert kept.read(tmp_path, "x") is None, content[:200]
    assert kept.read(tmp_path, "y") is None
    (tmp_path / kept.FOLDER / "x.json").unlink()
    os.mkfifo(tmp_path / kept.FOLDER / "x.json")
    assert kept.read(tmp_path, "x") is None


def test_its_text_is_printable(tmp_path: Path) -> None:
    write(tmp_path, kept.text_of(Kept("id\x1b", None, None, "")))
    found = kept.read(tmp_path, "x")
    assert found is not None
    assert found.identity == "id\\x1b"


def test_the_identity_is_that_of_names_sizes_times_and_seal() -> None:
    directory, files = Path("/x"), [("a", 1, 2), ("b", 3, 4)]
    identity = kept.identity_of(directory, files, "seal")
    assert identity == kept.identity_of(directory, reversed(files), "seal")
    others = {
        kept.identity_of(Path("/y"), files, "seal"),
        kept.identity_of(directory, files, ""),
        kept.identity_of(directory, [("a", 1, 3), ("b", 3, 4)], "seal"),
        kept.identity_of(directory, files[:1], "seal"),
    }
    assert len(others | {identity}) == 5


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("sizes", "counts"), [1]),
        (("sizes", "counts", 0), -1),
        (("sizes", "edges", 0), 1e308),
        (("sizes", "edges", 0), float("nan")),
        (("aspects", "edges", 0), 0.0),
        (("boxes", "edges"), [0.0, 1.0, 2.0]),
        (("density", "counts"), []),
        (("density", "counts", 0), [1]),
        (("density", "width_edges", 0), 10**400),
        (("looked_at",), 10**400),
    ],
)
def test_statistics_that_cannot_be_drawn_are_made_again(
    where: tuple[str | int, ...], value: Any, surveyed: Surveyed, tmp_path: Path
) -> None:
    whole = json.loads(kept.text_of(Kept("id", surveyed, None, "")))
    inner = whole["kept"]["surveyed"]["statistics"][0]
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    write(tmp_path, json.dumps(whole).encode())
    assert kept.read(tmp_path, "x") is None
