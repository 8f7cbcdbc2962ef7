"""What the tests share: the makers of dummy archives, and small corpora made with them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.paths import DUMMY_DATA

# No limits of time, which depend on the machine; the same examples each time, so that what fails
# is due to the last change. `--hypothesis-profile=search` looks for new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")

# TensorFlow's start-up notes would drown what the tests print.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Started by something that ignores SIGINT (`nohup`, a shell's background), so would be all builds.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):  # Not the main thread.
        signal.signal(signal.SIGINT, signal.default_int_handler)

sys.path.insert(0, str(DUMMY_DATA))


@pytest.fixture(autouse=True)
def _private_scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """No test sees options of the environment or another test's cached index."""
    for name in ("WORKERS", "SCRATCH_DIR", "BAD_IMAGES", "STAGE"):
        monkeypatch.delenv(f"IMAGENET_BUILDERS_{name}", raising=False)
    for name in ("SLURM_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """As `tmp_path`, but below directories that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)
