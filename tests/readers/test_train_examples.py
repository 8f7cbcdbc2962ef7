"""The examples of training by PyTorch and JAX run, on what was built and on archives in place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES
from support.training import DATASETS, built, train

EXAMPLES = {"pytorch.py": ("torch", "torchvision"), "jax_grain.py": ("jax", "grain")}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("built")
    for name in DATASETS:
        built(name, directory)
    return directory


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("example", EXAMPLES)
def test_a_network_is_trained(example: str, name: str, data_dir: Path) -> None:
    for module in EXAMPLES[example]:
        pytest.importorskip(module, reason="needs the extra `readers`")
    printed, said = train(example, "--dataset", name, "--data-dir", data_dir)
    assert "loss" in printed
    # Of a batch that Grain's workers made and nobody took, Python says that it removes it.
    of_python = [line for line in said.splitlines() if "leaked shared_memory" in line]
    assert len(re.findall("Warning", said)) == len(of_python)


@pytest.mark.parametrize("example", EXAMPLES)
def test_archives_are_read_in_place(example: str, tmp_path: Path) -> None:
    for module in EXAMPLES[example]:
        pytest.importorskip(module, reason="needs the extra `readers`")
    printed, _ = train(example, "--manual-dir", DUMMY_ARCHIVES, "--only-read", "--workers=0")
    assert "loss" not in printed
