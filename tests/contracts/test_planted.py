"""What others put in a source's place is neither waited for nor read, and repeated nowhere.

Every file that a dataset opens, in each kind of source, is replaced by a FIFO, a socket, a device,
a directory, a link to one of these, and a link to a private file: before anybody looks, and after
everything was indexed. Of files that are alike, such as those of a class, one stands for all; one
of them sees all that is planted, and the others the worst of it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hostile.planted import PLANTED, Commands, plant, repeats_the_secret
from support.paths import DUMMY_DATA
from support.source_kinds import CASES, Case, _listed_folders

pytestmark = pytest.mark.slow


def _dummy(name: str, *unpacked: str) -> Case:
    def stage(root: Path) -> None:
        for path in (DUMMY_DATA / name).iterdir():
            if any(path.name.startswith(each) for each in unpacked):
                (root / path.name.partition(".")[0]).mkdir()
                shutil.unpack_archive(path, root / path.name.partition(".")[0])
            else:
                shutil.copy(path, root)

    return Case("dummy", name, None, stage, ("train",))


PLACES = {
    # The pile is a kind from outside, which other processes do not know.
    **{f"{case}-{n}": case for n, case in enumerate(CASES) if case.kind != "pile"},
    "listed folders": Case(
        "folders", "imagenet2012", None, _listed_folders, ("train", "validation", "test")
    ),
    "boxes": _dummy("imagenet2012_localization"),
    "dogs": _dummy("imagenet2012_dogs"),
}
"""Everything that is staged, and how."""


def _roles(root: Path) -> dict[str, Path]:
    """The files below a directory, one of each kind."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            role = re.sub(r"n?[0-9]+", "0", str(path.relative_to(root)))
            found.setdefault(role, path.relative_to(root))
    return found


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with Commands(tmp_path_factory.mktemp("home") / "private.txt") as started:
        yield started


@pytest.fixture(params=PLACES)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = PLACES[request.param]
    return found


def _name(case: Case) -> str:
    return "/".join(filter(None, (case.dataset, case.config)))


def _copied(sound: Path, to: Path) -> Path:
    return Path(shutil.copytree(sound, to, symlinks=True))


def _whats(number: int) -> list[str]:
    if number:
        return ["a FIFO", "a link to a private file"]
    return [what for what in PLANTED if what != "a device" or os.geteuid() == 0]


def _wrong(said: str, status: int | None, left: Path) -> str | None:
    """What is wrong with how a command ended, whatever it was about."""
    if status is None:
        return "hangs"
    if "Traceback" in said:
        return f"has a traceback:\n{said}"
    written = (path for path in left.rglob("*.json") if path.is_file())
    if repeats_the_secret(said) or any(repeats_the_secret(path.read_text()) for path in written):
        return f"repeats the private file: {said}"
    return None


def test_what_is_planted_before_is_refused_by_check_and_build_alike(
    case: Case, commands: Commands, tmp_path: Path
) -> None:
    sound = case.staged(tmp_path / "sound")
    name = _name(case)
    found = []
    for number, (role, relative) in enumerate(_roles(sound).items()):
        for what in _whats(number):
            root = _copied(sound, tmp_path / "staged")
            plant(root / relative, what)
            data_dir = tmp_path / "data"
            data_dir.mkdir()
            scratch = f"--scratch-dir={data_dir / 'scratch'}"
            where = (f"--data-dir={data_dir}", scratch, "--workers=1")
            checked = commands.run("check", root, name, "--deep", "--hash", *where)
            shutil.rmtree(data_dir / "scratch", ignore_errors=True)
            built = commands.run("build", name, f"--manual-dir={root}", *where, "--bad-images=skip")
            place = f"{role}, {what}"
            for did, ended in (("check", checked), ("build", built)):
                wrong = _wrong(ended.said, ended.status, data_dir)
                if wrong is not None:
                    found.append(f"{place}: {did} {wrong}")
            if "can be built." in checked.said and built.status:
                found.append(f"{place}: check says yes, build says {built.said}")
            shutil.rmtree(root)
            shutil.rmtree(data_dir)
    assert not found, "\n".join(found)


def test_what_is_planted_after_indexing_is_not_read(
    case: Case, commands: Commands, tmp_path: Path
) -> None:
    sound = case.staged(tmp_path / "sound")
    found = []
    for role, relative in _roles(sound).items():
        for what in ("a FIFO", "a link to zeros"):
            root = _copied(sound, tmp_path / "staged")
            data_dir = tmp_path / "data"
            built = commands.run(
                "build",
                _name(case),
                f"--manual-dir={root}",
                f"--data-dir={data_dir}",
                f"--scratch-dir={data_dir / 'scratch'}",
                "--workers=1",
                swap=(root / relative, what),
            )
            wrong = _wrong(built.said, built.status, data_dir)
            if wrong is not None:
                found.append(f"{role}, {what}: build {wrong}")
            shutil.rmtree(root)
            shutil.rmtree(data_dir, ignore_errors=True)
    assert not found, "\n".join(found)
