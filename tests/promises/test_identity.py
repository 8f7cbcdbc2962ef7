"""No dataset is built under the name of another one, whatever its files are called.

Each case stages a dataset of the family, or a relative, as another one is staged. `check` and a
build say the same of it, and nothing is published. Parts of the right dataset are built as parts.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import archives
from support import command_line
from support.built_datasets import provenance
from support.checking import check, checked, row
from support.corpora import relatives
from support.corpora.ilsvrc2012 import picture, staged, val_name
from support.corpora.ilsvrc2012 import test_name as name_of_test
from support.corpora.layouts import write, write_squashfs
from support.corpora.relatives import (
    DOGS,
    ILSVRC,
    IMAGENETTE,
    TINY,
    WINTER21,
    P,
    class_folders,
    class_tars,
    validation_folders,
)
from support.paths import DUMMY_DATA

from imagenet_builders import labels

TRAIN_COUNTS = labels.train_counts()
JPEG = picture("one of many")
VALIDATION = {val_name(n): picture(val_name(n)) for n in (1, 2, 3)}
TEST = {name_of_test(n): picture(name_of_test(n)) for n in (1, 2, 3)}


@dataclasses.dataclass(frozen=True)
class Case:
    """A dataset under the name of another one.

    Attributes:
        stage: Stages it.
        taken_for: What it could be taken for.
        said: Words of the sentence about it.
        by_index: Whether only an index shows it.
        other: A dataset that may be built from it as it is staged.
        below: The directory to build from, below the one that it is staged in.
        in_check: Words of what `check` says, where it says less.
    """

    stage: Callable[[Path], object]
    taken_for: str
    said: str
    by_index: bool = False
    other: str | None = None
    below: str = ""
    in_check: str = ""


def of_tiny(root: Path) -> None:
    relatives.whole_tiny_classes(root / "train", TINY[:2])


def tiny_in_the_official_archive(root: Path) -> None:
    inner = {w: [(f"{w}_{n}.JPEG", b"?") for n in range(500)] for w in TINY[:2]}
    tars = [(f"{wnid}.tar", archives.tar_bytes(members)) for wnid, members in inner.items()]
    root.mkdir()
    archives.write_tar(root / "ILSVRC2012_img_train.tar", tars)


def of_tiny_short_of_an_image(root: Path) -> None:
    relatives.whole_tiny_classes(root / "train", TINY[:2])
    (root / "train" / TINY[1] / f"{TINY[1]}_17.JPEG").unlink()


def parts_of_tiny_in_the_official_archive(root: Path) -> None:
    inner = {w: [(f"{w}_{n}.JPEG", b"?") for n in range(100)] for w in TINY[:3]}
    tars = [(f"{wnid}.tar", archives.tar_bytes(members)) for wnid, members in inner.items()]
    root.mkdir()
    archives.write_tar(root / "ILSVRC2012_img_train.tar", tars)


def more_than_ilsvrc_has(root: Path) -> None:
    class_tars(root / "train", ILSVRC[:2], {ILSVRC[0]: 4, ILSVRC[1]: TRAIN_COUNTS[ILSVRC[1]] + 1})


CASES = {
    "tiny without wnids.txt as ILSVRC": Case(
        lambda root: relatives.tiny(root, "wnids.txt"),
        "imagenet2012",
        "this is Tiny ImageNet, as ",
        other="tiny_imagenet",
    ),
    "tiny without its texts as ILSVRC with boxes": Case(
        lambda root: relatives.tiny(root, "wnids.txt", "words.txt"),
        "imagenet2012_localization",
        "this is Tiny ImageNet, as ",
        other="tiny_imagenet",
    ),
    "tiny with wnids.txt as ILSVRC": Case(
        relatives.tiny, "imagenet2012", "this is Tiny ImageNet, as ", other="tiny_imagenet"
    ),
    "tiny's train as 21k": Case(
        lambda root: (
            relatives.tiny(root / "made").joinpath("train").rename(root / "winter21_whole")
        ),
        "imagenet21k_winter21/whole",
        "this is Tiny ImageNet, as ",
    ),
    "sorted classes of tiny as ILSVRC": Case(
        of_tiny, "imagenet2012", "images are numbered from 0 to 499 in each", other="tiny_imagenet"
    ),
    "classes of tiny in the official archive": Case(
        tiny_in_the_official_archive,
        "imagenet2012",
        "this is Tiny ImageNet, as 2 of its 200 classes, with images numbered 0 to 499 each",
        by_index=True,
    ),
    "classes of tiny short of an image as ILSVRC": Case(
        of_tiny_short_of_an_image,
        "imagenet2012",
        "images are numbered from 0 to 499 in each",
        other="tiny_imagenet",
    ),
    "parts of classes of tiny as ILSVRC": Case(
        lambda root: relatives.whole_tiny_classes(root / "train", TINY[:3], range(5, 455)),
        "imagenet2012",
        "images are numbered from 0 to 499 in each",
        other="tiny_imagenet",
    ),
    "parts of classes of tiny in the official archive": Case(
        parts_of_tiny_in_the_official_archive,
        "imagenet2012",
        "this is Tiny ImageNet, as 3 of its 200 classes, with images numbered 0 to 499 each",
        by_index=True,
    ),
    "a class of tiny with its folder of images as ILSVRC": Case(
        lambda root: relatives.whole_tiny_classes(root / "train", TINY[:1], (3, 40), "/images"),
        "imagenet2012",
        "as its class is among the 200 of Tiny ImageNet, and images lie in folders of that name",
        other="tiny_imagenet",
    ),
    "21k as ILSVRC's train": Case(
        lambda root: class_tars(root / "train", WINTER21[::400]),
        "imagenet2012",
        "this is a part of ImageNet-21k of winter 2021, as ",
    ),
    "21k in the official archive of train": Case(
        lambda root: archives.write_tar(
            class_tars(root, []) / "ILSVRC2012_img_train.tar",
            [(f"{w}.tar", archives.tar_bytes([(f"{w}_1.JPEG", b"?")])) for w in WINTER21[::400]],
        ),
        "imagenet2012",
        "this is a part of ImageNet-21k of winter 2021, as 46 of its 48 classes, such as n00004475",
        in_check="n00004475 is not one of the 1,000 classes of this dataset",
    ),
    "ILSVRC's train in the archive of 21k": Case(
        lambda root: archives.write_tar(
            class_tars(root, []) / "winter21_whole.tar",
            [(f"{w}.tar", archives.tar_bytes([(f"{w}_1.JPEG", b"?")])) for w in ILSVRC],
        ),
        "imagenet21k_winter21/whole",
        "this is ILSVRC2012, as it has exactly its 1,000 classes",
        in_check="n04399382 is not one of the 1",
    ),
    "21k in class folders as ILSVRC's train": Case(
        lambda root: class_folders(root / "train", WINTER21[::400], (1, 2)),
        "imagenet2012",
        "are not among the 1,000 of ILSVRC2012, and all are classes of imagenet21k_winter21/whole",
    ),
    "21k's images of ILSVRC's classes as train": Case(
        more_than_ilsvrc_has, "imagenet2012", "found more than it has of 1 class", by_index=True
    ),
    "fall 2011 as ILSVRC's train": Case(
        lambda root: relatives.fall11(root / "train"),
        "imagenet2012",
        "this is ImageNet-21k of fall 2011, as 1,200 of its classes",
    ),
    "ILSVRC's train as 21k": Case(
        lambda root: class_tars(root / "tars", ILSVRC),
        "imagenet21k_winter21/whole",
        "this is ILSVRC2012, as it has exactly its 1,000 classes",
    ),
    "some classes of ILSVRC's train as 21k": Case(
        lambda root: class_tars(root / "tars", ILSVRC[:3], TRAIN_COUNTS),
        "imagenet21k_winter21/whole",
        "this is ILSVRC2012, as 3 of the 3 classes have as many images as its train split",
        by_index=True,
    ),
    "ILSVRC's train as the dogs": Case(
        lambda root: class_tars(root / "train_t3", ILSVRC),
        "imagenet2012_dogs",
        "this is ILSVRC2012, as it has exactly its 1,000 classes",
    ),
    "21K-P's train as its validation": Case(
        lambda root: class_folders(root / "imagenet21k_val", P[:2], range(1, 52)),
        "imagenet21k_winter21/p",
        "such as 51 of n00005787 in place of 50",
        by_index=True,
    ),
    "ILSVRC beside a wnids.txt as tiny": Case(
        lambda root: [
            class_folders(root / "train", ILSVRC[:5], (3, 700, 1200)),
            write(root, {"wnids.txt": "\n".join(ILSVRC).encode()}),
        ],
        "tiny_imagenet",
        "no image of Tiny ImageNet has a name such as 'n01440764_1200.JPEG', and most of these do",
        other="imagenet2012",
    ),
    "face-blurred as ILSVRC": Case(
        relatives.blurred_image, "imagenet2012", "this is the face-blurred version of ILSVRC2012"
    ),
    "face-blurred as 21k": Case(
        lambda root: class_folders(root / "train_blurred", ILSVRC[:3], (1, 2)),
        "imagenet21k_winter21/whole",
        "this is the face-blurred version of ILSVRC2012, as it is called train_blurred",
        below="train_blurred",
    ),
    "face-blurred in the official archive of train": Case(
        lambda root: archives.write_tar(
            class_tars(root, []) / "ILSVRC2012_img_train.tar",
            [(f"train_blurred/{wnid}/{wnid}_1.jpg", JPEG) for wnid in ILSVRC[:3]],
        ),
        "imagenet2012",
        "this is the face-blurred version of ILSVRC2012, as its images have paths such as 'train_b",
    ),
    "face-blurred in the official archive of validation": Case(
        lambda root: archives.write_tar(
            class_tars(root, []) / "ILSVRC2012_img_val.tar",
            [(f"val_blurred/{name}", data) for name, data in VALIDATION.items()],
        ),
        "imagenet2012",
        "this is the face-blurred version of ILSVRC2012, as its images have paths such as 'val_blu",
    ),
    "face-blurred in an image called train": Case(
        lambda root: write_squashfs(
            class_tars(root, []) / "train.sqsh",
            {f"train_blurred/{wnid}/{wnid}_1.jpg": JPEG for wnid in ILSVRC[:3]},
        ),
        "imagenet2012",
        "this is the face-blurred version of ILSVRC2012, as its images have paths such as 'train_b",
    ),
    "tiny in an image of ILSVRC": Case(
        lambda root: write_squashfs(
            class_tars(root, []) / "imagenet.sqsh",
            {f"train/{w}/images/{w}_{n}.JPEG": JPEG for w in TINY[:2] for n in range(3)}
            | {f"test/{name}": data for name, data in TEST.items()},
        ),
        "imagenet2012",
        "images lie in folders of that name, such as 'train/n01443537/images/n01443537_0.JPEG'",
    ),
    "tiny in the archive of train, packed of folders": Case(
        lambda root: archives.write_tar(
            class_tars(root, []) / "ILSVRC2012_img_train.tar",
            [(f"{w}/images/{w}_{n}.JPEG", JPEG) for w in TINY[:2] for n in range(3)],
        ),
        "imagenet2012",
        "images lie in folders of that name, such as 'n01443537/images/n01443537_0.JPEG'",
    ),
    "Imagenette's own split as ILSVRC": Case(
        relatives.imagenette, "imagenet2012", "all of the 10 classes of Imagenette"
    ),
    "train's images as validation": Case(
        lambda root: [
            class_folders(root / "train", ILSVRC[:2], (1, 2)),
            class_folders(root / "val", ILSVRC[:2], (3, 4)),
        ],
        "imagenet2012",
        "these are images of train, such as 'n01440764_3.JPEG'; stage the official split validatio",
    ),
    "validation's images as test": Case(
        lambda root: [write(root / "val", VALIDATION), write(root / "test", VALIDATION)],
        "imagenet2012",
        "these are images of validation, such as 'ILSVRC2012_val_00000001.JPEG'; stage the",
    ),
    "validation's images as train": Case(
        lambda root: validation_folders(root / "train", ILSVRC[:3], 2),
        "imagenet2012",
        "these are images of validation, such as 'ILSVRC2012_val_",
    ),
    "validation's archive as test's": Case(
        lambda root: archives.write_tar(
            class_tars(root, []) / "ILSVRC2012_img_test_v10102019.tar", VALIDATION.items()
        ),
        "imagenet2012",
        "these are images of validation, such as 'ILSVRC2012_val_00000001.JPEG'; stage the",
    ),
    "tiny's images in the archive of validation": Case(
        lambda root: archives.write_tar(
            class_tars(root, []) / "ILSVRC2012_img_val.tar",
            [(f"val/images/val_{n}.JPEG", b"?") for n in range(3)],
        ),
        "imagenet2012",
        "this is Tiny ImageNet, as its images have names such as 'val_0.JPEG'",
    ),
    "validation's archive as train's": Case(
        lambda root: archives.write_tar(
            class_tars(root, []) / "ILSVRC2012_img_train.tar", VALIDATION.items()
        ),
        "imagenet2012",
        "these are images of validation, such as 'ILSVRC2012_val_00000001.JPEG'; stage the",
    ),
    "test's images as validation": Case(
        lambda root: write(root / "val", TEST), "imagenet2012", "these are images of test, such as"
    ),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=[*CASES])


def build(dataset: str, manual_dir: Path, data_dir: Path, *options: str) -> command_line.Outcome:
    where = (f"--manual-dir={manual_dir}", f"--data-dir={data_dir}", "--workers=1")
    return command_line.run("build", dataset, *where, *options)


def staged_as(case: Case, tmp_path: Path) -> Path:
    case.stage(tmp_path / "staged")
    return tmp_path / "staged" / case.below


@cases
def test_another_dataset_is_named_and_not_built(case: Case, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    manual_dir = staged_as(case, tmp_path)
    outcome = build(case.taken_for, manual_dir, data_dir)
    assert outcome.status == 1, outcome
    [sentence] = [line for line in outcome.err.splitlines() if ": error: " in line]
    assert case.said in sentence
    assert not list(data_dir.rglob("dataset_info.json"))
    assert not list(data_dir.rglob("*.tfrecord*"))

    options = ("--deep", f"--scratch-dir={tmp_path / 'scratch'}") if case.by_index else ()
    document = checked(manual_dir, case.taken_for, *options, status=1)
    found = [one for one in document["problems"] if one["severity"] == "error"]
    said = [f"{one['found']}; {one['action']}" for one in found]
    assert any((case.in_check or case.said) in text for text in said), said
    # What check says of it is what a build says.
    of_case = [one for one in found if case.said in f"{one['found']}; {one['action']}"]
    assert all(one["found"] in sentence for one in of_case)


@cases
def test_a_check_of_everything_agrees_with_a_build_of_everything(
    case: Case, tmp_path: Path
) -> None:
    """What belongs to another dataset is that dataset's, and no error where that can be built."""
    data_dir = tmp_path / "data"
    manual_dir = staged_as(case, tmp_path)
    if case.by_index:
        return
    outcome = check(manual_dir)
    built = build("all", manual_dir, data_dir)
    assert outcome.status == built.status, (outcome.out, built.err)
    published = {path.parent.parent.name for path in data_dir.rglob("dataset_info.json")}
    if case.other is None:
        assert outcome.status == 1
    else:
        assert (outcome.status, published) == (0, {case.other}), outcome.out
        assert case.taken_for not in published


# --- Tiny ImageNet without its list of classes ----------------------------------------------------


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_tiny_without_its_class_list_is_the_same_dataset(packed: bool, tmp_path: Path) -> None:
    from makers.tiny_imagenet import ROOT, make_tiny_imagenet

    content = {}
    for name, replace in (("whole", {}), ("without", {f"{ROOT}/wnids.txt": None})):
        make_tiny_imagenet(tmp_path / name, unpacked=not packed, replace=replace)
        outcome = build("tiny_imagenet", tmp_path / name, tmp_path / f"data-{name}")
        assert outcome.status == 0, outcome.err
        said = any("there is no wnids.txt in it" in warning for warning in outcome.warnings)
        assert said is (name == "without")
        directory = Path(outcome.out.splitlines()[-1])
        content[name] = {path.name: path.read_bytes() for path in directory.glob("*.tfrecord*")}
    assert content["whole"] == content["without"]
    assert len(content["whole"]) == 3


def test_endings_of_tiny_are_read_in_other_spellings(tmp_path: Path) -> None:
    from makers.tiny_imagenet import make_tiny_imagenet

    content = []
    for name, ending in (("as published", ".JPEG"), ("renamed", ".jpeg")):
        make_tiny_imagenet(tmp_path / name, unpacked=True)
        for path in list((tmp_path / name).rglob("*.JPEG")):
            path.rename(path.with_suffix(ending))
        checked(tmp_path / name, "tiny_imagenet", status=0)
        outcome = build("tiny_imagenet", tmp_path / name, tmp_path / f"data-{name}")
        assert outcome.status == 0, outcome.err
        directory = Path(outcome.out.splitlines()[-1])
        content.append({path.name: path.read_bytes() for path in directory.glob("*.tfrecord*")})
    assert content[0] == content[1]


def test_check_says_that_the_class_list_is_missing(tmp_path: Path) -> None:
    relatives.tiny(tmp_path / "staged", "wnids.txt")
    document = checked(tmp_path / "staged", "tiny_imagenet", status=0)
    assert "there is no wnids.txt" in row(document, "train")["note"]


# --- parts ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the classes of Imagenette, in the official splits."""
    path = tmp_path_factory.mktemp("part")
    class_folders(path / "staged" / "train", IMAGENETTE, (31, 32))
    validation_folders(path / "staged" / "val", IMAGENETTE, 1)
    write(path / "staged" / "test", TEST)
    outcome = build("imagenet2012", path / "staged", path / "data")
    assert outcome.status == 0, outcome.err
    (path / "warnings").write_text("\n".join(outcome.warnings))
    return path


def test_a_build_of_a_known_subset_names_it(part: Path) -> None:
    warnings = (part / "warnings").read_text().splitlines()
    for split in ("train", "validation"):
        wanted = f"split {split} is a part of imagenet2012: these are the 10 classes of Imagenette"
        assert wanted in warnings


def test_check_names_a_known_subset(part: Path) -> None:
    document = checked(part / "staged", "imagenet2012", status=0)
    likely = [one["cause"] for one in document["problems"] if "all 1,000" in one["expected"]]
    assert likely == ["this is Imagenette"] * 2


def test_provenance_says_how_much_was_staged(part: Path) -> None:
    found = {split: each["part"] for split, each in provenance(part / "data").items()}
    of_classes = {"classes": 10, "of_classes": 1000, "known_as": "Imagenette"}
    assert found == {
        "train": of_classes | {"images": 20, "of_images": 1_281_167},
        "validation": of_classes | {"images": 10, "of_images": 50_000},
        "test": {
            "classes": None,
            "of_classes": None,
            "images": 3,
            "of_images": 100_000,
            "known_as": None,
        },
    }


def test_a_whole_split_is_no_part(tmp_path: Path) -> None:
    """Of the dogs, the classes are known, and not how many images there are."""
    outcome = build("imagenet2012_dogs", DUMMY_DATA / "imagenet2012_dogs", tmp_path)
    assert outcome.status == 0, outcome.err
    document = json.loads((Path(outcome.out.splitlines()[-1]) / "provenance.json").read_text())
    assert document["splits"]["train"]["part"] is None


def test_show_and_verify_say_how_much_there_is(part: Path) -> None:
    outcome = command_line.run("show", "imagenet2012", f"--data-dir={part / 'data'}", "--count=1")
    assert (
        "a part of the official split: 20 of 1,281,167 images, 10 of 1,000 classes (Imagenette)"
    ) in outcome.out
    assert "a part of the official split: 3 of 100,000 images\n" in outcome.out
    outcome = command_line.run("verify", "imagenet2012", f"--data-dir={part / 'data'}", "--json")
    [verdict] = json.loads(outcome.out)["datasets"]
    assert verdict["ok"]
    assert (
        "train is a part of the official dataset: 20 of 1,281,167 images, 10 of 1,000 classes, "
        "those of Imagenette"
    ) in verdict["notes"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": 19}, "it says 19 images of split train, which has 20"),
        ({"classes": 9}, "it says 9 classes of split train, which has 10"),
        ({"classes": 11}, "it says 11 classes of split train, which has 10"),
        ({"classes": "10"}, "what it says of split train as a part is not as it was written"),
        ({"more": 1}, "what it says of split train as a part is not as it was written"),
    ],
)
def test_verify_finds_a_part_that_is_not_described_rightly(
    part: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    import shutil

    directory = tmp_path / command_line.DATASET
    shutil.copytree(part / "data" / command_line.DATASET, directory)
    path = directory / "provenance.json"
    document = json.loads(path.read_text())
    document["splits"]["train"]["part"] |= change
    path.write_text(json.dumps(document, indent=1) + "\n")
    outcome = command_line.run("verify", str(directory), "--json")
    assert outcome.status == 1
    [verdict] = json.loads(outcome.out)["datasets"]
    assert said in [one["what"] for one in verdict["problems"]]


@pytest.mark.parametrize(
    ("dataset", "stage"),
    [
        ("imagenet2012", lambda root: class_tars(root / "train", ILSVRC[:1], 3)),
        ("imagenet2012", lambda root: class_folders(root / "train", TINY[:2], range(3))),
        # Of ILSVRC2012's numbers below 500, a class has every tenth, in some classes every third.
        ("imagenet2012", lambda root: class_folders(root / "train", TINY[:9], range(7, 500, 10))),
        ("imagenet2012", lambda root: class_folders(root / "train", TINY[:2], range(7, 100, 3))),
        ("imagenet2012", lambda root: class_folders(root / "train", TINY[:2], range(60, 560))),
        ("imagenet2012", lambda root: class_folders(root / "train", DOGS, (1,))),
        ("imagenet2012", lambda root: staged().write(root)),
        ("imagenet21k_winter21/whole", lambda root: class_tars(root / "tars", ILSVRC[:3], 2)),
        ("imagenet21k_winter21/whole", lambda root: class_tars(root / "tars", WINTER21[:3], 2)),
        (
            "imagenet21k_winter21/p",
            lambda root: class_folders(root / "imagenet21k_train", P[:2], range(1, 52)),
        ),
        (
            "imagenet21k_winter21/whole",
            lambda root: class_tars(root / "tars", ["n04467665", "n10565667"], TRAIN_COUNTS),
        ),
    ],
)
def test_a_small_part_of_the_right_dataset_is_no_false_alarm(
    dataset: str, stage: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / "staged").mkdir()
    stage(tmp_path / "staged")
    options = ("--deep", f"--scratch-dir={tmp_path / 'scratch'}")
    document = checked(tmp_path / "staged", dataset, *options, status=0)
    assert "error" not in [one["severity"] for one in document["problems"]]


# --- Exports of what is derived -------------------------------------------------------------------


@pytest.mark.parametrize("form", ["imagefolder", "slim", "huggingface --parquet"])
def test_an_export_of_smaller_images_is_not_the_original(form: str, tmp_path: Path) -> None:
    """Names, classes and numbers are those of the original; only the export itself tells."""
    archives_of = f"--manual-dir={DUMMY_DATA / 'imagenet2012'}"
    out, to = tmp_path / "out", ("--to", *form.split())
    exported = command_line.run(
        "export", "imagenet2012_resized/256", *to, archives_of, f"--out={out}", "--workers=1"
    )
    assert exported.status == 0, exported.err
    said = "this was exported from imagenet2012_resized/256/1.0.0, as provenance.json beside it"
    for dataset in ("imagenet2012", "imagenet2012_resized/512"):
        outcome = build(dataset, out, tmp_path / "data")
        assert (outcome.status, said in outcome.err) == (1, True), outcome
        found = checked(out, dataset, status=1)["problems"]
        assert any(said in one["found"] for one in found if one["severity"] == "error")
    assert not list((tmp_path / "data").rglob("dataset_info.json"))
    # An export of the original is the original.
    out = tmp_path / "original"
    exported = command_line.run(
        "export", "imagenet2012", *to, archives_of, f"--out={out}", "--workers=1"
    )
    assert exported.status == 0, exported.err
    assert build("imagenet2012", out, tmp_path / "data").status == 0
