"""Archives in parts are known by the names that split, 7-Zip, zip and people give to parts."""

from __future__ import annotations

import pytest

from imagenet_builders.check import parts


def found(*names: str) -> parts.Parts | None:
    return next(parts.find(names), None)


@pytest.mark.parametrize(
    "names",
    [
        ("a.tar.001", "a.tar.002"),
        ("a.tar.00", "a.tar.01"),
        ("a.tar.partaa", "a.tar.partab"),
        ("a.tar.part-00", "a.tar.part-01"),
        ("a.tar_part1", "a.tar_part2"),
        ("a.taraa", "a.tarab"),
        ("a.tar.aa", "a.tar.ab"),
        ("a.tar.1", "a.tar.2"),
        ("a_part1.tar", "a_part2.tar"),
        ("a.part01.tar", "a.part02.tar"),
        tuple(f"a.tar.part{n}" for n in range(1, 12)),
    ],
)
def test_parts_are_put_together_in_order(names: tuple[str, ...]) -> None:
    split = found(*reversed(names), "b.tar", "README")
    assert split is not None
    assert (split.whole, split.names, split.lacking) == ("a.tar", names, ())
    assert split.action == f"put them together, in this order: cat {' '.join(names)} > a.tar"
    assert all(name in split.sentence for name in names)


@pytest.mark.parametrize(
    ("names", "lacking"),
    [
        (("a.tar.001", "a.tar.004"), ("a.tar.002", "a.tar.003")),
        (("a.tar.002",), ("a.tar.001",)),
        (("a.tar.partac",), ("a.tar.partaa", "a.tar.partab")),
        (("a.tar.part9", "a.tar.part10"), tuple(f"a.tar.part{n}" for n in range(1, 9))),
        (("a_part2.tar",), ("a_part1.tar",)),
    ],
)
def test_a_missing_part_is_named(names: tuple[str, ...], lacking: tuple[str, ...]) -> None:
    split = found(*names)
    assert split is not None
    assert split.lacking == lacking
    assert all(name in split.sentence for name in lacking)
    assert split.action.startswith("get the other parts")
    assert all(name in split.action for name in (*names, *lacking))


def test_a_lone_first_part_needs_the_others() -> None:
    split = found("a.zip.001")
    assert split is not None
    assert split.action.startswith("get the other parts, then put all together, in order: cat ")


def test_parts_that_zip_made_are_joined_by_zip() -> None:
    split = found("a.z01", "a.z02", "a.zip")
    assert split is not None
    assert (split.whole, split.names) == ("a.zip", ("a.z01", "a.z02", "a.zip"))
    assert "zip -s 0 a.zip" in split.action
    split = found("a.z01", "a.z03")
    assert split is not None
    assert split.lacking == ("a.z02", "a.zip")


def test_very_many_parts_make_a_short_sentence() -> None:
    split = found(*(f"a.tar.{n:03}" for n in range(1, 1000)))
    assert split is not None
    assert len(split.sentence) < 300
    assert split.action.endswith("cat a.tar.001 a.tar.002 ... a.tar.999 > a.tar")


@pytest.mark.parametrize(
    "names",
    [
        ("a.tar", "a.tar.1"),  # wget's second download
        ("a.tar.1",),
        ("a.tar.gz", "a.tar.xz"),
        ("a.tar.md",),
        ("Imagenet64_train_part1_npz.zip", "Imagenet64_train_part2_npz.zip"),
        ("imagenet1k-train-0000.tar", "imagenet1k-train-0001.tar"),
        ("train-00000-of-00002", "train-00001-of-00002"),
    ],
)
def test_other_names_are_no_parts(names: tuple[str, ...]) -> None:
    assert found(*names) is None


def test_archives_of_their_own_are_no_parts() -> None:
    from imagenet_builders.formats import signatures

    assert parts.are_archives(signatures.TAR, signatures.TAR)
    assert not parts.are_archives(signatures.TAR, None)
    assert not parts.are_archives(None, None)
