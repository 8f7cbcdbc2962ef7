"""Functions for workers to run, in a module that they can import."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagenet_builders.errors import BadImageError

Report = Callable[[int, int], None]


def square(job: int, report: Report) -> int:
    return job * job


def process_id(job: object, report: Report) -> int:
    return os.getpid()


def slow_process_id(job: float, report: Report) -> int:
    time.sleep(job)
    return os.getpid()


def echo(job: Any, report: Report) -> Any:
    return job


def count(job: int, report: Report) -> int:
    for _ in range(job):
        report(1, 100)
    return job


def fail(job: str, report: Report) -> None:
    raise OSError(28, "No space left on device", job)


def find_a_bad_image(job: str, report: Report) -> None:
    raise BadImageError(job, "empty (0 bytes)", member="a.JPEG", offset=512)


class UnpicklableError(Exception):
    def __init__(self) -> None:
        super().__init__("it holds a lock")
        self.lock = threading.Lock()


class TwoArgumentsError(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, one: str, two: str):
        super().__init__(f"{one} and {two}")


def fail_in_an_unpicklable_way(job: object, report: Report) -> None:
    raise UnpicklableError


def fail_with_two_arguments(job: object, report: Report) -> None:
    raise TwoArgumentsError("one", "two")


def return_the_unpicklable(job: object, report: Report) -> object:
    return threading.Lock()


def kill_itself(job: int, report: Report) -> None:
    os.kill(os.getpid(), job)
    signal.pause()


def be_killed_while_it_sends(job: int, report: Report) -> bytes:
    """Returns more than any pipe holds, which nobody takes."""
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(job)


def leave(job: int, report: Report) -> None:
    sys.exit(job)


def wait_for_ever(job: str, report: Report) -> None:
    Path(job, str(os.getpid())).touch()
    time.sleep(600)


def wait_until_removed(job: str, report: Report) -> None:
    """Works until the file that says so is removed."""
    at_work = Path(job, str(os.getpid()))
    at_work.touch()
    deadline = time.monotonic() + 600
    while at_work.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def note(job: str) -> None:
    """As a prefetch function."""
    with open(job, "a") as file:
        file.write("asked for\n")


def note_and_fail(job: str) -> None:
    note(job)
    raise OSError("only the job itself may fail")


def fail_at_the_first(job: str, report: Report) -> None:
    """Whichever begins first fails."""
    with open(job, "a") as file:
        file.write(".")
    first = True
    try:
        Path(f"{job}.first").touch(exist_ok=False)
    except FileExistsError:
        first = False
    time.sleep(0.2)
    if first:
        raise OSError(errno.ENOSPC, "No space left on device")


def count_runs(job: str, report: Report) -> int:
    with open(job, "a") as file:
        file.write(".")
    return len(Path(job).read_text())


def wait_for_another(job: str, report: Report) -> int:
    """Returns when two are at it."""
    with open(job, "a") as file:
        file.write(".")
    deadline = time.monotonic() + 20
    while len(Path(job).read_text()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return 5


def fail_twice(job: tuple[str, int], report: Report) -> int:
    report(1, 100)
    runs = count_runs(job[0], report)
    if runs < 3:
        raise OSError(job[1], os.strerror(job[1]))
    return runs


def unknown_to_workers(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[object, Report], None]]:
    """Functions that only this process has: of a module, and in a module, that it made up."""

    def of_no_module(job: object, report: Report) -> None: ...

    def in_no_module(job: object, report: Report) -> None: ...

    for function, module in ((of_no_module, "no_such_module"), (in_no_module, "json")):
        function.__module__, function.__qualname__ = module, "no_such_function"
        monkeypatch.setitem(sys.modules, module, sys.modules.get(module, types.ModuleType(module)))
        monkeypatch.setattr(sys.modules[module], "no_such_function", function, raising=False)
    return [of_no_module, in_no_module]


def state_of_process(job: int, report: Report) -> tuple[bool, str | None]:
    """Whether garbage is collected, and how many threads NumPy may start."""
    return gc.isenabled(), os.environ.get("OPENBLAS_NUM_THREADS")
