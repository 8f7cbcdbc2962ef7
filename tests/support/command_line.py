"""Runs of the command line in this process: how they end, what they say and what they leave."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from imagenet_builders import cli
from support.corpora.ilsvrc2012 import staged

DATASET = "imagenet2012/5.1.0"
HOME = Path(DATASET).parent
ERROR = "imagenet-builders: error: "
WARNING = "imagenet-builders: warning: "
NOTE = "imagenet-builders: note: "


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines that are errors; every other line must be a warning or a note."""
        lines = self.err.splitlines()
        assert all(line.startswith((ERROR, WARNING, NOTE)) for line in lines), self.err
        return [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]

    @property
    def summary(self) -> dict[str, str]:
        """The closing words, by split."""
        lines = [line for line in self.err.splitlines() if line.startswith("  ")]
        return dict(line.split(maxsplit=1) for line in lines)

    @property
    def warnings(self) -> list[str]:
        lines = self.err.splitlines()
        return [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)]


def run(*arguments: str) -> Outcome:
    """Runs the command line in this process."""
    before = signal.getsignal(signal.SIGTERM)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)
    return Outcome(status, out.getvalue(), err.getvalue())


def build_arguments(manual_dir: Path, data_dir: Path, *options: str) -> list[str]:
    where = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir)]
    return ["build", "imagenet2012", *where, *options]


def build(manual_dir: Path, data_dir: Path, *options: str) -> Outcome:
    """Builds in this process, and sees that nothing under `manual_dir` was touched."""
    before = snapshot(manual_dir)
    outcome = run(*build_arguments(manual_dir, data_dir, *options))
    assert snapshot(manual_dir) == before
    return outcome


# Everything is imported, from wherever only root may read it, before root is given up.
_AS_NOBODY = textwrap.dedent("""\
    import importlib, os, pkgutil, sys
    from imagenet_builders import formats, labels
    from imagenet_builders.cli import main
    for module in pkgutil.walk_packages(formats.__path__, formats.__name__ + "."):
        importlib.import_module(module.name)
    assert main(["build", *sys.argv[1:6]]) == 0
    labels.train_counts(), labels.validation_labels()
    print("warmed up", file=sys.stderr)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    sys.exit(main(sys.argv[6:]))
    """)


def build_as_nobody(
    scratch: Path,
    manual_dir: Path,
    data_dir: Path,
    *,
    dataset: str = "imagenet2012",
    sound: Path | None = None,
    options: Sequence[str] = (),
) -> Outcome:
    """Builds in a process that may not read and write whatever it wants, as root may.

    `sound` is something of the dataset that can be built, so that all is loaded that needs to be.
    """
    sound = sound or staged().write(scratch / "sound")
    warm_up = build_arguments(sound, scratch / "warm_up")[1:]
    command = build_arguments(manual_dir, data_dir, *options)
    warm_up[0] = command[1] = dataset
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, *warm_up, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    _, warm, err = done.stderr.partition("warmed up\n")
    assert warm, done.stderr
    return Outcome(done.returncode, done.stdout, err)


def refused(outcome: Outcome, data_dir: Path) -> str:
    """The one sentence with which a build was refused, after which nothing is left."""
    assert outcome.status == 1, outcome
    assert "Traceback" not in outcome.err
    [sentence] = outcome.errors
    assert sentence.isprintable()
    assert " " in sentence
    assert_nothing_published(data_dir)
    return sentence


def assert_nothing_published(data_dir: Path) -> None:
    """Nothing is there that a reader might find, and nothing that the next build has no use for."""
    left = [path.relative_to(data_dir) for path in data_dir.rglob("*") if path.is_file()]
    # The cached index of a split that is sound may stay, and so may finished shards.
    of_use = [path for path in left if path.parts[0].startswith(".imagenet_builders")]
    finished = [path for path in left if "shards" in path.parts]
    places = {path.parents[1] for path in finished}
    marks = [place / "marks" / f"{path.name}.done" for path in finished for place in places]
    builds = [place / "build.json" for place in places]
    assert len(places) <= 1
    assert sorted(left) == sorted([*of_use, *finished, *marks, *builds])
    assert not (data_dir / DATASET).exists()
    assert not list(data_dir.rglob("*incomplete*"))
    assert not list(data_dir.rglob("*.partial"))


def snapshot(directory: Path) -> dict[str, tuple[int, ...] | bytes]:
    """Names, sizes, times and contents of everything in a directory (of holes, only the size)."""
    found: dict[str, tuple[int, ...] | bytes] = {}
    for path in sorted(directory.rglob("*")) if directory.is_dir() else []:
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if path.is_file() and status.st_size < 1 << 24 and os.access(path, os.R_OK):
            found[f"{path} content"] = hashlib.sha256(path.read_bytes()).digest()
    return found
