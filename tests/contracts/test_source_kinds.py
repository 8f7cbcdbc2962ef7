"""What every kind of source promises: the same rows and bytes, errors that name files, copies, ...

The same images are staged as each kind. One kind among them, the pile, is from outside the package.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import command_line
from support.as_documents import WorkersAsDocuments
from support.built_datasets import shards
from support.command_line import snapshot
from support.source_kinds import CASES, OFFICIAL, Case, found_in, images_of, recipes_of, rows_of
from toys.toy_kind.kind import KIND as PILE

from imagenet_builders import datasets
from imagenet_builders.build import steps
from imagenet_builders.check.inspect_files import inspect_file
from imagenet_builders.errors import OptionError, SourceError
from imagenet_builders.plan import index as index_lib
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.run.beam.data.document import Reader, Writer
from imagenet_builders.run.beam.data.schema import job_codec
from imagenet_builders.scratch.to_copy import archives_of, files_to_copy
from imagenet_builders.sources import kinds
from imagenet_builders.sources.inspection import Inspection
from imagenet_builders.sources.kind import Expected
from imagenet_builders.write import outputs
from imagenet_builders.write.shard import ShardJob, prefetch, write_shard

# Copies of a few images are not the whole of ImageNet, and are said not to be.

Reference = Callable[[str], Any]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_registered", {})
    kinds.register(PILE)


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def manual_dir(case: Case, tmp_path: Path) -> Path:
    return case.staged(tmp_path / "staged")


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Rows and images, split by split, of a dataset's official archives; read once."""
    known: dict[str, Any] = {}

    def get(dataset: str) -> Any:
        if dataset not in known:
            root = tmp_path_factory.mktemp(dataset)
            manual_dir = OFFICIAL[dataset].staged(root / "staged")
            with recipes_of(OFFICIAL[dataset], manual_dir, root / "scratch") as recipes:
                images = {split: images_of(recipe) for split, recipe in recipes.items()}
                known[dataset] = rows_of(recipes), images
        return known[dataset]

    return get


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The files of the shards that a dataset's official archives give, by name; built once."""
    known: dict[str, dict[str, bytes]] = {}

    def get(dataset: str) -> dict[str, bytes]:
        if dataset not in known:
            root = tmp_path_factory.mktemp(dataset)
            case = OFFICIAL[dataset]
            known[dataset] = shards_of(case, case.staged(root / "staged"), root / "data")
        return known[dataset]

    return get


def shards_of(case: Case, manual_dir: Path, data_dir: Path, *options: str) -> dict[str, bytes]:
    """Builds by the command line; gives the shards by name, nothing staged having been touched."""
    before = snapshot(manual_dir)
    name = "/".join(filter(None, (case.dataset, case.config)))
    where = [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}"]
    where.append(f"--scratch-dir={data_dir.with_name(f'{data_dir.name}-scratch')}")
    outcome = command_line.run("build", name, *where, "--workers=1", *options)
    assert outcome.status == 0, outcome.err
    assert snapshot(manual_dir) == before
    directory = Path(outcome.out.splitlines()[-1])
    return {path.name: path.read_bytes() for path in shards(directory)}


def only(splits: tuple[str, ...], files: dict[str, bytes]) -> dict[str, bytes]:
    """The shards of some splits."""
    return {name: data for name, data in files.items() if re.search("-([a-z]+)", name)[1] in splits}  # type: ignore[index]  # It matches.


# --- rows and bytes ------------------------------------------------------------------------------


def test_the_index_has_the_keys_labels_and_sizes_of_the_official_archives(
    case: Case, manual_dir: Path, official: Reference, tmp_path: Path
):
    whole, _ = official(case.dataset)
    with recipes_of(case, manual_dir, tmp_path / "scratch") as recipes:
        assert tuple(recipes) == case.splits
        assert rows_of(recipes) == {split: whole[split] for split in case.splits}
        for recipe in recipes.values():
            assert case.kind in recipe.layout


def test_every_row_reads_back_the_bytes_of_the_official_archives(
    case: Case, manual_dir: Path, official: Reference, tmp_path: Path
):
    _, whole = official(case.dataset)
    with recipes_of(case, manual_dir, tmp_path / "scratch") as recipes:
        for split, recipe in recipes.items():
            expected = {image.key: image.data for image in whole[split]}
            for seed in (None, 0):
                images = images_of(recipe, seed)
                assert {image.key: image.data for image in images} == expected
                labels = {image.key: image.label for image in whole[split]}
                assert {image.key: image.label for image in images} == labels
                assert all(image.problem is None for image in images)
                for image in images:
                    assert Path(image.path).is_relative_to(tmp_path)


def test_an_index_that_was_kept_reads_as_one_that_was_made(
    case: Case, manual_dir: Path, tmp_path: Path
):
    with recipes_of(case, manual_dir, tmp_path / "scratch") as recipes:
        made = {split: images_of(recipe) for split, recipe in recipes.items()}
        kept = sorted(path for path in (tmp_path / "scratch").rglob("*.index.arrow"))
    assert kept
    with recipes_of(case, manual_dir, tmp_path / "scratch") as recipes:
        assert {split: images_of(recipe) for split, recipe in recipes.items()} == made


def test_the_order_of_a_listing_does_not_matter(
    case: Case, manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with recipes_of(case, manual_dir, tmp_path / "one") as recipes:
        tables = {split: recipe.index.table for split, recipe in recipes.items()}
        files = {split: recipe.index.files for split, recipe in recipes.items()}
    scandir, listdir = os.scandir, os.listdir

    class Backwards:
        def __init__(self, path: Any = "."):
            with scandir(path) as entries:
                self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

        def __enter__(self) -> Backwards:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            return self._entries

        def __next__(self) -> os.DirEntry[str]:
            return next(self._entries)

        def close(self) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    monkeypatch.setattr(os, "listdir", lambda path=".": sorted(listdir(path), reverse=True))
    with recipes_of(case, manual_dir, tmp_path / "two") as recipes:
        for split, recipe in recipes.items():
            assert recipe.index.table.equals(tables[split])
            assert [Path(file.path).name for file in recipe.index.files] == [
                Path(file.path).name for file in files[split]
            ]


# --- built ---------------------------------------------------------------------------------------


def test_worker_processes_build_the_shards_of_the_official_archives(
    case: Case,
    manual_dir: Path,
    built: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(steps, "_SMALL_BYTES", 0)
    found = shards_of(case, manual_dir, tmp_path / "data", "--workers=2", f"--source={case.kind}")
    assert found == only(case.splits, built(case.dataset))


def test_a_build_from_a_copy_is_the_same(
    case: Case, manual_dir: Path, built: Reference, tmp_path: Path
):
    found = shards_of(case, manual_dir, tmp_path / "data", "--stage")
    assert found == only(case.splits, built(case.dataset))


def test_source_selects_one_kind_where_several_are_staged(
    case: Case, manual_dir: Path, built: Reference, tmp_path: Path
):
    other = OFFICIAL[case.dataset]
    if case.kind != other.kind:
        for path in other.staged(tmp_path / "official").iterdir():
            path.rename(manual_dir / path.name)
    with recipes_of(case, manual_dir, tmp_path / "scratch", source=case.kind) as recipes:
        assert tuple(recipes) == case.splits
        assert all(case.kind in recipe.layout for recipe in recipes.values())


# --- copied --------------------------------------------------------------------------------------


def test_copies_are_read_in_place_of_the_files_to_copy(
    case: Case, manual_dir: Path, tmp_path: Path
):
    """Where these hold nothing any more, the rows and images are the same, by the same names."""
    survey = datasets.get(case.dataset).survey(manual_dir, case.config)
    to_copy = files_to_copy(survey, case.kind)
    found = found_in(case, manual_dir)
    assert set(archives_of(found[0])) <= set(to_copy.files)
    with recipes_of(case, manual_dir, tmp_path / "scratch") as recipes:
        rows, images = rows_of(recipes), {s: images_of(r) for s, r in recipes.items()}
        in_place = {Path(f.place).is_relative_to(manual_dir) for f in files_in(recipes)}
    if not to_copy.files:
        assert to_copy.in_place or in_place == {False}  # What is unpacked is not copied.
        return
    copies = {}
    for number, path in enumerate(to_copy.files):
        copy = tmp_path / f"{number}"
        shutil.copy2(path, copy)
        os.chmod(copy, 0o600)
        os.truncate(path, 0)
        copies[str(path)] = str(copy)
    with recipes_of(case, manual_dir, tmp_path / "scratch2", copies=copies) as recipes:
        assert rows_of(recipes) == rows
        for split, recipe in recipes.items():
            assert images_of(recipe) == images[split]


def files_in(recipes: dict[str, Any]) -> list[Any]:
    """The files that rows point into; an archive that was unpacked is not among them."""
    return [
        recipe.index.files[number]
        for recipe in recipes.values()
        for number in set(recipe.index.table["file"].to_pylist())
    ]


# --- read ahead ----------------------------------------------------------------------------------


def shard_job(recipe: Any) -> ShardJob:
    index = recipe.index
    stream = index_lib.to_bytes(index.table)
    output, examples = outputs.DEFAULT, recipe.examples
    return ShardJob(
        "train", 0, "", output, examples, stream, index.files, ImagePolicy(), "", index.access
    )


def test_what_is_read_ahead_lies_in_the_files(
    case: Case, manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[str, int, int]] = []

    def advise(fd: int, start: int, size: int, advice: int) -> None:
        asked.append((os.readlink(f"/proc/self/fd/{fd}"), start, size))

    with recipes_of(case, manual_dir, tmp_path / "scratch") as recipes:
        for recipe in recipes.values():
            files = {file.place: file.size for file in recipe.index.files}
            with monkeypatch.context() as patched:
                patched.setattr(os, "posix_fadvise", advise)
                patched.delattr(os, "RWF_NOWAIT")  # Which says that all of it is in memory.
                asked.clear()
                prefetch(shard_job(recipe))
            for path, start, size in asked:
                assert start >= 0
                assert size > 0
                assert start + size <= files[path]
            # What is a file of its own is not opened for it.
            assert asked or all(Path(path).is_dir() for path in files)


def test_a_job_takes_along_how_its_rows_are_read(case: Case, manual_dir: Path, tmp_path: Path):
    with recipes_of(case, manual_dir, tmp_path / "scratch") as recipes:
        for recipe in recipes.values():
            job = pickle.loads(pickle.dumps(shard_job(recipe)))
            assert job.access == recipe.index.access == kinds.kind(access_kind(case)).access


def test_jobs_and_rows_pass_through_files_unchanged(case: Case, manual_dir: Path, tmp_path: Path):
    """As with Beam, and without it: what indexes a source and what reads its rows are data."""
    workers = WorkersAsDocuments(tmp_path / "jobs")
    with (
        recipes_of(case, manual_dir, tmp_path / "scratch") as recipes,
        recipes_of(case, manual_dir, tmp_path / "other", workers=workers) as others,
    ):
        assert rows_of(others) == rows_of(recipes)
        for recipe in others.values():
            out = Writer()
            document = out.finish(job_codec(write_shard).write(shard_job(recipe), out))
            read = Reader(document, frozenset(out.packages))
            job = job_codec(write_shard).read(read.structure, read)
            assert job.access == kinds.kind(access_kind(case)).access
            assert (job.rows, job.files) == (shard_job(recipe).rows, recipe.index.files)


def access_kind(case: Case) -> str:
    # The rows of arrays are pixels that lie in files as they are, whatever these are in.
    return "npz" if case.dataset == "imagenet2012_downsampled" else case.kind


# --- damaged and changed -------------------------------------------------------------------------


def largest_file(path: Path) -> Path:
    """The file, or the largest one in the folder."""
    if path.is_file():
        return path
    return max((each for each in path.rglob("*") if each.is_file()), key=lambda e: e.stat().st_size)


def read_all(case: Case, manual_dir: Path, scratch: Path) -> None:
    with recipes_of(case, manual_dir, scratch) as recipes:
        for recipe in recipes.values():
            with recipe.index.reader() as reader:
                list(recipe.examples(recipe.index.table, reader, ImagePolicy(), []))


def test_a_source_that_is_cut_off_is_an_error_that_names_it(
    case: Case, manual_dir: Path, tmp_path: Path
):
    read_all(case, manual_dir, tmp_path / "whole")
    for number, found in enumerate(found_in(case, manual_dir)):
        path = largest_file(found.paths[0])
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(SourceError) as caught:
            read_all(case, manual_dir, tmp_path / str(number))
        assert path.name in str(caught.value)
        assert str(caught.value).isprintable()
        path.write_bytes(data)


def test_a_fifo_in_place_of_a_file_is_not_waited_for(case: Case, manual_dir: Path, tmp_path: Path):
    path = largest_file(found_in(case, manual_dir)[0].paths[0])
    path.unlink()
    os.mkfifo(path)
    name = "/".join(filter(None, (case.dataset, case.config)))
    command = [sys.executable, "-m", "imagenet_builders.cli", "build", name, "--workers=1"]
    command += [f"--manual-dir={manual_dir}", f"--data-dir={tmp_path / 'built'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    # It is an error, or no file at all, and its split is missing.
    assert done.returncode == 1 or "will be missing: " in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_source_that_changes_after_it_was_indexed_is_an_error_that_names_it(
    case: Case, manual_dir: Path, tmp_path: Path
):
    with recipes_of(case, manual_dir, tmp_path / "scratch") as recipes:
        for recipe in recipes.values():
            path = Path(recipe.index.files[0].place)
            if not path.is_relative_to(manual_dir):
                break  # It was unpacked.
            changed = largest_file(path)
            with open(changed, "ab") as file:
                file.write(b"\0")
            with pytest.raises(SourceError, match="was indexed") as caught:
                images_of(recipe)
            assert changed.name in str(caught.value)
            return
    assert case.kind in ("tar.gz", "class-tars", "parquet")


# --- checked -------------------------------------------------------------------------------------


def inspected(case: Case, manual_dir: Path) -> dict[Path, Inspection]:
    return {
        path: inspect_file(path, case.kind, None)
        for found in found_in(case, manual_dir)
        for path in found.paths
        if path.is_file()
    }


def expected_of(case: Case, split: str, images: int) -> Expected:
    dataset = datasets.get(case.dataset)
    [config] = [each for each in dataset.configs if each.name == case.config]
    of_split = config.split(split)
    assert of_split is not None
    naming = of_split.naming() if of_split.naming is not None else None
    return Expected(images, of_split.folders, of_split.files, naming)


def test_check_has_nothing_to_say_of_a_sound_source(
    case: Case, manual_dir: Path, official: Reference
):
    whole, _ = official(case.dataset)
    seen = inspected(case, manual_dir)
    assert all(each.problems == () for each in seen.values())
    kind = kinds.kind(case.kind)
    for found in found_in(case, manual_dir):
        count = datasets.get(case.dataset).count or kind.count
        counted, problems = count(found, seen, expected_of(case, found.split, 1))
        # Of a few shards, or images, it says that there were more.
        more = re.compile(f".*(shards, as published|images of {found.split})")
        assert [each for each in problems if not more.fullmatch(each.expected)] == []
        assert counted.refused == ()
        assert counted.images in (None, len(whole[found.split]))
        assert (kind.form == "files") is all(path.is_file() for path in found.paths) or (
            kind.form == "either"
        )


@pytest.mark.parametrize("left", ["a third", "little"])
def test_check_finds_a_file_that_is_cut_off(case: Case, manual_dir: Path, left: str):
    if left not in case.seen_cut_off:
        pytest.skip("its first and last bytes do not tell, or it is no file")
    cut = {found.paths[0] for found in found_in(case, manual_dir)}
    for path in cut:
        data = path.read_bytes()
        path.write_bytes(data[: 100 if left == "little" else len(data) // 3])
    for path, seen in inspected(case, manual_dir).items():
        if path in cut:
            [problem] = seen.problems
            assert problem.path == str(path)
            assert problem.severity == "error"


def test_a_source_that_is_not_whole_is_a_problem_with_a_cure(case: Case, manual_dir: Path):
    [found, *_] = found_in(case, manual_dir)
    problem = kinds.kind(case.kind).not_whole(dataclasses.replace(found, problem="it lacks"))
    assert problem.found == "it lacks"
    assert found.layout in problem.expected
    assert problem.severity == "error"
    assert problem.action


# --- the registry --------------------------------------------------------------------------------


def test_every_kind_is_among_the_cases():
    assert {case.kind for case in CASES} == set(kinds.names())


@pytest.mark.parametrize("name", [case.kind for case in CASES])
def test_a_kind_is_selected_by_its_name(name: str):
    assert kinds.kind(name).name == name


def test_a_name_is_taken_once():
    kinds.register(PILE)  # The same is no other.
    with pytest.raises(ValueError, match="there is a kind of source 'pile' already"):
        kinds.register(dataclasses.replace(PILE, form="folder"))
    with pytest.raises(ValueError, match="there is a kind of source 'tar' already"):
        kinds.register(dataclasses.replace(PILE, name="tar"))


def test_an_unknown_kind_is_an_error_that_lists_the_known_ones():
    with pytest.raises(OptionError, match=r"source must be one of tar, .*, pile, not 'rar'"):
        kinds.kind("rar")


def test_what_a_kind_needs_and_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delitem(sys.modules, "imagenet_builders.sources.squashfs", raising=False)
    monkeypatch.setitem(sys.modules, "struct", None)
    with pytest.raises(OptionError, match=r"package 'struct' is needed, .*'\.\[squashfs\]'"):
        kinds.kind("squashfs")
