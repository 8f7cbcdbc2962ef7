"""The value of toy_dataset: all that the package's commands know of it."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.datasets.description import Config, Dataset, LabelOf, Split
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.search import Layout, Tree, require_directory
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.sources.kinds import find

NAME = "toy_dataset"
ARCHIVES = {"train": "toy_train.tar", "validation": "toy_validation.tar"}
IMAGES = {"train": 9, "validation": 3}

_LAYOUTS = (
    Layout(
        "official archives",
        "tar",
        (".", "toys"),
        {split: (name.replace(".", r"\."),) for split, name in ARCHIVES.items()},
    ),
)


def classes() -> tuple[str, ...]:
    """The wnids in the order of their labels."""
    return ("n01440764", "n01443537", "n02119789")


def _builder() -> type[Any]:
    from toys.toy_dataset import toy_dataset_dataset_builder

    return toy_dataset_dataset_builder.Builder


def _find(manual_dir: Path, config: str | None) -> Survey:
    del config
    require_directory(NAME, manual_dir)
    tree = Tree(manual_dir)
    found = {split: find(tree, _LAYOUTS, split, split=split) for split in ARCHIVES}
    return Survey(
        NAME,
        {split: sources for split, sources in found.items() if sources},
        missing={
            split: (str(manual_dir / ARCHIVES[split]),)
            for split, sources in found.items()
            if not sources
        },
        warnings=tuple(tree.warnings),
    )


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.ilsvrc2012.examples import example_sizes, make_examples
    from imagenet_builders.locate.choose import choose, layout_of

    staged = DATASET.survey(manual_dir, config).of_splits(only)
    return [
        SplitRecipe(
            split, _index(found, context), make_examples, example_sizes, layout=layout_of(found)
        )
        for split, found in choose(staged, context.options.source).items()
    ]


def _naming() -> Naming:
    return Naming("train", {wnid: label for label, wnid in enumerate(classes())})


def _index(found: Found, context: BuildContext) -> Any:
    from imagenet_builders.plan.index import Index
    from imagenet_builders.sources import tar_images

    file = context.source_file(found.paths[0])
    naming = _naming()

    def make() -> Index:
        return Index(tar_images.flat_images(file, 0, naming.row_of).table(), (file,))

    return context.cache.get([NAME, found.split], [file], make)


def _label_of(split: str, ids: Mapping[str, int]) -> LabelOf:
    del split
    naming = Naming("train", ids)
    return lambda key: naming.row_of(key)[1]


def _split(name: str) -> Split:
    return Split(
        name,
        IMAGES[name],
        3_000 * IMAGES[name],
        "this test",
        archives=(ARCHIVES[name],),
        per_class=functools.partial(_counts, name),
        naming=_naming,
    )


def _counts(split: str) -> list[int]:
    return [IMAGES[split] // len(classes())] * len(classes())


DATASET = Dataset(
    name=NAME,
    summary="nine pictures of three classes",
    configs=(Config(None, (_split("train"), _split("validation")), classes),),
    builder=_builder,
    find=_find,
    recipes=_recipes,
    label_of=_label_of,
    splits_apart=True,
)
