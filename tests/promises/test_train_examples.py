"""The example of training by TensorFlow runs; those of other libraries: `tests/readers`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training import DATASETS, built, train


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASETS)
def test_keras_trains(name: str, tmp_path: Path) -> None:
    printed, said = train(
        "tensorflow_keras.py", "--dataset", name, "--data-dir", built(name, tmp_path)
    )
    assert "loss" in printed
    assert "Warning" not in said
