"""A kind of source is one module and one call: nothing else of the package names it, or any other.

The toy lives in `tests/toys/toy_kind`: its row and functions, and the maker of its files. Each test
builds `imagenet2012` from it, by the command line, and holds that against the official archives.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support import code, command_line
from support.built_datasets import shards
from support.checking import checked, problem, row
from support.paths import ROOT
from support.source_kinds import OFFICIAL, TEST, TRAIN, VALIDATION
from toys.toy_kind.kind import KIND
from toys.toy_kind.maker import write_pile

import imagenet_builders
from imagenet_builders.build import steps
from imagenet_builders.cli import main
from imagenet_builders.sources import kinds

PACKAGE = Path(imagenet_builders.__file__).parent
IMAGES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
DATASET = "imagenet2012"
# Copies of a few images are not the whole of ImageNet, and are said not to be.


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_registered", {})
    kinds.register(KIND)


@pytest.fixture
def manual_dir(tmp_path: Path) -> Path:
    for split, images in IMAGES.items():
        name = "val" if split == "validation" else split
        write_pile(tmp_path / "staged" / "piles" / f"{name}.pile", images)
    return tmp_path / "staged"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("official")
    return built(OFFICIAL[DATASET].staged(root / "staged"), root / "data")[1]


def built(manual_dir: Path, data_dir: Path, *options: str) -> tuple[Path, dict[str, bytes], str]:
    """The directory, the shards by name, and what was said."""
    before = command_line.snapshot(manual_dir)
    where = [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}"]
    outcome = command_line.run("build", DATASET, *where, *options)
    assert outcome.status == 0, outcome.err
    assert command_line.snapshot(manual_dir) == before
    directory = Path(outcome.out.splitlines()[-1])
    return directory, {path.name: path.read_bytes() for path in shards(directory)}, outcome.err


# --- found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["build", "check"])
def test_help_lists_it(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert KIND.name in re.split(r"[\s,;{}]+", capsys.readouterr().out)


def test_check_finds_it_without_being_asked_for_it(manual_dir: Path):
    document = checked(manual_dir, DATASET, status=0)
    for split, images in IMAGES.items():
        one = row(document, split)
        assert (one["kind"], one["layout"]) == (KIND.name, "piles of images")
        assert (one["images_found"], one["verdict"]) == (len(images), "ok")
    # Pictures of ours count for those of ImageNet, whose mean size is known.
    assert document["needs"]["output"]["bytes"] > 0


def test_check_deep_makes_the_index_of_a_build(manual_dir: Path, tmp_path: Path):
    where = f"--scratch-dir={tmp_path / 'scratch'}"
    document = checked(manual_dir, DATASET, "--deep", where, status=0)
    assert {one["split"]: one["images_found"] for one in document["sources"]} == {
        split: len(images) for split, images in IMAGES.items()
    }
    pile = manual_dir / "piles" / "train.pile"
    name = next(iter(TRAIN))
    pile.write_bytes(pile.read_bytes().replace(name.encode(), b"n99999999_1.JPEG"[: len(name)]))
    document = checked(manual_dir, DATASET, "--deep", where, status=1)
    assert row(document, "train")["verdict"] == "bad"
    assert row(document, "test")["verdict"] == "ok"


def test_check_finds_one_that_is_cut_off(manual_dir: Path):
    pile = manual_dir / "piles" / "val.pile"
    pile.write_bytes(pile.read_bytes()[:-1])
    document = checked(manual_dir, DATASET, status=1)
    assert row(document, "validation")["verdict"] == "bad"
    assert "a pile of" in problem(document, path=str(pile))["expected"]


def test_check_counts_the_room_for_copies(manual_dir: Path):
    document = checked(manual_dir, DATASET, "--stage", status=0)
    assert document["needs"]["copies_bytes"] == sum(
        path.stat().st_size for path in manual_dir.rglob("*.pile")
    )


# --- built ---------------------------------------------------------------------------------------


def test_it_is_built_to_the_same_bytes_as_the_official_archives(
    manual_dir: Path, tmp_path: Path, expected: dict[str, bytes]
):
    directory, found, said = built(manual_dir, tmp_path / "data", "--workers=1")
    assert found == expected
    assert f"train: from {manual_dir}/piles/train.pile (piles of images, pile)" in said
    provenance = json.loads((directory / "provenance.json").read_text())
    assert provenance["splits"]["train"]["layout"] == "piles of images (pile)"


def test_it_is_taken_where_it_is_asked_for(
    manual_dir: Path, tmp_path: Path, expected: dict[str, bytes]
):
    for path in OFFICIAL[DATASET].staged(tmp_path / "official").iterdir():
        path.rename(manual_dir / path.name)
    _, found, said = built(manual_dir, tmp_path / "data", "--workers=1", f"--source={KIND.name}")
    assert found == expected
    assert "(piles of images, pile); also there: " in said
    document = checked(manual_dir, DATASET, f"--source={KIND.name}", status=0)
    assert row(document, "train", preferred=True)["kind"] == KIND.name


def test_worker_processes_know_it_by_the_jobs_that_they_are_given(
    manual_dir: Path,
    tmp_path: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(steps, "_SMALL_BYTES", 0)
    assert built(manual_dir, tmp_path / "data", "--workers=2")[1] == expected


def test_it_is_copied_first_where_that_is_asked_for(
    manual_dir: Path, tmp_path: Path, expected: dict[str, bytes]
):
    directory, found, said = built(manual_dir, tmp_path / "data", "--workers=1", "--stage")
    assert found == expected
    assert f"copying 3 files of {manual_dir}" in said
    assert str(manual_dir / "piles" / "train.pile") in (directory / "provenance.json").read_text()


def test_a_damaged_image_in_it_is_left_to_the_policy_for_bad_images(
    manual_dir: Path, tmp_path: Path
):
    pile = manual_dir / "piles" / "train.pile"
    data = bytearray(pile.read_bytes())
    data[-1] ^= 1  # Of the checksum of the last image.
    pile.write_bytes(data)
    where = [f"--manual-dir={manual_dir}", f"--data-dir={tmp_path / 'data'}", "--workers=1"]
    outcome = command_line.run("build", DATASET, *where)
    assert outcome.status == 1
    [error] = [line for line in outcome.err.splitlines() if line.startswith(command_line.ERROR)]
    assert f"{pile}, member {list(TRAIN)[-1]!r}" in error
    assert "damaged: another CRC-32" in error
    outcome = command_line.run("build", DATASET, *where, "--bad-images=skip")
    assert outcome.status == 0, outcome.err
    assert "1 skipped" in outcome.err


# --- no kind is named outside its row ------------------------------------------------------------

# Tables of the layouts of a dataset, which say of each what kind it is.
TABLES = set(PACKAGE.glob("datasets/*/layouts.py"))
# The names of the rows, each with the module that it is in.
ROWS = PACKAGE / "sources" / "kinds.py"
# Formats of what is written, and a key of provenance.json; some have the name of a kind.
OUTPUTS = {
    "tfrecord": ("write", "verify", "build", "cli", "formats", "export"),
    "parquet": ("write", "export"),
    "webdataset": ("export", "catalog"),
    "squashfs": ("export", "catalog"),
    "built": ("publish", "export", "catalog"),
}


def test_no_kind_is_named_outside_its_row():
    named = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        if path in TABLES or path == ROWS:
            continue
        for line, text in code.texts(path):
            for name in kinds.names():
                own = kinds._ROWS.get(name)
                is_own = own is not None and path == PACKAGE / "sources" / f"{own.module}.py"
                if text == name and not is_own and room not in OUTPUTS.get(name, ()):
                    named.append(f"{path.relative_to(ROOT)}:{line}: {text!r}")
    assert named == []


def test_the_toy_touches_no_other_file():
    named = re.compile(r"toy_kind|\bpile\b")
    assert [path for path in PACKAGE.rglob("*.py") if named.search(path.read_text())] == []
