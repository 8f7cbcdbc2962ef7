"""Puts together what a page says of a dataset: of its metadata, its provenance and our tables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagenet_builders import datasets
from imagenet_builders.catalog import classes as classes_lib
from imagenet_builders.catalog import croissant, health, listing, snippets
from imagenet_builders.catalog.kept import identity_of
from imagenet_builders.catalog.listing import File
from imagenet_builders.catalog.metadata import Described, describe, lines, suffix_of
from imagenet_builders.catalog.model import Entry, Split, Terms, Verified
from imagenet_builders.catalog.survey import Surveyed
from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.description import Config
from imagenet_builders.publish import provenance, published
from imagenet_builders.words import counted, printable

_PACKAGE = __name__.partition(".")[0]

_URL = re.compile(r"https?://[^\s)>\]]+[^\s)>\].,;]")
_MIME = "application/x-"


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset that was read, before its images are looked at.

    Attributes:
        described: What it says of itself.
        document: Its provenance; empty without one.
        files: Its files.
        identity: Tells it from what it was before.
        being_built: Whether a build of the same name is under way.
    """

    described: Described
    document: Mapping[str, Any]
    files: tuple[File, ...]
    identity: str
    being_built: bool

    @property
    def name(self) -> str:
        """What its page may be called."""
        return "-".join(
            filter(None, (self.described.name, self.described.config, self.described.version))
        )


def read(directory: Path, being_built: bool) -> Dataset:
    """Reads what there is of a dataset besides its images.

    Args:
        directory: The directory of its version.
        being_built: Whether a build of the same name is under way.

    Raises:
        DatasetError: It cannot be read.
        OSError: It cannot be listed.
    """
    described = describe(directory)
    files = tuple(listing.files_in(directory))
    document = provenance.read_provenance(directory) or {}
    digest = str(document.get("self", ""))
    return Dataset(described, document, files, identity_of(directory, files, digest), being_built)


def entry_of(
    dataset: Dataset, slug: str, surveyed: Surveyed, verified: Verified | None
) -> tuple[Entry, croissant.Files]:
    """What a page says of a dataset, and its files for Croissant.

    Args:
        dataset: The dataset.
        slug: The directory of its page.
        surveyed: What its images are like.
        verified: What the last verification found, or None.
    """
    described, document = dataset.described, dataset.document
    config = _config_of(described)
    names = described.label_names
    if not names and config is not None and described.images is not None:
        names = config.classes() if described.images.classes == len(config.classes()) else ()
    class_rows = classes_lib.rows(names, config, surveyed.counts)
    complete = [each.split for each in surveyed.statistics if each.looked_at == each.examples > 0]
    examples = {split.name: split.examples for split in described.splits}
    parts = health.parts(document)
    whole = [name for name in complete if name not in parts]
    entry = Entry(
        slug=slug,
        name=described.name,
        config=described.config,
        version=described.version,
        path=printable(str(described.directory)),
        made_by=_PACKAGE if _is_ours(described, document) else "tfds",
        form=printable(described.file_format),
        also_as=described.other_formats,
        description=described.description,
        homepage=described.homepage,
        release_notes=_newest_first(described.release_notes),
        citation=described.citation,
        terms=_terms(described),
        splits=tuple(
            Split(
                name=split.name,
                examples=split.examples,
                shards=len(split.lengths),
                size=split.size,
                official=_official(config, split.name),
                part=parts.get(split.name),
            )
            for split in described.splits
        ),
        features=described.features,
        supervised_keys=described.supervised_keys,
        file_count=len(dataset.files),
        size=sum(file.size for file in dataset.files),
        built_at=health.built_at(document),
        built_with=health.built_with(document),
        built_from=health.sources(document),
        differences=(
            *health.differences(examples, config, document),
            *classes_lib.differences(class_rows, whole),
        ),
        repaired=health.named_images(document, "repaired"),
        skipped=health.named_images(document, "skipped"),
        verified=verified,
        statistics=surveyed.statistics,
        no_statistics=surveyed.why_not,
        classes=class_rows,
        has_boxes=described.images is not None and described.images.boxes is not None,
        snippets=snippets.of_dataset(described),
        pictures=(),
        warnings=tuple(_warnings(dataset)),
        json_ld="",
    )
    return entry, _files(dataset)


def _config_of(described: Described) -> Config | None:
    dataset = datasets.find(described.name)
    return dataset.config(described.config) if dataset is not None else None


def _is_ours(described: Described, document: Mapping[str, Any]) -> bool:
    versions = document.get("versions")
    return described.module.partition(".")[0] == _PACKAGE or (
        isinstance(versions, dict) and _PACKAGE.replace("_", "-") in versions
    )


def _official(config: Config | None, split: str) -> int | None:
    official = config.split(split) if config is not None else None
    return official.images if official is not None else None


def _terms(described: Described) -> Terms | None:
    text = described.license
    if not text and datasets.find(described.name) is not None:
        text = ACCESS_TERMS
    return terms_of(text)


def terms_of(text: str) -> Terms | None:
    """Terms, with the first address in them; None for no text."""
    url = _URL.search(text)
    return Terms(lines(text), url[0] if url else "") if text.strip() else None


def _newest_first(notes: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    def version(note: tuple[str, str]) -> list[int]:
        return [int(each) for each in re.findall("[0-9]{1,9}", note[0])]

    return tuple(sorted(notes, key=version, reverse=True))


def _warnings(dataset: Dataset) -> list[str]:
    described = dataset.described
    said = list(described.warnings)
    part = published.part_warning(described.directory)
    if part is not None:
        said.append(printable(part))
    if not described.splits:
        said.append("the metadata name no split, so there is nothing to read")
    if dataset.being_built:
        said.append(
            "another build of it is under way, or was interrupted; this page tells of what was "
            "there when it was made"
        )
    there = {file.name for file in dataset.files}
    suffix = suffix_of(described.file_format)
    for split in described.splits:
        shards = split.shards(described.name, suffix)
        missing = [shard for shard in shards if shard not in there]
        if missing:
            what = counted(len(missing), "shard is", "shards are")
            said.append(f"{split.name}: {what} missing, such as {printable(missing[0])}")
    return said


def _files(dataset: Dataset) -> croissant.Files:
    """The files as Croissant has them: metadata, and a set of shards for each split."""
    described = dataset.described
    suffix = suffix_of(described.file_format)
    columns = {}
    if (images := described.images) is not None:
        features = {"image": images.image, "label": images.label, "boxes": images.boxes}
        columns = {path: kind for kind, path in features.items() if path is not None}
    sets = []
    for split in described.splits:
        shards = split.shards(described.name, suffix)
        if shards:
            beginning = shards[0].rpartition("-of-")[0].rpartition("-")[0]
            pattern = f"{beginning}-*" if beginning else shards[0]
            name = f"{printable(split.name)}_shards"
            mime = f"{_MIME}{printable(described.file_format).replace('_', '-')}"
            sets.append(croissant.FileSet(name, (printable(pattern),), mime, columns))
    shard_names = {
        name for split in described.splits for name in split.shards(described.name, suffix)
    }
    small = [
        file for file in dataset.files if file.name not in shard_names and "/" not in file.name
    ]
    return croissant.Files(
        listing.seal(described.directory),
        listing.small_files(described.directory, small, dataset.document),
        tuple(sets),
    )
