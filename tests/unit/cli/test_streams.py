"""A command whose results nobody reads to the end goes on in silence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import sys
from imagenet_builders.cli.streams import safe_streams
with safe_streams():
    print("result", flush={flush})
    print("x" * 100_000)
    print("at its end", file=sys.stderr)
"""


@pytest.mark.parametrize("flush", [False, True])
def test_a_reader_of_results_may_leave(flush: bool) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE.format(flush=flush)],
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (0, "at its end\n")


def test_results_that_cannot_be_written_are_an_error() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", CODE.format(flush=False)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode
    assert "No space left on device" in done.stderr
