"""Statistics agree with what Pillow and TensorFlow Datasets see, in both formats."""

from __future__ import annotations

import collections
import io
import itertools
import shutil
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from PIL import Image
from support import built_datasets

from imagenet_builders.catalog.metadata import DescribedSplit, describe
from imagenet_builders.catalog.survey import Surveyed, sampled, survey


@pytest.fixture(params=["built", "array_record"])
def directory(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def surveyed(directory: Path, workers: int = 1) -> Surveyed:
    [found] = survey([describe(directory)], workers)
    return found


def test_statistics_are_those_of_the_images(directory: Path, built: Path) -> None:
    found = surveyed(directory)
    assert found.why_not is None
    assert [each.split for each in found.statistics] == ["train", "validation", "test"]
    for statistics in found.statistics:
        content = built_datasets.split_content(built, statistics.split)
        pictures = [Image.open(io.BytesIO(image)) for _, _, image in content]
        assert statistics.examples == statistics.looked_at == len(content)
        assert (statistics.sampled, statistics.unreadable) == (None, 0)
        assert sum(map(sum, statistics.density.counts)) == len(content)
        assert sum(statistics.sizes.counts) == sum(statistics.aspects.counts) == len(content)
        kinds = collections.Counter(
            f"JPEG, {'grey' if each.mode == 'L' else 'colour'}" for each in pictures
        )
        assert dict(statistics.kinds) == dict(kinds)
        assert (statistics.boxes, statistics.box_areas) == (None, None)
        at_least = sum(each.width >= statistics.density.width_edges[1] for each in pictures)
        assert at_least == sum(sum(row[1:]) for row in statistics.density.counts)
        labels = collections.Counter(label for _, label, _ in content)
        assert found.counts[statistics.split] == dict(labels)


def test_both_formats_and_any_number_of_workers_give_the_same(
    built: Path, array_record: Path
) -> None:
    assert surveyed(built) == surveyed(array_record) == surveyed(built, workers=2)


def test_boxes_are_counted(boxes: Path) -> None:
    train = surveyed(boxes).statistics[0]
    assert train.boxes is not None
    assert train.box_areas is not None
    examples = tfds.builder_from_directory(boxes).as_dataset("train").as_numpy_iterator()
    numbers = collections.Counter(len(each["objects"]["bbox"]) for each in examples)
    assert [numbers[n] for n in range(len(train.boxes.counts))] == list(train.boxes.counts)
    assert sum(train.box_areas.counts) == sum(n * count for n, count in numbers.items()) > 0


def test_intervals_are_the_same_for_all_splits(built: Path) -> None:
    statistics = surveyed(built).statistics
    assert len({each.sizes.edges for each in statistics}) == 1
    assert len({each.density.width_edges for each in statistics}) == 1


def test_millions_of_images_are_sampled_by_whole_shards() -> None:
    lengths = tuple([6_400] * 2_000 + [6_399] * 55)
    split = DescribedSplit("train", 0, lengths, "{SHARD_X_OF_Y}")
    chosen = list(sampled(split))
    assert split.examples > 13_000_000
    assert 450_000 < sum(lengths[each] for each in chosen) < 550_000
    gaps = {after - before for before, after in itertools.pairwise(chosen)}
    assert len(gaps) <= 2
    small = DescribedSplit("train", 0, (1_250,) * 1_025, "{SHARD_X_OF_Y}")
    assert list(sampled(small)) == list(range(1_025))


def test_damage_is_said_and_what_was_read_is_shown(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "imagenet2012" / "5.1.0"
    shutil.copytree(built, copy)
    first, second, _ = built_datasets.shards(copy, "train")
    first.unlink()
    content = second.read_bytes()
    second.write_bytes(content[:-100])
    found = surveyed(copy)
    assert found.why_not is not None
    assert f"{first} cannot be read" in found.why_not
    assert "(and 1 more shard)" in found.why_not
    train = found.statistics[0]
    assert 0 < train.looked_at < train.examples
    assert train.sampled is not None
    assert found.statistics[1].sampled is None


def test_a_format_that_is_not_read_is_said(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "imagenet2012" / "5.1.0"
    shutil.copytree(built, copy)
    info = (copy / "dataset_info.json").read_text()
    (copy / "dataset_info.json").write_text(info.replace('"tfrecord"', '"riegeli"'))
    found = surveyed(copy)
    assert found.statistics == ()
    assert found.why_not == "its shards are riegeli, which this package does not read"
