"""imagenet2012_dogs on its dummy archives, with other lists of classes, and without boxes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tensorflow_datasets as tfds
from etils import epath
from makers import archives, imagenet2012_dogs, pictures
from makers.imagenet2012_dogs import BOXES, IMAGES, WORDS, Dogs, make_imagenet2012_dogs
from makers.imagenet2012_localization import Drawn, annotation, write_boxes
from support.building import build
from support.built_datasets import example, recorded_splits, records, shards
from support.logged import warned
from support.paths import DUMMY_DATA
from support.processes import run_cli, run_python

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012_dogs import imagenet2012_dogs_dataset_builder, staged
from imagenet_builders.datasets.imagenet2012_dogs.imagenet2012_dogs_dataset_builder import Builder
from imagenet_builders.errors import ArchiveError, SourceError, StagingError
from imagenet_builders.options import BuildOptions

DUMMY = DUMMY_DATA / "imagenet2012_dogs"
KNOWN = labels.wnids("dogs")
BOX = [0.25, 0.125, 0.75, 0.5]


class DogsTest(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every dataset."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY
    SPLITS: ClassVar = {"train": 121}


def build_here(
    manual_dir: Path, data_dir: Path, cls: type = Builder, *, classes: str = "known", **config: Any
) -> Path:
    options = BuildOptions(workers=1, scratch_dir=str(data_dir / "scratch"), classes=classes)
    return build(cls, manual_dir, data_dir, builder_options={"options": options}, **config)


@pytest.fixture(scope="module")
def dogs(tmp_path_factory: pytest.TempPathFactory) -> Dogs:
    """What is in the committed archives: the maker gives the same each time."""
    return make_imagenet2012_dogs(tmp_path_factory.mktemp("dogs"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_here(DUMMY, tmp_path_factory.mktemp("built"))


def content(directory: Path) -> dict[str, tuple[int, bytes, list[float], list[int]]]:
    """By file name: label, image, corners of the boxes, labels of the boxes."""
    found = {}
    for shard in shards(directory, "train"):
        for record in records(shard):
            feature = example(record).features.feature
            [name] = feature["file_name"].bytes_list.value
            found[name.decode()] = (
                feature["label"].int64_list.value[0],
                feature["image"].bytes_list.value[0],
                list(feature["objects/bbox"].float_list.value),
                list(feature["objects/label"].int64_list.value),
            )
    return found


def expected(dogs: Dogs, classes: tuple[str, ...]) -> dict[str, tuple[int, bytes, list, list]]:
    wanted = {}
    for name, stored in dogs.pictures.items():
        label = classes.index(str(stored.wnid))
        boxes = (BOX, [label]) if name in dogs.boxed else ([], [])
        wanted[name] = (label, stored.data, *boxes)
    return wanted


def test_every_example_holds_what_the_maker_put_in(built: Path, dogs: Dogs):
    assert content(built) == expected(dogs, KNOWN)


def test_the_known_classes_are_those_of_the_breed_list():
    assert tuple(sorted(WORDS)) == KNOWN
    assert len(KNOWN) == 120


def test_committed_archives_hold_what_the_maker_makes(dogs: Dogs):
    assert (dogs.directory / BOXES).read_bytes() == (DUMMY / BOXES).read_bytes()
    assert (dogs.directory / IMAGES).stat().st_size == (DUMMY / IMAGES).stat().st_size


class ThroughTfds(Builder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """Our builder with TensorFlow Datasets' own way to build: a generator, sorted on disk."""

    name = Builder.name
    pkg_dir_path = epath.Path(imagenet2012_dogs_dataset_builder.__file__).parent

    def _download_and_prepare(self, dl_manager, download_config):
        tfds.core.GeneratorBasedBuilder._download_and_prepare(self, dl_manager, download_config)


DESCRIPTIONS = ("features.json", "label.labels.txt", "objects-label.labels.txt", "LICENSE")


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
@pytest.mark.parametrize("classes", ["known", "archive"])
@pytest.mark.parametrize("config", [{}, {"num_shards": 3}], ids=str)
def test_the_plan_and_tfds_own_engine_give_the_same_records(
    tmp_path: Path, file_format: str, classes: str, config: dict[str, Any]
):
    config = {"file_format": file_format, "classes": classes, **config}
    theirs, mine = (
        build_here(DUMMY, tmp_path / cls.__name__, cls, **config) for cls in (ThroughTfds, Builder)
    )
    assert recorded_splits(mine) == recorded_splits(theirs)
    for name in DESCRIPTIONS:
        assert (mine / name).read_bytes() == (theirs / name).read_bytes()
    for shard in shards(mine):
        wanted = [example(record) for record in records(theirs / shard.name)]
        assert [example(record) for record in records(shard)] == wanted


def test_load_gives_image_and_label(built: Path):
    data_dir = built.parent.parent
    loaded = tfds.load(Builder.name, split="train", data_dir=data_dir, as_supervised=True)
    pairs = list(loaded.as_numpy_iterator())
    assert sorted({int(label) for _, label in pairs}) == list(range(120))
    assert {image.shape for image, _ in pairs} == {(48, 64, 3)}


def test_a_frame_and_a_figure_can_be_made(built: Path):
    builder = tfds.builder_from_directory(built)
    pytest.importorskip("pandas")
    frame = tfds.as_dataframe(builder.as_dataset(split="train"), builder.info)
    assert len(frame) == 121
    pytest.importorskip("matplotlib").use("Agg")
    assert tfds.show_examples(builder.as_dataset(split="train"), builder.info) is not None


def test_the_dataset_states_its_terms_of_use(built: Path):
    info = tfds.builder_from_directory(built).info
    assert "non-commercial" in info.redistribution_info.license
    assert "Stanford Dogs" in info.description
    assert info.citation.count("@") == 2


# --- boxes -----------------------------------------------------------------------------------


def test_without_boxes_all_images_are_built_with_a_warning(tmp_path: Path, dogs: Dogs):
    (tmp_path / "manual").mkdir()
    shutil.copy(DUMMY / IMAGES, tmp_path / "manual")
    with warned("no image will have boxes: there is no ") as said:
        directory = build_here(tmp_path / "manual", tmp_path / "data")
    assert str(tmp_path / "manual" / BOXES) in said[0]
    assert content(directory) == {
        name: (label, image, [], []) for name, (label, image, _, _) in expected(dogs, KNOWN).items()
    }
    counts = json.loads((directory / "provenance.json").read_text())["splits"]["train"]["counts"]
    assert counts == {"boxes": 0, "images_without_boxes": 121}
    assert tfds.builder_from_directory(directory).as_dataset(split="train").take(1)


@pytest.mark.parametrize("prefix", ["", "./", "Annotation/", "ILSVRC2012_bbox_train_dogs/"])
@pytest.mark.parametrize("ending", [".xml", ""], ids=["xml", "as Stanford Dogs has them"])
def test_boxes_are_found_under_any_folder(tmp_path: Path, dogs: Dogs, prefix: str, ending: str):
    (tmp_path / "manual").mkdir()
    shutil.copy(DUMMY / IMAGES, tmp_path / "manual")
    xml = [
        (f"{prefix}{name[:9]}/{name.removesuffix('.JPEG')}{ending}", annotation([box]))
        for name in dogs.boxed
        for box in [Drawn(name[:9], 50, 50, 200, 150)]
    ]
    write_boxes(tmp_path / "manual" / BOXES, xml)
    assert content(build_here(tmp_path / "manual", tmp_path / "data")) == expected(dogs, KNOWN)


# --- classes ---------------------------------------------------------------------------------

FEW = (KNOWN[7], KNOWN[2], "n01440764")


def test_unknown_classes_are_an_error_that_names_both_sets(tmp_path: Path):
    make_imagenet2012_dogs(tmp_path / "manual", classes=(*KNOWN[:-2], "n01440764"))
    with pytest.raises(SourceError) as caught:
        build_here(tmp_path / "manual", tmp_path / "data")
    said = str(caught.value)
    assert said.startswith(str(tmp_path / "manual" / IMAGES))
    assert f"2 of the known ones are not in the archive ({KNOWN[-2]}, {KNOWN[-1]})" in said
    assert "1 in the archive are not among the known ones (n01440764)" in said
    assert "--classes archive" in said


def test_a_missing_class_is_an_error(tmp_path: Path):
    make_imagenet2012_dogs(tmp_path / "manual", classes=KNOWN[1:])
    with pytest.raises(SourceError, match=f"found 119 classes: 1 of the .* \\({KNOWN[0]}\\); if"):
        build_here(tmp_path / "manual", tmp_path / "data")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dogs, Path]:
    directory = tmp_path_factory.mktemp("few")
    made = make_imagenet2012_dogs(directory / "manual", classes=FEW)
    return made, build_here(directory / "manual", directory / "data", classes="archive")


def test_the_archives_own_classes_are_taken_on_request(few: tuple[Dogs, Path]):
    made, directory = few
    assert content(directory) == expected(made, tuple(sorted(FEW)))


def test_the_archives_own_classes_are_published(few: tuple[Dogs, Path]):
    _, directory = few
    for name in ("label.labels.txt", "objects-label.labels.txt"):
        assert (directory / name).read_text().split() == sorted(FEW)
    features = (directory / "features.json").read_text()
    assert features.count('"numClasses": "3"') == 2


def test_stock_tfds_reads_a_dataset_with_classes_of_its_own(few: tuple[Dogs, Path]):
    said = run_python(
        "import sys, tensorflow_datasets as tfds\n"
        "dataset, info = tfds.load('imagenet2012_dogs', split='train', data_dir=sys.argv[1],"
        " with_info=True)\n"
        "assert 'imagenet_builders' not in sys.modules\n"
        "label = info.features['label']\n"
        "for one in tfds.as_numpy(dataset):\n"
        "    assert one['file_name'].decode()[:9] == label.int2str(one['label'])\n"
        "print(label.names, info.features['objects']['label'].names)",
        few[1].parent.parent,
    )
    assert said.split("\n")[0] == f"{sorted(FEW)} {sorted(FEW)}"


@pytest.mark.parametrize("classes", ["known", "archive"])
def test_our_builder_reads_a_dataset_whatever_its_classes(
    few: tuple[Dogs, Path], built: Path, classes: str
):
    options = BuildOptions(classes=classes)
    for directory, names in ((few[1], sorted(FEW)), (built, list(KNOWN))):
        builder = Builder(data_dir=directory.parent.parent, options=options)
        assert builder.info.features["label"].names == names
        assert len(list(builder.as_dataset(split="train").take(2))) == 2


def test_the_command_line_takes_the_archives_own_classes(tmp_path: Path):
    make_imagenet2012_dogs(tmp_path / "manual", classes=FEW)
    done = run_cli(
        "build",
        Builder.name,
        "--classes=archive",
        f"--manual-dir={tmp_path / 'manual'}",
        f"--data-dir={tmp_path / 'data'}",
    )
    directory = Path(done.stdout.splitlines()[-1])
    assert (directory / "label.labels.txt").read_text().split() == sorted(FEW)


# --- staged wrongly --------------------------------------------------------------------------


def test_boxes_without_images_are_an_error_that_names_the_missing_archive(tmp_path: Path):
    (tmp_path / "manual").mkdir()
    shutil.copy(DUMMY / BOXES, tmp_path / "manual")
    with pytest.raises(StagingError, match=r"looked for train: .*ILSVRC2012_img_train_t3\.tar"):
        build_here(tmp_path / "manual", tmp_path / "data")


def test_an_image_of_another_class_in_a_class_archive_is_an_error(tmp_path: Path):
    (tmp_path / "manual").mkdir()
    picture = pictures.jpeg(pictures.draw("dog", key="dog", size=(40, 30)))
    inner = archives.tar_bytes([(f"{KNOWN[1]}_7.JPEG", picture)])
    archives.write_tar(tmp_path / "manual" / IMAGES, [(f"{KNOWN[0]}.tar", inner)])
    with pytest.raises(ArchiveError, match=f"only images such as {KNOWN[0]}_1.JPEG belong here"):
        build_here(tmp_path / "manual", tmp_path / "data", classes="archive")


def test_no_worker_needs_tensorflow():
    run_python(
        "import sys\n"
        f"import {staged.__name__}\n"
        "assert 'tensorflow' not in sys.modules and 'tensorflow_datasets' not in sys.modules"
    )


def test_the_maker_pads_no_class_archive():
    inner = archives.tar_bytes([("a.JPEG", b"\xff\xd9")])
    assert len(inner) == 10240
    assert len(imagenet2012_dogs._short(inner)) == 2048
