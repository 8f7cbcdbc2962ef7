"""What came from a file reaches a terminal, a log or a document with nothing that acts on it.

Every test looks at all that a command says: whatever is no new line of its own must be printable.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from support import command_line
from support.command_line import DATASET, Outcome, run
from support.corpora.ilsvrc2012 import TENCH, VAL, picture, staged
from support.corpora.layouts import in_classes, write
from support.paths import DUMMY_DATA, ROOT
from support.source_kinds import TRAIN, VALIDATION

NASTY = "x\x1b]0;owned\x07\r\x9b2J\u202egnp\u2028\x7f y"
"""Sets the title of a terminal, rings, returns, clears and turns the direction of writing."""

LINES = f"{NASTY}\nimagenet-builders: error: forged"


def says(outcome: Outcome, *, of: str = "owned") -> str:
    """All that a command said, which must be printable, and must not be silent of the name."""
    said = outcome.out + outcome.err
    assert said.replace("\n", "").isprintable(), ascii(said)
    assert "\nimagenet-builders: error: forged" not in said
    assert "Traceback" not in said
    assert of in said, said
    return said


def check(manual_dir: Path, *more: str) -> Outcome:
    outcome = run("check", str(manual_dir), *more)
    document = run("check", str(manual_dir), *more, "--json").out
    assert document.isascii()
    assert document.replace("\n", "").isprintable()
    json.loads(document)
    return outcome


def build(manual_dir: Path, data_dir: Path, *more: str) -> Outcome:
    return run(*command_line.build_arguments(manual_dir, data_dir, "--workers=1", *more))


# --- sources -------------------------------------------------------------------------------------


def _member_of_an_archive(root: Path, name: str) -> None:
    corpus = staged()
    corpus.validation.append((name.replace("/", ""), picture("odd")))
    corpus.write(root)


def _member_of_a_class_archive(root: Path, name: str) -> None:
    corpus = staged()
    corpus.train[TENCH].append((f"{TENCH}_{name.replace('/', '')}.JPEG", picture("odd")))
    corpus.write(root)


def _image_in_a_folder(root: Path, name: str) -> None:
    write(root / "train", in_classes(TRAIN))
    (root / "train" / TENCH / f"{name}.JPEG").write_bytes(picture("odd"))


def _folder_among_classes(root: Path, name: str) -> None:
    write(root / "val", VALIDATION)
    (root / "val" / name).mkdir()


def _line_of_a_list(root: Path, name: str) -> None:
    write(root / "train", in_classes(TRAIN))
    # It begins as a path does, so that it may be quoted.
    lines = [f"train/{TENCH}/{each}" for each in TRAIN if each.startswith(TENCH)]
    text = "\n".join([*lines, f"train/{TENCH}/{name}.JPEG"])
    (root / "train_files.txt").write_text(text, "utf-8", "surrogateescape")


def _place_of_the_archives(root: Path, name: str) -> None:
    inside = root / name
    inside.mkdir()
    staged().write(inside)
    path = inside / VAL
    path.write_bytes(path.read_bytes()[:700])


SOURCES: dict[str, Callable[[Path, str], None]] = {
    function.__name__.lstrip("_").replace("_", " "): function
    for function in (
        _member_of_an_archive,
        _member_of_a_class_archive,
        _image_in_a_folder,
        _folder_among_classes,
        _place_of_the_archives,
    )
}


@pytest.mark.parametrize("name", [NASTY, LINES, f"{NASTY}\udcff"], ids=["one", "lines", "bytes"])
@pytest.mark.parametrize("source", SOURCES)
def test_names_in_sources_are_escaped_by_check_and_build(
    source: str, name: str, tmp_path: Path
) -> None:
    root = tmp_path / "staged"
    root.mkdir()
    SOURCES[source](root, name)
    place = root / name if source == "place of the archives" else root
    told = [check(place), check(place, "--deep"), build(place, tmp_path / "data")]
    assert any("owned" in says(each, of="") for each in told)


def test_lines_of_a_list_are_escaped(tmp_path: Path) -> None:
    _line_of_a_list(tmp_path, NASTY.replace("\r", "").replace("\u2028", ""))
    for outcome in (check(tmp_path, "imagenet2012"), build(tmp_path, tmp_path / "data")):
        says(outcome, of="")


def test_what_is_not_read_is_escaped_by_check(tmp_path: Path) -> None:
    staged().write(tmp_path)
    (tmp_path / LINES.replace("/", "")).write_bytes(b"what is it?")
    (tmp_path / f"{NASTY}.tar").symlink_to(f"/nowhere/{LINES}")
    says(check(tmp_path))


def test_where_a_link_leads_is_escaped(tmp_path: Path) -> None:
    (tmp_path / VAL).symlink_to(f"/nowhere/{LINES}")
    says(check(tmp_path, "imagenet2012"))
    says(build(tmp_path, tmp_path / "data"), of="")


def test_hashes_of_a_site_are_escaped(tmp_path: Path) -> None:
    staged().write(tmp_path)
    (tmp_path / "all.md5").write_text(f"{'0' * 32}  {VAL}\n{'g' * 32} {NASTY}\n")
    says(check(tmp_path, "--hash"), of="")


def test_an_argument_that_is_a_files_name_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("check", ".", f"--{NASTY}")
    for arguments in (["verify", f"--{NASTY}", "x"], ["build", NASTY, "--manual-dir=x"]):
        done = subprocess.run(
            [sys.executable, "-m", "imagenet_builders.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.replace("\n", "").isprintable(), ascii(done.stderr)


# --- datasets ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("built")
    assert build(DUMMY_DATA / "imagenet2012", data_dir).status == 0
    return data_dir


@pytest.fixture
def dataset(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built / "imagenet2012", tmp_path / "imagenet2012")
    return tmp_path / DATASET


def _in_every_text(value: object) -> object:
    """A document with the name in each of its texts and keys but the first of either."""
    if isinstance(value, dict):
        return {key: _in_every_text(each) for key, each in value.items()} | {LINES: LINES}
    if isinstance(value, list):
        return [_in_every_text(each) for each in value] + [LINES]
    return value + LINES if isinstance(value, str) else value


def _texts(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    if isinstance(value, dict):
        return [each for key, inner in value.items() for each in _texts(inner, (*path, key))]
    if isinstance(value, list):
        return [each for n, inner in enumerate(value[:2]) for each in _texts(inner, (*path, n))]
    return [path] if isinstance(value, str) else []


@pytest.mark.parametrize("name", ["provenance.json", "dataset_info.json", "features.json"])
def test_documents_of_a_dataset_are_escaped_by_verify_and_show(name: str, dataset: Path) -> None:
    """Each text of a document, in turn, and all of them at once."""
    document = json.loads((dataset / name).read_text())
    forged = [_in_every_text(document)]
    for path in _texts(document):
        other = json.loads(json.dumps(document))
        inner = other
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] += LINES
        forged.append(other)
    for each in forged:
        (dataset / name).write_text(json.dumps(each))
        outcome = run("verify", str(dataset), "--workers=1")
        said = outcome.out + outcome.err
        assert said.replace("\n", "").isprintable(), ascii(said)
        assert not any(
            line.startswith("imagenet-builders: error: forged") for line in said.split("\n")
        )
        document_of_it = run("verify", str(dataset), "--workers=1", "--json").out
        assert document_of_it.replace("\n", "").isprintable()


def test_names_in_a_datasets_directory_are_escaped(dataset: Path) -> None:
    (dataset / NASTY).write_bytes(b"")
    (dataset / f"imagenet2012-train.tfrecord-{NASTY}").write_bytes(b"")
    says(run("verify", str(dataset), "--workers=1"))
    moved = dataset.parent / NASTY
    dataset.rename(moved)
    says(run("verify", str(moved), "--workers=1"))
    says(run("show", str(moved), "--count=1"))


def test_a_build_where_such_a_directory_is_escapes_it(tmp_path: Path) -> None:
    data_dir = tmp_path / NASTY
    says(build(DUMMY_DATA / "imagenet2012", data_dir))
    says(build(DUMMY_DATA / "imagenet2012", data_dir))
    (data_dir / DATASET / "provenance.json").write_text(json.dumps({"dataset": LINES}))
    says(build(DUMMY_DATA / "imagenet2012", data_dir))


# --- Python and the code -------------------------------------------------------------------------


def test_a_traceback_has_the_message_escaped(tmp_path: Path) -> None:
    """In a program that calls the builder, as under `tfds build`."""
    from imagenet_builders.errors import ImagenetBuildersError
    from imagenet_builders.locate.search import require_directory

    with pytest.raises(ImagenetBuildersError) as caught:
        require_directory("imagenet2012", tmp_path / LINES)
    told = "".join(traceback.format_exception(caught.value))
    assert "\x1b" not in told
    assert "\nimagenet-builders: error: forged" not in told


def test_verbose_tracebacks_are_escaped(tmp_path: Path) -> None:
    outcome = build(tmp_path / LINES, tmp_path / "data", "--verbose")
    assert outcome.err.replace("\n", "").isprintable()
    assert "Traceback" in outcome.err


PRINTS = {"cli/streams.py", "run/console.py", "run/progress.py"}
"""The modules that write to the standard streams."""

LOGS = {"words.py", "run/console.py"}
"""The modules that make loggers of this package."""


def _calls(path: Path) -> list[tuple[str, ast.Call]]:
    tree = ast.parse(path.read_text())
    return [(ast.unparse(n.func), n) for n in ast.walk(tree) if isinstance(n, ast.Call)]


def test_no_other_module_prints_warns_or_logs_by_itself() -> None:
    found = []
    package = ROOT / "imagenet_builders"
    for path in package.rglob("*.py"):
        name = str(path.relative_to(package))
        for called, call in _calls(path):
            writes = (
                called in ("print", "sys.stdout.write", "sys.stderr.write", "warnings.showwarning")
                or called.startswith(("traceback.print_", "sys.__std", "click."))
                or (called == "json.dump" and "sys.std" in ast.unparse(call))
                or (called == "os.write" and ast.unparse(call.args[0]) in ("1", "2"))
            )
            if writes and name not in PRINTS:
                found.append(f"{name}:{call.lineno}: {called}")
            if called == "warnings.warn" and "printable(" not in ast.unparse(call.args[0]):
                found.append(f"{name}:{call.lineno}: {called}")
            if (
                called == "logging.getLogger"
                and name not in LOGS
                and "__name__" in ast.unparse(call)
            ):
                found.append(f"{name}:{call.lineno}: {called}")
    assert not found


def test_nothing_else_makes_text_printable() -> None:
    """One function does: no other asks for the characters that a terminal heeds."""
    found = [
        str(path)
        for path in (ROOT / "imagenet_builders").rglob("*.py")
        if path.name != "words.py" and "isprintable" in path.read_text()
    ]
    assert not found
