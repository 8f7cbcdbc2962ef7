"""When TensorFlow Datasets cannot be imported, one sentence says what is in the way.

In a directory before all others lie a module that cannot be imported and packages' metadata.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES, built_by_cli
from support.paths import ROOT
from support.processes import run, run_cli

from imagenet_builders.build import installed

TOO_OLD = (
    "Detected incompatible Protobuf Gencode/Runtime versions: gencode 6.31.1 runtime 5.29.6. "
    "Runtime version cannot be older than the linked gencode version."
)
REASON = TOO_OLD.partition(". ")[0]
BUILDER = "imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder"


def add_package(directory: Path, name: str, version: str, *needs: str, files: str = "") -> None:
    folder = directory / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in needs]
    folder.joinpath("METADATA").write_text("\n".join(lines) + "\n")
    folder.joinpath("RECORD").write_text(files)


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    """As with tensorflow 2.19, whose protobuf is too old for the newest tensorflow-metadata."""
    directory = tmp_path / "shadow"
    module = directory / "tensorflow_metadata" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text(f"class VersionError(Exception): pass\nraise VersionError({TOO_OLD!r})\n")
    return directory


def path_of(shadow: Path) -> str:
    return os.pathsep.join(map(str, (shadow, ROOT)))


def said_by_build(shadow: Path, data_dir: Path) -> str:
    where = [f"--manual-dir={DUMMY_ARCHIVES}", f"--data-dir={data_dir}"]
    done = run_cli("build", "imagenet2012", *where, check=False, PYTHONPATH=path_of(shadow))
    assert done.returncode == 1, done.stderr
    assert not data_dir.exists()
    errors = [line for line in done.stderr.splitlines() if "loading" not in line]
    assert len(errors) == 1, done.stderr
    return errors[0].removeprefix(
        "imagenet-builders: error: TensorFlow Datasets cannot be imported"
    )


def test_a_version_that_is_too_old_is_named_with_what_is_needed(shadow: Path, tmp_path: Path):
    needs = ["protobuf>=6.31.1", "no-such-thing>=3", "tqdm>=4", "nothing>=9; extra == 'test'"]
    add_package(shadow, "imagenet-builders", "9", *needs)
    add_package(shadow, "protobuf", "5.29.6")
    assert said_by_build(shadow, tmp_path / "built") == (
        " with protobuf 5.29.6 installed (protobuf>=6.31.1 is needed), no-such-thing is not "
        f"installed (no-such-thing>=3 is needed): VersionError: {REASON}; install what is needed "
        f"with {sys.executable} -m pip install 'protobuf>=6.31.1' 'no-such-thing>=3'"
    )


def test_files_that_are_missing_are_told(shadow: Path, tmp_path: Path):
    """TensorFlow's two packages have the same files, and removing one takes them away."""
    add_package(shadow, "imagenet-builders", "9", "tensorflow>=2")
    add_package(shadow, "tensorflow", "2.99", files="tensorflow/gone.py,,\ntensorflow/a.so,,\n")
    said = said_by_build(shadow, tmp_path / "built")
    assert said.startswith(": 2 files of tensorflow 2.99 are missing, as after removing a package")
    assert said.endswith("-m pip install --force-reinstall --no-deps tensorflow==2.99")


def test_tensorflow_cpu_is_tensorflow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(installed, "_needed", lambda: ["tensorflow>=2.20", "numpy>=1"])
    monkeypatch.setattr(installed, "_version", {"tensorflow-cpu": "2.20.1", "numpy": "2.1"}.get)
    assert list(installed._unmet()) == []


def test_the_packages_that_do_not_go_together_are_named(shadow: Path, tmp_path: Path):
    add_package(shadow, "imagenet-builders", "9", "tqdm>=4")
    said = said_by_build(shadow, tmp_path / "built")
    assert said.startswith(f": VersionError: {REASON} (in ")
    assert "tensorflow-datasets 4." in said
    assert "install it into an environment of its own" in said


def test_show_says_the_same_and_nothing_else(shadow: Path, tmp_path: Path):
    built_by_cli(DUMMY_ARCHIVES, tmp_path / "built")
    add_package(shadow, "imagenet-builders", "9", "protobuf>=6.31.1")
    add_package(shadow, "protobuf", "5.29.6")
    shown = ("show", "imagenet2012", f"--data-dir={tmp_path / 'built'}")
    done = run_cli(*shown, check=False, PYTHONPATH=path_of(shadow))
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "cannot be imported with protobuf 5.29.6 installed" in line


def test_check_and_verify_need_no_tfds(shadow: Path, tmp_path: Path):
    built_by_cli(DUMMY_ARCHIVES, tmp_path / "built")
    run_cli("check", DUMMY_ARCHIVES, "imagenet2012", PYTHONPATH=path_of(shadow))
    run_cli(
        "verify", "imagenet2012", f"--data-dir={tmp_path / 'built'}", PYTHONPATH=path_of(shadow)
    )


@pytest.mark.parametrize(
    "code",
    [
        "import tensorflow_datasets.public_api",
        f"import {BUILDER}",
        f"import tensorflow_datasets\nimport {BUILDER}",
    ],
)
def test_python_raises_an_import_error_with_the_sentence(code: str, shadow: Path):
    add_package(shadow, "imagenet-builders", "9", "protobuf>=6.31.1")
    add_package(shadow, "protobuf", "5.29.6")
    command = [sys.executable, "-c", f"import imagenet_builders\n{code}"]
    done = run(command, check=False, PYTHONPATH=path_of(shadow))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "imagenet_builders.errors.InstallationError: TensorFlow Datasets cannot be imported with "
        "protobuf 5.29.6 installed (protobuf>=6.31.1 is needed): "
    )
    assert f"VersionError: {TOO_OLD}" in done.stderr, "the cause is in the traceback"
