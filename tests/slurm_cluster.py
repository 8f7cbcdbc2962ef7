"""A real Slurm of two nodes, both on this machine, where its programs are installed."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")

_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
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
NodeName=first NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=second NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=main Nodes=first,second Default=YES State=UP
"""


def is_installed() -> bool:
    """Whether there is all that a cluster needs, and it is asked for; Debian's packages have it.

    Asked for, because beside other tests on a small machine it is at times not done in its time.
    """
    if not os.environ.get("IMAGENET_BUILDERS_TEST_SLURM"):
        return False
    # A node's daemon sets up its jobs as only root may.
    return os.getuid() == 0 and all(map(_program, PROGRAMS))


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))


@contextlib.contextmanager
def slurm() -> Iterator[dict[str, str]]:
    """Runs the daemons; gives the variables with which Slurm's commands find them."""
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
                daemons.append(
                    subprocess.Popen(
                        [program, *command[1:]],
                        env=env,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
                if command is munged:
                    _wait(lambda: os.path.exists(at["socket"]), daemons)
            _wait(lambda: _idle(env) == 2, daemons)
            yield {"SLURM_CONF": env["SLURM_CONF"]}
        finally:
            for daemon in reversed(daemons):
                daemon.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    daemon.wait(20)
                daemon.kill()
                daemon.wait()


def _idle(env: dict[str, str]) -> int:
    command = ["sinfo", "--noheader", "--Node", "--states=idle"]
    listed = subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout
    return len(listed.splitlines())


def _wait(condition, daemons: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert all(daemon.poll() is None for daemon in daemons), "a daemon of Slurm ended"
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for unused in sockets:
            unused.bind(("127.0.0.1", 0))
        return [unused.getsockname()[1] for unused in sockets]
