"""Recipes that a worker makes while TensorFlow Datasets is imported: as a build makes them."""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.paths import DUMMY_DATA
from toys.toy_dataset import dataset as toy_dataset

from imagenet_builders import datasets
from imagenet_builders.build import ahead
from imagenet_builders.cli import main
from imagenet_builders.datasets import recipes_ahead
from imagenet_builders.datasets.description import Dataset
from imagenet_builders.datasets.recipes_ahead import Asked, RecipesAhead
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.write import outputs

OPTIONS = BuildOptions(workers=2)


@pytest.fixture
def workers() -> Iterator[LocalWorkers]:
    with LocalWorkers(2, on_start=ahead.prepare) as workers:
        workers.start(1)
        yield workers


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def asked_of(scratch: Path, dataset: str = "imagenet2012", **changes: object) -> Asked:
    manual_dir = DUMMY_DATA / dataset
    return Asked(
        dataset,
        datasets.get(dataset).configs[0].name,
        manual_dir,
        OPTIONS.replace(**changes),
        scratch,
    )


def of_asked(asked: Asked) -> BuildContext:
    return BuildContext(asked.scratch, asked.options, LocalWorkers(1))


def indexed(asked: Asked) -> list[SplitRecipe]:
    """As a build without workers makes them."""
    elsewhere = BuildContext(asked.scratch.with_name("other"), asked.options, LocalWorkers(1))
    return datasets.get(asked.dataset).indexed(asked.manual_dir, asked.config, elsewhere)


def values_of(recipes: Sequence[SplitRecipe]) -> list[object]:
    """What can be compared: functions are what other processes find by the same pickle."""
    names = [field.name for field in dataclasses.fields(SplitRecipe)]
    functions = {"examples", "example_sizes"}
    return [
        pickle.dumps(getattr(each, name)) if name in functions else getattr(each, name)
        for each in recipes
        for name in names
    ]


@pytest.mark.parametrize("dataset", ["imagenet2012", "imagenet12k"])
def test_they_are_those_that_a_build_makes(
    workers: LocalWorkers, scratch: Path, dataset: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "imagenet_builders")
    asked = asked_of(scratch, dataset)
    made = RecipesAhead(workers, asked).take(asked, of_asked(asked))
    said = [each.getMessage() for each in caplog.records]
    caplog.clear()
    assert made
    assert values_of(made) == values_of(indexed(asked))
    assert said == [each.getMessage() for each in caplog.records]
    assert said


def test_nothing_is_written_before_they_are_taken_and_then_the_indexes_are_kept(
    workers: LocalWorkers, scratch: Path
):
    asked = asked_of(scratch)
    given = workers.begin(recipes_ahead.make, asked)
    made = given()
    assert made is not None
    assert not scratch.exists()
    context = of_asked(asked)
    assert RecipesAhead(workers, asked).take(asked, context)
    kept = sorted(path.name for path in scratch.iterdir())
    assert kept == sorted(made.indexes)
    assert all(made.indexes.values())
    again = workers.begin(recipes_ahead.make, asked)()
    assert again is not None
    assert again.indexes == dict.fromkeys(made.indexes)
    assert values_of(again.recipes) == values_of(made.recipes)
    context.cache.forget()
    assert list(scratch.iterdir()) == []


def test_they_are_given_once_and_only_for_what_they_are_of(workers: LocalWorkers, scratch: Path):
    asked = asked_of(scratch)
    recipes, context = RecipesAhead(workers, asked), of_asked(asked)
    for other in (asked_of(scratch, "imagenet2012_localization"), asked_of(scratch, strict=True)):
        assert recipes.take(other, context) is None
    copied = BuildContext(scratch, OPTIONS, workers, copies={"/a": "/b"})
    assert recipes.take(asked, copied) is None
    assert recipes.take(asked, context)
    assert recipes.take(asked, context) is None


@pytest.mark.parametrize("dataset", ["imagenet21k_winter21", "imagenet2012_localization"])
def test_of_what_would_be_unpacked_there_are_none(
    workers: LocalWorkers, scratch: Path, dataset: str
):
    asked = asked_of(scratch, dataset)
    assert RecipesAhead(workers, asked).take(asked, of_asked(asked)) is None
    assert not scratch.exists()


def test_nor_of_what_was_unpacked_by_an_earlier_build(workers: LocalWorkers, scratch: Path):
    asked = asked_of(scratch, "imagenet21k_winter21")
    context = of_asked(asked)
    with context.at_end:
        assert datasets.get(asked.dataset).indexed(asked.manual_dir, asked.config, context)
    assert list(scratch.iterdir())
    assert RecipesAhead(workers, asked).take(asked, of_asked(asked)) is None


@pytest.mark.parametrize("spoil", [lambda at: None, lambda at: (at / "more").mkdir()])
def test_a_few_files_are_indexed_ahead_and_folders_are_not(
    workers: LocalWorkers, tmp_path: Path, spoil: Callable[[Path], None]
):
    manual_dir = tmp_path / "manual"
    shutil.copytree(DUMMY_DATA / "imagenet2012", manual_dir)
    spoil(manual_dir)
    asked = Asked("imagenet2012", None, manual_dir, OPTIONS, tmp_path / "scratch")
    made = RecipesAhead(workers, asked).take(asked, of_asked(asked))
    assert bool(made) == (not (manual_dir / "more").exists())


@pytest.mark.parametrize(
    "change",
    [
        lambda at: (at / "ILSVRC2012_img_val.tar").unlink(),
        lambda at: (at / "more").touch(),
        lambda at: os.utime(at / "ILSVRC2012_img_train.tar", ns=(1, 1)),
        lambda at: (at / "more").mkdir(),
    ],
)
def test_they_are_not_taken_if_something_was_staged_since(
    workers: LocalWorkers, tmp_path: Path, change: Callable[[Path], None]
):
    manual_dir = tmp_path / "manual"
    shutil.copytree(DUMMY_DATA / "imagenet2012", manual_dir)
    asked = Asked("imagenet2012", None, manual_dir, OPTIONS, tmp_path / "scratch")
    recipes = RecipesAhead(workers, asked)
    change(manual_dir)
    assert recipes.take(asked, of_asked(asked)) is None


def test_nor_if_another_package_has_added_a_dataset(
    workers: LocalWorkers, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    """Only this process knows it, and may find that it is what is staged."""
    monkeypatch.setattr(datasets, "_registered", {})
    asked = asked_of(scratch)
    recipes = RecipesAhead(workers, asked)
    datasets.register(toy_dataset.DATASET)
    assert recipes.take(asked, of_asked(asked)) is None


def test_a_large_archive_is_for_all_workers(
    workers: LocalWorkers, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recipes_ahead, "_LITTLE_BYTES", 100)
    asked = asked_of(scratch)
    assert RecipesAhead(workers, asked).take(asked, of_asked(asked)) is None


def test_nothing_is_begun_without_workers_or_before_archives_are_copied(
    workers: LocalWorkers, scratch: Path
):
    asked = asked_of(scratch)
    assert RecipesAhead(LocalWorkers(2), asked).take(asked, of_asked(asked)) is None
    staged = asked_of(scratch, stage=True)
    assert RecipesAhead(workers, staged).take(staged, of_asked(staged)) is None


# --- by the command line ---------------------------------------------------------------------


def cut(path: Path) -> None:
    """Ends an archive in the middle of a member."""
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def remove(path: Path) -> None:
    path.unlink()


def replace_by_another(path: Path) -> None:
    shutil.copy(DUMMY_DATA / "imagenet2012_dogs" / "ILSVRC2012_img_train_t3.tar", path)


def leave(path: Path) -> None:
    del path


@pytest.mark.parametrize("flags", [[], ["--strict"]], ids=["", "strict"])
@pytest.mark.parametrize("change", [leave, cut, remove, replace_by_another])
@pytest.mark.parametrize("name", ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"])
def test_a_build_says_and_makes_the_same(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    change: Callable[[Path], None],
    flags: list[str],
):
    manual_dir = tmp_path / "manual"
    shutil.copytree(DUMMY_DATA / "imagenet2012", manual_dir)
    change(manual_dir / name)
    here: list[str] = []
    index = Dataset.indexed

    def noted(self: Dataset, *arguments: object) -> list[SplitRecipe]:
        here.append(self.name)
        return index(self, *arguments)  # type: ignore[arg-type]  # As they came.

    monkeypatch.setattr(Dataset, "indexed", noted)

    def build(data_dir: Path) -> tuple[int, str, dict[str, bytes]]:
        places = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir)]
        status = main(["build", "imagenet2012", *places, "--workers", "2", *flags])
        said = capsys.readouterr().err.replace(str(data_dir), "DATA")
        shards = data_dir.rglob(f"*{outputs.DEFAULT.name}*")
        lines = [line for line in said.splitlines() if " in " not in line]  # Those with a time.
        return status, "\n".join(lines), {each.name: each.read_bytes() for each in shards}

    expected = build(tmp_path / "one")
    assert here == ["imagenet2012"]
    here.clear()
    monkeypatch.setattr(ahead, "_LARGE_BYTES", 1)
    assert build(tmp_path / "two") == expected
    is_sound = expected[0] == 0
    assert here == ([] if is_sound else ["imagenet2012"])
    assert bool(expected[2]) == is_sound
