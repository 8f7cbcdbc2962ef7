"""Readers without this package know which configuration the bare name of a dataset means."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from etils import epath
from support.paths import DUMMY_DATA, dummy_archives
from support.processes import blocking, environment, run_cli, run_python
from support.verifying import said, verified
from tensorflow_datasets.core import dataset_builder

from imagenet_builders import datasets
from imagenet_builders.publish import default_config

NAMES = [name for name in datasets.names() if datasets.get(name).config_names]
SMALL = "imagenet2012_downsampled"


def build(name: str, data_dir: Path, *arguments: str, config: str = "") -> Any:
    asked = f"{name}/{config}" if config else name
    where = [f"--manual-dir={dummy_archives(name)}", f"--data-dir={data_dir}"]
    return run_cli("build", asked, *where, "--workers=1", *arguments)


def file_of(name: str, data_dir: Path) -> Path:
    return data_dir / name / ".config" / "metadata.json"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    for name in NAMES:
        build(name, directory)
    return directory


@pytest.fixture
def copied(data_dir: Path, tmp_path: Path) -> Path:
    """A copy of the small datasets that a test may change."""
    shutil.copytree(data_dir / SMALL, tmp_path / SMALL)
    return tmp_path


def version_of(config: str, data_dir: Path) -> Path:
    return data_dir / SMALL / config / "1.0.0"


def test_stock_tfds_reads_by_the_bare_name_without_the_package(data_dir: Path) -> None:
    code = f"""{blocking("imagenet_builders")}
import json
import tensorflow_datasets as tfds
told = {{}}
for name in sys.argv[2:]:
    loaded, info = tfds.load(name, data_dir=sys.argv[1], with_info=True)
    alone = tfds.builder_from_directory(info.data_dir)
    assert alone.info.full_name == info.full_name
    assert len(alone.as_dataset(split="train")) == len(loaded["train"])
    told[name] = [info.config_name, len(list(loaded["train"])), sorted(loaded)]
print(json.dumps(told))
"""
    told = json.loads(run_python(code, data_dir, *NAMES))
    for name in NAMES:
        config, examples, splits = told[name]
        first = datasets.get(name).configs[0]
        assert config == first.name
        assert examples > 0
        assert splits == sorted(split.name for split in first.splits)


def test_with_and_without_the_package_the_bare_name_means_the_same() -> None:
    """In TensorFlow Datasets without it, by the file; with it, by the class."""
    for name in NAMES:
        first = datasets.get(name).configs[0].name
        assert datasets.get(name).builder().default_builder_config.name == first


def test_the_file_is_that_of_tensorflow_datasets(data_dir: Path, tmp_path: Path) -> None:
    for name in NAMES:
        first = datasets.get(name).configs[0].name
        dataset_builder._save_default_config_name(
            epath.Path(tmp_path / name), default_config_name=first
        )
        assert file_of(name, data_dir).read_bytes() == file_of(name, tmp_path).read_bytes()


def test_a_default_that_is_there_stays(tmp_path: Path) -> None:
    """As somebody has chosen it, whichever configuration is built."""
    chosen = b'{ "default_config_name" :"64x64"}'
    file_of(SMALL, tmp_path).parent.mkdir(parents=True)
    file_of(SMALL, tmp_path).write_bytes(chosen)
    build(SMALL, tmp_path, config="16x16")
    assert file_of(SMALL, tmp_path).read_bytes() == chosen
    verdict = verified(version_of("16x16", tmp_path))
    assert said(verdict) == ""
    assert "means imagenet2012_downsampled/64x64, which is not built here" in str(verdict.notes)


def link(path: Path) -> None:
    path.rename(path.with_name("whole.json"))
    path.symlink_to("whole.json")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "not JSON": lambda path: path.write_bytes(b'{"default_config_name": "8x8"'),
    "no name": lambda path: path.write_bytes(b"{}"),
    "a number": lambda path: path.write_bytes(b'{"default_config_name": 8}'),
    "a path": lambda path: path.write_bytes(b'{"default_config_name": "../.."}'),
    "a list": lambda path: path.write_bytes(b'["default_config_name"]'),
    "nested": lambda path: path.write_bytes(b"[" * 60_000),
    "a link": link,
    "a pipe": pipe,
    "missing": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_found_and_the_next_build_mends_it(damage: str, copied: Path) -> None:
    """The next one of the same dataset, which is there already, too."""
    path = file_of(SMALL, copied)
    whole = path.read_bytes()
    DAMAGE[damage](path)
    verdict = verified(version_of("8x8", copied))
    assert verdict.problem_count == 1
    assert str(path) in said(verdict)
    assert "run its build again: it writes this file" in said(verdict)
    before = version_of("8x8", copied).stat().st_mtime_ns
    assert "is there already" in build(SMALL, copied, config="8x8").stdout
    assert path.read_bytes() == whole
    assert not path.is_symlink()
    assert verified(version_of("8x8", copied)).problem_count == 0
    assert version_of("8x8", copied).stat().st_mtime_ns == before


def test_a_default_that_nobody_has_is_replaced(copied: Path) -> None:
    path = file_of(SMALL, copied)
    path.write_text('{"default_config_name": "128x128"}')
    build(SMALL, copied, config="8x8")
    assert default_config.read(path) == "8x8"


def test_a_directory_that_is_a_link_is_not_written_to(copied: Path) -> None:
    elsewhere = copied / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(file_of(SMALL, copied).parent)
    file_of(SMALL, copied).parent.symlink_to(elsewhere)
    with pytest.raises(AssertionError, match=r"\.config is a link"):
        build(SMALL, copied, "--overwrite", config="8x8")
    assert list(elsewhere.iterdir()) == []


def test_a_dataset_that_lies_alone_needs_no_default(data_dir: Path, tmp_path: Path) -> None:
    """Somebody's copy of one version, which readers open by its directory."""
    shutil.copytree(version_of("8x8", data_dir), tmp_path / "copy")
    assert verified(tmp_path / "copy").problem_count == 0


def test_configurations_that_are_built_at_once_agree(tmp_path: Path) -> None:
    """Each in a process of its own, again and again; the file is whole at every moment."""
    path = file_of(SMALL, tmp_path)
    code = """
import json, sys
from pathlib import Path
from imagenet_builders.publish.access import Access
from imagenet_builders.publish.default_config import ensure, read
directory = Path(sys.argv[1])
seen = set()
for _ in range(300):
    ensure(directory, "8x8", ["8x8", "16x16"], Access())
    seen.add(read(directory.parent.parent / ".config" / "metadata.json"))
    if sys.argv[2] == "remove":
        (directory.parent.parent / ".config" / "metadata.json").unlink(missing_ok=True)
print(json.dumps(list(seen)))
"""
    version = tmp_path / SMALL / "8x8" / "1.0.0"
    argv = [sys.executable, "-c", code, str(version)]
    processes = [
        subprocess.Popen([*argv, what], stdout=subprocess.PIPE, text=True, env=environment())
        for what in ("keep", "remove", "keep")
    ]
    out = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], out
    # Whoever removes it may have been faster than who then reads it.
    assert all(set(json.loads(each)) <= {"8x8", None} for each in out)
    shutil.rmtree(tmp_path / SMALL)
    builds = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "imagenet_builders.cli", "build", f"{SMALL}/{config}"),
                *(f"--manual-dir={DUMMY_DATA / SMALL}", f"--data-dir={tmp_path}", "--workers=1"),
            ],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment(),
        )
        for config in ("8x8", "16x16")
    ]
    assert [each.wait(timeout=120) for each in builds] == [0, 0]
    assert json.loads(path.read_bytes()) == {"default_config_name": "8x8"}
    assert os.listdir(path.parent) == ["metadata.json"]
    assert verified(version_of("16x16", tmp_path)).problem_count == 0


def test_it_has_the_mode_and_the_group_of_the_dataset(tmp_path: Path) -> None:
    build(SMALL, tmp_path, "--mode=2775", f"--group={os.getgid()}", config="8x8")
    path = file_of(SMALL, tmp_path)
    assert f"{stat.S_IMODE(path.parent.stat().st_mode):o}" == "2775"
    assert f"{stat.S_IMODE(path.stat().st_mode):o}" == "664"
    assert path.stat().st_gid == os.getgid()
