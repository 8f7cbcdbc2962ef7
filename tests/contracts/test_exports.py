"""What every form of an export promises: the same bytes from any source, resuming, all or nothing.

What is particular to a form, and its stock readers, have tests of their own in `unit/export`.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.building import DUMMY_ARCHIVES, build
from support.processes import run_cli

from imagenet_builders.build import steps
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import ImagenetBuildersError, OptionError, SourceError, TargetError
from imagenet_builders.export import forms, grouped
from imagenet_builders.export.form import Form
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource, StagedSource
from imagenet_builders.options import BuildOptions
from imagenet_builders.write import space
from imagenet_builders.write.outputs.output import Written
from imagenet_builders.write.space import Room

NAME = "imagenet2012"
ONE_WORKER = BuildOptions(workers=1)

FORMS = [forms.get(name) for name in forms.names()]
FOLLOWING = [form for form in FORMS if form.follows]
OF_IMAGES = [form for form in FORMS if not form.follows]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tfds")
    build(Builder, DUMMY_ARCHIVES, path, num_shards=3)
    return path


@pytest.fixture(scope="module")
def array_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("array_record")
    build(Builder, DUMMY_ARCHIVES, path, file_format="array_record", num_shards=3)
    return path


@pytest.fixture(params=FORMS, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest) -> Form:
    try:
        request.param.check_installed()
    except OptionError as error:
        pytest.skip(str(error))
    return request.param


@pytest.fixture
def in_parts(form: Form, monkeypatch: pytest.MonkeyPatch) -> Form:
    if form.joined:
        pytest.skip("it is one part, which begins anew")
    monkeypatch.setattr(grouped, "PART_BYTES", 1)  # Each shard is a part.
    return form


@pytest.fixture
def of_images(form: Form) -> Form:
    if form.follows:
        pytest.skip("it is of the shards of a dataset that was built")
    return form


@pytest.fixture
def exported(data_dir: Path, form: Form, tmp_path: Path) -> Path:
    out = tmp_path / "exported"
    export(BuiltSource(NAME, data_dir), form, out, ONE_WORKER)
    return out


def content(directory: Path) -> dict[str, bytes]:
    """All files but the provenance, which says when it was made."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }


def beside(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir() if path != out)


def test_workers_write_the_same_bytes(
    data_dir: Path, form: Form, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_SMALL_BYTES", 0)
    out = exported.parent / "by workers"
    export(BuiltSource(NAME, data_dir), form, out, BuildOptions(workers=2))
    assert content(out) == content(exported)
    assert beside(out) == ["exported"]


def test_either_format_and_the_archives_give_the_same_bytes(
    array_records: Path, of_images: Form, exported: Path
) -> None:
    out = exported.parent / "of ArrayRecord"
    export(BuiltSource(NAME, array_records), of_images, out, ONE_WORKER, num_shards=None)
    assert content(out) == content(exported)
    staged = exported.parent / "of archives"
    shards = None if of_images.parts else 3
    source = StagedSource(NAME, DUMMY_ARCHIVES)
    export(source, of_images, staged, ONE_WORKER, num_shards=shards)
    assert content(staged) == content(exported)


def test_the_provenance_names_that_of_the_dataset(data_dir: Path, exported: Path) -> None:
    said = json.loads((exported / "provenance.json").read_text())
    [built] = data_dir.glob("*/*/provenance.json")
    assert said["exported_from"] == json.loads(built.read_text())["self"]


def test_it_is_said_that_a_dataset_is_a_part(
    of_images: Form, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(Builder, DUMMY_ARCHIVES, tmp_path / "tfds", max_examples_per_split=2)
    source = BuiltSource(NAME, tmp_path / "tfds")
    export(source, of_images, tmp_path / "out", ONE_WORKER.replace(decode=True))
    assert "is incomplete: it was built with max_examples_per_split=2" in caplog.text
    said = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert [split["examples"] for split in said["splits"].values()] == [2, 2, 2]
    assert said["decode"] is False


def test_the_provenance_has_all_checksums(exported: Path, form: Form) -> None:
    from google_crc32c import value

    said = json.loads((exported / "provenance.json").read_text())
    assert (said["dataset"], said["form"]) == ("imagenet2012/5.1.0", form.name)
    there = set(content(exported))
    listed = set(said["files"])
    for split in said["splits"].values():
        for name, size, crc32c in split.get("files", ()):
            data = (exported / name).read_bytes()
            assert (len(data), f"{value(data):08x}") == (size, crc32c)
            listed.add(name)
    if form.files_a_record:
        assert set(said["files"]) <= there
    else:
        assert listed == there
    assert [split["examples"] for split in said["splits"].values()] == [24, 12, 6]


class StopError(Exception):
    """What ends an export."""


def stopping(form: Form, parts: int) -> Callable[..., Written]:
    """Writes so many parts, and is stopped then."""
    left = iter(range(parts))

    def write(*arguments: Any) -> Written:
        if next(left, None) is None:
            raise StopError
        return form.write(*arguments)

    return write


def test_an_interrupted_export_goes_on(
    data_dir: Path, in_parts: Form, exported: Path, caplog: pytest.LogCaptureFixture
) -> None:
    form = in_parts
    out = exported.parent / "interrupted"
    first = dataclasses.replace(form, write=stopping(form, 2))
    with pytest.raises(StopError) as caught:
        export(BuiltSource(NAME, data_dir), first, out, ONE_WORKER)
    assert "kept 2 finished shards of imagenet2012/5.1.0 as" in caught.value.__notes__[0]
    assert not out.exists()
    written = []

    def counted(*arguments: Any) -> Written:
        written.append(arguments[1])
        return form.write(*arguments)

    second = dataclasses.replace(form, write=counted)
    caplog.clear()
    export(BuiltSource(NAME, data_dir), second, out, ONE_WORKER)
    assert content(out) == content(exported)
    parts = sum(
        split["shards"]
        for split in json.loads((out / "provenance.json").read_text())["splits"].values()
    )
    assert len(written) == parts - 2
    assert f"already finished: 2 of {parts} shards" in caplog.text
    assert beside(out) == ["exported"]


def test_a_part_that_was_damaged_meanwhile_is_written_again(
    data_dir: Path, in_parts: Form, exported: Path
) -> None:
    form = in_parts
    out = exported.parent / "interrupted"
    first = dataclasses.replace(form, write=stopping(form, 2))
    with pytest.raises(StopError):
        export(BuiltSource(NAME, data_dir), first, out, ONE_WORKER)
    [directory] = out.parent.glob(".interrupted.building-*")
    damaged, lacking = sorted((directory / "shards").iterdir())
    file = next(path for path in sorted(damaged.rglob("*")) if path.is_file())
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    next(path for path in sorted(lacking.rglob("*")) if path.is_file()).unlink()
    export(BuiltSource(NAME, data_dir), form, out, ONE_WORKER)
    assert content(out) == content(exported)


def test_nothing_is_published_where_a_record_is_damaged(
    data_dir: Path, of_images: Form, tmp_path: Path
) -> None:
    shutil.copytree(data_dir, tmp_path / "tfds")
    [shard] = tmp_path.glob("tfds/*/*/*validation*-00001-of-00003")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(SourceError, match=r"validation.*checksum of the record.*verify"):
        export(BuiltSource(NAME, tmp_path / "tfds"), of_images, tmp_path / "out", ONE_WORKER)
    assert not (tmp_path / "out").exists()


def test_nothing_is_published_where_a_shard_has_lost_its_end(
    data_dir: Path, form: Form, tmp_path: Path
) -> None:
    shutil.copytree(data_dir, tmp_path / "tfds")
    [shard] = tmp_path.glob("tfds/*/*/*train*-00002-of-00003")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"train.*00002-of-00003 cannot be read: .*cut off"):
        export(BuiltSource(NAME, tmp_path / "tfds"), form, tmp_path / "out", ONE_WORKER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tfds"]


def test_nothing_is_exported_where_the_list_of_classes_is_another(
    data_dir: Path, form: Form, tmp_path: Path
) -> None:
    shutil.copytree(data_dir, tmp_path / "tfds")
    labels = tmp_path / "tfds" / NAME / "5.1.0" / "label.labels.txt"
    first, second, *others = labels.read_text().splitlines(keepends=True)
    labels.write_text("".join([second, first, *others]))
    source = BuiltSource(NAME, tmp_path / "tfds")
    with pytest.raises(SourceError, match="does not have the classes of imagenet2012 in the order"):
        export(source, form, tmp_path / "out", ONE_WORKER)
    assert [path.name for path in tmp_path.iterdir()] == ["tfds"]


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_there_stays(data_dir: Path, form: Form, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_bytes(b"mine")
    elif kind == "directory":
        out.mkdir()
        (out / "mine").touch()
    else:
        out.symlink_to(tmp_path)
    with pytest.raises(TargetError, match="is no empty directory; an export replaces nothing"):
        export(BuiltSource(NAME, data_dir), form, out, ONE_WORKER)
    assert beside(out) == []


def test_what_was_exported_is_not_exported_again(
    data_dir: Path, form: Form, exported: Path
) -> None:
    before = exported.stat().st_ino, content(exported)
    assert export(BuiltSource(NAME, data_dir), form, exported, ONE_WORKER) is False
    assert (exported.stat().st_ino, content(exported)) == before
    other = dataclasses.replace(form, name="another")
    with pytest.raises(TargetError, match="is no empty directory; an export replaces nothing"):
        export(BuiltSource(NAME, data_dir), other, exported, ONE_WORKER)


def test_an_empty_directory_may_be_there(data_dir: Path, form: Form, exported: Path) -> None:
    out = exported.parent / "empty"
    out.mkdir()
    export(BuiltSource(NAME, data_dir), form, out, ONE_WORKER)
    assert content(out) == content(exported)


def test_too_little_room_is_said_before_the_work(
    data_dir: Path, form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "room_in", lambda directory: Room(1000, None))
    with pytest.raises(TargetError, match=r"still to be written; .* choose another --out"):
        export(BuiltSource(NAME, data_dir), form, tmp_path / "out", ONE_WORKER)
    assert beside(tmp_path / "out") == []


def test_modes_are_those_asked_for(data_dir: Path, form: Form, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(BuiltSource(NAME, data_dir), form, out, ONE_WORKER.replace(mode=0o750))
    modes = {(path.is_dir(), path.stat().st_mode & 0o7777) for path in out.rglob("*")}
    assert out.stat().st_mode & 0o7777 == 0o750
    assert modes <= {(True, 0o750), (False, 0o640)}


def test_keys_that_are_paths_become_names(of_images: Form, tmp_path: Path) -> None:
    manual_dir = DUMMY_ARCHIVES.parent / "imagenet2012_downsampled"
    source = StagedSource("imagenet2012_downsampled/8x8", manual_dir)
    export(source, of_images, tmp_path / "out", ONE_WORKER)
    said = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert said["dataset"] == "imagenet2012_downsampled/8x8/1.0.0"
    assert all(split["examples"] > 0 for split in said["splits"].values())


# --- from the command line --------------------------------------------------------------------


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "out"
    assert not (tmp_path / "out").exists()
    assert beside(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["imagenet2021", "--to", "webdataset"], "there is no dataset 'imagenet2021' (is"),
        (["imagenet2012_dogs", "--to", "webdataset"], "imagenet2012_dogs is not built"),
        (["imagenet2012:4.0.0", "--to", "webdataset"], "there is no version 4.0.0 in"),
        ([NAME, "--to", "lmdb"], "invalid choice: 'lmdb'"),
        ([NAME, "--to", "webdataset", "--num-shards", "0"], "--num-shards must be at least 1"),
        (
            [NAME, "--to", "webdataset", "--num-shards", "25"],
            "24 examples cannot be cut into 25 shards",
        ),
        ([NAME, "--to", "webdataset", "--parquet"], "--parquet is an option of --to huggingface"),
        ([NAME, "--to", "slim", "--decode"], "--decode is an option of exports with --manual-dir"),
        ([NAME, "--to", "slim", "--jpeg-quality=9"], "--jpeg-quality is an option of exports with"),
        (["all", "--to", "slim"], "'all' stands for every dataset, but one is needed; name it"),
        ([NAME, "--to", "slim", "--array-record-dir=b"], "arguments: --array-record-dir=b"),
    ],
    ids=[
        "unknown",
        "not built",
        "no version",
        "no form",
        "no shards",
        "too many shards",
        "another form",
        "an option of archives",
        "an option of another dataset",
        "all",
        "an option of builds",
    ],
)
def test_a_sentence_says_what_cannot_be(
    data_dir: Path, out: Path, arguments: list[str], said: str
) -> None:
    done = run_cli("export", *arguments, f"--data-dir={data_dir}", f"--out={out}", check=False)
    assert done.returncode in (1, 2)
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_archives_are_of_one_configuration(out: Path) -> None:
    manual_dir = DUMMY_ARCHIVES.parent / "imagenet2012_downsampled"
    with pytest.raises(ImagenetBuildersError, match=r"has the configurations 8x8.*say which"):
        StagedSource("imagenet2012_downsampled", manual_dir)
    with pytest.raises(ImagenetBuildersError, match="has no configuration '9x9'"):
        StagedSource("imagenet2012_downsampled/9x9", manual_dir)


def test_an_option_of_another_dataset_is_none_of_archives(out: Path) -> None:
    where = (f"--manual-dir={DUMMY_ARCHIVES}", f"--out={out}")
    done = run_cli("export", NAME, "--to=slim", "--jpeg-quality=9", *where, check=False)
    assert done.returncode == 2
    assert "--jpeg-quality is an option of imagenet2012_resized only" in done.stderr


def test_an_export_goes_into_no_dataset_and_no_export(data_dir: Path, tmp_path: Path) -> None:
    dataset = data_dir / "imagenet2012" / "5.1.0"
    before = sorted(dataset.iterdir())
    arguments = ("export", NAME, "--to=dali-index", f"--data-dir={data_dir}")
    done = run_cli(*arguments, f"--out={dataset}/new/out", check=False)
    assert done.returncode == 2
    words = " ".join(done.stderr.split())
    assert f"there is a dataset or an export in {dataset}; choose a directory that is in" in words
    assert sorted(dataset.iterdir()) == before
    assert run_cli(*arguments, f"--out={tmp_path}/out").returncode == 0
    done = run_cli(*arguments, f"--out={tmp_path}/out/out", check=False)
    assert f"there is a dataset or an export in {tmp_path}/out;" in " ".join(done.stderr.split())


def test_the_path_is_printed(data_dir: Path, tmp_path: Path) -> None:
    done = run_cli(
        "export", NAME, "--to=webdataset", f"--data_dir={data_dir}", f"--out={tmp_path}/new/out"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/new/out\n"
    again = run_cli(
        "export", NAME, "--to=webdataset", f"--data_dir={data_dir}", f"--out={tmp_path}/new/out"
    )
    there = f"imagenet2012/5.1.0 as webdataset is there already: {tmp_path}/new/out\n"
    assert again.stdout == there
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
