"""Builds in forks of a process that has imported everything, ended at a chosen point.

A point is the n-th change that a process makes to the file system below a directory (`change`,
just before it is made; `torn`: a write, after half of it), or the n-th line of Python that it runs
in this package (`line`). Changes are seen by the interpreter's audit events, and by wrappers around
those calls of `os` that have none. Between two changes the disk stays as it is, so builds killed
before each of them have left a disk in every state that there is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from support.line_server import LineServer
from support.paths import ROOT

_PACKAGE = str(ROOT / "imagenet_builders")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {
    "os.rename",
    "os.link",
    "os.symlink",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.utime",
    "os.chmod",
    "os.chown",
}
_LIMIT_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Point:
    """Where a process ends.

    Attributes:
        kind: `change`, `torn` or `line`.
        number: Which one, counted from 0.
        signal: What ends it.
        where: `parent`, or `worker` for whichever of its workers comes there first.
        files: For lines: only those of these files of the package, if any are named.
    """

    kind: str
    number: int
    signal: int = signal.SIGKILL
    where: str = "parent"
    files: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: status as of `subprocess`, what it said, the changes it made."""

    status: int
    out: str
    err: str
    changes: tuple[str, ...]


# --- in the process that is killed -----------------------------------------------------------


class _Watch:
    """Counts what a process does below a directory, and ends it at a point."""

    def __init__(self, below: str, point: Point | None, log: str | None):
        self.below = below
        self.point = point
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if log else None
        self.counted = {kind: itertools.count() for kind in ("change", "torn", "line")}
        self.ended = False

    def install(self) -> None:
        sys.addaudithook(self._audit)
        for name in ("write", "writev", "fsync"):
            setattr(os, name, self._wrapped(name))
        from imagenet_builders.publish import exchange as publish

        exchange = publish._exchange

        def counted_exchange(one: Path, other: Path) -> bool:
            self._change(f"exchange {one.name} {other.name}")
            return exchange(one, other)

        publish._exchange = counted_exchange
        if self.point and self.point.kind == "line":
            threading.settrace(self._trace)
            sys.settrace(self._trace)

    def _end(self) -> None:
        assert self.point is not None
        self.ended = True
        os.kill(os.getpid(), self.point.signal)

    def _reached(self, kind: str) -> bool:
        point = self.point
        return bool(
            point
            and not self.ended
            and point.kind == kind
            and next(self.counted[kind]) == point.number
        )

    def _change(self, what: str) -> None:
        if self.log is not None:
            _WRITE(self.log, what.replace("\n", " ").encode() + b"\n")
        if self._reached("change"):
            self._end()

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if flags & _WRITING and self._concerns(path):
                self._change(f"open {path}")
        elif event in _CHANGES:
            paths = [each for each in arguments if isinstance(each, str | bytes | os.PathLike)]
            relative = isinstance(arguments[-1], int) and arguments[-1] >= 0
            if paths and (relative or any(map(self._concerns, paths))):
                self._change(" ".join([event, *map(os.fsdecode, paths)]))

    def _concerns(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        # Without a directory, it is one of a directory that is open.
        return name.startswith((self.below, "/proc/self/fd/")) or not os.path.isabs(name)

    def _wrapped(self, name: str) -> Any:
        call = getattr(os, name)

        def wrapper(fd: int, *data: Any) -> Any:
            self._change(f"{name} {fd}")
            if name != "fsync" and self._reached("torn"):
                whole = data[0] if name == "write" else b"".join(map(bytes, data[0]))
                _WRITE(fd, whole[: len(whole) // 2])
                self._end()
            return call(fd, *data)

        return wrapper

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(_PACKAGE):
            return None
        point = self.point
        if point and point.files and not name.endswith(point.files):
            return None
        return self._line

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and self._reached("line"):
            self._end()
        return self._line


_WRITE = os.write


def watch_worker(point: str, below: str) -> None:
    """Called in a worker process before it starts to work; one of them takes the point."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(f"{below}.point", os.O_CREAT | os.O_EXCL))
        _Watch(below, _point(json.loads(point)), None).install()


def _point(fields: dict[str, Any] | None) -> Point | None:
    return Point(**(fields | {"files": tuple(fields["files"])})) if fields else None


def _child(request: dict[str, Any]) -> None:
    """Runs one command line in this process, a fork, and ends it."""
    for name, number in (("out", 1), ("err", 2)):
        fd = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(fd, number)
        os.close(fd)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # Under nohup, it would be ignored.
    signal.alarm(_LIMIT_SECONDS)
    from imagenet_builders import cli
    from imagenet_builders.build import steps
    from imagenet_builders.run import local
    from imagenet_builders.write import shard

    shard._finishers.cache_clear()  # Threads do not survive a fork.
    exec(request["first"], {})
    point = _point(request["point"])
    if request["processes"]:
        steps._SMALL_BYTES = 0
    if point and point.where == "worker":
        watch = f"from support.killing import forks; forks.watch_worker({request['point_text']!r}, "
        begin, _, rest = local._STARTUP.partition("; ")
        local._STARTUP = f"{begin}; " + rest.replace(
            "from ", f"{watch}{request['below']!r}); from ", 1
        )
        point = None
    _Watch(request["below"], point, request["log"]).install()
    status = 70
    try:
        status = cli.main(request["argv"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.settrace(None)
        shard._finishers().shutdown()  # As the interpreter does at its end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve() -> None:
    """Takes requests from standard input, a line each, and answers on standard output."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    sys.modules["support.killing.forks"] = sys.modules["__main__"]
    from support import command_line

    with contextlib.suppress(SystemExit):
        for argv in json.loads(requests.readline()):
            command_line.run(*argv)
    print(json.dumps("ready"), file=answers)
    for line in requests:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), file=answers)
            continue
        pid = os.fork()
        if pid == 0:
            try:
                _child(request)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(70)
        print(pid, file=answers)


# --- in the tests ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Running:
    """A command that was started."""

    server: Server
    pid: int
    out: Path
    err: Path
    log: Path

    def wait(self) -> Ended:
        status = self.server.ask({"wait": self.pid})
        changes = self.log.read_text().splitlines() if self.log.exists() else []
        return Ended(status, self.out.read_text(), self.err.read_text(), tuple(changes))


class Server(LineServer):
    """Forks builds; a context manager.

    Args:
        directory: For what they say.
        warm_up: Command lines to run first, so that all they import is there.
    """

    def __init__(self, directory: Path, warm_up: Sequence[Sequence[str]] = ()):
        super().__init__("support.killing.forks")
        self._directory = directory
        self._warm_up = [list(argv) for argv in warm_up]
        self._numbers = itertools.count()

    def begin(self) -> None:
        """Has it run the first command lines."""
        assert self.ask(self._warm_up) == "ready"

    def start(
        self,
        argv: Sequence[str],
        below: Path,
        point: Point | None = None,
        *,
        first: str = "",
        processes: bool = False,
        log: bool = False,
    ) -> Running:
        """Starts a command line in a fork.

        Args:
            argv: The command line.
            below: The directory whose changes count.
            point: Where it ends, if it does.
            first: Python to run in the fork before.
            processes: Use worker processes, however small the work is.
            log: Have the changes written down.
        """
        number = next(self._numbers)
        out, err, changes = (self._directory / f"{number}.{name}" for name in ("out", "err", "log"))
        for path in (out, err):
            path.touch()
        fields = dataclasses.asdict(point) if point else None
        pid = self.ask(
            {
                "argv": list(argv),
                "below": str(below),
                "point": fields,
                "point_text": json.dumps(fields),
                "first": first,
                "processes": processes,
                "out": str(out),
                "err": str(err),
                "log": str(changes) if log else None,
            }
        )
        return Running(self, pid, out, err, changes)

    def run(self, argv: Sequence[str], below: Path, *args: Any, **kwargs: Any) -> Ended:
        """As `start`, and waits for the end."""
        return self.start(argv, below, *args, **kwargs).wait()


@contextlib.contextmanager
def server(directory: Path, warm_up: Sequence[Sequence[str]] = ()) -> Iterator[Server]:
    with Server(directory, warm_up) as started:
        yield started


if __name__ == "__main__":
    _serve()
