"""Builds of damaged sources by the real command line, each in a fork with limits, and judged.

A process imports everything once, stages each kind of source once, and forks for each case. The
fork stages the source again with one file damaged, builds it (some are checked before) and, if that
went well, verifies what was published: every record, every pixel, and keys and labels by those of
the sound source.

    PYTHONPATH=tests:dummy_data:. python -m support.hostile.server 1000 ["flat tar" ...]

tries so many cases of each kind.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.line_server import LineServer
from support.paths import DUMMY_DATA

SECONDS = 20
"""A build that takes longer has not survived; on a quiet machine one takes 0.1 s."""
_ADDRESS_SPACE = 4 << 30
_IN_PIXELS = ("the image cannot be decoded", "pixels of the image are lost")

Records = dict[str, dict[str, tuple[int, str]]]
"""Split to key to label and the image's digest."""


# --- in a fork -------------------------------------------------------------------------------


def _run(argv: Sequence[str], said: Path) -> tuple[int, type[BaseException] | None, str]:
    """Runs the command line; its status, the kind of its error, and all that it said."""
    from imagenet_builders import cli

    kinds: list[type[BaseException]] = []
    sentence = cli._sentence

    def noted(error: Exception) -> str:
        kinds.append(type(error))
        return sentence(error)

    cli._sentence = noted
    with (
        open(said, "w") as file,
        contextlib.redirect_stderr(file),
        contextlib.redirect_stdout(file),
    ):
        status = cli.main(argv)
    return status, kinds[0] if kinds else None, said.read_text()


def published(data_dir: Path) -> list[Path]:
    """The directories that a reader takes for datasets."""
    found = data_dir.rglob("dataset_info.json")
    return [path.parent for path in found if ".imagenet_builders" not in path.parts]


def contents(directory: Path) -> Records:
    """Keys, labels and images of a dataset."""
    from imagenet_builders.formats.tfrecord.example import parse
    from support.built_datasets import tfrecords

    found: Records = {}
    for shard in sorted(directory.glob("*.tfrecord-*")):
        split = found.setdefault(shard.name.split("-")[1].partition(".")[0], {})
        for record in tfrecords(shard.read_bytes()):
            features = parse(record)
            name = (features.get("file_name") or features["id"]).values[0]
            label, image = features["label"].values[0], features["image"].values[0]
            assert isinstance(name, bytes)
            assert isinstance(label, int)
            assert isinstance(image, bytes)
            key = name.decode()
            assert key not in split, f"{key} is there twice"
            split[key] = (label, hashlib.sha256(image).hexdigest())
    return found


def _judge(directory: Path, sound: Records, named_by_the_source: bool) -> str:
    """How good a dataset from a damaged source is; AssertionError if it is wrong."""
    from imagenet_builders.verify.dataset import verify_dataset

    found = contents(directory)
    verdict = verify_dataset(directory, workers=1, decode=True)
    pixels = [problem for problem in verdict.problems if problem.what in _IN_PIXELS]
    assert len(pixels) == verdict.problem_count, [p.sentence for p in verdict.problems]
    strangers = altered = 0
    for split, records in found.items():
        for key, (label, image) in records.items():
            if key not in sound[split]:
                strangers += 1
                continue
            expected, digest = sound[split][key]
            assert label == expected, f"{key} has label {label} instead of {expected}"
            altered += digest != image
    count = {split: len(records) for split, records in found.items()}
    assert not strangers or named_by_the_source, f"{strangers} keys that there are not"
    assert len(pixels) <= altered + strangers, pixels
    if strangers:
        return "built, another name"
    if pixels:
        return "built, pixels damaged"
    if altered:
        return "built, image bytes differ"
    whole = {split: len(records) for split, records in sound.items()}
    return "built, the same" if count == whole else "built, a part"


def _case(kind: Any, sound_at: Path, sound: Records, seed: str, place: Path) -> tuple[str, str]:
    """Builds one damaged source; the outcome and what was done."""
    from support.hostile.damage import damaged

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    rng = random.Random(seed)
    staged, data_dir = place / "staged", place / "data"
    shutil.copytree(sound_at, staged)
    path = rng.choice(sorted(each for each in staged.glob(kind.files) if each.is_file()))
    what, content = damaged(path.read_bytes(), rng)
    path.write_bytes(content)
    what = f"{path.relative_to(staged)}: {what}"
    print(f"{seed}: {what}", file=sys.stderr, flush=True)
    options = ["--bad-images=skip"] if rng.random() < 0.2 else []
    argv = [f"--manual-dir={staged}", f"--data-dir={data_dir}", "--workers=1", *options]
    if rng.random() < 0.25:
        status, error, said = _run(["check", str(staged), "--deep"], place / "said")
        assert status in (0, 1), said
        assert error is None, (error, said)
    status, error, said = _run(["build", kind.dataset, *argv], place / "said")
    there = published(data_dir)
    if status == 0:
        [directory] = there
        # Of a header whose checksum is right, nobody can say that it is not as it was written.
        renamed = kind.named_by_the_source or "forged header" in what
        return _judge(directory, sound, renamed), what
    from imagenet_builders.errors import ImagenetBuildersError

    assert status == 1, (status, said)
    assert error is not None, said
    assert issubclass(error, ImagenetBuildersError), (error, said)
    assert not there, there
    lines = [line for line in said.splitlines() if line.startswith("imagenet-builders: error: ")]
    assert len(lines) == 1, said
    assert lines[0].isprintable(), said
    # What is unpacked to scratch space is named after the archive.
    assert str(staged) in lines[0] or f"-unpacked/{path.stem}" in lines[0], said
    assert "Traceback" not in said
    return "refused", what


def _limited(argv: Sequence[str], place: Path, address_space: int) -> tuple[int, str]:
    """Runs a command line under a limit of memory."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    status, error, said = _run(argv, place / "said")
    return status, f"{error.__name__ if error else ''}\n{said}"


# --- in the process that forks ---------------------------------------------------------------


def _forked(work: Any, place: Path, seconds: int) -> tuple[int, Any, resource.struct_rusage]:
    """Does work in a fork: how that ended, what it gave, and what it used."""
    answer = place / "answer"
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            signal.alarm(seconds)
            from imagenet_builders.write import shard as shards

            shards._finishers.cache_clear()  # Threads do not survive a fork.
            answer.write_text(json.dumps(work()))
            shards._finishers().shutdown()
            status = 0
        except BaseException:
            answer.write_text(json.dumps(traceback.format_exc()))
        finally:
            os._exit(status)
    _, status, used = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    given = json.loads(answer.read_text()) if answer.exists() else None
    return code, given, used


class _Sound:
    """Sources as they should be, and what is built of them, made when they are asked for."""

    def __init__(self, root: Path):
        self.root = root
        self._known: dict[str, tuple[Path, Records]] = {}

    def get(self, name: str) -> tuple[Path, Records]:
        if name not in self._known:
            place = self.root / f"sound{len(self._known)}"
            place.mkdir()
            code, records, _ = _forked(lambda: self._make(name, place), place, 120)
            assert code == 0, records
            self._known[name] = place / "staged", records
        return self._known[name]

    @staticmethod
    def _make(name: str, place: Path) -> Records:
        from support.hostile.corpora import KINDS

        kind = KINDS[name]
        kind.stage(place / "staged")
        argv = [f"--manual-dir={place}/staged", f"--data-dir={place}/data", "--workers=1"]
        status, _, said = _run(["build", kind.dataset, *argv], place / "said")
        assert status == 0, said
        [directory] = published(place / "data")
        made = contents(directory)
        assert _judge(directory, made, False) == "built, the same"
        return made


def fuzz(sound: _Sound, name: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Cases of one kind: how many ended how, and those that ended as none may."""
    from support.hostile.corpora import KINDS

    kind = KINDS[name]
    staged, records = sound.get(name)
    outcomes: collections.Counter[str] = collections.Counter()
    failures, largest, longest = [], 0, 0.0
    for number in seeds:
        place = Path(tempfile.mkdtemp(dir=sound.root))
        seed = f"{name}/{number}"
        begun = time.monotonic()
        work = functools.partial(_case, kind, staged, records, seed, place)
        code, given, used = _forked(work, place, SECONDS)
        longest = max(longest, time.monotonic() - begun)
        largest = max(largest, used.ru_maxrss << 10)
        if code == 0:
            outcomes[given[0]] += 1
        else:
            failures.append(f"{seed} ended with {code}: {given}")
        shutil.rmtree(place, ignore_errors=True)
    return {
        "outcomes": dict(outcomes),
        "failures": failures,
        "peak": largest,
        "seconds": round(longest, 2),
    }


def _bounded(root: Path, argv: Sequence[str], address_space: int, seconds: int) -> dict[str, Any]:
    place = Path(tempfile.mkdtemp(dir=root))
    begun = time.monotonic()
    code, given, used = _forked(lambda: _limited(argv, place, address_space), place, seconds)
    took = time.monotonic() - begun
    status, said = given if code == 0 else (code, str(given))
    return {"status": status, "said": said, "peak": used.ru_maxrss << 10, "seconds": took}


def _import_all() -> None:
    """What builds import, so that no fork has to; a build of each dataset shows it."""
    import PIL.Image
    import simplejpeg  # noqa: F401  # For the forks.

    PIL.Image.init()

    warm = ["imagenet2012", "imagenet2012_localization", "imagenet2012_dogs", "tiny_imagenet"]
    warm += ["imagenet2012_downsampled/8x8", "imagenet21k_winter21"]
    with tempfile.TemporaryDirectory() as directory:
        for number, name in enumerate(warm):
            manual_dir = DUMMY_DATA / name.partition("/")[0]
            data_dir = Path(directory) / str(number)
            argv = [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}", "--workers=1"]
            status, _, said = _run(["build", name, *argv], Path(directory) / "said")
            assert status == 0, said
    assert "tensorflow" not in sys.modules


def _serve(root: Path) -> None:
    """Takes requests from standard input, a line each, and answers on standard output."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    _import_all()
    sound = _Sound(root)
    print(json.dumps("ready"), file=answers)
    for line in requests:
        what, *arguments = json.loads(line)
        answer = fuzz(sound, *arguments) if what == "fuzz" else _bounded(root, *arguments)
        print(json.dumps(answer), file=answers)


def _campaign(count: int, names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        _import_all()
        from support.hostile.corpora import KINDS

        sound = _Sound(Path(directory))
        survived = 0
        for name in names or KINDS:
            found = fuzz(sound, name, range(10_000, 10_000 + count))
            survived += sum(found["outcomes"].values())
            print(name, json.dumps(found["outcomes"]), f"{found['peak'] / 1e6:.0f} MB at most,")
            print(f"  {found['seconds']} s at most")
            for failure in found["failures"]:
                print(f"  FAILED {failure}", flush=True)
        print(f"survived/tried: {survived}/{count * len(names or KINDS)}")


# --- in the tests ----------------------------------------------------------------------------


class Server(LineServer):
    """The process that forks; a context manager.

    Args:
        directory: For sources and builds.
    """

    def __init__(self, directory: Path):
        unset = ("IMAGENET_BUILDERS_", "SLURM_TMPDIR", "TMPDIR")
        super().__init__("support.hostile.server", "--serve", str(directory), unset=unset)

    def fuzz(self, kind: str, seeds: Sequence[int]) -> dict[str, Any]:
        """As the function."""
        return self.ask(["fuzz", kind, list(seeds)])

    def bounded(
        self, argv: Sequence[str], address_space: int, seconds: int = 180
    ) -> dict[str, Any]:
        """Runs a command line under a limit of memory: `status`, `said`, `peak`, `seconds`."""
        return self.ask(["bounded", list(map(str, argv)), address_space, seconds])


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        _serve(Path(sys.argv[2]))
    else:
        _campaign(int(sys.argv[1]), sys.argv[2:])
