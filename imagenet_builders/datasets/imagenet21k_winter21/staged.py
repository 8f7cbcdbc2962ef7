"""Indexes imagenet21k_winter21 from a source of any kind."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.datasets.ilsvrc2012 import examples, images
from imagenet_builders.datasets.imagenet21k_winter21 import layouts, shards
from imagenet_builders.datasets.imagenet21k_winter21.classes import (
    check_classes,
    classes_of,
    why_unknown,
)
from imagenet_builders.datasets.imagenet21k_winter21.dataset import DATASET
from imagenet_builders.datasets.imagenet21k_winter21.layouts import (
    KINDS,
    NAME,
    SMALL_CLASSES,
    SPLIT_FOLDERS,
    SPLITS,
)
from imagenet_builders.errors import SourceError
from imagenet_builders.images import OPTIONAL_REPAIRS
from imagenet_builders.labels.image_names import class_image
from imagenet_builders.locate.choose import not_it, nothing_staged
from imagenet_builders.locate.found import Survey
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index, IndexCache
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.run.jobs import Workers
from imagenet_builders.scratch.means import ScratchMeans
from imagenet_builders.sources import folder_images, kinds, tar_images
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.sources.folder_images import ImageFolder, source_files
from imagenet_builders.sources.indexing import in_batches, run_for_table
from imagenet_builders.sources.rows import PassedOver, SourceFile, row_schema
from imagenet_builders.sources.tar_images import Place
from imagenet_builders.sources.unpacking import packed_tar
from imagenet_builders.words import logger

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logger(__name__)

make_examples = dataclasses.replace(examples.IMAGES, also_repair=OPTIONAL_REPAIRS).make
"""As `examples.make_examples`; every image that can be repaired is."""

_BATCH_FOLDERS = 64


def recipes(config: str, manual_dir: Path, context: BuildContext) -> list[SplitRecipe]:
    """Finds and indexes what is staged of a configuration, and checks its classes.

    Args:
        config: `whole` or `p`.
        manual_dir: The directory with the archives.
        context: What to index with.

    Returns:
        A recipe for each split that has an image.

    Raises:
        StagingError: Nothing is staged.
        SourceError: A source is damaged or holds what it should not; or a class is missing and the
            options are strict.
        OptionError: There is too little space to unpack an archive.
    """
    sources = layouts.locate(config, manual_dir)
    wanted = [one for one in sources if context.options.source in (None, KINDS[one.kind][0])]
    if not wanted:
        raise nothing_staged(DATASET.survey(manual_dir, config), context.options.source)
    staged = DATASET.survey(manual_dir, config)
    if staged.is_other:
        raise not_it(staged)
    problems = [_problem(config, one, staged) for one in wanted]
    if all(problems):
        raise SourceError(problems[0])
    source = wanted[problems.index("")]
    others = [one for one in sources if one is not source]
    if others:
        _LOG.warning(
            f"{NAME}/{config} is staged more than once: {source}, which will be "
            f"read, and {', and '.join(map(str, others))}, which will not"
        )
    passed_over = layouts.check_entries(source, strict=context.options.strict)
    if passed_over:
        _LOG.warning(passed_over)
    note = shards.note_of(source.path / source.shards[0]) if source.shards else ""
    if note:
        _LOG.warning(f"{NAME}/{config}: {source}: {note}")
    archive: tuple[SourceFile, ...] = ()
    if source.kind == layouts.GZIP:
        archive = (SourceFile.of(source.path),)
        found = _of_gzip(config, source.path, context)
    elif source.kind == layouts.TAR:
        file = context.source_file(source.path)
        found = _of_tar(config, file, context.cache, context.workers)
    else:
        found = _INDEXERS[source.kind](config, source, context)
    indexes = {split: index for split, index in found.items() if len(index)}
    for index in found.values():
        images.report_passed_over(source.path, index.table, strict=context.options.strict)
    for split in SPLITS[config]:
        if split not in indexes and split not in context.kept:
            _LOG.warning(f"split {split} will be missing: it is not in {source}")
    if not indexes:
        raise SourceError(f"{source.path}: there is no image of {NAME}/{config} in it")
    check_classes(
        config,
        str(source),
        {split: _classes_in(config, index) for split, index in indexes.items()},
        strict=context.options.strict,
    )
    _check_disjoint(indexes)
    kind, layout = KINDS[source.kind]
    return [
        SplitRecipe(
            split,
            index,
            make_examples,
            examples.example_sizes,
            also_read=archive,
            layout="; ".join(filter(None, (f"{layout} ({kind})", note))),
        )
        for split, index in indexes.items()
    ]


def _problem(config: str, source: layouts.Source, staged: Survey) -> str:
    """Why a source cannot be read, or is another dataset; empty if it can be."""
    for split, found in staged.found.items():
        own = layouts.as_found(config, source, split)
        for one in found:
            if own is not None and (one.kind, one.paths) == (own.kind, own.paths) and one.problem:
                return one.problem
    return ""


def _of_gzip(config: str, archive: Path, context: BuildContext) -> dict[str, Index]:
    means = ScratchMeans(f"{NAME}/{config}", context)
    [file] = means.unpack([packed_tar(SourceFile.of(archive))])
    # Its index lies beside it and is removed with it.
    return _of_tar(config, file, IndexCache(Path(file.copy).parent), context.workers)


def _of_tar(config: str, file: SourceFile, cache: IndexCache, workers: Workers) -> dict[str, Index]:
    files = (file,)

    @functools.cache
    def tables() -> dict[str, pa.Table]:
        if config == "p":
            return tar_images.tree_images(file, 0, _place_of)
        return {"train": _class_tars_in(config, file, workers)}

    def make(split: str) -> Index:
        table = tables().get(split)
        return Index(row_schema().empty_table() if table is None else table, files)

    return {
        split: cache.get([NAME, config, split], files, functools.partial(make, split))
        for split in SPLITS[config]
    }


def _class_tars_in(config: str, file: SourceFile, workers: Workers) -> pa.Table:
    tars, passed_over = tar_images.class_tars(file, functools.partial(_label, config))
    jobs = tar_images.jobs_of_archive(file, 0, tars)
    table = run_for_table(workers, tar_images.class_images, jobs)
    return (passed_over + PassedOver.of(table)).noted_in(table)


def _place_of(folder: str) -> Place | None:
    """The split, class and label of a folder of ImageNet-21K-P's archive."""
    top, *parts = folder.split("/")
    if top != "imagenet21k_resized":  # The archive was packed again, from inside of this folder.
        parts.insert(0, top)
    if parts[:1] == [SMALL_CLASSES]:
        return None
    if len(parts) != 2 or parts[0] not in SPLIT_FOLDERS:
        raise ValueError(
            "only images such as imagenet21k_train/n01440764/n01440764_1.JPEG belong here, in the "
            f"folders {', '.join([*SPLIT_FOLDERS, SMALL_CLASSES])}"
        )
    return Place(SPLIT_FOLDERS[parts[0]], parts[1], _label("p", parts[1]))


def _of_class_tars(config: str, source: layouts.Source, context: BuildContext) -> dict[str, Index]:
    wnids = source.classes[""]
    labels = _labels(config, source.path, wnids)
    files = tuple(source_files((source.path / f"{wnid}.tar" for wnid in wnids), context.copies))

    def make() -> Index:
        labelled = zip(wnids, labels, strict=True)
        jobs = tar_images.jobs_of_files(zip(files, labelled, strict=True))
        return Index(run_for_table(context.workers, tar_images.class_images, jobs), files)

    return {"train": context.cache.get([NAME, config, "train"], files, make)}


def _of_folders(config: str, source: layouts.Source, context: BuildContext) -> dict[str, Index]:
    return {
        SPLIT_FOLDERS.get(folder, "train"): _of_class_folders(
            config, SPLIT_FOLDERS.get(folder, "train"), source.path / folder, wnids, context
        )
        for folder, wnids in source.classes.items()
    }


def _of_class_folders(
    config: str, split: str, root: Path, wnids: list[str], context: BuildContext
) -> Index:
    labels = _labels(config, root, wnids)
    files = tuple(source_files(root / wnid for wnid in wnids))

    def make() -> Index:
        folders = (
            ImageFolder(file, position, functools.partial(_class_row, wnid, label))
            for position, (file, wnid, label) in enumerate(zip(files, wnids, labels, strict=True))
        )
        jobs = in_batches(folders, _BATCH_FOLDERS)
        return Index(run_for_table(context.workers, folder_images.folder_images, jobs), files)

    kind = kinds.kind(layouts.KINDS[layouts.FOLDERS][0])
    return context.cache.get([NAME, config, split, kind.name], files, make, kind.access)


def _of_shards(config: str, source: layouts.Source, context: BuildContext) -> dict[str, Index]:
    paths = (source.path / name for name in source.shards)
    files = tuple(source_files(paths, context.copies))

    def make() -> Index:
        return Index(shards.SHARDS.index("train", files, context.workers), files)

    kind = kinds.kind(layouts.KINDS[layouts.SHARDS][0])
    index = context.cache.get([NAME, config, "train", kind.name], files, make, kind.access)
    lacking = shards.SHARDS.lacking("train", len(index))
    if lacking is not None:
        text = f"{source}: {lacking}"
        if context.options.strict:
            raise SourceError(f"{text}; stage them all, or build without --strict")
        _LOG.warning(text)
    return {"train": index}


_INDEXERS: dict[str, Callable[[str, layouts.Source, BuildContext], dict[str, Index]]] = {
    layouts.CLASS_TARS: _of_class_tars,
    layouts.FOLDERS: _of_folders,
    layouts.SHARDS: _of_shards,
}


def _labels(config: str, root: Path, wnids: list[str]) -> list[int]:
    try:
        return [_label(config, wnid) for wnid in wnids]
    except ValueError as error:
        raise SourceError(f"{root}: {error}") from None


def _class_row(wnid: str, label: int, name: str) -> tuple[str, int]:
    """Key and label of an image of a class."""
    return class_image(wnid, name), label


def _label(config: str, wnid: str) -> int:
    """The label of a class; ValueError says why it is none."""
    classes = classes_of(config)
    wnid = wnid.lower()
    if wnid not in classes:
        raise ValueError(why_unknown(config, wnid))
    return classes.id_of(wnid)


def _classes_in(config: str, index: Index) -> frozenset[str]:
    """The classes that have an image."""
    import numpy as np

    counts = np.bincount(numbers_in(index.table["label"]))
    return frozenset(classes_of(config).wnids[label] for label in np.flatnonzero(counts))


def _check_disjoint(indexes: dict[str, Index]) -> None:
    """Refuses an image that is in two splits."""
    import pyarrow.compute as pc

    if set(indexes) != {"train", "validation"}:
        return
    train, validation = indexes["train"], indexes["validation"]
    keys = validation.table["key"].combine_chunks()
    row = pc.index(pc.is_in(train.table["key"], value_set=keys), True).as_py()
    if row < 0:
        return
    key = train.table["key"][row].as_py()
    other = pc.index(keys, key).as_py()
    raise SourceError(
        f"{_place(validation, other)}: this image of validation is in train as well, at "
        f"{_place(train, row)}; stage the official archive, in which each image is once"
    )


def _place(index: Index, row: int) -> str:
    path, offset, name = index.where(row)
    return f"{path}, {name}, at byte {offset:,}" if offset >= 0 else f"{path}/{name}"
