"""Other processes, and directories in which they are at work."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.paths import DUMMY_DATA, ROOT, TESTS

# A test must not depend on what the machine's users set, nor find what other tests left.
_UNSET = ("IMAGENET_BUILDERS_", "SLURM_", "TFDS_", "TMPDIR", "PYTHONHASHSEED", "LC_", "LANG")


def environment(**changes: str) -> dict[str, str]:
    """The environment of another process that imports what this one does."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_UNSET)}
    path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, path)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return env | changes


def environment_of_tests(env: Mapping[str, str]) -> dict[str, str]:
    """An environment for another process that imports what the tests import."""
    path = [str(ROOT), str(TESTS), str(DUMMY_DATA), env.get("PYTHONPATH", "")]
    joined = os.pathsep.join(filter(None, path))
    return {**env, "PYTHONPATH": joined, "TF_CPP_MIN_LOG_LEVEL": "3"}


def run(
    command: Sequence[str | Path], *, check: bool = True, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command, with changes to its environment; shows what it said if it fails."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(**changes),
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def run_python(code: str, *arguments: str | Path, check: bool = True, **changes: str) -> str:
    """What a fresh interpreter prints for some code; its `sys.argv[1:]` are the arguments."""
    return run([sys.executable, "-c", code, *arguments], check=check, **changes).stdout


def run_cli(
    *arguments: str | Path, check: bool = True, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command line of the package in another process."""
    command = [sys.executable, "-m", "imagenet_builders.cli", *arguments]
    return run(command, check=check, **changes)


def found_during(directory: Path, pattern: str) -> list[Path]:
    """As `rglob`, for a directory that a build is changing meanwhile, which `rglob` may trip over.

    `pattern` is of a name.
    """
    return [
        Path(parent, name)
        for parent, directories, files in os.walk(directory)
        for name in fnmatch.filter([*directories, *files], pattern)
    ]


def blocking(*modules: str) -> str:
    """Code that makes modules as good as not installed, for the process that runs it."""
    return f"import sys; sys.modules.update(dict.fromkeys({modules}))\n"
