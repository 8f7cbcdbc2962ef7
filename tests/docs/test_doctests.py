"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import imagenet_builders


def modules() -> list[str]:
    """All modules of the package but the scripts that make its data files."""
    found = pkgutil.walk_packages(imagenet_builders.__path__, f"{imagenet_builders.__name__}.")
    names = [module.name for module in found if not module.name.endswith("._generate")]
    return [imagenet_builders.__name__, *names]


def examples(name: str) -> list[doctest.DocTest]:
    tests = doctest.DocTestFinder().find(importlib.import_module(name))
    return [test for test in tests if test.examples]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_are_true(name: str):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.FAIL_FAST)
    said: list[str] = []
    for test in examples(name):
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)


def test_modules_in_every_folder_are_looked_at():
    assert {
        "imagenet_builders.plan.plan",
        "imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder",
        "imagenet_builders.labels.spaces",
        "imagenet_builders.formats.tar",
    } <= set(modules())


def test_there_are_examples_in_docstrings():
    # Should they all be lost, or no longer be found, the tests above would say nothing.
    assert sum(len(examples(name)) for name in modules()) >= 4
