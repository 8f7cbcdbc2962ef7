"""Runs of the command line, each in a fork, with something planted where a file was.

A process imports everything once and forks for each request, so that what waits for ever can be
killed, and what is forked costs a tenth of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from support.line_server import LineServer

SECONDS = 60
"""What takes longer waits for somebody; on a quiet machine a build takes 0.2 s."""

SECRET = (
    "[client]\npassword = correct-horse-battery-staple\n"
    "root:$6$Pepper$Zk4hQ:19000:0:99999:7:::\ntoken-aaaabbbbccccdddd 5 17 23 42 tail\n"
)
"""A private file of whoever builds."""

_PIECES = ("password", "correct", "horse", "Pepper", "client", "aaaabbbb")


def repeats_the_secret(text: str) -> bool:
    """Whether a text has a piece of the private file, as it is, in hexadecimal or in escapes."""
    return any(piece in text or piece.encode().hex() in text for piece in _PIECES) or (
        SECRET[:6].encode().hex(" ") in text
    )


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # Its path may be longer than the address of a socket may be.
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}"[:100])
    finally:
        os.close(here)


def _device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def _link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _link_to_a_fifo(path: Path) -> None:
    fifo = path.with_name(f"{path.name[:40]}.of-a-link")
    if not fifo.exists():
        os.mkfifo(fifo)
    path.symlink_to(fifo)


def _link_to_a_private_file(path: Path) -> None:
    private = Path(os.environ["PRIVATE_FILE"])
    private.write_text(SECRET)
    path.symlink_to(private)


PLANTED: dict[str, Callable[[Path], None]] = {
    "a FIFO": _fifo,
    "a socket": _socket,
    "a device": _device,
    "a directory": Path.mkdir,
    "a link to zeros": _link_to_zeros,
    "a link to a FIFO": _link_to_a_fifo,
    "a link to a private file": _link_to_a_private_file,
}
"""What takes the place of a file."""


def plant(path: Path, what: str) -> None:
    """Puts something in a file's place."""
    path.unlink()
    PLANTED[what](path)


class Ended(NamedTuple):
    """How a command ended; `status` is None where it waited for ever."""

    status: int | None
    said: str


class Commands(LineServer):
    """Runs commands in forks.

    Args:
        private: Where the private file is.
    """

    def __init__(self, private: Path):
        os.environ["PRIVATE_FILE"] = str(private)
        super().__init__("support.hostile.planted", unset=("IMAGENET_BUILDERS_",))

    def run(self, *argv: str | Path, swap: tuple[Path, str] | None = None) -> Ended:
        """Runs a command.

        Args:
            argv: Its arguments.
            swap: A file, and what takes its place once all is indexed and nothing written.
        """
        given = None if swap is None else [str(swap[0]), swap[1]]
        return Ended(*self.ask({"argv": list(map(str, argv)), "swap": given}))


def _run(argv: Sequence[str], swap: Sequence[str] | None) -> int:
    from imagenet_builders import cli
    from imagenet_builders.build import steps

    if swap is not None:
        write = steps.write_everywhere

        def write_everywhere(*args: Any, **more: Any) -> Any:
            plant(Path(swap[0]), swap[1])
            return write(*args, **more)

        steps.write_everywhere = write_everywhere
    return cli.main(argv)


def _in_a_fork(request: dict[str, Any], said: Path) -> tuple[int | None, str]:
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        status = 1
        try:
            fd = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            with contextlib.suppress(SystemExit):
                status = _run(request["argv"], request["swap"])
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    until = time.monotonic() + SECONDS
    ended_with: int | None = None
    while time.monotonic() < until:
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            ended_with = os.waitstatus_to_exitcode(code)
            break
        time.sleep(0.01)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return ended_with, said.read_text(errors="backslashreplace") if said.exists() else ""


def main() -> None:
    """Answers requests until the input ends."""
    import tempfile

    from imagenet_builders import cli, datasets
    from imagenet_builders.write import shard
    from support.paths import DUMMY_DATA

    for name in datasets.names():
        datasets.get(name).builder()
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    directory = Path(tempfile.mkdtemp())
    try:
        # All that is imported on the way is imported before the forks.
        staged, where = DUMMY_DATA / "imagenet2012", f"--data-dir={directory}"
        cli.main(["check", str(staged), "imagenet2012", "--deep", where])
        cli.main(["build", "imagenet2012", f"--manual-dir={staged}", where, "--workers=1"])
        shard._finishers.cache_clear()  # Its threads are in no fork.
        answers.write(json.dumps("ready") + "\n")
        for line in requests:
            answers.write(json.dumps(_in_a_fork(json.loads(line), directory / "said")) + "\n")
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
