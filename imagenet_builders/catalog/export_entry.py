"""Puts together what a page says of an export: of its provenance and our tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagenet_builders import datasets
from imagenet_builders.catalog import classes as classes_lib
from imagenet_builders.catalog import croissant, export_snippets, health, listing
from imagenet_builders.catalog.entry import terms_of
from imagenet_builders.catalog.kept import identity_of
from imagenet_builders.catalog.metadata import lines
from imagenet_builders.catalog.model import Entry, Split, Verified
from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.description import Config
from imagenet_builders.errors import DatasetError
from imagenet_builders.export import compare, tree
from imagenet_builders.publish.provenance import FILE_NAME
from imagenet_builders.words import printable

_NO_STATISTICS = (
    "an export has the images of its dataset, whose page has the statistics if it is here"
)


@dataclasses.dataclass(frozen=True)
class Export:
    """An export that was read.

    Attributes:
        directory: Its directory.
        document: Its provenance.
        full_name: Name, configuration and version of its dataset.
        form: The form.
        identity: Tells it from what it was before.
    """

    directory: Path
    document: Mapping[str, Any]
    full_name: str
    form: str
    identity: str

    @property
    def name(self) -> str:
        """What its page may be called."""
        return f"{self.full_name}-{self.form}".replace("/", "-")


def read(directory: Path) -> Export:
    """Reads what an export says of itself.

    Args:
        directory: Its directory.

    Raises:
        DatasetError: It does not say what it is.
        OSError: It cannot be listed.
    """
    document = compare.document_in(directory)
    name = document.get("dataset") if document is not None else None
    if document is None or not isinstance(name, str) or not 2 <= len(name.split("/")) <= 3:
        raise DatasetError(
            f"{directory / FILE_NAME} does not say of which dataset this is an export; see what "
            "`imagenet-builders verify` says"
        )
    digest = str(document.get("self", ""))
    # Of a million images that are files, only the lists beside them tell of a change.
    files = listing.files_in(directory, depth=1 if _has_shards(document) else 0)
    return Export(
        directory,
        document,
        printable(name),
        printable(str(document["form"])),
        identity_of(directory, files, digest),
    )


def _has_shards(document: Mapping[str, Any]) -> bool:
    """Whether the splits name their files, which are not a file for each image."""
    splits = document.get("splits")
    entries = splits.values() if isinstance(splits, dict) else ()
    return any(isinstance(each, dict) and "files" in each for each in entries)


def entry_of(export: Export, slug: str, verified: Verified | None) -> tuple[Entry, croissant.Files]:
    """What a page says of an export, and its files for Croissant.

    Args:
        export: The export.
        slug: The directory of its page.
        verified: What the last verification found, or None.
    """
    name, *config_names, version = export.full_name.split("/")
    config_name = config_names[0] if config_names else None
    dataset = datasets.find(name)
    config = dataset.config(config_name) if dataset is not None else None
    document = export.document
    count, size = listing.recorded(document)
    splits = tuple(_splits(document, config))
    examples = {split.name: split.examples for split in splits}
    entry = Entry(
        slug=slug,
        name=name,
        config=config_name,
        version=version,
        path=printable(str(export.directory)),
        made_by="export",
        form=export.form,
        also_as=(),
        description=_text_of(name, "README.md"),
        homepage=None,
        release_notes=(),
        citation=_text_of(name, "CITATIONS.bib"),
        terms=terms_of(ACCESS_TERMS) if dataset is not None else None,
        splits=splits,
        features="",
        supervised_keys=None,
        file_count=count + 1,
        size=size,
        built_at=health.built_at(document),
        built_with=health.built_with(document),
        built_from=health.sources(document),
        differences=tuple(health.differences(examples, config, document)),
        repaired=health.named_images(document, "repaired"),
        skipped=health.named_images(document, "skipped"),
        verified=verified,
        statistics=(),
        no_statistics=_NO_STATISTICS,
        classes=classes_lib.rows(config.classes(), config, {}) if config is not None else (),
        has_boxes=False,
        snippets=export_snippets.of_export(export.directory, document),
        pictures=(),
        warnings=(),
        json_ld="",
    )
    return entry, _files(export, entry)


def _splits(document: Mapping[str, Any], config: Config | None) -> list[Split]:
    entries = document.get("splits")
    parts = health.parts(document)
    found = []
    for name, each in entries.items() if isinstance(entries, dict) else ():
        try:
            official = config.split(name) if config is not None else None
            found.append(
                Split(
                    name=printable(name),
                    examples=listing.whole_number(each["examples"]),
                    shards=0 if "files" not in each else listing.whole_number(each["shards"]),
                    size=listing.whole_number(each["bytes"]),
                    official=official.images if official is not None else None,
                    part=parts.get(printable(name)),
                )
            )
        except (KeyError, TypeError, ValueError):
            continue  # `verify` says what is wrong with it.
    return found


def _text_of(name: str, file: str) -> str:
    """What the folder of a dataset of this package says of it."""
    if name not in datasets.names():
        return ""
    try:
        path = Path(datasets.__file__).parent / name / file
        return lines(path.read_text(encoding="utf-8"))
    except OSError:  # A dataset of another package.
        return ""


def _files(export: Export, entry: Entry) -> croissant.Files:
    known = export.document.get("files")
    digests = known if isinstance(known, dict) else {}
    small = []
    for name, digest in sorted(digests.items()):
        path = export.directory / str(name)
        if isinstance(digest, str) and len(digest) == 64 and path.is_file():
            small.append(croissant.SmallFile(printable(name), digest, path.stat().st_size))
    seal = listing.seal(export.directory)
    return croissant.Files(seal, tuple(small), tuple(_sets(export, entry)))


def _sets(export: Export, entry: Entry) -> list[croissant.FileSet]:
    """The files of each split, by what tells them from others."""
    splits = export.document.get("splits")
    found = []
    for split in entry.splits:
        said = splits.get(split.name) if isinstance(splits, dict) else None
        listed = said.get("files") if isinstance(said, dict) else None
        if not isinstance(listed, list):  # Each image is a file.
            folder = tree.folder_of(split.name)
            patterns = tuple(f"{folder}/{each}" for each in ("*.JPEG", "*.jpg", "*.png"))
            found.append(
                croissant.FileSet(
                    f"{split.name}_images",
                    patterns,
                    "image/jpeg",
                    is_images=True,
                    class_of=rf"^{folder}/(?:([^/]+)/)?[^/]+$",
                )
            )
            continue
        names = [printable(str(each[0])) for each in listed if isinstance(each, list) and each]
        endings = {Path(name).suffix for name in names}
        patterns = tuple(dict.fromkeys(map(_pattern, names)))
        parquet = tuple(each for each in patterns if each.endswith(".parquet"))
        if parquet:
            columns = {"image": "image", "label": "label"}
            found.append(
                croissant.FileSet(
                    f"{split.name}_parquet", parquet, "application/x-parquet", columns
                )
            )
        rest = tuple(each for each in patterns if each not in parquet)
        if rest:
            is_tar = ".tar" in endings
            mime = "application/x-tar" if is_tar else "application/octet-stream"
            found.append(croissant.FileSet(f"{split.name}_files", rest, mime))
    return found


def _pattern(name: str) -> str:
    """The pattern of a file's name: its last number, and that behind `-of-`, may be any."""
    head, dash, tail = name.rpartition("-of-")
    if dash and head.rpartition("-")[2].isdigit():
        ending = tail.lstrip("0123456789")
        return f"{head.rpartition('-')[0]}-*{ending}"
    stem, dot, ending = name.rpartition(".")
    if dot and stem.rpartition("-")[2].isdigit():
        return f"{stem.rpartition('-')[0]}-*.{ending}"
    return name
