"""A steward and a member of the same group, by number, in a project space that both may write.

The steward builds with the real command line, in a process of their own; the member does what a
member can, in a fork that has given up root's rights. However it ends, `World.check` compares all
that is the steward's with what it was, and what is published with a build that nobody disturbed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from support.paths import DUMMY_DATA
from support.private_home import expected_home, fill_home, snapshot
from support.processes import environment

GROUP = 12_000
STEWARD = 12_001
MEMBER = 12_002
STEWARDS = (STEWARD, 0)
"""Who builds: a user, and root."""

_HANGS = 180

# The interpreter may be where only root looks (`/root`, a private temporary directory), so the
# steward keeps root's right to read, and no other.
_KEPT = "+dac_read_search"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command of the steward's ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence of its error, which must be all that it says of it."""
        assert self.status != 0, self.out + self.err
        errors = [line for line in self.err.splitlines() if "error:" in line]
        assert len(errors) == 1, self.err
        return errors[0]


class Still:
    """A command that stands still at a step; `done` is how it ended after that."""

    done: Done

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process


def _ended(process: subprocess.Popen[str], command: list[str], timeout: float) -> Done:
    """How a command ends; fails if it hangs, or says what no command may say."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"{command} hangs\n{out}{err}")
    assert "Traceback" not in err, err
    assert not _CONTROL.search(err + out), ascii(err + out)
    return Done(process.returncode, out, err)


@dataclasses.dataclass(frozen=True)
class World:
    """A project space, a steward with private files, and a member.

    Attributes:
        root: The directory of all that.
        steward: Number of the user who builds.
        data_dir: A directory of mode 2775 and the group, in the project space.
        home: The steward's own directory, with private files.
    """

    root: Path
    steward: int
    data_dir: Path
    home: Path

    def run(
        self,
        *arguments: str | Path,
        umask: int = 0o002,
        timeout: float = _HANGS,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Runs the package's command line as the steward."""
        command = [sys.executable, "-m", "imagenet_builders.cli", *map(str, arguments)]
        return self.run_command(command, umask=umask, timeout=timeout, cwd=cwd, env=env)

    def build(self, *more: str | Path, name: str = "imagenet2012", **how: object) -> Done:
        """Builds a dataset of the dummy data as the steward."""
        return self.run(*self.build_arguments(*more, name=name), **how)  # type: ignore[arg-type]

    def run_command(
        self,
        command: list[str],
        *,
        umask: int = 0o002,
        timeout: float = _HANGS,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Runs any command as the steward, and fails if it hangs."""
        with self.started(command, umask=umask, cwd=cwd, env=env) as process:
            return _ended(process, command, timeout)

    @contextlib.contextmanager
    def started(
        self,
        command: list[str],
        *,
        umask: int = 0o002,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[str]]:
        """A command that runs as the steward, in a group of processes that ends with the block."""
        home = {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / ".cache")}
        process = subprocess.Popen(
            [*as_user(self.steward), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            env=environment(**home, **(env or {})),
            cwd=cwd or self.home,
            umask=umask,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @contextlib.contextmanager
    def standing_still(
        self, *arguments: str | Path, before: str, first: str = "", umask: int = 0o002
    ) -> Iterator[Still]:
        """Runs the command line as the steward, which waits at a step until the block ends.

        Args:
            *arguments: The command line.
            before: The function that it comes to, as `module:name`.
            first: Python to run before all that.
            umask: The umask.
        """
        signals = Path(tempfile.mkdtemp(prefix="signals-", dir=self.root))
        os.chown(signals, self.steward, GROUP)
        module, name = before.split(":")
        code = (
            f"import os, sys, time\n{first}\n"
            f"import imagenet_builders.{module} as module\n"
            f"then = module.{name}\n"
            "def stand_still(*arguments, **named):\n"
            f"    open({str(signals / 'here')!r}, 'w').close()\n"
            f"    while not os.path.exists({str(signals / 'go')!r}): time.sleep(0.01)\n"
            "    return then(*arguments, **named)\n"
            f"module.{name} = stand_still\n"
            "from imagenet_builders.cli import main\n"
            "sys.exit(main(sys.argv[1:]))\n"
        )
        command = [sys.executable, "-c", code, *map(str, arguments)]
        with self.started(command, umask=umask) as process:
            while not (signals / "here").exists():
                if process.poll() is not None:
                    pytest.fail(f"it has ended before: {process.communicate()}")
                time.sleep(0.01)
            still = Still(process)
            yield still
            (signals / "go").touch()
            still.done = _ended(process, command, _HANGS)

    def build_arguments(self, *more: str | Path, name: str = "imagenet2012") -> list[str | Path]:
        """The command line of a build of the dummy data."""
        staged = ("--manual-dir", DUMMY_DATA / name.partition("/")[0])
        return ["build", name, *staged, "--data-dir", self.data_dir, *more]

    def member(self, function: Callable[[], object]) -> None:
        """Lets the member do something, which must succeed."""
        pid = _fork(function)
        _, status = os.waitpid(pid, 0)
        assert status == 0, "the member could not do it, so that the test would prove nothing"

    @contextlib.contextmanager
    def racing(self, function: Callable[[], object]) -> Iterator[None]:
        """Lets the member do something again and again during the block; errors are passed over."""

        def again() -> None:
            while True:
                with contextlib.suppress(OSError):
                    function()
                time.sleep(0.0005)

        pid = _fork(again)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def check(self, name: str = "imagenet2012", *options: str) -> None:
        """Makes sure that nothing of the steward's was changed, and nothing foreign published.

        Args:
            name: What was built.
            *options: Those of the build on which its shards depend.
        """
        assert snapshot(self.home) == expected_home(self.steward)
        assert not list(self.root.rglob("RUN*")), "something of the member's was run"
        version = self.version_of(name)
        if version is None:
            return
        found = hashes(version)
        expected = self.undisturbed(name, *options)
        assert {each: found.get(each) for each in expected} == expected
        for path in version.rglob("*"):
            status = path.lstat()
            assert stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode), path
            assert status.st_uid == self.steward, path

    def undisturbed(self, name: str, *options: str) -> dict[str, str]:
        """The shards of a build that nobody disturbed; see the function of that name."""
        return undisturbed(name, *options)

    def version_of(self, name: str = "imagenet2012") -> Path | None:
        """The directory of the dataset that is published, or None."""
        infos = [
            path
            for path in (self.data_dir / name).glob("[0-9]*/dataset_info.json")
            if not path.parent.is_symlink()
        ]
        return infos[0].parent if infos else None


@contextlib.contextmanager
def world(steward: int) -> Iterator[World]:
    """A world for a test, which is removed after it."""
    if os.geteuid() != 0:
        pytest.skip("only root makes two users")
    _skip_without_setpriv()
    root = Path(tempfile.mkdtemp(prefix="neighbours-"))
    try:
        root.chmod(0o755)
        home = root / "home"
        fill_home(home, steward)
        project = root / "project"
        project.mkdir()
        data_dir = project / "datasets"
        data_dir.mkdir()
        for directory in (project, data_dir):
            os.chown(directory, steward, GROUP)
            directory.chmod(0o2775)
        yield World(root, steward, data_dir, home)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@functools.cache
def undisturbed(name: str = "imagenet2012", *options: str) -> dict[str, str]:
    """File to SHA-256 of the shards of a dataset of the dummy data that nobody disturbed."""
    with world(STEWARD) as quiet:
        done = quiet.build(*options, name=name)
        assert done.status == 0, done.err
        version = quiet.version_of(name)
        assert version is not None
        return {file: digest for file, digest in hashes(version).items() if "-of-" in file}


def home_of(space: World, name: str = "imagenet2012") -> Path:
    """The directory of the versions, made by the steward as a build makes it."""
    path = space.data_dir / name
    path.mkdir()
    os.chown(path, space.steward, GROUP)
    path.chmod(0o2775)
    return path


def hashes(directory: Path) -> dict[str, str]:
    """File to SHA-256, of all files in a directory."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if path.is_file()
    }


def as_user(user: int) -> list[str]:
    """The beginning of a command that runs as another user of the group."""
    if user == 0:
        return ["setpriv", "--regid", str(GROUP), "--clear-groups"]
    ids = ["--reuid", str(user), "--regid", str(GROUP), "--clear-groups"]
    return ["setpriv", *ids, "--inh-caps", _KEPT, "--ambient-caps", _KEPT]


@functools.cache
def _setpriv_problem() -> str:
    try:
        done = subprocess.run(
            [*as_user(STEWARD), sys.executable, "-c", ""],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        return str(error)
    return done.stderr if done.returncode else ""


def _skip_without_setpriv() -> None:
    problem = _setpriv_problem()
    if problem:
        pytest.skip(f"no process can be given another user here: {problem}")


def _fork(function: Callable[[], object]) -> int:
    """Calls a function as the member, in a fork; returns the process."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setgroups([])
        os.setgid(GROUP)
        os.setuid(MEMBER)
        os.umask(0o002)
        function()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
