"""All splits as one part: what is said of each, where images were left out or repaired."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES

from imagenet_builders.errors import BadImageError
from imagenet_builders.export.run import export
from imagenet_builders.export.source import StagedSource
from imagenet_builders.export.squashfs import FORM
from imagenet_builders.formats.squashfs.image import list_files
from imagenet_builders.options import BuildOptions

pytestmark = pytest.mark.skipif(
    shutil.which("sqfstar") is None,
    reason="makes real images: install sqfstar (apt install squashfs-tools)",
)
BAD = "ILSVRC2012_val_00000003.JPEG"


@pytest.fixture
def manual_dir(tmp_path: Path) -> Path:
    """The archives, with a validation image that is none."""
    staged = tmp_path / "staged"
    shutil.copytree(DUMMY_ARCHIVES, staged)
    archive = staged / "ILSVRC2012_img_val.tar"
    with tarfile.open(archive) as members:
        member = members.getmember(BAD)
    with archive.open("r+b") as file:
        file.seek(member.offset_data)
        file.write(bytes(member.size))
    return staged


def test_each_split_has_its_own_notes(manual_dir: Path, tmp_path: Path) -> None:
    options = BuildOptions(workers=1, bad_images="skip")
    export(StagedSource("imagenet2012", manual_dir), FORM, tmp_path / "out", options)
    said = json.loads((tmp_path / "out/provenance.json").read_text())["splits"]
    assert {name: split["examples"] for name, split in said.items()} == {
        "train": 24,
        "validation": 11,
        "test": 6,
    }
    assert {name: len(split["repaired"]) for name, split in said.items()} == {
        "train": 2,
        "validation": 0,
        "test": 0,
    }
    [note] = said["validation"]["skipped"]
    assert note["key"] == BAD
    assert {name: len(split["sources"]) for name, split in said.items()}["validation"] == 1
    [file] = {tuple(map(tuple, split["files"])) for split in said.values()}
    assert file[0][:2] == ("imagenet2012.squashfs", (tmp_path / "out" / file[0][0]).stat().st_size)
    paths = {member.path for member in list_files(tmp_path / "out" / file[0][0])}
    assert len(paths) == 24 + 11 + 6 + 3 + 1  # With lists and `meta.bin`.


def test_a_bad_image_ends_it_with_its_name(manual_dir: Path, tmp_path: Path) -> None:
    source = StagedSource("imagenet2012", manual_dir)
    options = BuildOptions(workers=1, scratch_dir=str(tmp_path / "scratch"))
    with pytest.raises(BadImageError, match=BAD):
        export(source, FORM, tmp_path / "out", options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "staged"]
