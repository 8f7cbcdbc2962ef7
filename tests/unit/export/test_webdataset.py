"""The form `webdataset`: what the libraries that read it find, and DALI's rule of its index."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from pathlib import Path

import pytest
import webdataset
from PIL import Image
from support import built_datasets
from support.building import DUMMY_ARCHIVES, build

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import SourceError
from imagenet_builders.export.form import Part, Subject
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.export.webdataset import FORM, _header, write
from imagenet_builders.options import BuildOptions

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(Builder, DUMMY_ARCHIVES, tmp_path_factory.mktemp("tfds"), num_shards=3)


@pytest.fixture(scope="module")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "wds"
    export(BuiltSource(str(built), built.parents[1]), FORM, out, BuildOptions(workers=1))
    return out


def tars(directory: Path, split: str) -> list[Path]:
    return sorted(directory.glob(f"imagenet1k-{split}-?.tar"))


def samples(split: str, built: Path) -> list[dict]:
    """What the converter of timm/imagenet-1k-wds gives WebDataset's writer."""
    made = []
    for name, label, image in built_datasets.split_content(built, split):
        with Image.open(io.BytesIO(image)) as picture:
            width, height = picture.size
        said = {"label": label, "width": width, "height": height, "filename": name}
        stem = name.removesuffix(".JPEG")
        made.append({"__key__": stem, "jpg": image, "json": said, "cls": label})
    return made


@pytest.mark.parametrize("split", SPLITS)
def test_shards_are_those_of_webdatasets_writer(built: Path, exported: Path, split: str) -> None:
    expected, shards = samples(split, built), tars(exported, split)
    assert len(shards) == 3
    cuts = [round(len(expected) * each / 3) for each in range(4)]
    for shard, (start, stop) in zip(shards, itertools.pairwise(cuts), strict=True):
        buffer = io.BytesIO()
        with webdataset.TarWriter(buffer, mtime=0) as writer:
            for sample in expected[start:stop]:
                writer.write(sample)
        assert shard.read_bytes() == buffer.getvalue()


@pytest.mark.parametrize("split", SPLITS)
def test_webdataset_reads_all_in_the_order_of_the_dataset(
    built: Path, exported: Path, split: str
) -> None:
    urls = [str(path) for path in tars(exported, split)]
    read = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False)
    found = [(json.loads(each["json"])["filename"], int(each["cls"]), each["jpg"]) for each in read]
    assert found == built_datasets.split_content(built, split)


def test_images_without_a_label_have_minus_one(exported: Path) -> None:
    urls = [str(path) for path in tars(exported, "test")]
    read = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert {each["cls"] for each in read} == {b"-1"}
    assert {json.loads(each["json"])["label"] for each in read} == {-1}


@pytest.mark.parametrize("split", SPLITS)
def test_the_index_is_by_the_rule_of_wds2idx(exported: Path, split: str) -> None:
    for shard in tars(exported, split):
        with tarfile.open(shard) as archive:
            members = archive.getmembers()
        lines: dict[str, list[str]] = {}
        for each in members:
            stem, _, extension = each.name.partition(".")
            part = f"{extension} {each.offset_data} {each.size} {each.name}"
            lines.setdefault(stem, []).append(part)
        expected = [f"v1.2 {len(lines)}", *map(" ".join, lines.values())]
        assert shard.with_suffix(".idx").read_text() == "\n".join(expected) + "\n"


def test_timm_and_open_clip_find_names_and_numbers(exported: Path) -> None:
    info = json.loads((exported / "_info.json").read_text())
    assert info["name"] == "imagenet1k"
    assert list(info["splits"]) == list(SPLITS)
    sizes = json.loads((exported / "sizes.json").read_text())
    for split, said in info["splits"].items():
        assert said["name"] == split
        assert said["filenames"] == [path.name for path in tars(exported, split)]
        lengths = [
            len(tarfile.open(path).getmembers()) // 3  # noqa: SIM115
            for path in tars(exported, split)
        ]
        assert said["shard_lengths"] == [sizes[name] for name in said["filenames"]] == lengths
        assert said["num_samples"] == sum(lengths)


def test_a_build_from_the_shards_has_the_same_shards(
    built: Path, exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "staged").mkdir()
    for path in exported.glob("*.tar"):
        (tmp_path / "staged" / path.name).symlink_to(path)
    again = build(Builder, tmp_path / "staged", tmp_path / "tfds", num_shards=3)
    shards = built_datasets.shards(again)
    assert len(shards) == 6  # The test split has no labels, and so no shards as published.
    for shard in shards:
        assert shard.read_bytes() == (built / shard.name).read_bytes()


SUBJECT = Subject("x", "y", "1.0.0", "x_y", "file_name", ("n00000001", "n00000002"), ("train",))


def example(**changes: object) -> dict:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, "png")
    return {"image": buffer.getvalue(), "label": 1, "file_name": "a.JPEG"} | changes


def test_png_images_and_any_number_of_shards(tmp_path: Path) -> None:
    written = write(SUBJECT, Part("train", 7, 1001), tmp_path, [example(file_name=b"a.JPEG")])
    assert [file.name for file in written.files] == ["x_y-train-0007.tar", "x_y-train-0007.idx"]
    with tarfile.open(tmp_path / "x_y-train-0007.tar") as archive:
        assert archive.getnames() == ["a.cls", "a.json", "a.png"]
        file = archive.extractfile("a.json")
        assert file is not None
        said = json.load(file)
    assert said == {"label": 1, "width": 3, "height": 2, "filename": "a.JPEG"}


@pytest.mark.parametrize("size", [0, 1, 511, 8**7, 8**11 - 1])
@pytest.mark.parametrize("name", ["", "a.jpg", "n01440764_10026.json", "é" * 50, "a/" + "b" * 120])
def test_headers_are_those_of_tarfile(name: str, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.uname, member.gname = size, 0o444, "bigdata", "bigdata"
    try:
        expected = member.tobuf(tarfile.USTAR_FORMAT)
    except ValueError:
        with pytest.raises(SourceError, match="cannot be the name of a member"):
            _header(name, size)
    else:
        assert _header(name, size) == expected


def test_two_samples_of_a_shard_have_two_names(tmp_path: Path) -> None:
    given = [example(file_name=name) for name in ("a.JPEG", "b.JPEG", "a.png")]
    with pytest.raises(SourceError, match="two examples of a shard have the name 'a', which"):
        write(SUBJECT, Part("train", 0, 1), tmp_path, given)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": 2}, r"x/y/1.0.0: expected labels from -1 to 1, found 2"),
        ({"label": b"1"}, r"expected labels from -1 to 1, found b'1'"),
        ({"image": b"GIF89a" + bytes(20)}, "the image a.JPEG cannot be exported: .*gif"),
        ({"image": b"\xff\xd8\xff\xd9"}, "the image a.JPEG cannot be exported: JPEG cut off"),
        ({"image": 1}, "expected the feature 'image' with the bytes of an image, found none"),
        ({"file_name": "../a.JPEG"}, r"expected the name of an image in file_name, found '../a"),
        ({"file_name": ""}, "expected the name of an image in file_name, found ''"),
        ({"file_name": "a" * 200}, "cannot be the name of a member of a tar"),
        ({"file_name": "a.b.JPEG"}, r"'a.b.JPEG' has two points, by which WebDataset"),
    ],
    ids=["class", "type", "format", "cut off", "no image", "path", "no name", "long", "points"],
)
def test_what_cannot_be_a_sample(tmp_path: Path, changes: dict, said: str) -> None:
    given = example(**changes)
    with pytest.raises(SourceError, match=said):
        write(SUBJECT, Part("train", 0, 1), tmp_path, [given])
