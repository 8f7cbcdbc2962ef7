"""The closing words of a build: right units, right plurals, columns that fit."""

from __future__ import annotations

from imagenet_builders.build.summary import summary
from imagenet_builders.plan.recipe import Note
from imagenet_builders.write.results import SplitResult


def result(split: str, lengths: tuple[int, ...], size: int, **more) -> SplitResult:
    return SplitResult(
        split=split,
        shard_lengths=lengths,
        record_bytes=size,
        shard_bytes=(size // len(lengths),) * len(lengths),
        shard_crc32c=("0" * 8,) * len(lengths),
        files=(),
        **more,
    )


def test_sizes_and_plurals_fit() -> None:
    note = Note("a.JPEG", "repaired", "a PNG image, not a JPEG", "/archive", 0)
    counts = {
        "boxes": 1,
        "boxes_clamped": 0,
        "boxes_dropped_as_empty": 3,
        "boxes_not_named_by_a_class": 1,
        "images_without_boxes": 2,
    }
    results = [
        result("train", (600, 601), 200_000, notes=(note,), counts=counts),
        result("validation", (1,), 66_000, notes=()),
    ]
    assert summary("imagenet2012/5.1.0", results, 2.0) == [
        "imagenet2012/5.1.0:",
        "  train       1,201 images (1 repaired, 0 skipped), 2 shards, 200 kB",
        "              1 box, 1 of them labelled by their image, 3 boxes dropped as empty, "
        "2 images without boxes",
        "  validation       1 image (0 repaired, 0 skipped), 1 shard, 66.0 kB",
        "  266 kB in 2.0 s, 133 kB/s",
    ]


def test_an_empty_build_has_a_summary() -> None:
    assert summary("x/1.0.0", [], 0.0) == ["x/1.0.0:", "  0 B in 0.0 s, 0 B/s"]


def test_what_was_finished_before_is_not_in_the_speed() -> None:
    results = [
        result("train", (600, 601), 200_000, notes=(), bytes_before=100_000),
        result("validation", (1,), 66_000, notes=(), bytes_before=66_000),
    ]
    assert summary("imagenet2012/5.1.0", results, 2.0)[-1] == (
        "  100 kB in 2.0 s, 50.0 kB/s, and 166 kB that were finished before"
    )
