"""The package and TensorFlow Datasets in one process: names and imports.

What a process has imported cannot be undone, so each of these runs in a fresh interpreter.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES, built_by_cli
from support.built_datasets import split_content
from support.processes import blocking, run, run_python

OURS = "imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder"
SIZES = {"train": 24, "validation": 12, "test": 6}

# Names of TFDS that are built from imagenet2012, or begin as it does.
OTHERS = (
    "imagenet2012_corrupted",
    "imagenet2012_fewshot",
    "imagenet2012_multilabel",
    "imagenet2012_real",
    "imagenet2012_subset",
    "imagenet_resized",
    "imagenet_v2",
)


ORDERS = {
    "ours first": "import imagenet_builders, tensorflow_datasets as tfds",
    "ours last": "import tensorflow_datasets as tfds, imagenet_builders",
    "ours last, after a use": (
        "import tensorflow_datasets as tfds; tfds.builder_cls('imagenet2012_real');"
        "import imagenet_builders"
    ),
    "ours again and again": (
        "import imagenet_builders, importlib; importlib.reload(imagenet_builders);"
        "import tensorflow_datasets as tfds; importlib.reload(imagenet_builders);"
    ),
}


@pytest.fixture(scope="module", params=ORDERS)
def resolved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Name of a dataset to the module of the class that TFDS finds for it and can instantiate."""
    code = f"""
import json, sys
{ORDERS[request.param]}
modules = {{}}
for name in sys.argv[2:]:
    modules[name] = tfds.builder_cls(name).__module__
    builder = tfds.builder(name, data_dir=sys.argv[1])
    assert builder.name == name and type(builder).__module__ == modules[name]
subset = tfds.builder("imagenet2012_subset/1pct", data_dir=sys.argv[1])
modules["imagenet2012_subset/1pct"] = type(subset).__module__
print(json.dumps(modules))
"""
    data_dir = tmp_path_factory.mktemp("data")
    modules: dict[str, str] = json.loads(run_python(code, data_dir, "imagenet2012", *OTHERS))
    return modules


def test_imagenet2012_is_our_builder(resolved: dict[str, str]):
    assert resolved["imagenet2012"] == OURS


@pytest.mark.parametrize("name", [*OTHERS, "imagenet2012_subset/1pct"])
def test_other_datasets_come_from_tfds(resolved: dict[str, str], name: str):
    assert resolved[name].startswith("tensorflow_datasets.")


def test_no_name_is_lost_to_tfds():
    code = """
import tensorflow_datasets as tfds
before = tfds.list_builders()
import imagenet_builders
print(len(before) > 100, tfds.list_builders() == before)
"""
    assert run_python(code) == "True True\n"


REGISTERED = """
from tensorflow_datasets.core import registered
providers = [type(p) for p in registered._DATASET_PROVIDER_REGISTRY]
print(sum(p.__module__.startswith("imagenet_builders") for p in providers))
"""


@pytest.mark.parametrize(
    "again",
    [
        "importlib.reload(imagenet_builders)",
        "imagenet_builders.registration.register()",
        "del sys.modules['imagenet_builders']; import imagenet_builders",
    ],
)
@pytest.mark.parametrize("first", ["", "import tensorflow_datasets.core"], ids=["before", "after"])
def test_the_builders_are_offered_once_however_often_the_package_is_imported(
    first: str, again: str
):
    code = f"import importlib, sys, imagenet_builders\n{first}\n{again}\n{again}\n{REGISTERED}"
    assert run_python(code) == "1\n"


def test_the_import_hook_leaves_the_registry_module_as_it_finds_it():
    code = """
import imagenet_builders, sys
from tensorflow_datasets.core import registered
print(registered.__spec__.loader is registered.__loader__, type(registered.__loader__).__name__)
print([type(f).__name__ for f in sys.meta_path if type(f).__module__.startswith("imagenet_b")])
"""
    assert run_python(code).split("\n")[:2] == ["True SourceFileLoader", "[]"]


# What is heavy.

HEAVY = ("tensorflow", "tensorflow_datasets", "apache_beam", "pyarrow", "numpy", "PIL", "etils")
LOADED = f"print([name for name in {HEAVY} if name in sys.modules])"


def test_importing_the_package_imports_nothing_heavy():
    assert run_python(f"import imagenet_builders, sys; {LOADED}") == "[]\n"


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["show", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]):
    code = f"""
import sys
from imagenet_builders import cli
try:
    cli.main(sys.argv[1:])
except SystemExit as end:
    assert not end.code
{LOADED}
"""
    said = run_python(code, *arguments)
    assert "usage: imagenet-builders" in said
    assert said.endswith("\n[]\n")


@pytest.mark.parametrize(
    "module", ["imagenet_builders", "imagenet_builders.cli", "imagenet_builders.labels"]
)
def test_an_import_takes_less_than_a_second(module: str):
    # Python's own start is left out, and the best of three taken: the machine has other work too.
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    assert min(float(run_python(code)) for _ in range(3)) < 1


def test_builds_work_without_beam(tmp_path: Path):
    code = f"""
{blocking("apache_beam")}
import imagenet_builders, tensorflow_datasets as tfds
config = tfds.download.DownloadConfig(manual_dir=sys.argv[1])
builder = tfds.builder("imagenet2012", data_dir=sys.argv[2])
builder.download_and_prepare(download_config=config)
print(builder.info.splits["train"].num_examples)
"""
    assert run_python(code, DUMMY_ARCHIVES, tmp_path) == "24\n"


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_a_whole_build_imports_neither_tensorflow_nor_beam(tmp_path: Path, file_format: str):
    # The dummy archives hold a CMYK and a PNG image: repairs do without TensorFlow too.
    code = """
import sys
from imagenet_builders import cli
assert cli.main(sys.argv[1:]) == 0
print([name for name in ("tensorflow", "apache_beam", "jax", "torch") if name in sys.modules])
"""
    said = run_python(
        code,
        "build",
        "imagenet2012",
        f"--manual-dir={DUMMY_ARCHIVES}",
        f"--data-dir={tmp_path}",
        f"--file-format={file_format}",
    )
    assert said.splitlines()[-1] == "[]"
    assert len(split_content(tmp_path / "imagenet2012" / "5.1.0", "train")) == 24


# Ends a process that imports TensorFlow or Beam, whatever would be made of an exception.
FATAL = """
import importlib.machinery, os, sys
class Fatal:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "apache_beam"):
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        print(f"{sys.orig_argv} imports {spec.name}", file=sys.stderr, flush=True)
        os._exit(77)
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Fatal())
"""


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_no_process_of_a_build_with_workers_imports_tensorflow_or_beam(
    large_corpus: Path, tmp_path: Path, file_format: str, monkeypatch: pytest.MonkeyPatch
):
    # Python runs this in every process that starts, so in workers, too.
    (tmp_path / "sitecustomize.py").write_text(FATAL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    directory = built_by_cli(
        large_corpus,
        tmp_path / "data",
        f"--file-format={file_format}",
        "--workers=2",
        "--num-shards=4",
    )
    assert len(list(directory.glob("*train*-of-00004"))) == 4


# The `tfds` command.


def tfds_build(
    manual_dir: Path, data_dir: Path, *flags: str, check: bool = True, **changes: str
) -> Path:
    command: list[str | Path] = [
        Path(sys.executable).with_name("tfds"),
        "build",
        "imagenet2012",
        "--imports=imagenet_builders",
        f"--manual_dir={manual_dir}",
        f"--data_dir={data_dir}",
        *flags,
    ]
    run(command, check=check, **changes)
    return data_dir / "imagenet2012" / "5.1.0"


def test_the_tfds_command_starts():
    assert "build" in run([Path(sys.executable).with_name("tfds"), "--help"]).stdout


def test_tfds_build_builds_with_our_builder(tmp_path: Path):
    directory = tfds_build(DUMMY_ARCHIVES, tmp_path)
    assert json.loads((directory / "dataset_info.json").read_text())["moduleName"] == OURS
    assert {split: len(split_content(directory, split)) for split in SIZES} == SIZES


def test_tfds_build_uses_the_workers_that_the_environment_asks_for(
    large_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    started = tmp_path / "started"
    started.mkdir()
    (tmp_path / "sitecustomize.py").write_text(
        """import os, sys, pathlib
pathlib.Path(os.environ["TEST_STARTED"], str(os.getpid())).write_text(" ".join(sys.orig_argv))
"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    directory = tfds_build(
        large_corpus,
        tmp_path / "data",
        "--num_shards=4",
        IMAGENET_BUILDERS_WORKERS="2",
        TEST_STARTED=str(started),
    )
    assert len(list(directory.glob("*train*-of-00004"))) == 4
    commands = [path.read_text() for path in started.iterdir()]
    assert sum("imagenet_builders.run.local" in command for command in commands) == 2


# Plain scripts.

SCRIPT = """
import sys
print("the script begins", flush=True)
import imagenet_builders
import tensorflow_datasets as tfds
dataset = tfds.load(
    "imagenet2012",
    split="train",
    data_dir=sys.argv[2],
    download_and_prepare_kwargs={
        "download_config": tfds.download.DownloadConfig(manual_dir=sys.argv[1], num_shards=4)
    },
)
print(len(dataset), "examples")
"""


def test_a_plain_script_can_build_with_workers_that_do_not_rerun_it(
    large_corpus: Path, tmp_path: Path
):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = run(
        [sys.executable, script, large_corpus, tmp_path / "data"],
        IMAGENET_BUILDERS_WORKERS="2",
    )
    begins, counted = done.stdout.splitlines()
    assert begins == "the script begins"
    assert int(counted.split()[0]) > 300
