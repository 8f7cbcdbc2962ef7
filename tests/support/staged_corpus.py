"""Small staged corpora, whole or damaged, and builds of them by the real command line."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from makers import archives, pictures
from makers.ilsvrc2012 import (
    TEST_ARCHIVE,
    TEST_PATCH_ARCHIVE,
    TRAIN_ARCHIVE,
    VALIDATION_ARCHIVE,
)

from imagenet_builders import cli

TRAIN, VAL, TEST, PATCH = TRAIN_ARCHIVE, VALIDATION_ARCHIVE, TEST_ARCHIVE, TEST_PATCH_ARCHIVE
DATASET = "imagenet2012/5.1.0"
ERROR = "imagenet-builders: error: "
WARNING = "imagenet-builders: warning: "
NOTE = "imagenet-builders: note: "

TENCH, GOLDFISH, COUGAR = "n01440764", "n01443537", "n02125311"
CLASSES = (GOLDFISH, TENCH, COUGAR)  # In the order of the archive, which is not the sorted one.


@functools.cache
def picture(name: str) -> bytes:
    """A small JPEG that is not the same for any two names."""
    return pictures.jpeg(pictures.draw("test", key=name, size=(40, 30)), quality=60)


def val_name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def test_name(number: int) -> str:
    return f"ILSVRC2012_test_{number:08d}.JPEG"


# Not a test, whatever its name says to pytest.
vars(test_name)["__test__"] = False

Member = tuple[str | tarfile.TarInfo, bytes]


@dataclasses.dataclass
class Staged:
    """What is to be staged; a test changes it before it is written."""

    train: dict[str, list[Member]]
    validation: list[Member]
    test: list[Member]
    patch: list[Member]
    tar_format: int = tarfile.GNU_FORMAT
    in_outer: Callable[[list[Member]], list[Member]] = list
    """What the train archive has instead of the class tars as they are."""

    def outer(self) -> list[Member]:
        """The members of the train archive: a tar a class."""
        return self.in_outer(
            [
                (f"{wnid}.tar", archives.tar_bytes(members, tar_format=self.tar_format))
                for wnid, members in self.train.items()
            ]
        )

    def write(self, directory: Path) -> Path:
        """Writes the archives that have members; gives the directory back."""
        for name, members in (
            (TRAIN, self.outer()),
            (VAL, self.validation),
            (TEST, self.test),
            (PATCH, self.patch),
        ):
            if members:
                archives.write_tar(directory / name, members, tar_format=self.tar_format)
        return directory


def staged() -> Staged:
    """Three classes of three pictures, five of validation and four of test, the last patched."""
    return Staged(
        train={
            wnid: [(name, picture(name)) for name in (f"{wnid}_{n}.JPEG" for n in (7, 2, 11))]
            for wnid in CLASSES
        },
        validation=[(val_name(n), picture(val_name(n))) for n in (3, 1, 50_000, 2, 236)],
        test=[(test_name(n), picture(test_name(n))) for n in (2, 1, 100_000, 3)],
        patch=[(test_name(3), picture("patched"))],
    )


def place(archive: Path, member: str) -> tuple[int, int]:
    """Byte offsets of a member's first header and of its body, as `tarfile` sees them.

    A member of an inner tar is written `n01440764.tar/n01440764_2.JPEG`.
    """
    outer, inside, inner = member.partition(".tar/")
    with tarfile.open(archive) as opened:
        if not inside:
            info = opened.getmember(member)
            return info.offset, info.offset_data
        start = opened.getmember(f"{outer}.tar").offset_data
        body = opened.extractfile(f"{outer}.tar")
        assert body is not None
        with tarfile.open(fileobj=body) as opened_inner:
            info = opened_inner.getmember(inner)
            return start + info.offset, start + info.offset_data


def with_image(path: Path, where: str, data: bytes) -> tuple[Path, str, int]:
    """Stages a corpus with one other image; gives its archive, name and first byte."""
    one_other = staged()
    name, file, members = {
        "train": (f"{TENCH}_2.JPEG", TRAIN, one_other.train[TENCH]),
        "validation": (val_name(1), VAL, one_other.validation),
        "test": (test_name(1), TEST, one_other.test),
        "patch": (test_name(3), PATCH, one_other.patch),
    }[where]
    members[[member for member, _ in members].index(name)] = (name, data)
    archive = one_other.write(path) / file
    prefix = f"{TENCH}.tar/" if where == "train" else ""
    return archive, name, place(archive, prefix + name)[1]


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
    import os, sys
    from imagenet_builders import labels
    from imagenet_builders.cli import main
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


@pytest.fixture
def open_path() -> Iterator[Path]:
    """As `tmp_path`, but below directories that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """The records of the corpus without anything odd about it."""
    path = tmp_path_factory.mktemp("whole")
    assert build(staged().write(path / "staged"), path / "built").status == 0
    found = records(path / "built")
    counts = {split: len(of_split) for split, of_split in found.items()}
    assert counts == {"train": 9, "validation": 5, "test": 4}
    return found


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
    of_use = [path for path in left if path.parts[0] == ".imagenet_builders"]
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


def provenance(data_dir: Path) -> dict:
    document = json.loads((data_dir / DATASET / "provenance.json").read_text())
    return document["splits"]


def split_info(data_dir: Path) -> dict[str, list[int]]:
    """Examples in each shard of each split, as the dataset's own description says."""
    document = json.loads((data_dir / DATASET / "dataset_info.json").read_text())
    return {split["name"]: [int(n) for n in split["shardLengths"]] for split in document["splits"]}


def records(data_dir: Path) -> dict[str, list[bytes]]:
    """The serialized examples of each split, in their order."""
    found: dict[str, list[bytes]] = {}
    for path in sorted((data_dir / DATASET).glob("*.tfrecord-*")):
        split = path.name.removeprefix("imagenet2012-").partition(".")[0]
        found.setdefault(split, []).extend(tfrecords(path.read_bytes()))
    return found


def tfrecords(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        yield data[position + 12 : position + 12 + length]
        position += 16 + length
    assert position == len(data)
