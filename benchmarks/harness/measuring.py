"""Runs a command and measures it: time, CPU time, memory of all its processes, bytes written."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import BenchmarkError

SAMPLE_EVERY_SECONDS = 0.05
# Summing the page tables of a process takes time, which must not slow down what is measured.
SAMPLING_SHARE = 0.05


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        seconds: From the start of the process until all it wrote is on storage.
        sync_seconds: The part of `seconds` after the process has ended.
        user_seconds: CPU time in user mode, of all its processes.
        system_seconds: CPU time in the kernel on its behalf.
        peak_bytes: Largest sum of its processes' resident memory in any sample.
        memory: What was summed: `pss` (shared pages count once) or `rss` (once a process).
        written_bytes: What all its processes caused to be written; None if the system does not
            tell.
    """

    seconds: float
    sync_seconds: float
    user_seconds: float
    system_seconds: float
    peak_bytes: int
    memory: str
    written_bytes: int | None


def measure(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    environment: dict[str, str],
    then: Callable[[], None] = lambda: None,
) -> Measured:
    """Runs a command to its end and then `then`, which counts as part of its time.

    Args:
        name: What errors call it.
        command: The program and its arguments.
        log: The file that all it says goes to.
        cwd: Its working directory.
        environment: All of its environment.
        then: Waits until what it wrote is on storage, for instance.

    Raises:
        BenchmarkError: It ended with a status other than 0.
    """
    with open(log, "wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        sampler = MemorySampler(process.pid)
        sampler.start()
        try:
            # Not reaped yet: what its processes wrote is added up in it until then.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            ended = time.perf_counter()
            then()
            synced = time.perf_counter()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            sampler.stop()
        written = _written_bytes(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(errors="replace").splitlines()[-20:]
        raise BenchmarkError(
            f"{name} ended with status {process.returncode}; it said:\n" + "\n".join(said)
        )
    return Measured(
        seconds=synced - started,
        sync_seconds=synced - ended,
        user_seconds=usage.ru_utime,
        system_seconds=usage.ru_stime,
        peak_bytes=sampler.peak_bytes,
        memory=sampler.memory,
        written_bytes=written,
    )


class MemorySampler(threading.Thread):
    """Adds up the resident memory of a process and all its descendants, again and again.

    Attributes:
        peak_bytes: The largest sum.
        memory: What is summed, `pss` or `rss`.
    """

    def __init__(self, pid: int):
        import psutil

        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._gone = (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied)
        self._root = psutil.Process(pid)
        self._ended = threading.Event()
        # Where the proportional set size can be read of this process, it can of its children.
        has_pss = hasattr(psutil.Process().memory_full_info(), "pss")
        self.memory = "pss" if has_pss else "rss"

    def run(self) -> None:
        """Samples until stopped."""
        pause = SAMPLE_EVERY_SECONDS
        while not self._ended.wait(pause):
            started = time.thread_time()
            self.sample()
            spent = time.thread_time() - started
            pause = max(SAMPLE_EVERY_SECONDS, spent / SAMPLING_SHARE)

    def sample(self) -> None:
        """Takes one sample, now."""
        self.peak_bytes = max(self.peak_bytes, self._sum())

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self.join()

    def _sum(self) -> int:
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except self._gone:
            return 0
        total = 0
        for process in processes:
            # One that ended meanwhile has no memory.
            with contextlib.suppress(*self._gone):
                if self.memory == "pss":
                    total += process.memory_full_info().pss
                else:
                    total += process.memory_info().rss
        return total


def _written_bytes(pid: int) -> int | None:
    """What a process that has ended, and those it has waited for, caused to be written."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return None
    return int(dict(line.split(": ") for line in lines)["write_bytes"])
