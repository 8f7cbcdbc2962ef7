"""Where a dataset comes from, how it differs from the official one, and what verification found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagenet_builders import datasets
from imagenet_builders.catalog.metadata import MAX_NUMBER, Described
from imagenet_builders.catalog.model import NamedImage, Source, Verified
from imagenet_builders.datasets.description import Config
from imagenet_builders.locate.official import OfficialArchive, official_archives
from imagenet_builders.publish import provenance
from imagenet_builders.verify.problems import Problem, Problems
from imagenet_builders.verify.verdict import Verdict
from imagenet_builders.words import counted, printable, size_text

Document = Mapping[str, Any]

_LENGTHS = {"md5": 32, "sha256": 64}

# So many images are named; of ImageNet-21k, more may have been repaired.
_MOST_NAMED = 5_000


def now() -> str:
    """The time, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def built_at(document: Document) -> str | None:
    """When a dataset was built."""
    value = document.get("built")
    return printable(value) if isinstance(value, str) else None


def built_with(document: Document) -> dict[str, str]:
    """Package to the version that a dataset was built with."""
    versions = document.get("versions")
    if not isinstance(versions, dict):
        return {}
    return {printable(str(name)): printable(str(each)) for name, each in versions.items()}


def sources(document: Document) -> tuple[Source, ...]:
    """The files that a dataset was built from, in the order of its splits."""
    found: dict[tuple[str, int], Source] = {}
    for split, entry in _splits(document):
        for each in _list(entry, "sources"):
            path, size = each.get("path"), each.get("size")
            if not isinstance(path, str) or type(size) is not int or not 0 <= size <= MAX_NUMBER:
                continue
            before = found.get((path, size))
            hashes = {
                name: each[name]
                for name, length in _LENGTHS.items()
                if isinstance(each.get(name), str) and len(each[name]) == length
            }
            found[path, size] = Source(
                path=printable(path),
                size=size,
                hashes={name: printable(value) for name, value in hashes.items()},
                known_as=_known_as(path, size, hashes),
                splits=((*before.splits, split) if before else (split,)),
            )
    return tuple(found.values())


def _known_as(path: str, size: int, hashes: Mapping[str, str]) -> str | None:
    """The official archive that a file is, and how that is known."""
    for each in official_archives().values():
        for algorithm, value in hashes.items():
            if value in each.hashes.get(algorithm, ()):
                return f"{each.name}, by its {algorithm.upper()}"
    named = official_archives().get(Path(path).name)
    if named is None or not _may_be(named, size, hashes):
        return None
    return f"{named.name}, by its name and size"


def _may_be(archive: OfficialArchive, size: int, hashes: Mapping[str, str]) -> bool:
    # A hash that is known, and is another one, tells more than the size.
    return archive.has_size(size) is True and not any(name in archive.hashes for name in hashes)


def named_images(document: Document, action: str) -> tuple[NamedImage, ...]:
    """The images that were `repaired` or `skipped`, by name."""
    return tuple(
        NamedImage(split, printable(str(each.get("key"))), printable(str(each.get("reason"))))
        for split, entry in _splits(document)
        for each in _list(entry, action)
    )[:_MOST_NAMED]


def parts(document: Document) -> dict[str, str]:
    """Split to how much of the official split it is, for those that are a part of it."""
    found = {split: provenance.part_text(document, split) for split, _ in _splits(document)}
    return {split: printable(part) for split, part in found.items() if part is not None}


def differences(
    examples: Mapping[str, int], config: Config | None, document: Document
) -> list[str]:
    """How a dataset differs from the official numbers, in sentences.

    Args:
        examples: Split to its number of examples.
        config: The configuration of the dataset; None for one of somebody else.
        document: Its provenance.
    """
    said = []
    of_parts = parts(document)
    for split in config.splits if config is not None else ():
        if split.name not in examples:
            said.append(f"{split.name}: this split was not built")
        elif split.name in of_parts:
            said.append(f"{split.name}: {of_parts[split.name]}")
        elif split.images is not None and examples[split.name] != split.images:
            said.append(
                f"{split.name}: {counted(examples[split.name], 'example')}, and not the official "
                f"{split.images:,}"
            )
    limit = document.get("max_examples_per_split")
    if isinstance(limit, int):
        said.append(
            f"it was built to try things out, with at most {counted(limit, 'example')} a split"
        )
    for action, words in (("repaired", "repaired"), ("skipped", "left out")):
        for name, entry in _splits(document):
            count = len(_list(entry, action))
            if count:
                verb = "was" if count == 1 else "were"
                said.append(f"{name}: {counted(count, 'image')} {verb} {words}")
    return said


def not_verifiable(described: Described) -> str | None:
    """Why nothing here knows what a dataset of others should be; None for one that is known.

    Args:
        described: The dataset.
    """
    from imagenet_builders.verify.metadata import MetadataError, describe

    if datasets.find(described.name) is not None:
        return None
    try:
        describe(described.directory)
    except MetadataError as error:
        return printable(error.what)
    return None


def verified(directory: Path, document: Mapping[str, Any] | None, workers: int) -> Verified:
    """Verifies a dataset or an export, which reads all of it.

    Args:
        directory: Its directory.
        document: The provenance of an export; None for a dataset.
        workers: Number of processes.

    Raises:
        OptionError: The library that reads its shards is not installed.
    """
    from imagenet_builders.verify.dataset import verify_dataset

    if document is None:
        return of_verdict(verify_dataset(directory, workers=workers))
    return of_verdict(verdict_on_export(directory, document, workers))


def of_verdict(verdict: Verdict) -> Verified:
    """A verdict of now, as pages show it."""
    return Verified(
        at=now(),
        ok=not verdict.problem_count,
        problems=tuple(problem.sentence for problem in verdict.problems),
        problem_count=verdict.problem_count,
        notes=tuple(map(printable, verdict.notes)),
        decoded=verdict.decoded,
        current=True,
    )


def verdict_on_export(directory: Path, document: Mapping[str, Any], workers: int) -> Verdict:
    """The verdict on an export, which is compared with what was noted of it.

    Args:
        directory: Its directory.
        document: Its provenance.
        workers: Number of files that are read at the same time.
    """
    from imagenet_builders.export.compare import compare

    started = time.monotonic()
    compared = compare(directory, dict(document), workers)
    problems = Problems()
    for each in compared.differences:
        problems.add(
            Problem(
                each.path,
                each.what,
                expected=each.expected,
                found=each.found,
                advice=each.advice,
            )
        )
    for split, examples in compared.examples.items():
        problems.note(f"{split} has {counted(examples, 'image')}")
    problems.note(f"{counted(compared.files, 'file')}, {size_text(compared.size)}, were compared")
    return Verdict(
        dataset=f"{compared.dataset} as {compared.form}",
        directory=str(directory),
        file_format=compared.form,
        problems=tuple(problems.kept),
        problem_count=problems.count,
        notes=tuple(problems.notes),
        sealed=True,
        seconds=time.monotonic() - started,
    )


def _splits(document: Document) -> list[tuple[str, Mapping[str, Any]]]:
    splits = document.get("splits")
    if not isinstance(splits, dict):
        return []
    return [(printable(name), each) for name, each in splits.items() if isinstance(each, dict)]


def _list(entry: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    values = entry.get(name)
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []
