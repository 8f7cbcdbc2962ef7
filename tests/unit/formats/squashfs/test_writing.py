"""SquashFS images made by `sqfstar`: read by our reader; what goes wrong is a sentence."""

from __future__ import annotations

import errno
import os
import random
import shutil
from pathlib import Path

import pytest

from imagenet_builders.errors import OptionError
from imagenet_builders.formats.squashfs import writing
from imagenet_builders.formats.squashfs.image import SquashFSImage, list_files
from imagenet_builders.formats.squashfs.writing import Compression, SquashFSFile

needs_sqfstar = pytest.mark.skipif(
    shutil.which(writing.PROGRAM) is None,
    reason="makes real images: install sqfstar (apt install squashfs-tools)",
)

FILES = {
    f"train/n0144{n % 3:04}/n0144{n % 3:04}_{n}.JPEG": random.Random(n).randbytes(size)
    for n, size in enumerate([0, 1, 511, 512, 513, 131_072, 300_001, *range(2000, 2040)])
} | {"meta.bin": b"PK"}


def make(path: Path, compression: Compression = "none", processors: int = 1) -> bytes:
    with SquashFSFile(path, compression, processors) as image:
        for name, data in FILES.items():
            image.add(name, data)
    return path.read_bytes()


@needs_sqfstar
@pytest.mark.parametrize("compression", writing.COMPRESSIONS)
def test_every_file_has_its_bytes(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "imagenet.squashfs"
    make(path, compression)
    with SquashFSImage(path) as image:
        found = {
            member.path: image.read(member.reference, member.size) for member in list_files(path)
        }
    assert found == FILES


@needs_sqfstar
def test_images_are_neither_packed_together_nor_compressed(tmp_path: Path) -> None:
    data = make(tmp_path / "imagenet.squashfs")
    assert all(content in data for content in FILES.values() if len(content) <= 131_072)


@needs_sqfstar
def test_the_bytes_do_not_depend_on_time_processors_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(tmp_path / "one")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert make(tmp_path / "two", processors=2) == first


@needs_sqfstar
def test_nothing_is_written_beside_the_image(tmp_path: Path) -> None:
    make(tmp_path / "imagenet.squashfs")
    assert os.listdir(tmp_path) == ["imagenet.squashfs"]


@needs_sqfstar
def test_a_directory_that_is_gone_is_said_by_number(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    image = SquashFSFile(tmp_path / "x/imagenet.squashfs", "none", 1)
    (tmp_path / "x").rmdir()
    with pytest.raises(FileNotFoundError), image:
        pass


@needs_sqfstar
def test_what_the_program_says_is_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "imagenet.squashfs"
    path.mkdir()
    with pytest.raises(OSError, match=r"sqfstar: .*not block device or regular file") as raised:
        make(path)
    assert raised.value.errno == errno.EPIPE


@needs_sqfstar
def test_an_image_that_may_not_grow_is_an_error(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match=r"sqfstar: .*File too large|sqfstar: signal 25"):
            make(tmp_path / "imagenet.squashfs")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@needs_sqfstar
def test_an_error_on_the_way_ends_the_program(tmp_path: Path) -> None:
    """It would make a whole image of what it has."""
    image = SquashFSFile(tmp_path / "imagenet.squashfs", "none", 1)
    with pytest.raises(UnicodeEncodeError), image:
        image.add("é.JPEG", bytes(100))
    with pytest.raises(ProcessLookupError):
        os.kill(image._process.pid, 0)


def test_a_program_that_is_missing_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionError, match=r"program sqfstar, .*package squashfs-tools"):
        writing.check_program()
