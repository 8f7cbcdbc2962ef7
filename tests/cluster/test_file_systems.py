"""Builds on real file systems, by `file_systems.sh`, which can be run by itself, too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("file_systems.sh")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable}
    command = [str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("name", run("--list", "--quick").stdout.split())
def test_builds_survive_on_this_file_system(name: str, data: Path) -> None:
    """Killed and resumed, raced for, replaced under a reader: the shards are those of ext4."""
    ended = run("--quick", "--data", str(data), name)
    [line] = re.findall(rf"^{name} .*", ended.stdout, re.MULTILINE) or [ended.stdout + ended.stderr]
    if " skipped " in line:
        pytest.skip(line)
    assert " passed" in line, line + ended.stderr
    assert ended.returncode == 0, ended
