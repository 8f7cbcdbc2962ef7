"""imagenet2012_localization on its dummy archives, and on staged ones with something amiss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath
from makers import imagenet2012_localization
from makers.imagenet2012_localization import (
    COUNTS,
    TRAIN_BOXES,
    VALIDATION_BOXES,
    Drawn,
    Localization,
    annotation,
    make_imagenet2012_localization,
    write_boxes,
)
from support.building import build
from support.built_datasets import example, recorded_splits, records, shards, split_content
from support.logged import warned
from support.paths import DUMMY_DATA
from support.processes import run_python
from tensorflow_datasets.core import example_serializer

from imagenet_builders import labels
from imagenet_builders.datasets.ilsvrc2012 import examples, objects
from imagenet_builders.datasets.imagenet2012_localization import (
    imagenet2012_localization_dataset_builder,
    staged,
)
from imagenet_builders.datasets.imagenet2012_localization.imagenet2012_localization_dataset_builder import (  # noqa: E501  # Its name is.
    Builder,
)
from imagenet_builders.errors import ArchiveError, SourceError, StagingError
from imagenet_builders.formats.tfrecord.example import serialize
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import ImagePolicy

DUMMY = DUMMY_DATA / "imagenet2012_localization"
SPLITS = {"train": 12, "validation": 6}
WNIDS = labels.wnids("imagenet2012")

# One of the dummy annotations is of an image that is not there.


class LocalizationTest(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every dataset."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY
    SPLITS = SPLITS


def build_here(manual_dir: Path, data_dir: Path, cls: type = Builder, **config: Any) -> Path:
    options = BuildOptions(workers=1, scratch_dir=str(data_dir / "scratch"))
    return build(cls, manual_dir, data_dir, builder_options={"options": options}, **config)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Localization:
    """What is in the committed archives: the maker gives the same each time."""
    return make_imagenet2012_localization(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_here(DUMMY, tmp_path_factory.mktemp("built"))


def seen(directory: Path, split: str) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """By the name of each image of a split, the class and the corners of its boxes."""
    found = {}
    for shard in shards(directory, split):
        for record in records(shard):
            feature = example(record).features.feature
            corners = np.array(feature["objects/bbox"].float_list.value).reshape(-1, 4).tolist()
            wnids = [WNIDS[label] for label in feature["objects/label"].int64_list.value]
            name = feature["file_name"].bytes_list.value[0].decode()
            found[name] = list(zip(wnids, map(tuple, corners), strict=True))
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_every_image_has_the_boxes_the_maker_put_in(built: Path, corpus: Localization, split: str):
    names = getattr(corpus.pictures, split)
    assert seen(built, split) == {
        name: [(box.wnid, box.corners) for box in corpus.seen[name]] for name in names
    }


@pytest.mark.parametrize("split", SPLITS)
def test_images_and_labels_are_those_of_imagenet2012(built: Path, corpus: Localization, split: str):
    stored = getattr(corpus.pictures, split)
    content = split_content(built, split)
    assert {name: WNIDS[label] for name, label, _ in content} == {
        name: image.wnid for name, image in stored.items()
    }
    changed = {name for name, _, image in content if image != stored[name].data}
    assert changed == ({"n02105855_2933.JPEG"} if split == "train" else set())  # The PNG.


def test_oddities_are_counted_and_kept_with_the_dataset(built: Path):
    document = json.loads((built / "provenance.json").read_text())["splits"]
    for split, archive in (("train", TRAIN_BOXES), ("validation", VALIDATION_BOXES)):
        assert document[split]["counts"] == COUNTS[split]
        assert [Path(source["path"]).name for source in document[split]["sources"]][1:] == [archive]


@pytest.mark.parametrize("limit", [1, 3, 5, 9])
def test_boxes_are_counted_of_what_is_in_the_dataset(tmp_path: Path, limit: int):
    directory = build_here(DUMMY, tmp_path, max_examples_per_split=limit)
    document = json.loads((directory / "provenance.json").read_text())["splits"]
    for split in SPLITS:
        boxes = seen(directory, split)
        assert len(boxes) == min(limit, SPLITS[split])
        counts = document[split]["counts"]
        assert counts["boxes"] == sum(map(len, boxes.values()))
        assert counts["images_without_boxes"] == sum(not each for each in boxes.values())
        assert list(counts) == list(COUNTS[split])


def test_the_summary_lists_oddities(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    build_here(DUMMY, tmp_path)
    said = caplog.text
    assert "9 boxes, 2 of them labelled by their image, 1 box swapped, 1 box clamped" in said


class ThroughTfds(Builder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """Our builder with TensorFlow Datasets' own way to build: a generator, sorted on disk."""

    name = Builder.name
    pkg_dir_path = epath.Path(imagenet2012_localization_dataset_builder.__file__).parent

    def _download_and_prepare(self, dl_manager, download_config):
        tfds.core.GeneratorBasedBuilder._download_and_prepare(self, dl_manager, download_config)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
@pytest.mark.parametrize("config", [{}, {"num_shards": 3}, {"max_examples_per_split": 5}], ids=str)
def test_the_plan_and_tfds_own_engine_give_the_same_records(
    tmp_path: Path, file_format: str, config: dict[str, int]
):
    theirs, mine = (
        build_here(DUMMY, tmp_path / cls.__name__, cls, file_format=file_format, **config)
        for cls in (ThroughTfds, Builder)
    )
    assert recorded_splits(mine) == recorded_splits(theirs)
    for name in ("features.json", "label.labels.txt", "objects-label.labels.txt", "LICENSE"):
        assert (mine / name).read_bytes() == (theirs / name).read_bytes()
    for shard in shards(mine):
        expected = [example(record) for record in records(theirs / shard.name)]
        assert [example(record) for record in records(shard)] == expected


def test_serialized_examples_equal_those_of_tfds_and_are_as_long_as_planned(tmp_path: Path):
    builder = Builder(data_dir=tmp_path)
    serializer = example_serializer.ExampleSerializer(builder.info.features.get_serialized_info())
    # Labels of one byte and of two, many boxes and none.
    found = [[], [(0, 0.1)], [(127, 0.3), (128, 0.7)], [(999, 1 / 3)] * 40]
    index = built_index(found, tmp_path / "scratch")
    sizes = examples.boxed_example_sizes(index)
    with index.reader() as reader:
        rows = examples.make_boxed_examples(index.table, reader, ImagePolicy(), [])
        for (_, flat), size in zip(rows, sizes, strict=True):
            encoded = builder.info.features.encode_example(builder.as_features(flat))
            theirs = example(serializer.serialize_example(encoded))
            ours = b"".join(serialize(flat))
            assert example(ours) == theirs
            assert theirs.SerializeToString(deterministic=True) == ours
            assert len(ours) == size


def built_index(found: list[list[tuple[int, float]]], scratch: Path) -> Index:
    """An index of real images whose boxes have the given labels and sizes."""
    import pyarrow as pa

    from imagenet_builders import datasets
    from imagenet_builders.datasets.ilsvrc2012.images import index_split
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.run.local import LocalWorkers

    with LocalWorkers(1) as workers:
        room = BuildContext(scratch, BuildOptions(workers=1), workers)
        [found_images] = datasets.get("imagenet2012").survey(DUMMY).found["validation"]
        index = index_split(found_images, room)
    index, _ = objects.without_objects(Index(index.table.slice(0, len(found)), index.files))
    boxes = [[value for _, size in one for value in (0.0, 0.0, size, size)] for one in found]
    columns = {"boxes": boxes, "box_labels": [[label for label, _ in one] for one in found]}
    table = index.table
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), [pa.array(values, table[name].type)])
    return Index(table, index.files)


def test_stock_tfds_reads_a_dataset_without_this_package(built: Path):
    said = run_python(
        "import sys, tensorflow_datasets as tfds\n"
        "builder = tfds.builder_from_directory(sys.argv[1])\n"
        "assert 'imagenet_builders' not in sys.modules\n"
        "for one in tfds.as_numpy(builder.as_dataset(split='train')):\n"
        "    assert one['objects']['bbox'].shape == (len(one['objects']['label']), 4)\n"
        "print(builder.info.features['objects'])",
        built,
    )
    assert "BBoxFeature(shape=(4,)" in said
    assert "ClassLabel(shape=(), dtype=int64, num_classes=1000)" in said


def test_load_gives_image_and_label(built: Path):
    loaded = tfds.load(
        Builder.name, split="validation", data_dir=built.parent.parent, as_supervised=True
    )
    pairs = list(loaded.as_numpy_iterator())
    assert len(pairs) == 6
    assert all(image.ndim == 3 and 0 <= label < 1000 for image, label in pairs)


def test_a_frame_and_a_figure_can_be_made(built: Path):
    builder = tfds.builder_from_directory(built)
    pytest.importorskip("pandas")
    frame = tfds.as_dataframe(builder.as_dataset(split="train"), builder.info)
    assert len(frame) == 12
    pytest.importorskip("matplotlib").use("Agg")
    assert tfds.show_examples(builder.as_dataset(split="train"), builder.info) is not None


def test_the_dataset_states_its_terms_of_use(built: Path):
    info = tfds.builder_from_directory(built).info
    assert (
        "non-commercial research and educational purposes only" in info.redistribution_info.license
    )
    assert "544,546" in info.description
    assert "ILSVRC15" in info.citation
    assert info.supervised_keys == ("image", "label")


def test_committed_archives_hold_what_the_maker_makes(corpus: Localization):
    for path in corpus.boxes.values():
        assert path.read_bytes() == (DUMMY / path.name).read_bytes()
    for path in corpus.pictures.archives.values():
        assert path.stat().st_size == (DUMMY / path.name).stat().st_size


# --- staged in part, or wrongly --------------------------------------------------------------

IMAGE_ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}


def stage(directory: Path, *names: str) -> Path:
    directory.mkdir()
    for name in names:
        shutil.copy(DUMMY / name, directory)
    return directory


def test_a_split_without_boxes_is_omitted_with_a_warning_that_names_them(tmp_path: Path):
    names = (*IMAGE_ARCHIVES.values(), VALIDATION_BOXES)
    manual = stage(tmp_path / "manual", *names)
    with warned("split train will be missing: there are no boxes") as said:
        directory = build_here(manual, tmp_path / "data")
    assert str(manual / TRAIN_BOXES) in said[0]
    assert [split["name"] for split in recorded_splits(directory)] == ["validation"]


def test_a_split_without_images_is_omitted_with_a_warning_that_names_them(tmp_path: Path):
    manual = stage(tmp_path / "manual", IMAGE_ARCHIVES["train"], TRAIN_BOXES, VALIDATION_BOXES)
    with warned(r"split validation .* no images: no .*img_val\.tar"):
        directory = build_here(manual, tmp_path / "data")
    assert [split["name"] for split in recorded_splits(directory)] == ["train"]


def test_images_without_any_boxes_are_an_error_that_names_the_missing_archives(tmp_path: Path):
    manual = stage(tmp_path / "manual", *IMAGE_ARCHIVES.values())
    with pytest.raises(StagingError, match="a split needs its images and its boxes") as caught:
        build_here(manual, tmp_path / "data")
    for name in ("ILSVRC2012_bbox_train_v2.tgz", VALIDATION_BOXES):
        assert str(manual / name) in str(caught.value)


def test_an_empty_manual_dir_is_an_error_that_lists_the_expected_names(tmp_path: Path):
    with pytest.raises(StagingError, match=r"train images: .*; train boxes: .*; validation images"):
        build_here(stage(tmp_path / "manual"), tmp_path / "data")


@pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".tar"])
def test_either_archive_of_boxes_may_have_any_of_three_endings(
    tmp_path: Path, corpus: Localization, ending: str
):
    manual = stage(tmp_path / "manual", *IMAGE_ARCHIVES.values())
    for name in (TRAIN_BOXES, VALIDATION_BOXES):
        stem = name.removesuffix(".tgz").removesuffix(".tar.gz")
        shutil.copy(DUMMY / name, manual / f"{stem}{ending}")
    directory = build_here(manual, tmp_path / "data")
    assert sum(map(len, seen(directory, "train").values())) == 9
    assert sum(map(len, seen(directory, "validation").values())) == 6


def test_annotations_of_other_images_are_omitted_and_reported(tmp_path: Path):
    with warned("1 of the 11 annotations in .* left out: no such image in "):
        build_here(DUMMY, tmp_path)


def test_annotations_of_other_images_alone_are_an_error(tmp_path: Path):
    manual = stage(tmp_path / "manual", IMAGE_ARCHIVES["train"])
    xml = annotation([Drawn("n03127925", 1, 1, 9, 9)])
    write_boxes(manual / TRAIN_BOXES, [("n03127925/n03127925_147.xml", xml)])
    with pytest.raises(SourceError, match="found 1 and none of them of an image that is there"):
        build_here(manual, tmp_path / "data")


def test_a_damaged_archive_of_boxes_publishes_nothing(tmp_path: Path):
    manual = stage(tmp_path / "manual", *IMAGE_ARCHIVES.values(), VALIDATION_BOXES, TRAIN_BOXES)
    data = (manual / VALIDATION_BOXES).read_bytes()
    (manual / VALIDATION_BOXES).write_bytes(data[:-20])
    with pytest.raises(ArchiveError, match=r"bbox_val_v3\.tgz, at byte [0-9]+: .*is cut off"):
        build_here(manual, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))
    assert not list((tmp_path / "data").rglob("*incomplete*"))


def test_new_boxes_are_read_although_the_images_are_unchanged(tmp_path: Path):
    manual = stage(tmp_path / "manual", IMAGE_ARCHIVES["validation"], VALIDATION_BOXES)
    options = BuildOptions(workers=1, scratch_dir=str(tmp_path / "scratch"))
    given = {"options": options}
    first = build(Builder, manual, tmp_path / "first", builder_options=given)
    xml = annotation([Drawn("n01751748", 0, 0, 100, 100)])
    write_boxes(manual / VALIDATION_BOXES, [("val/ILSVRC2012_val_00000001.xml", xml)])
    second = build(Builder, manual, tmp_path / "second", builder_options=given)
    assert sum(map(len, seen(first, "validation").values())) == 6
    assert seen(second, "validation") == {
        name: [("n01751748", (0.0, 0.0, 0.5, 0.25))] if name.endswith("_00000001.JPEG") else []
        for name in seen(first, "validation")
    }


def test_no_worker_needs_tensorflow():
    run_python(
        "import sys\n"
        f"import {examples.__name__}, {staged.__name__}\n"
        "assert 'tensorflow' not in sys.modules and 'tensorflow_datasets' not in sys.modules"
    )


def test_the_maker_has_every_oddity_of_the_real_archives():
    # So that what is said above is said of each of them.
    counted = COUNTS["train"]
    missing = {name for name, count in counted.items() if not count}
    assert missing == {"annotations_repeated"}  # In test_box_archives.
    notes = [n for notes in imagenet2012_localization._TRAIN.values() for n in notes]
    assert any(note and note.filename == "%s" for note in notes)
    assert None in notes
