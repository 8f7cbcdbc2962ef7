"""What is odd but sound works, what can be repaired is, and what is bad can be left out.

Every build here goes through the real command line.
"""

from __future__ import annotations

import gzip
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import archives, pictures
from PIL import Image
from support import built_datasets, command_line
from support.built_datasets import provenance, records_by_split, split_info
from support.command_line import build, refused
from support.corpora import ilsvrc2012 as corpus
from support.corpora.ilsvrc2012 import (
    COUGAR,
    TENCH,
    TEST,
    TRAIN,
    VAL,
    Staged,
    member_offsets,
    picture,
    staged,
    val_name,
    with_image,
)

JPEG = picture("whole")

# --- archives --------------------------------------------------------------------------------


def with_prefix(prefix: str, *, entry: bool) -> Callable[[Staged], None]:
    """Puts all members into a folder, which may have an entry of its own."""
    folder: list[corpus.Member] = [(archives.header(prefix, directory=True), b"")] if entry else []

    def prefixed(members: list[corpus.Member]) -> list[corpus.Member]:
        return [*folder, *((f"{prefix}{name}", data) for name, data in members)]

    def change(odd: Staged) -> None:
        odd.train = {wnid: prefixed(members) for wnid, members in odd.train.items()}
        odd.validation, odd.test = prefixed(odd.validation), prefixed(odd.test)
        odd.patch = prefixed(odd.patch)
        odd.in_outer = prefixed

    return change


def in_format(tar_format: int) -> Callable[[Staged], None]:
    """Writes in a tar format, with a long name and a fine time to bring out its peculiarities."""

    def change(odd: Staged) -> None:
        odd.tar_format = tar_format
        name, data = odd.validation[0]
        info = archives.header("a-long-name/" * 9 + str(name))
        info.mtime = 1350553049.123456789
        odd.validation[0] = (info, data)

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(with_prefix("./", entry=True), id="dot"),
        pytest.param(with_prefix("val/", entry=True), id="folder"),
        pytest.param(with_prefix("train/", entry=False), id="folder_without_entry"),
        pytest.param(with_prefix("ILSVRC/Data/é/", entry=True), id="deep_folder"),
        pytest.param(with_prefix("\udcff/", entry=True), id="folder_not_utf8"),
        pytest.param(in_format(tarfile.GNU_FORMAT), id="gnu"),
        pytest.param(in_format(tarfile.PAX_FORMAT), id="pax"),
        pytest.param(in_format(tarfile.USTAR_FORMAT), id="ustar"),
    ],
)
def test_any_layout_of_the_same_images_gives_the_same_records(
    change: Callable[[Staged], None], whole: dict[str, list[bytes]], tmp_path: Path
) -> None:
    odd = staged()
    change(odd)
    outcome = build(odd.write(tmp_path / "staged"), tmp_path / "built")
    assert outcome.status == 0, outcome.err
    assert records_by_split(tmp_path / "built") == whole


def test_the_older_name_of_the_test_archive_is_accepted(
    whole: dict[str, list[bytes]], tmp_path: Path
) -> None:
    manual_dir = staged().write(tmp_path / "staged")
    (manual_dir / TEST).rename(manual_dir / "ILSVRC2012_img_test.tar")
    assert build(manual_dir, tmp_path / "built").status == 0
    assert records_by_split(tmp_path / "built") == whole


def test_links_to_archives_are_followed(whole: dict[str, list[bytes]], tmp_path: Path) -> None:
    (tmp_path / "staged").mkdir()
    for archive in staged().write(tmp_path / "elsewhere").iterdir():
        (tmp_path / "staged" / archive.name).symlink_to(archive)
    assert build(tmp_path / "staged", tmp_path / "built").status == 0
    assert records_by_split(tmp_path / "built") == whole


def test_other_files_beside_the_archives_do_not_matter(
    whole: dict[str, list[bytes]], tmp_path: Path
) -> None:
    manual_dir = staged().write(tmp_path / "staged")
    for name in (".DS_Store", "._ILSVRC2012_img_val.tar", "ILSVRC2012_img_val.tar.md5"):
        (manual_dir / name).write_bytes(b"junk")
    (manual_dir / "val").mkdir()
    assert build(manual_dir, tmp_path / "built").status == 0
    assert records_by_split(tmp_path / "built") == whole


# --- images ----------------------------------------------------------------------------------


def drawn() -> Image.Image:
    return pictures.draw("odd", key="odd_1.JPEG", size=(40, 30))


KEPT = {
    "bytes_after_the_end": JPEG + b"trailing",
    "zeros_after_the_end": JPEG + bytes(2000),
    "grey": pictures.jpeg(drawn(), grey=True),
    "progressive": pictures.jpeg(drawn(), progressive=True),
    "one_pixel": pictures.jpeg(drawn().resize((1, 1))),
}
REPAIRED = {
    "gzipped": (gzip.compress(JPEG), "gunzipped"),
    "cmyk": (pictures.cmyk_jpeg(drawn()), "(CMYK|YCCK) JPEG re-encoded as RGB"),
    "png": (pictures.png(drawn()), "PNG re-encoded as JPEG"),
    "gzipped_png": (gzip.compress(pictures.png(drawn())), "gunzipped; PNG re-encoded as JPEG"),
}
anywhere = pytest.mark.parametrize("where", ["train", "validation", "test", "patch"])


@anywhere
@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT)
def test_an_odd_jpeg_is_kept_unchanged(where: str, data: bytes, tmp_path: Path) -> None:
    with_image(tmp_path / "staged", where, data)
    assert build(tmp_path / "staged", tmp_path / "built").status == 0
    split = "test" if where == "patch" else where
    assert sum(data in record for record in records_by_split(tmp_path / "built")[split]) == 1
    assert provenance(tmp_path / "built")[split]["repaired"] == []


@anywhere
@pytest.mark.parametrize(("data", "done"), REPAIRED.values(), ids=REPAIRED)
def test_a_repair_is_recorded(where: str, data: bytes, done: str, tmp_path: Path) -> None:
    archive, name, offset = with_image(tmp_path / "staged", where, data)
    outcome = build(tmp_path / "staged", tmp_path / "built")
    assert outcome.status == 0
    split = "test" if where == "patch" else where
    [record] = [r for r in records_by_split(tmp_path / "built")[split] if name.encode() in r]
    assert data not in record
    assert b"\xff\xd8\xff" in record
    described = provenance(tmp_path / "built")[split]
    [note] = described["repaired"]
    assert re.fullmatch(done, note.pop("reason"))
    assert note == {"key": name, "path": str(archive), "offset": offset}
    assert described["skipped"] == []
    assert "(1 repaired, 0 skipped)" in outcome.summary[split]


# --- images left out on request --------------------------------------------------------------

SKIPPING = ("--bad-images", "skip", "--num-shards", "4")


@pytest.fixture(scope="module")
def skipping(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, command_line.Outcome]:
    """A build in which two images of train and one of validation are bad."""
    path = tmp_path_factory.mktemp("skipping")
    bad = staged()
    bad.train[TENCH][1] = (bad.train[TENCH][1][0], b"")
    bad.train[COUGAR][2] = (bad.train[COUGAR][2][0], b"<html>404</html>")
    bad.validation[3] = (bad.validation[3][0], JPEG[:200])
    bad.write(path / "staged")
    return path, build(path / "staged", path / "built", *SKIPPING)


def test_skipping_omits_only_the_bad_images(
    skipping: tuple[Path, command_line.Outcome], whole: dict[str, list[bytes]]
) -> None:
    path, outcome = skipping
    assert outcome.status == 0, outcome.err
    bad = [f"{TENCH}_2.JPEG", f"{COUGAR}_11.JPEG", val_name(2)]
    assert records_by_split(path / "built") == {
        split: [r for r in of_split if not any(name.encode() in r for name in bad)]
        for split, of_split in whole.items()
    }
    shards = split_info(path / "built")
    counts = {split: sum(lengths) for split, lengths in shards.items()}
    assert counts == {"train": 7, "validation": 4, "test": 4}
    for split, lengths in shards.items():
        files = sorted((path / "built" / command_line.DATASET).glob(f"*-{split}.tfrecord-*"))
        assert [len(list(built_datasets.tfrecords(file.read_bytes()))) for file in files] == lengths


def test_skipping_counts_and_records_each_image(
    skipping: tuple[Path, command_line.Outcome],
) -> None:
    path, outcome = skipping
    assert "7 images (0 repaired, 2 skipped)" in outcome.summary["train"]
    assert "4 images (0 repaired, 1 skipped)" in outcome.summary["validation"]
    assert "4 images (0 repaired, 0 skipped)" in outcome.summary["test"]
    noted = {split: found["skipped"] for split, found in provenance(path / "built").items()}
    train, val = path / "staged" / TRAIN, path / "staged" / VAL
    places = {
        f"{TENCH}_2.JPEG": member_offsets(train, f"{TENCH}.tar/{TENCH}_2.JPEG"),
        f"{COUGAR}_11.JPEG": member_offsets(train, f"{COUGAR}.tar/{COUGAR}_11.JPEG"),
        val_name(2): member_offsets(val, val_name(2)),
    }
    for split, archive, number in (("train", train, 2), ("validation", val, 1)):
        assert len(noted[split]) == number
        for note in noted[split]:
            assert note["path"] == str(archive)
            assert note["offset"] == places[note["key"]][1]
    assert noted["test"] == []
    reasons = {note["key"]: note["reason"] for notes in noted.values() for note in notes}
    assert set(reasons) == set(places)
    assert reasons[f"{TENCH}_2.JPEG"] == "empty (0 bytes)"
    assert "HTML page" in reasons[f"{COUGAR}_11.JPEG"]
    assert "cut off" in reasons[val_name(2)]


def test_a_split_of_nothing_but_bad_images_is_an_error(tmp_path: Path) -> None:
    bad = staged()
    bad.validation = [(name, b"") for name, _ in bad.validation]
    bad.write(tmp_path / "staged")
    sentence = refused(
        build(tmp_path / "staged", tmp_path / "built", *SKIPPING), tmp_path / "built"
    )
    assert "split 'validation': every one of its 5 images is bad" in sentence
    assert str(tmp_path / "staged" / VAL) in sentence
    assert "empty (0 bytes)" in sentence


@pytest.mark.slow
def test_stock_tfds_reads_the_rest_even_around_empty_shards(tmp_path: Path) -> None:
    """With a shard an image, a bad image leaves a shard of nothing: first, in the middle, last."""
    import tensorflow_datasets as tfds

    def names(builder: tfds.core.DatasetBuilder, split: str) -> list[bytes]:
        undecoded = {"image": tfds.decode.SkipDecoding()}
        dataset = builder.as_dataset(split=split, decoders=undecoded)
        return [example["file_name"] for example in tfds.as_numpy(dataset)]

    sound = staged()
    sound.patch = []
    sound.write(tmp_path / "staged")
    assert build(tmp_path / "staged", tmp_path / "built", *SKIPPING).status == 0
    in_order = [
        next(str(name) for name, _ in sound.test if str(name).encode() in record)
        for record in records_by_split(tmp_path / "built")["test"]
    ]
    for missing in ({0}, {1, 2}, {3}, {0, 1, 3}):
        out = {in_order[number] for number in missing}
        bad = staged()
        bad.test = [(name, b"" if name in out else data) for name, data in sound.test]
        bad.patch = []
        path = tmp_path / "".join(map(str, sorted(missing)))
        bad.write(path / "staged")
        assert build(path / "staged", path / "built", *SKIPPING).status == 0
        expected = [name.encode() for name in in_order if name not in out]
        assert split_info(path / "built")["test"] == [int(n not in missing) for n in range(4)]

        builder = tfds.builder_from_directory(path / "built" / command_line.DATASET)
        assert builder.info.splits["test"].num_examples == len(expected)
        assert names(builder, "test") == expected
        if len(expected) > 1:  # TensorFlow Datasets refuses to read nothing.
            assert names(builder, "test[:1]") + names(builder, "test[1:]") == expected
        assert names(builder, "test[-1:]") == expected[-1:]
        both = names(builder, "train") + expected
        assert sorted(names(builder, "train+test")) == sorted(both)
