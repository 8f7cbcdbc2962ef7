"""imagenet21k_winter21 when classes are missing or unknown, archives damaged, or space is short."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import archives, pictures
from makers.imagenet21k_winter21 import (
    TRAIN,
    VALIDATION,
    Winter21,
    write_gzip,
)
from support.corpora.winter21 import (
    LAYOUTS,
    build_here,
    content,
    expected,
    make,
    pack,
    pack_p,
    unpacked_in,
)
from support.logged import warned

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet21k_winter21 import (
    classes,
)
from imagenet_builders.datasets.imagenet21k_winter21.staged import make_examples
from imagenet_builders.errors import (
    ArchiveError,
    BadImageError,
    OptionError,
    SourceError,
)
from imagenet_builders.plan import index as index_lib
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.scratch import gunzip
from imagenet_builders.sources.folders import KIND
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import WHOLE_FILE, Rows, SourceFile
from imagenet_builders.write import outputs
from imagenet_builders.write.shard import ShardJob, prefetch

# Few classes of thousands are there, which is the subject of tests of its own.


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Winter21]:
    """Each configuration packed with and without gzip."""
    return {
        (config, layout): make(tmp_path_factory.mktemp("corpus"), config, layout)
        for config in LAYOUTS
        for layout in ("tar", "tar.gz")
    }


# Classes.


@pytest.mark.parametrize("config", LAYOUTS)
def test_missing_classes_are_one_warning_with_their_number_and_some_names(
    tmp_path: Path, corpora, config: str
):
    with warned("have no") as caught:
        build_here(config, corpora[config, "tar"].directory, tmp_path)
    [text] = [text for text in caught if "have no" in text]
    number, names, splits = {
        "whole": ("19,159 of the 19,167", "(n00005787, n00006024, ", "no train image"),
        "p": ("10,444 of the 10,450", "(n00005787, n00006484, ", "no train or validation image"),
    }[config]
    assert all(words in text for words in (number, names, splits, "will have no examples of them"))


def test_classes_missing_from_one_split_are_named_by_split(tmp_path: Path):
    make(tmp_path / "manual", "p", "folders")
    shutil.rmtree(tmp_path / "manual" / "imagenet21k_resized" / VALIDATION / "n01440764")
    with warned("10,444 .* train image.*, and 10,445 .* validation image"):
        build_here("p", tmp_path / "manual", tmp_path / "built")


@pytest.mark.parametrize("config", LAYOUTS)
def test_missing_classes_are_an_error_on_request(tmp_path: Path, corpora, config: str):
    with pytest.raises(SourceError, match=r"classes have no.*\(n00005787.*without --strict"):
        build_here(config, corpora[config, "tar"].directory, tmp_path, options={"strict": True})
    assert not list(tmp_path.rglob("dataset_info.json"))


def test_all_classes_give_no_warning(caplog: pytest.LogCaptureFixture):
    for config, count in {"whole": 19_167, "p": 10_450}.items():
        wnids = classes.classes_of(config).wnids
        assert len(wnids) == count
        classes.check_classes(config, "tars", {"train": frozenset(wnids)}, strict=True)
    assert not caplog.records


FALL11 = "n09537660"  # A class of people that winter 2021 does not have.
TEDDY = "n04399382"  # A class of ImageNet2012 that no release of ImageNet-21k has.
NOT_IN_P = "n00004475"


@pytest.mark.parametrize(
    ("config", "wnid", "message"),
    [
        ("whole", FALL11, f"{FALL11} is one of the 2,674.*fall 2011 release"),
        ("p", FALL11, f"{FALL11} is one of the 2,674.*fall 2011 release"),
        ("whole", TEDDY, f"{TEDDY} is not one of the 19,167 .*imagenet2012"),
        ("p", NOT_IN_P, f"{NOT_IN_P} is a class of winter 2021, but not one of the 10,450"),
        ("whole", "n99999999", "n99999999 is not one of the 19,167 classes of this dataset"),
    ],
)
def test_an_unknown_class_is_an_error_with_its_likely_cause(
    tmp_path: Path, config: str, wnid: str, message: str
):
    for layout in LAYOUTS[config]:
        manual_dir = tmp_path / layout
        make(manual_dir, config, "folders", classes=["n00017222"])
        top = manual_dir / ("winter21_whole" if config == "whole" else "imagenet21k_resized")
        added = (top if config == "whole" else top / TRAIN) / wnid
        added.mkdir()
        (added / f"{wnid}_1.JPEG").write_bytes(pictures.jpeg(pictures.draw("x", key="x")))
        (pack if config == "whole" else pack_p)(manual_dir, layout)
        with pytest.raises(SourceError, match=message):
            build_here(config, manual_dir, tmp_path / "built" / layout)


def test_the_removed_classes_are_those_of_fall11_and_no_others():
    removed = classes.removed_from_fall11()
    assert len(removed) == 21_841 - 19_167
    assert not removed & set(labels.wnids("imagenet21k_winter21"))


# Damage.


def add_file(name: str) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        (folder / name).write_bytes(pictures.jpeg(pictures.draw("x", key="x")))

    return add


@pytest.mark.parametrize("layout", LAYOUTS["whole"])
@pytest.mark.parametrize(
    "name",
    ["n00017222_5.gif", "n01440764_5.JPEG", ".hidden", "n00017222_5.JPEG.part", "a\nb.JPEG"],
)
def test_a_file_that_does_not_belong_in_a_class_is_named(tmp_path: Path, layout: str, name: str):
    corpus = make(tmp_path / "manual", "whole", "folders", classes=["n00017222"])
    add_file(name)(corpus.directory / "winter21_whole" / "n00017222")
    pack(corpus.directory, layout)
    with pytest.raises(SourceError, match=r"does not belong.*images such as n00017222_1") as caught:
        build_here("whole", corpus.directory, tmp_path / "built")
    assert repr(name)[1:-1] in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("layout", LAYOUTS["whole"])
def test_a_class_without_images_is_an_error(tmp_path: Path, layout: str):
    corpus = make(tmp_path / "manual", "whole", "folders", classes=["n00017222"])
    (corpus.directory / "winter21_whole" / "n01440764").mkdir()
    pack(corpus.directory, layout)
    with pytest.raises(SourceError, match=r"n01440764.*there is no image in this"):
        build_here("whole", corpus.directory, tmp_path / "built")


def test_a_class_tar_that_is_cut_off_is_named(tmp_path: Path):
    make(tmp_path / "manual", "whole", "class tars")
    path = tmp_path / "manual" / "tars" / "n15102894.tar"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ArchiveError, match="cut off") as caught:
        build_here("whole", tmp_path / "manual", tmp_path / "built")
    assert caught.value.archive == str(path)


def test_an_empty_class_tar_is_named(tmp_path: Path):
    make(tmp_path / "manual", "whole", "class tars")
    (tmp_path / "manual" / "tars" / "n15102894.tar").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"n15102894\.tar.*no bytes at all"):
        build_here("whole", tmp_path / "manual", tmp_path / "built")


@pytest.mark.parametrize(
    "name",
    [
        "imagenet21k_resized/imagenet21k_test/n01440764/n01440764_1.JPEG",
        "imagenet21k_resized/imagenet21k_train/n01440764_1.JPEG",
        "somewhere/else/imagenet21k_train/n01440764/n01440764_1.JPEG",
        "n01440764_1.JPEG",
        "imagenet21k_resized/imagenet21k_train/n01440764/n00017222_1.JPEG",
        "imagenet21k_resized/imagenet21k_train/n01440764/n01440764_1.jpeg~",
    ],
)
def test_a_member_of_p_in_the_wrong_place_is_named(tmp_path: Path, name: str):
    (tmp_path / "manual").mkdir()
    picture = pictures.jpeg(pictures.draw("x", key="x"))
    good = ("imagenet21k_resized/imagenet21k_train/n01440764/n01440764_2.JPEG", picture)
    archives.write_tar(tmp_path / "manual" / "imagenet21k_resized.tar", [good, (name, picture)])
    with pytest.raises(ArchiveError, match="does not belong in the archive") as caught:
        build_here("p", tmp_path / "manual", tmp_path / "built")
    assert caught.value.member == name


@pytest.mark.parametrize("layout", LAYOUTS["p"])
def test_an_image_in_both_splits_is_an_error_that_names_both_places(tmp_path: Path, layout: str):
    corpus = make(tmp_path / "manual", "p", "folders")
    root = tmp_path / "manual" / "imagenet21k_resized"
    name, stored = next(iter(corpus.train.items()))
    wnid = str(stored.wnid)
    shutil.copy(root / TRAIN / wnid / name, root / VALIDATION / wnid / name)
    pack_p(tmp_path / "manual", layout)
    with pytest.raises(SourceError, match=f"{name}.* of validation is in train as well"):
        build_here("p", tmp_path / "manual", tmp_path / "built")


def test_stray_files_in_a_folder_of_classes_are_named(tmp_path: Path):
    make(tmp_path / "manual", "whole", "class tars")
    (tmp_path / "manual" / "tars" / "n01440764.tar.part").touch()
    (tmp_path / "manual" / "tars" / "README").touch()
    with warned(r"'README', 'n01440764.tar.part'; it is passed over"):
        build_here("whole", tmp_path / "manual", tmp_path / "built")
    with pytest.raises(SourceError, match=r"README.*build without --strict"):
        build_here("whole", tmp_path / "manual", tmp_path / "strict", options={"strict": True})


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path):
    (tmp_path / "n01440764_1.JPEG").write_bytes(pictures.jpeg(pictures.draw("x", key="x")))
    rows = Rows()
    rows.add("n01440764_1.JPEG", 0, 0, WHOLE_FILE, 10)
    with (
        Reader([SourceFile.of(tmp_path)], KIND.access) as reader,
        pytest.raises(SourceError, match=r"n01440764_1\.JPEG: the file had 10 bytes when"),
    ):
        list(make_examples(rows.table(), reader, ImagePolicy(), []))


def test_reading_ahead_copes_with_rows_that_are_files(tmp_path: Path):
    (tmp_path / "n01440764_1.JPEG").write_bytes(b"x")
    rows = Rows()
    rows.add("n01440764_1.JPEG", 0, 0, WHOLE_FILE, 1)
    rows.add("n01440764_2.JPEG", 0, 0, WHOLE_FILE, 20)  # It is not there.
    stream = index_lib.to_bytes(rows.table())
    files = (SourceFile.of(tmp_path),)
    output = outputs.DEFAULT
    prefetch(
        ShardJob(
            "train", 0, "", output, make_examples, stream, files, ImagePolicy(), "", KIND.access
        )
    )


# Unpacking.


@pytest.mark.parametrize("config", LAYOUTS)
def test_the_unpacked_archive_is_removed_once_the_dataset_is_built(
    tmp_path: Path, corpora, config: str, caplog: pytest.LogCaptureFixture
):
    build_here(config, corpora[config, "tar.gz"].directory, tmp_path)
    assert not unpacked_in(tmp_path)
    assert not list((tmp_path / "scratch").rglob("*.tar*"))
    said = caplog.text
    assert f"imagenet21k_winter21/{config}: unpacking" in said
    assert re.search(r"which needs about [\d.]+ kB there", said)


@pytest.mark.parametrize("config", LAYOUTS)
def test_a_failed_build_need_not_unpack_again(
    tmp_path: Path, config: str, monkeypatch: pytest.MonkeyPatch
):
    corpus = make(tmp_path / "manual", config, "folders")
    bad = max(corpus.directory.rglob("n01678043_*.JPEG"))
    bad.write_bytes(b"not an image")
    (pack if config == "whole" else pack_p)(corpus.directory, "tar.gz")
    with pytest.raises(BadImageError):
        build_here(config, corpus.directory, tmp_path)
    assert [path for path in unpacked_in(tmp_path) if path.suffix == ".tar"]
    monkeypatch.setattr(gunzip, "_unpack", None)
    build_here(config, corpus.directory, tmp_path, options={"bad_images": "skip"})
    assert not unpacked_in(tmp_path)


@pytest.mark.parametrize("config", LAYOUTS)
def test_a_cut_off_archive_is_named_and_the_next_run_continues(
    tmp_path: Path, corpora, config: str
):
    corpus = make(tmp_path / "manual", config, "tar.gz")
    [archive] = corpus.directory.iterdir()
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(ArchiveError, match="cut off") as caught:
        build_here(config, corpus.directory, tmp_path)
    assert (caught.value.archive, caught.value.offset) == (str(archive), len(whole) * 9 // 10)
    [partial] = [path for path in unpacked_in(tmp_path) if path.suffix == ".partial"]
    assert partial.stat().st_size > len(whole) // 2
    archive.write_bytes(whole)
    directory = build_here(config, corpus.directory, tmp_path)
    assert content(directory) == expected(corpora[config, "tar.gz"], config)


def test_damage_inside_a_sound_gzip_file_names_the_staged_archive(tmp_path: Path):
    make(tmp_path / "manual", "whole", "tar")
    plain = tmp_path / "manual" / "winter21_whole.tar"
    write_gzip(tmp_path / "manual" / "winter21_whole.tar.gz", plain.read_bytes()[:-20_000])
    plain.unlink()
    with pytest.raises(ArchiveError, match=r"winter21_whole\.tar\.gz \(unpacked\).*cut off"):
        build_here("whole", tmp_path / "manual", tmp_path / "built")


def test_too_little_space_to_unpack_is_an_error_with_numbers(
    tmp_path: Path, corpora, monkeypatch: pytest.MonkeyPatch
):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OptionError, match=r"has 10 B free, but \d+ kB are needed to unpack"):
        build_here("whole", corpora["whole", "tar.gz"].directory, tmp_path)
