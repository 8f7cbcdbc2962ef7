"""Builds several times in one process, and prints the CPU time of each; see `cpu_per_image`.

It is a program of its own, which imports nothing of this checkout: it measures that of whatever
interpreter runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence


def main(builds: Sequence[Sequence[str]], data_dir: str) -> int:
    """Builds one after the other.

    Args:
        builds: The arguments of each, as the command line takes them.
        data_dir: Where all of them put their dataset; it is removed after each.

    Returns:
        The exit status. User and system time of each build are the last line of the output, after
        what builds say.
    """
    from imagenet_builders.cli import main as build

    times = []
    for arguments in builds:
        before = os.times()
        if build(arguments):
            return 1
        after = os.times()
        times.append((after.user - before.user, after.system - before.system))
        shutil.rmtree(data_dir)
    print(json.dumps(times))
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2]))
