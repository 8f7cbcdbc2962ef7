"""What happens to a forked build at a chosen step: it stands still, ends, or finds a change."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from support.command_line import DATASET, ERROR, HOME, build_arguments
from support.killing.forks import Ended, Running, Server
from support.killing.remains import content

# Time passes faster in these tests.
SOON = (
    "from imagenet_builders.publish import lock\n"
    "lock.BEAT_SECONDS, lock.STALE_SECONDS, lock._POLL_SECONDS = 0.1, 1.0, 0.05\n"
)

OFTEN = "from imagenet_builders.publish import lock; lock._POLL_SECONDS = 0.05\n"

LOCK = HOME / ".5.1.0.lock"
WITHOUT_EXCHANGE = (
    "from imagenet_builders.publish import exchange\n"
    "exchange._exchange = lambda one, other: False\n"
    "exchange.REMEMBERED_SECONDS = 0\n"
)


def built(forks: Server, manual_dir: Path, data_dir: Path, *options: str) -> dict[str, bytes]:
    ended = forks.run(build_arguments(manual_dir, data_dir, *options), data_dir)
    assert ended.status == 0, ended
    return content(data_dir / DATASET)


def at_publishing(code: str) -> str:
    """Code for a build that runs some more when all is written and nothing is published."""
    return (
        "import os, pathlib, shutil, time\n"
        "from imagenet_builders.publish import exchange as publish\n"
        "flush_all = publish.flush_all\n"
        "def flush_and_more(*arguments):\n"
        "    flush_all(*arguments)\n" + textwrap.indent(code, "    ") + "\n"
        "publish.flush_all = flush_and_more\n"
    )


def left_of_a_build(
    forks: Server, argv: list[str], data_dir: Path, which: int = signal.SIGKILL, shards: int = 3
) -> Ended:
    """Ends a build when so many shards are finished."""
    data_dir.mkdir(parents=True, exist_ok=True)
    count = (
        "import os, signal\n"
        "from imagenet_builders.write import shard as shards\n"
        "finish, finished = shards._finish, []\n"
        "def counting(*job):\n"
        "    result = finish(*job)\n"
        "    finished.append(job)\n"
        f"    if len(finished) == {shards}: os.kill(os.getpid(), {int(which)})\n"
        "    return result\n"
        "shards._finish, shards._FINISHED_AT_ONCE = counting, 1\n"
    )
    ended = forks.run(argv, data_dir, first=count)
    assert ended.status != 0, ended
    return ended


class Held:
    """A build that stands still, with the lock, until it is let go.

    Args:
        forks: Where it runs.
        argv: Its command line.
        data_dir: Where it builds.
        first: What it does first.
        before: What it will do next: `engine:plan_splits`, `engine:check_space` (the first thing
            when its place is made) or `publish:flush_all`.
    """

    def __init__(
        self,
        forks: Server,
        argv: list[str],
        data_dir: Path,
        first: str = "",
        before: str = "plan.recipe:plan_splits",
    ):
        number = len(list(data_dir.parent.glob("here-*")))
        self._here, self._go = (data_dir.with_name(f"{name}-{number}") for name in ("here", "go"))
        module, function = before.split(":")
        stand_still = (
            "import os, time\n"
            f"import imagenet_builders.{module} as module\n"
            f"then = module.{function}\n"
            "def stand_still(*arguments):\n"
            f"    open({str(self._here)!r}, 'w').close()\n"
            f"    while not os.path.exists({str(self._go)!r}): time.sleep(0.01)\n"
            "    return then(*arguments)\n"
            f"module.{function} = stand_still\n"
        )
        self.running: Running = forks.start(argv, data_dir, first=first + stand_still)
        self.pid = self.running.pid
        wait_for(self._here.exists)

    def let_go(self) -> None:
        self._go.touch()

    def end(self) -> Ended:
        self.let_go()
        return self.running.wait()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.running.wait()


def wait_for(what: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.005)


def error(err: str) -> str:
    """The one sentence of a build that failed."""
    assert "Traceback" not in err
    [line] = [line for line in err.splitlines() if line.startswith(ERROR)]
    return line.removeprefix(ERROR)
