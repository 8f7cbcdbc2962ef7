"""imagenet2012_resized is imagenet2012 with its larger images made smaller, and says how."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tensorflow_datasets as tfds
from etils import epath
from makers import archives, ilsvrc2012, pictures
from PIL import Image
from support.as_documents import WorkersAsDocuments
from support.building import build
from support.built_datasets import (
    example,
    files_of,
    recorded_splits,
    records,
    shards,
    split_content,
)
from support.logged import warned
from support.paths import DUMMY_DATA
from support.processes import run_cli, run_python

from imagenet_builders.build import steps
from imagenet_builders.datasets import imagenet2012_resized
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import (
    Builder as Originals,
)
from imagenet_builders.datasets.imagenet2012_resized import examples
from imagenet_builders.datasets.imagenet2012_resized.dataset import DATASET, how_to_resize
from imagenet_builders.datasets.imagenet2012_resized.imagenet2012_resized_dataset_builder import (
    Builder,
)
from imagenet_builders.errors import BadImageError, OptionError, WorkerError
from imagenet_builders.images import inspect, resizing
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.publish.session import BuildSession
from imagenet_builders.run.local import LocalWorkers

SPLITS = ("train", "validation", "test")
SIZES = [(500, 375), (375, 500), (300, 220), (400, 400), (640, 480), (256, 256), (530, 300)]
CLASSES = ("n01440764", "n01443537")


class ResizedTest(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every dataset."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY_DATA / "imagenet2012"
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["256", "512"]
    SPLITS: ClassVar = {"train": 24, "validation": 12, "test": 6}


def photo(key: str, size: tuple[int, int]) -> Image.Image:
    return pictures.photo_like(key=key, size=size)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official archives, with images of the sizes that the real ones have."""
    directory = tmp_path_factory.mktemp("staged")
    of_class = {
        wnid: {
            f"{wnid}_{number}.JPEG": pictures.jpeg(photo(f"{wnid}{number}", size))
            for number, size in enumerate(SIZES)
        }
        for wnid in CLASSES
    }
    first = of_class[CLASSES[0]]
    first["n01440764_20.JPEG"] = pictures.jpeg(photo("grey", (500, 375)), grey=True)
    first["n01440764_21.JPEG"] = pictures.cmyk_jpeg(photo("cmyk", (500, 375)))
    first["n01440764_22.JPEG"] = pictures.png(photo("png", (300, 400)))
    first["n01440764_23.JPEG"] = pictures.jpeg(photo("slow", (333, 500)), progressive=True)
    members = {wnid: sorted(images.items()) for wnid, images in of_class.items()}
    ilsvrc2012.write_train(directory / "ILSVRC2012_img_train.tar", members)
    for split, folder in (("val", ""), ("test", "test/")):
        archives.write_tar(
            directory / f"ILSVRC2012_img_{split}{'' if split == 'val' else '_v10102019'}.tar",
            [
                (f"{folder}ILSVRC2012_{split}_{number:08}.JPEG", pictures.jpeg(photo(split, size)))
                for number, size in enumerate(SIZES[:4], start=1)
            ],
        )
    return directory


def build_here(
    staged: Path, data_dir: Path, cls: type = Builder, *, config: str = "256", **how: Any
) -> Path:
    options = {"workers": 1, "scratch_dir": str(data_dir / "scratch"), **how.pop("options", {})}
    builder_options: dict[str, Any] = {"options": BuildOptions(**options)}
    if cls is not Originals:
        builder_options["config"] = config
    return build(cls, staged, data_dir, builder_options=builder_options, **how)


@pytest.fixture(scope="module")
def originals(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_here(staged, tmp_path_factory.mktemp("originals"), Originals)


@pytest.fixture(scope="module")
def built(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_here(staged, tmp_path_factory.mktemp("built"))


def by_hand(data: bytes, short_side: int = 256) -> bytes:
    """An image as whoever writes it with Pillow makes it."""
    with Image.open(io.BytesIO(data)) as image:
        short = min(image.size)
        if short <= short_side:
            return data
        width, height = (int(side * short_side / short + 0.5) for side in image.size)
        small = image.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=95, subsampling=2, comment=b"")
    return buffer.getvalue()


@pytest.mark.parametrize("split", SPLITS)
def test_it_is_imagenet2012_with_each_larger_image_resized(
    built: Path, originals: Path, split: str
) -> None:
    """Keys, labels and order; images that are repaired are those that imagenet2012 stores."""
    expected = [
        (name, label, by_hand(image)) for name, label, image in split_content(originals, split)
    ]
    assert split_content(built, split) == expected


def test_small_and_grey_images_stay_what_they_are(built: Path, originals: Path) -> None:
    before = {name: image for name, _, image in split_content(originals, "train")}
    after = {name: image for name, _, image in split_content(built, "train")}
    same = {name for name, image in after.items() if image == before[name]}
    assert same == {f"{wnid}_{number}.JPEG" for wnid in CLASSES for number in (2, 5)}
    assert inspect(after["n01440764_20.JPEG"])[1:4] == (341, 256, 1)
    assert {min(inspect(image)[1:3]) for image in after.values()} == {220, 256}


def test_another_configuration_has_another_short_side(staged: Path, tmp_path: Path) -> None:
    directory = build_here(staged, tmp_path, config="384")
    sizes = {inspect(image)[1:3] for _, _, image in split_content(directory, "train")}
    assert (512, 384) in sizes  # Of 640 x 480.
    assert (500, 375) in sizes
    assert directory.parts[-3:] == ("imagenet2012_resized", "384", "1.0.0")


READ = """
import sys
import tensorflow_datasets as tfds

assert not any(name.startswith("imagenet_builders") for name in sys.modules)
builder = tfds.builder_from_directory(sys.argv[1])
print(dict(builder.info.metadata))
for each in builder.as_dataset(split="train[:25%]").as_numpy_iterator():
    print(each["file_name"].decode(), each["label"], each["image"].shape, each["image"].dtype)
"""


def test_stock_tfds_reads_it_and_what_it_was_made_with(built: Path, originals: Path) -> None:
    lines = run_python(READ, built).splitlines()
    said = {
        "short_side": 256,
        "jpeg_quality": 95,
        "jpeg_subsampling": "4:2:0",
        "filter": "Lanczos",
        "library": resizing.library(),
    }
    assert lines[0] == repr(said)
    stock = tfds.builder_from_directory(originals).as_dataset(split="train[:25%]")
    same = [(each["file_name"].decode(), int(each["label"])) for each in stock.as_numpy_iterator()]
    assert [(name, int(label)) for name, label, *_ in map(str.split, lines[1:])] == same
    assert all("256" in line or "220" in line for line in lines[1:])
    assert {line.split()[-1] for line in lines[1:]} == {"uint8"}


def test_provenance_and_a_builder_say_the_same(built: Path) -> None:
    metadata = json.loads((built / "metadata.json").read_text())
    document = json.loads((built / "provenance.json").read_text())
    assert [document["splits"][split]["made_with"] for split in SPLITS] == [metadata] * 3
    assert "metadata.json" in document["files"]
    mine = tfds.builder("imagenet2012_resized", data_dir=built.parents[2])
    assert mine.builder_config.name == "256"
    assert dict(mine.info.metadata) == metadata


def test_verify_finds_nothing_wrong(built: Path) -> None:
    done = run_cli("verify", "imagenet2012_resized", "--decode", f"--data-dir={built.parents[2]}")
    assert done.returncode == 0, done.stdout
    assert "right" in done.stdout


class ThroughTfds(Builder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """Our builder with TensorFlow Datasets' own way to build: a generator, sorted on disk."""

    name = Builder.name
    pkg_dir_path = epath.Path(imagenet2012_resized.__file__).parent

    def _download_and_prepare(self, dl_manager, download_config):
        tfds.core.GeneratorBasedBuilder._download_and_prepare(self, dl_manager, download_config)


def test_the_plan_and_tfds_own_engine_give_the_same_records(
    staged: Path, built: Path, tmp_path: Path
) -> None:
    theirs = build_here(staged, tmp_path, ThroughTfds)
    assert recorded_splits(built) == recorded_splits(theirs)
    for name in ("features.json", "label.labels.txt", "metadata.json", "LICENSE"):
        assert (built / name).read_bytes() == (theirs / name).read_bytes()
    for shard in shards(built):
        wanted = [example(record) for record in records(theirs / shard.name)]
        assert [example(record) for record in records(shard)] == wanted


def test_any_number_of_workers_gives_the_same_bytes(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = build_here(staged, tmp_path / "one", num_shards=3)
    monkeypatch.setattr(steps, "_SMALL_BYTES", 0)  # So that processes are worth it.
    two = build_here(staged, tmp_path / "two", num_shards=3, options={"workers": 2})
    assert len(shards(two)) == 9
    assert files_of(two) == files_of(one)
    apart = WorkersAsDocuments(tmp_path / "documents")  # As workers of Beam.
    monkeypatch.setattr("imagenet_builders.build.builder.make_workers", lambda *args: apart)
    assert files_of(build_here(staged, tmp_path / "apart", num_shards=3)) == files_of(one)


@pytest.mark.parametrize("below", [0, 1, 2])
def test_a_build_of_imagenet2012_gives_the_same_bytes(
    below: int, staged: Path, built: Path, originals: Path, tmp_path: Path
) -> None:
    """What was repaired, too; `manual_dir` is that of all datasets, or one below it."""
    manual_dir = originals.parents[1 - below] if below < 2 else originals
    derived = build_here(manual_dir, tmp_path, options={"source": "built"})
    assert files_of(derived) == files_of(built)
    document = json.loads((derived / "provenance.json").read_text())
    assert "built" in document["splits"]["train"]["layout"]


def test_the_order_of_rows_does_not_change_the_sizes_that_are_planned(
    staged: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that archives, folders and what was built have as many shards."""
    monkeypatch.setattr(examples, "SAMPLE_ROWS", 3)
    how = how_to_resize("256", BuildOptions())
    with LocalWorkers(1) as workers:
        context = BuildContext(tmp_path, BuildOptions(scratch_dir=str(tmp_path)), workers)
        [train, *_] = DATASET.recipes(staged, "256", context, None)
    index = train.index
    backwards = index.table.take(list(reversed(range(len(index)))))
    sizes = examples.example_sizes(index, how)
    turned = examples.example_sizes(Index(backwards, index.files, index.access), how)
    assert turned[::-1].tolist() == sizes.tolist()
    assert len({*sizes.tolist()}) > 1


OTHER = {"jpeg_quality": 60, "jpeg_subsampling": "4:4:4"}


def test_quality_and_subsampling_can_be_chosen(staged: Path, built: Path, tmp_path: Path) -> None:
    directory = build_here(staged, tmp_path, options=OTHER)
    assert OTHER.items() <= json.loads((directory / "metadata.json").read_text()).items()
    [name, _, image] = split_content(directory, "validation")[0]
    [usual] = [each for key, _, each in split_content(built, "validation") if key == name]
    assert image != usual
    # What is there is not taken for what was asked for; without a wish, it is.
    with pytest.raises(OptionError, match="is there already, with --jpeg-quality 60; build it"):
        build_here(staged, tmp_path, options={"jpeg_quality": 95})
    assert build_here(staged, tmp_path) == directory
    builder = Builder(data_dir=tmp_path, config="256", options=BuildOptions(workers=1))
    assert builder.info.metadata["jpeg_quality"] == 60


def test_replaced_it_says_what_the_new_one_was_made_with(staged: Path, tmp_path: Path) -> None:
    small: dict[str, Any] = {"max_examples_per_split": 2}
    build_here(staged, tmp_path, options=OTHER, **small)
    replace = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS
    directory = build_here(staged, tmp_path, download_mode=replace, **small)
    metadata = json.loads((directory / "metadata.json").read_text())
    assert (metadata["jpeg_quality"], metadata["jpeg_subsampling"]) == (95, "4:2:0")
    assert json.loads((directory / "provenance.json").read_text())["splits"]["train"][
        "made_with"
    ] == (metadata)


def test_shards_of_another_quality_are_not_taken_over(
    staged: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that was interrupted is gone on with if it would give the same bytes only."""

    def stop(*arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(BuildSession, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            build_here(staged, tmp_path, options=OTHER)
    directory = build_here(staged, tmp_path)
    assert files_of(directory) == files_of(built)


def test_a_split_that_is_staged_later_is_added_as_the_others_were_made(
    staged: Path, tmp_path: Path
) -> None:
    some = tmp_path / "some"
    some.mkdir()
    (some / "ILSVRC2012_img_val.tar").symlink_to(staged / "ILSVRC2012_img_val.tar")
    directory = build_here(some, tmp_path, options={"jpeg_quality": 60})
    with warned(r"its validation was made with short_side 256, jpeg_quality 60, .*, not with"):
        build_here(staged, tmp_path)
    assert [split["name"] for split in recorded_splits(directory)] == ["validation"]
    build_here(staged, tmp_path, options={"jpeg_quality": 60})
    assert [split["name"] for split in recorded_splits(directory)] == list(SPLITS)


def test_an_image_that_is_too_large_to_decode_is_bad(tmp_path: Path) -> None:
    good = pictures.jpeg(photo("good", (400, 300)))
    side = (9_000).to_bytes(2)
    bad = good.replace((300).to_bytes(2) + (400).to_bytes(2), side + side, 1)
    archives.write_tar(
        tmp_path / "ILSVRC2012_img_val.tar",
        [("ILSVRC2012_val_00000001.JPEG", good), ("ILSVRC2012_val_00000002.JPEG", bad)],
    )
    with pytest.raises(BadImageError, match="9000 x 9000 pixels; no more"):
        build_here(tmp_path, tmp_path)
    directory = build_here(tmp_path, tmp_path, options={"bad_images": "skip"})
    assert [name for name, _, _ in split_content(directory, "validation")] == [
        "ILSVRC2012_val_00000001.JPEG"
    ]


def test_a_worker_with_another_pillow_makes_no_images() -> None:
    how = examples.Resizing(256, 95, "4:2:0", "Pillow 1.0 with libjpeg-turbo 1.0")
    with pytest.raises(WorkerError, match=r"resizes with .*install the same version of Pillow"):
        next(examples.make_examples(None, None, ImagePolicy(), [], how=how))  # type: ignore[arg-type]  # Not read.


def test_the_number_of_shards_follows_from_a_sample(
    staged: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []
    of = examples.Resizing.of
    monkeypatch.setattr(examples, "SAMPLE_ROWS", 4)

    def counted(how: examples.Resizing, image: Any) -> bytes:
        seen.append(image)
        return of(how, image)

    monkeypatch.setattr(examples.Resizing, "of", counted)
    directory = build_here(staged, tmp_path)
    assert len(seen) == 26 + 3 * 4
    assert [split["name"] for split in recorded_splits(directory)] == list(SPLITS)


@pytest.mark.parametrize("asked", [["imagenet2012"], ["all"], ["tiny_imagenet", "imagenet2012"]])
def test_its_options_are_refused_for_other_datasets(asked: list[str], tmp_path: Path) -> None:
    arguments = ["--jpeg-quality=90", "--manual-dir=x", f"--data-dir={tmp_path}"]
    done = run_cli("build", *asked, *arguments, check=False)
    assert done.returncode == 2
    assert "--jpeg-quality is an option of imagenet2012_resized only; leave it out" in done.stderr
    with pytest.raises(OptionError, match="--jpeg-subsampling is an option of imagenet2012_resiz"):
        Originals(data_dir=tmp_path, options=BuildOptions(jpeg_subsampling="4:4:4"))


def test_check_tells_what_a_dataset_that_was_built_needs(originals: Path, tmp_path: Path) -> None:
    root = originals.parents[1]
    asked = ("imagenet2012_resized/256", "--json", f"--data-dir={tmp_path}")
    document = json.loads(run_cli("check", str(root), *asked).stdout)
    assert {row["kind"] for row in document["sources"]} == {"built"}
    # Of as many images as there are, not of all of ImageNet.
    assert document["needs"]["output"]["bytes"] < 10_000_000
    assert [each["path"] for each in document["others"] if "imagenet2012/" in each["path"]] == []


def test_all_leaves_it_out(staged: Path, tmp_path: Path) -> None:
    """To build everything that is staged would otherwise decode all of ImageNet four times."""
    done = run_cli("check", str(staged), "all", "--json", f"--data-dir={tmp_path}")
    asked = {row["dataset"] for row in json.loads(done.stdout)["sources"]}
    assert "imagenet2012" in asked
    assert "imagenet2012_resized" not in asked
    done = run_cli("check", str(staged), "imagenet2012_resized/256", f"--data-dir={tmp_path}")
    assert done.returncode == 0, done.stdout
