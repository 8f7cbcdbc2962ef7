"""NumPy's threads, and the environment of what is started later."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from imagenet_builders.run.blas import without_threads

_PROGRAM = """
import os
from imagenet_builders.run.blas import without_threads
with without_threads():
    inside = os.environ.get("OPENBLAS_NUM_THREADS")
    import numpy
after = os.environ.get("OPENBLAS_NUM_THREADS")
print(inside, after, len(os.listdir("/proc/self/task")))
"""


@pytest.mark.parametrize(
    ("asked", "said"), [(None, ["1", "None", "1"]), ("2", ["2", "2"])], ids=["nobody", "the user"]
)
def test_numpy_starts_no_threads_unless_the_user_asks(asked: str | None, said: list[str]):
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    environment |= {"OPENBLAS_NUM_THREADS": asked} if asked else {}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[: len(said)] == said


def test_where_numpy_is_there_nothing_changes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", sys)
    with without_threads():
        assert "OPENBLAS_NUM_THREADS" not in os.environ
