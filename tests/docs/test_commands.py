"""Each command and each snippet in the documents is run, page by page, on small data.

Paths of sites in the examples stand for directories that are staged here from the dummy data.
"""

from __future__ import annotations

import dataclasses
import doctest
import grp
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.corpora import layouts as corpus
from support.corpora import sites
from support.documents import DOCUMENTS, Block, blocks, name_of
from support.paths import DUMMY_DATA, ROOT
from support.processes import environment, run_cli

# What the blocks that are not run are, by document, with the first words of each.
NOT_RUN = {
    ("README.md", "python3 -m venv .venv && .venv/bin/pip install --quiet . &&"),
    ("README.md", "python3 -m venv .venv && .venv/bin/pip install --quiet '.[test]' &&"),
    ("CONTRIBUTING.md", "python3 -m venv .venv"),
    ("CONTRIBUTING.md", ".venv/bin/pytest"),
    ("CONTRIBUTING.md", ".venv/bin/ruff"),
    ("CONTRIBUTING.md", ".venv/bin/mkdocs"),
    ("docs/contributor/catalog-pages.md", ".venv/bin/pytest"),
    ("docs/contributor/releasing.md", "git tag"),
    ("docs/contributor/tests.md", ".ci/readers"),
    ("docs/contributor/tests.md", ".ci/matrix"),
    ("docs/contributor/releasing.md", "python -m build"),
    ("docs/steward/export.md", "mount -t squashfs"),
    ("docs/steward/quickstart.md", "python3 -m venv /shared/environments"),
    ("docs/steward/many-machines.md", "pip install '.[dask]'"),
    ("docs/steward/many-machines.md", "sbatch"),
    ("imagenet_builders/labels/README.md", "pip download"),
}

_LANGUAGES = {"sh", "python"}
_PROMPT = ">>> "


def _with_boxes(stage: sites.Stage) -> Callable[[Path], object]:
    return lambda root: stage(root, corpus.pictures("imagenet2012_localization"))


def _plain(stage: sites.Stage) -> Callable[[Path], object]:
    return lambda root: stage(root, corpus.pictures("imagenet2012"))


SITES: dict[str, Callable[[Path], object]] = {
    "/datashare/imagenet": sites.nibi_family,
    "/datasets/ILSVRC2012": _plain(sites.official),
    "/g/data/wb00/ImageNet/ILSVRC2012": _with_boxes(sites.nci),
    "/data/imagenet": _plain(sites.hyak),
    "/datasets/imagenet-1k-wds": _plain(sites.timm),
    "/datasets/imagenet": _plain(sites.image_folder),
    "/datasets/kaggle": _with_boxes(sites.kaggle),
    "/datasets/imagenet-w21-wds": sites.timm_w21,
    "/datasets/imagenet-small": sites.downsampled_flat,
    "/datasets/tiny-sorted": sites.tiny_sorted,
    "/datasets/imagenet-1k": _plain(sites.hugging_face_parquet),
    "/downloads/kaggle": _with_boxes(sites.kaggle_zip),
    "/local/scratch": Path.mkdir,
}
"""Directory of the examples to what stages it."""

BUILT = {
    "/shared/tfds_array_record": "array_record",
    "/shared/tfds_w21": "tfrecord",
    "/shared/tfds": "tfrecord",
}
"""Directory of datasets in the examples to their file format."""

EXPORTS = (
    *("/shared/wds", "/shared/wds_of_archives", "/shared/slim", "/shared/dali"),
    *("/shared/imagefolder", "/shared/squashed", "/shared/huggingface"),
)
"""Directories of exports in the examples."""

_PATHS = re.compile(
    "|".join(sorted(map(re.escape, [*SITES, *BUILT, *EXPORTS]), key=len, reverse=True))
    + r"(?![\w/-])"
)


@dataclasses.dataclass
class Sandbox:
    """Where the blocks of one page run, one after another."""

    root: Path

    def __post_init__(self) -> None:
        for name in ("dummy_data", "examples"):
            (self.here / name).parent.mkdir(exist_ok=True)
            (self.here / name).symlink_to(ROOT / name)

    @property
    def here(self) -> Path:
        """The working directory."""
        return self.root / "here"

    def place(self, path: str) -> Path:
        """What a directory of the examples stands for."""
        return self.root / "places" / path.strip("/").replace("/", "-")

    def run(self, block: Block) -> None:
        """Runs a block, and shows what it said if it fails."""
        for path in set(_PATHS.findall(block.code)):
            self._prepare(path, block)
        code = _PATHS.sub(lambda match: str(self.place(match[0])), block.code)
        code = code.replace("imagenet-users", grp.getgrgid(os.getgid()).gr_name)
        if block.language == "sh":
            command = ["bash", "-euo", "pipefail", "-c", code]
        else:
            script = self.root / "snippet.py"  # Workers that are spawned import it.
            script.write_text(code)
            command = [sys.executable, str(script)]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.here,
            env=environment(PATH=path, TFDS_DATA_DIR=str(self.root / "default")),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"

    def _prepare(self, path: str, block: Block) -> None:
        """Stages a site; empties a directory of datasets to build into, fills one to read from."""
        place = self.place(path)
        if path in SITES:
            if not place.exists():
                place.parent.mkdir(exist_ok=True)
                SITES[path](place)
        elif path in EXPORTS and "export " not in block.code:
            assert place.exists(), f"an earlier block must write {path}"
        elif path in EXPORTS or re.search(r"\bbuild |download_and_prepare", block.code):
            shutil.rmtree(place, ignore_errors=True)
        elif not place.exists():
            run_cli(
                "build",
                "imagenet2012",
                f"--manual-dir={DUMMY_DATA / 'imagenet2012'}",
                f"--data-dir={place}",
                f"--file-format={BUILT[path]}",
            )


def runnable(document: Path) -> list[Block]:
    """The blocks that are run."""
    return [
        block
        for block in blocks(document)
        if block.language in _LANGUAGES
        and block.mark not in ("not run", "command")
        and not block.code.startswith(_PROMPT)
    ]


def is_installed(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # Nor is the package that it would be in.
        return False
    # A folder of that name on the path, such as `tests/datasets`, has no origin.
    return spec is not None and spec.origin is not None


@pytest.mark.slow
@pytest.mark.parametrize("document", [each for each in DOCUMENTS if runnable(each)], ids=name_of)
def test_the_commands_of_a_page_work(document: Path, tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    left_out: list[str] = []
    for block in runnable(document):
        if block.mark == "needs" and not all(map(is_installed, block.words.split(", "))):
            left_out.append(block.words)
        elif "/data/imagenet" in block.code and not shutil.which("mksquashfs"):
            left_out.append("mksquashfs")
        else:
            sandbox.run(block)
    if left_out:
        pytest.skip(f"run without the blocks that need {', '.join(left_out)}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_examples_with_their_output_are_true(document: Path) -> None:
    failed, _ = doctest.testfile(str(document), module_relative=False)
    assert failed == 0


def test_no_block_is_left_out_by_accident() -> None:
    not_run = [
        block
        for document in DOCUMENTS
        for block in blocks(document)
        if block.mark in ("not run", "command")
    ]
    assert all(len(block.words) > 3 for block in not_run)  # The reason.
    listed = {
        (document, start)
        for block in not_run
        for document, start in NOT_RUN
        if block.document == document and block.code.startswith(start)
    }
    assert listed == NOT_RUN
    assert len(not_run) == len(NOT_RUN)


def test_blocks_are_of_known_languages() -> None:
    for document in DOCUMENTS:
        assert document.read_text().count("\n```") % 2 == 0, document
        for block in blocks(document):
            assert block.language in _LANGUAGES | {"text"}, block
            assert block.mark in ("", "not run", "needs", "command", "output"), block
