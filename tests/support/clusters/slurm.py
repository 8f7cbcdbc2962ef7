"""A real Slurm of two nodes, both on this machine, where its programs are installed."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")

_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
MessageTimeout=60
BatchStartTimeout=60
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=10
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs=2 RealMemory=8192
NodeName=first NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=second NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=main Nodes=first,second Default=YES State=UP
"""

_UNDONE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")


def is_installed() -> bool:
    """Whether there is all that a cluster needs; Debian's packages have it."""
    # A node's daemon sets up its jobs as only root may.
    return os.getuid() == 0 and all(map(_program, PROGRAMS))


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))


@contextlib.contextmanager
def cluster() -> Iterator[Path]:
    """Runs the daemons, while their directory, with `slurm.conf` and their logs, is there."""
    # A socket's path may have 107 bytes, so not below pytest's directory.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        directory = Path(name)
        host = socket.gethostname()
        configuration = _CONFIGURATION.format(
            host=host, ports=_free_ports(3), user=getpass.getuser(), directory=directory
        )
        (directory / "slurm.conf").write_text(configuration)
        (directory / "state").mkdir()
        key = directory / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        directory.chmod(0o755)
        env = os.environ | {"SLURM_CONF": str(directory / "slurm.conf")}
        at = {part: f"{directory}/munge.{part}" for part in ("socket", "key", "pid", "log", "seed")}
        munged = ["munged", "--foreground", "--force", f"--socket={at['socket']}"]
        munged += [f"--key-file={at['key']}", f"--pid-file={at['pid']}"]
        munged += [f"--log-file={at['log']}", f"--seed-file={at['seed']}"]
        daemons: list[subprocess.Popen[bytes]] = []
        try:
            for command in (
                munged,
                ["slurmctld", "-c", "-D"],
                ["slurmd", "-D", "-N", "first"],
                ["slurmd", "-D", "-N", "second"],
            ):
                program = _program(command[0])
                assert program is not None
                with (directory / f"{len(daemons)}.stderr").open("wb") as said:
                    daemons.append(
                        subprocess.Popen(
                            [program, *command[1:]],
                            env=env,
                            stdout=subprocess.DEVNULL,
                            stderr=said,
                        )
                    )
                if command is munged:
                    _wait(lambda: os.path.exists(at["socket"]), daemons)
            try:
                _wait(lambda: _idle(env) == 2, daemons)
            except AssertionError as error:
                # Other versions may need more than this configuration. What jobs do is tested, not
                # whether Slurm can be started.
                pytest.skip(f"Slurm is installed, but {error}: {_last_words(directory)}")
            yield directory
        finally:
            # Nothing of a job that a test gave up is left.
            with contextlib.suppress(AssertionError):
                subprocess.run(["scancel", "--user", getpass.getuser()], env=env, check=False)
                _wait(lambda: _idle(env) == 2, daemons)
            for daemon in reversed(daemons):
                daemon.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    daemon.wait(20)
                daemon.kill()
                daemon.wait()


class Job:
    """A job that was submitted.

    Args:
        directory: What `cluster` gave.
        env: Environment of the job.
        command: Arguments of `sbatch`.
    """

    def __init__(self, directory: Path, env: dict[str, str], *command: str | Path):
        self._directory = directory
        self._env = env | {"SLURM_CONF": str(directory / "slurm.conf")}
        self.number = self._ask("sbatch", "--parsable", *command)

    def shown(self, field: str) -> str:
        """What Slurm says of it, such as its `JobState`."""
        said = self._ask("scontrol", "show", "job", self.number)
        found = re.search(rf"\b{field}=(\S+)", said)
        assert found, said
        return found[1]

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Waits for something that is to be while the job is not done, or that it ends with."""
        deadline = time.monotonic() + 240
        while True:
            state = self.shown("JobState")  # Asked before: a job that has ended changes no more.
            if condition():
                return
            assert state in _UNDONE, f"it ended\n{self.log()}"
            assert time.monotonic() < deadline, f"it takes too long\n{self.log()}"
            time.sleep(0.1)

    def signal_shell(self, name: str) -> None:
        """Does what `--signal=B:...` asks for: the batch shell alone is told."""
        self._ask("scancel", "--batch", f"--signal={name}", self.number)

    def start_now(self) -> None:
        """Starts it though it was only just queued again, for which Slurm waits two minutes."""
        # What a node has revoked is revoked for the rest of that second: a job that is started
        # within it is killed as "non-startable" and has failed.
        time.sleep(2)
        self._ask("scontrol", "update", f"JobId={self.number}", "StartTime=now")

    def log(self) -> str:
        """What there is to read about a job that did not go well."""
        texts = [self._ask("scontrol", "show", "job", self.number)]
        texts.append(Path(self.shown("StdOut")).read_text())
        for name in ("slurmctld", "first", "second"):
            lines = (self._directory / f"{name}.log").read_text().splitlines()
            texts += [f"== {name}.log", *lines[-40:]]
        return "\n".join(texts)

    def _ask(self, *command: str | Path) -> str:
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()


def _idle(env: dict[str, str]) -> int:
    command = ["sinfo", "--noheader", "--Node", "--states=idle"]
    listed = subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout
    return len(listed.splitlines())


def _wait(condition: Callable[[], bool], daemons: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert all(daemon.poll() is None for daemon in daemons), "one of its daemons ended"
        assert time.monotonic() < deadline, "it is not ready after two minutes"
        time.sleep(0.2)


def _last_words(directory: Path) -> str:
    said = [path.read_text().splitlines() for path in sorted(directory.glob("*.stderr"))]
    return "; ".join(lines[-1] for lines in said if lines)


def _free_ports(count: int) -> list[int]:
    """Below those that the kernel gives to others, so that they are free a moment later, too."""
    free: list[int] = []
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as unused, contextlib.suppress(OSError):
            unused.bind(("127.0.0.1", port))
            free.append(port)
    return free[:count]
