"""Exports that are compared with what was noted of them, by `verify`."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import command_line
from support.building import DUMMY_ARCHIVES

from imagenet_builders.publish.provenance import digest_of

FORMS = ["webdataset", "imagefolder", "slim", "huggingface"]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    there = {}
    for form in FORMS:
        there[form] = tmp_path_factory.mktemp(form) / "out"
        where = ["--manual-dir", str(DUMMY_ARCHIVES), "--out", str(there[form])]
        done = command_line.run(
            "export", "imagenet2012", "--to", form, *where, "--num-shards=3", "--workers=1"
        )
        assert done.status == 0, done.err
    return there


@pytest.fixture(params=FORMS)
def export(request: pytest.FixtureRequest, exports: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(exports[request.param], tmp_path / request.param))


def image_file(export: Path) -> Path:
    """A file with images of the train split."""
    found = sorted(path for path in export.rglob("*train*/**/*") if path.suffix == ".JPEG")
    large = (path for path in export.rglob("*train*") if path.is_file() and path.suffix != ".idx")
    files = found or [
        path for path in large if "dali" not in str(path) and "_files" not in path.name
    ]
    return files[0] if files else next((export / "train").glob("*.arrow"))


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def longer(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


def replaced_by_a_link(path: Path) -> None:
    path.rename(path.parents[0] / "other")
    path.symlink_to("other")


def replaced_by_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def verified(export: Path) -> tuple[int, list[str]]:
    done = command_line.run("verify", str(export))
    return done.status, [line for line in done.out.splitlines() if "problem: " in line]


def test_what_was_exported_is_right(export: Path) -> None:
    done = command_line.run("verify", str(export))
    assert done.status == 0, done.out
    assert f"imagenet2012/5.1.0 as {export.name} in {export}: right" in done.out
    assert "note: train has 24 images" in done.out


def test_its_directory_may_be_relative(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(export.parent)
    for path in (export.name, f"./{export.name}", f"{export.name}/"):
        done = command_line.run("verify", path)
        assert done.status == 0, done.out
        assert f"imagenet2012/5.1.0 as {export.name} in {export}: right" in done.out


@pytest.mark.parametrize(
    "damage", [changed, cut_off, longer, Path.unlink, replaced_by_a_link, replaced_by_a_fifo]
)
def test_whatever_happens_to_a_file_is_found(export: Path, damage: Callable[[Path], None]) -> None:
    path = image_file(export)
    damage(path)
    status, problems = verified(export)
    assert status == 1
    # Images that are files have a checksum for some hundreds together.
    named = export if path.suffix == ".JPEG" else path.parent
    assert any(str(named) in each for each in problems), problems
    assert any("export the dataset anew, to another directory" in each for each in problems)


def test_what_does_not_belong_is_found(export: Path) -> None:
    (export / "more").mkdir()
    (export / "more" / "\x1b[31m").write_bytes(b"x")
    status, problems = verified(export)
    assert status == 1
    assert problems == [
        f"  problem: {export}/more/\\x1b[31m: a file that the export did not put there; find out "
        "who put it there, and move it elsewhere"
    ]


def test_what_the_storage_does_not_give_is_no_reason_to_export_anew(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.fdopen

    def fails(fd: int, *arguments: object, **named: object) -> object:
        if named.get("buffering") == 0:
            os.close(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(fd, *arguments, **named)  # type: ignore[call-overload]  # As it was called.

    monkeypatch.setattr(os, "fdopen", fails)
    status, problems = verified(export)
    assert status == 1
    advice = "see that its file system is healthy and that you may read it"
    assert problems
    assert all(each.endswith(advice) for each in problems)


def test_two_images_that_changed_places_are_found(exports: dict[str, Path], tmp_path: Path) -> None:
    export = Path(shutil.copytree(exports["imagefolder"], tmp_path / "imagefolder"))
    one, other = sorted((export / "val").rglob("*.JPEG"))[:2]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    status, problems = verified(export)
    assert status == 1
    assert str(export / "val") in problems[0]
    assert "was changed after the export" in problems[0]


@pytest.mark.parametrize("with_lengths", [True, False], ids=["lengths", "of-before"])
def test_an_image_of_another_length_is_told_of_its_part(
    exports: dict[str, Path], tmp_path: Path, with_lengths: bool
) -> None:
    export = Path(shutil.copytree(exports["imagefolder"], tmp_path / "imagefolder"))
    path = export / "provenance.json"
    document = json.loads(path.read_text())
    lengths = document["splits"]["train"]["shard_lengths"]
    if not with_lengths:
        for split in document["splits"].values():
            del split["shard_lengths"]
        document["self"] = digest_of(document)
        path.write_text(json.dumps(document))
        assert command_line.run("verify", str(export)).status == 0
    names = (export / "train_files.txt").read_text().splitlines()
    cut_off(export / names[0])
    done = command_line.run("verify", str(export))
    assert done.status == 1
    told = f"{names[0]}: it, or one of the {lengths[0]:,} images to {names[lengths[0] - 1]}"
    assert (told in " ".join(done.out.split())) == with_lengths
    if with_lengths:  # Of other parts, nothing is said.
        assert done.out.count("or one of the") == 1


@pytest.mark.parametrize("images", [0, 1])
def test_a_list_that_was_cut_off_is_said(
    images: int, exports: dict[str, Path], tmp_path: Path
) -> None:
    export = Path(shutil.copytree(exports["imagefolder"], tmp_path / "imagefolder"))
    listed = export / "train_files.txt"
    listed.write_text("".join(listed.read_text().splitlines(keepends=True)[:images]))
    status, problems = verified(export)
    assert status == 1
    assert len([each for each in problems if f"{listed}: it was changed after" in each]) == 1


@pytest.mark.parametrize("key", ["shard_lengths", "shard_bytes"])
def test_numbers_that_are_none_are_said(key: str, exports: dict[str, Path], tmp_path: Path) -> None:
    export = Path(shutil.copytree(exports["imagefolder"], tmp_path / "imagefolder"))
    path = export / "provenance.json"
    document = json.loads(path.read_text())
    document["splits"]["train"][key] = [float("inf")] * 3
    path.write_text(json.dumps(document))
    status, problems = verified(export)
    assert status == 1
    assert f"{path}: it is no list of files" in problems[-1]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a//b", "", 3])
def test_names_that_lead_elsewhere_are_refused(
    name: object, exports: dict[str, Path], tmp_path: Path
) -> None:
    export = Path(shutil.copytree(exports["webdataset"], tmp_path / "webdataset"))
    path = export / "provenance.json"
    document = json.loads(path.read_text())
    document["splits"]["train"]["files"][0][0] = name
    document["self"] = digest_of(document)
    path.write_text(json.dumps(document))
    status, problems = verified(export)
    assert status == 1
    assert f"it names {name!r}, which no file of an export is called" in problems[0]


def test_a_provenance_that_was_edited_is_found(exports: dict[str, Path], tmp_path: Path) -> None:
    export = Path(shutil.copytree(exports["slim"], tmp_path / "slim"))
    path = export / "provenance.json"
    path.write_text(path.read_text().replace('"seconds"', '"Seconds"'))
    status, problems = verified(export)
    assert status == 1
    assert f"{path}: it was changed after the export" in problems[0]


def test_a_list_that_is_gone_is_said(exports: dict[str, Path], tmp_path: Path) -> None:
    export = Path(shutil.copytree(exports["imagefolder"], tmp_path / "imagefolder"))
    (export / "val_files.txt").unlink()
    status, problems = verified(export)
    assert status == 1
    assert f"{export / 'val_files.txt'} cannot be read: No such file or directory" in problems[0]


def test_a_document_for_scripts(export: Path) -> None:
    changed(image_file(export))
    done = command_line.run("verify", str(export), "--json")
    [found] = json.loads(done.out)["datasets"]
    assert (done.status, found["ok"], found["file_format"]) == (1, False, export.name)
    assert found["problem_count"] == len(found["problems"]) > 0
