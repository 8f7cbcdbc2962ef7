"""The steward's commands in forks of a process that has imported everything: far faster.

A fork gives up root's rights as `setpriv` does for `neighbours.World`, so the steward is another
user here, too, or root.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from support.killing.forks import Running, Server
from support.neighbours import GROUP, STEWARD, Done, World, hashes, world
from support.paths import DUMMY_DATA

# As in `neighbours`, the steward keeps root's right to read, for what is imported later.
_AS_STEWARD = """
import ctypes, os, struct
os.environ.pop("TMPDIR", None)
os.environ.update({env!r})
os.chdir({cwd!r})
os.umask({umask})
libc = ctypes.CDLL(None)
user, read = {user}, 1 << 2
os.setgroups([])
if user:
    libc.prctl(8, 1, 0, 0, 0)
os.setresgid({group}, {group}, {group})
if user:
    os.setresuid(user, user, user)
    header, sets = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", read, read, read, 0, 0, 0)
    assert libc.capset(header, sets) == 0
    assert libc.prctl(47, 2, 2, 0, 0) == 0
    assert not os.access("/etc/shadow", os.W_OK) and os.geteuid() == user
"""

_HELD = """
import importlib, os, time
module, _, name = {where!r}.partition(":")
holder = importlib.import_module(module)
*path, last = name.split(".")
for each in path:
    holder = getattr(holder, each)
real = getattr(holder, last)
def held(*arguments, **named):
    result = real(*arguments, **named)
    open({signals!r} + "/reached", "w").close()
    while not os.path.exists({signals!r} + "/go"):
        time.sleep(0.01)
    return result
setattr(holder, last, held)
"""

_undisturbed: dict[tuple[str, ...], dict[str, str]] = {}


@dataclasses.dataclass(frozen=True)
class ForkedWorld(World):
    """As `World`, but that commands are forks of a server.

    Attributes:
        server: The server.
    """

    server: Server = dataclasses.field(kw_only=True)

    def run(
        self,
        *arguments: str | Path,
        umask: int = 0o002,
        timeout: float = 0,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Runs the package's command line as the steward; it is killed if it hangs."""
        del timeout  # The server has one.
        return self._end(self._start(list(map(str, arguments)), "", umask, cwd, env))

    def held(
        self, where: str, attack: Callable[[], object], *more: str, name: str = "imagenet2012"
    ) -> Done:
        """Builds, and lets the member do something when a function has been called.

        Args:
            where: The function, as `module:name`.
            attack: What the member does.
            *more: Options of the build.
            name: What is built.
        """
        running, signals = self._held(where, name, more)
        self.member(attack)
        (signals / "go").touch()
        return self._end(running)

    def killed(self, where: str, *more: str, name: str = "imagenet2012") -> None:
        """Builds, and is killed when a function has been called."""
        running, _ = self._held(where, name, more)
        os.kill(running.pid, signal.SIGKILL)
        assert running.wait().status == -signal.SIGKILL

    def undisturbed(self, name: str, *options: str) -> dict[str, str]:
        """As `neighbours.undisturbed`."""
        key = (name, *options)
        if key not in _undisturbed:
            with forked_world(STEWARD, self.server) as quiet:
                done = quiet.build(*options, name=name)
                assert done.status == 0, done.err
                version = quiet.version_of(name)
                assert version is not None
                found = hashes(version).items()
                _undisturbed[key] = {file: digest for file, digest in found if "-of-" in file}
        return _undisturbed[key]

    def _held(self, where: str, name: str, more: tuple[str, ...]) -> tuple[Running, Path]:
        signals = self.root / "signals"
        signals.mkdir()
        signals.chmod(0o777)
        arguments = ["build", name, "--manual-dir", str(DUMMY_DATA / name.partition("/")[0])]
        arguments += ["--data-dir", str(self.data_dir), *more]
        code = _HELD.format(where=where, signals=str(signals))
        running = self._start(arguments, code, 0o002, None, None)
        end = time.monotonic() + 60
        while not (signals / "reached").exists():
            assert time.monotonic() < end, running.err.read_text()
            time.sleep(0.01)
        return running, signals

    def _start(
        self,
        arguments: list[str],
        code: str,
        umask: int,
        cwd: Path | None,
        env: Mapping[str, str] | None,
    ) -> Running:
        home = {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / ".cache")}
        first = textwrap.dedent(_AS_STEWARD).format(
            env={**home, **(env or {})},
            cwd=str(cwd or self.home),
            umask=umask,
            user=self.steward,
            group=GROUP,
        )
        return self.server.start(arguments, self.root / "nothing", first=first + code)

    def _end(self, running: Running) -> Done:
        ended = running.wait()
        assert ended.status >= 0, f"it was killed by {-ended.status}, because it hangs\n{ended.err}"
        assert "Traceback" not in ended.err, ended.err
        return Done(ended.status, ended.out, ended.err)


@contextlib.contextmanager
def forked_world(steward: int, server: Server) -> Iterator[ForkedWorld]:
    """A world whose commands are forks."""
    with world(steward) as made:
        yield ForkedWorld(made.root, made.steward, made.data_dir, made.home, server=server)
