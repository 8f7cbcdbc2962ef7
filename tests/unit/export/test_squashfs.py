"""The form `squashfs`: the tree of `imagefolder` in one file, and a build from it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import built_datasets
from support.building import build
from support.processes import run_cli

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import OptionError, SourceError, TargetError
from imagenet_builders.export import imagefolder
from imagenet_builders.export.form import SPLIT, Part, Subject
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.export.squashfs import FORM, write
from imagenet_builders.formats.squashfs.image import SquashFSImage, list_files
from imagenet_builders.options import BuildOptions

needs_sqfstar = pytest.mark.skipif(
    shutil.which("sqfstar") is None,
    reason="makes real images: install sqfstar (apt install squashfs-tools)",
)
ONE_WORKER = BuildOptions(workers=1)


@pytest.fixture(scope="module")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "squashfs"
    export(BuiltSource(str(built), built.parents[1]), FORM, out, ONE_WORKER)
    return out


def content(image: Path) -> dict[str, bytes]:
    with SquashFSImage(image) as opened:
        return {
            member.path: opened.read(member.reference, member.size) for member in list_files(image)
        }


@needs_sqfstar
def test_it_is_the_tree_of_imagefolder(built: Path, exported: Path, tmp_path: Path) -> None:
    source = BuiltSource(str(built), built.parents[1])
    export(source, imagefolder.FORM, tmp_path / "folders", ONE_WORKER)
    expected = {
        str(path.relative_to(tmp_path / "folders")): path.read_bytes()
        for path in (tmp_path / "folders").rglob("*")
        if path.is_file() and path.name != "provenance.json"
    }
    assert content(exported / "imagenet2012.squashfs") == expected
    assert sorted(os.listdir(exported)) == ["imagenet2012.squashfs", "provenance.json"]


@needs_sqfstar
@pytest.mark.parametrize("arguments", [(), ("--compression", "zstd")], ids=["none", "zstd"])
def test_a_build_from_it_has_the_same_shards(
    built: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    done = run_cli(
        *("export", "imagenet2012", "--to", "squashfs", *arguments),
        *(f"--data-dir={built.parents[1]}", f"--out={out}"),
    )
    assert done.returncode == 0, done.stderr
    again = build(Builder, out, tmp_path / "tfds", num_shards=3)
    shards = built_datasets.shards(again)
    assert len(shards) == 9
    for shard in shards:
        assert shard.read_bytes() == (built / shard.name).read_bytes()


@needs_sqfstar
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts: run it as root")
def test_the_kernel_mounts_it(exported: Path, tmp_path: Path) -> None:
    image = exported / "imagenet2012.squashfs"
    command = ["mount", "-t", "squashfs", "-o", "loop,ro", str(image), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    try:
        found = {
            str(path.relative_to(tmp_path)): path.read_bytes()
            for path in tmp_path.rglob("*")
            if path.is_file()
        }
    finally:
        subprocess.run(["umount", str(tmp_path)], timeout=60, check=True)
    assert found == content(image)


@needs_sqfstar
def test_an_export_that_was_interrupted_leaves_nothing(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built.parents[1], tmp_path / "tfds")
    *_, last = built_datasets.shards(tmp_path / "tfds/imagenet2012/5.1.0", "validation")
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(data)
    source = BuiltSource("imagenet2012", tmp_path / "tfds")
    with pytest.raises(SourceError, match="checksum of the record"):
        export(source, FORM, tmp_path / "out", ONE_WORKER)
    assert [path.name for path in tmp_path.iterdir()] == ["tfds"]


def test_a_missing_program_is_said_before_the_work(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionError, match=r"program sqfstar, .*package squashfs-tools"):
        export(BuiltSource("imagenet2012", built.parents[1]), FORM, tmp_path / "out", ONE_WORKER)
    assert list(tmp_path.iterdir()) == []


SUBJECT = Subject("x", "y", "1.0.0", "x", "id", ("n00000001",), ("train",))


def example(name: str) -> dict:
    return {"image": b"\xff\xd8\xff", "label": 0, "id": name, SPLIT: "train"}


@needs_sqfstar
@pytest.mark.parametrize("name", ["é.JPEG", "a" * 90 + ".JPEG"], ids=["letters", "long"])
def test_what_no_path_in_a_tar_can_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="expected at most 99 ASCII characters"):
        write("none", SUBJECT, Part("all", 0, 1), tmp_path, [example(name)])


@needs_sqfstar
def test_two_images_have_two_paths(tmp_path: Path) -> None:
    given = [example(name) for name in ("a.JPEG", "b.JPEG", "a.JPEG")]
    with pytest.raises(SourceError, match=r"two examples have the name 'train/n00000001/a\.JPEG'"):
        write("none", SUBJECT, Part("all", 0, 1), tmp_path, given)


@needs_sqfstar
def test_what_the_program_says_is_in_the_sentence(tmp_path: Path) -> None:
    (tmp_path / "x_y.squashfs").mkdir()
    said = r"x_y\.squashfs cannot be written: sqfstar: .*not block device or regular file"
    with pytest.raises(TargetError, match=said):
        write("none", SUBJECT, Part("all", 0, 1), tmp_path, [example("a.JPEG")])
