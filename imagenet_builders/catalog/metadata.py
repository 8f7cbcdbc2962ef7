"""What a dataset says of itself in its own files, whoever built it.

It is read without TensorFlow Datasets, and what is not known, such as a field of a newer version,
is passed over. Text is printable; its lines are kept.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.catalog import features as features_lib
from imagenet_builders.catalog.features import ImageFeatures
from imagenet_builders.errors import DatasetError
from imagenet_builders.files.json_object import json_object
from imagenet_builders.files.regular import NotAFileError, open_regular, read_regular
from imagenet_builders.publish.readable import INFO, MAX_BYTES, whose
from imagenet_builders.words import is_printable, printable
from imagenet_builders.write import outputs

FEATURES = "features.json"

_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_NAME = re.compile(r"\w[\w.+-]{0,200}")
_MAX_SHARDS = 100_000

# A page with megabytes of text is of use to nobody, nor is one with thousands of notes.
_MAX_TEXT = 50_000
_MAX_NOTES = 200

MAX_NUMBER = (1 << 63) - 1
"""No number of examples or bytes is larger; JSON may have one of a thousand digits."""


@dataclasses.dataclass(frozen=True)
class DescribedSplit:
    """A split as the metadata describe it.

    Attributes:
        name: Its name.
        size: Bytes of its records.
        lengths: Number of examples of each shard.
        template: The template of the names of its shards.
    """

    name: str
    size: int
    lengths: tuple[int, ...]
    template: str

    @property
    def examples(self) -> int:
        """Number of its examples."""
        return sum(self.lengths)

    def shards(self, dataset: str, suffix: str) -> tuple[str, ...]:
        """The names of its shards.

        Args:
            dataset: Name of the dataset.
            suffix: What the file format is called in the names of its files.
        """
        count = len(self.lengths)
        values = {"{DATASET}": dataset, "{SPLIT}": self.name, "{FILEFORMAT}": suffix}
        fixed = self.template
        for key, value in values.items():
            fixed = fixed.replace(key, value)
        return tuple(
            fixed.replace("{SHARD_X_OF_Y}", f"{number:05}-of-{count:05}")
            .replace("{SHARD_INDEX}", f"{number:05}")
            .replace("{NUM_SHARDS}", f"{count:05}")
            for number in range(count)
        )


@dataclasses.dataclass(frozen=True)
class Described:
    """A dataset as its metadata describe it.

    Attributes:
        directory: The directory of its version.
        name: Its name.
        config: Its configuration, or None.
        version: Its version.
        module: The Python module of its builder; empty where it is not said.
        file_format: The format of its shards.
        other_formats: Further formats that lie in the directory.
        description: What it is.
        homepage: URL, or None.
        citation: BibTeX, or empty.
        release_notes: Pairs of version and note, as they are there.
        license: The terms, or empty.
        supervised_keys: As TensorFlow Datasets prints them, or None.
        splits: Its splits.
        features: The features as TensorFlow Datasets prints them.
        images: The features of its images, or None.
        label_names: The names of the classes, in order; empty where they are not known.
        warnings: Sentences on what could not be read.
    """

    directory: Path
    name: str
    config: str | None
    version: str
    module: str
    file_format: str
    other_formats: tuple[str, ...]
    description: str
    homepage: str | None
    citation: str
    release_notes: tuple[tuple[str, str], ...]
    license: str
    supervised_keys: str | None
    splits: tuple[DescribedSplit, ...]
    features: str
    images: ImageFeatures | None
    label_names: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(directory: Path) -> Described:
    """Reads what a dataset says of itself.

    Args:
        directory: The directory of its version.

    Raises:
        DatasetError: It cannot be read, or does not say what it is.
    """
    path = directory / INFO
    info = _document(path)
    warnings: list[str] = []
    splits = tuple(_splits(path, info))
    try:
        features = _document(directory / FEATURES)
    except DatasetError as error:
        features = {}
        warnings.append(str(error))
    images = features_lib.image_features(features)
    return Described(
        directory=directory,
        name=_name(path, info, "name"),
        config=_name(path, info, "configName") if info.get("configName") else None,
        version=_name(path, info, "version"),
        module=_text(info.get("moduleName")),
        file_format=_text(info.get("fileFormat")) or outputs.DEFAULT.name,
        other_formats=_texts(info.get("alternativeFileFormats")),
        description=lines(_text(info.get("description"))),
        homepage=next(iter(_texts(_mapping(info.get("location")).get("urls"))), None),
        citation=lines(_text(info.get("citation"))),
        release_notes=tuple(
            (printable(str(version)), lines(_text(note)))
            for version, note in [*_mapping(info.get("releaseNotes")).items()][:_MAX_NOTES]
        ),
        license=lines(_text(_mapping(info.get("redistributionInfo")).get("license"))),
        supervised_keys=_supervised(info.get("supervisedKeys")),
        splits=splits,
        features="\n".join(map(printable, features_lib.printed(features).split("\n")))
        if features
        else "",
        images=images,
        label_names=_label_names(directory, images),
        warnings=tuple(warnings),
    )


def lines(text: str) -> str:
    """Text that is printable, but for the ends of its lines; the beginning of a very long one."""
    cut = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\n..."
    return "\n".join(printable(line.replace("\t", "    ")) for line in cut.splitlines()).strip()


def read_linked(path: Path, max_bytes: int) -> bytes:
    """The content of a file of a dataset, which may be a link to a file of the link's owner.

    Pages show it to others. Who may write in a data directory may not show them so what only the
    user may read who makes the catalog.

    Args:
        path: The file.
        max_bytes: What it may have at most.

    Raises:
        OSError: It is not there, is another thing than a file, or cannot be read.
    """
    try:
        return read_regular(path, max_bytes)
    except NotAFileError as error:
        if error.errno != errno.ELOOP:
            raise
    owner = os.lstat(path).st_uid
    fd = open_regular(path, follow=True)
    try:
        if owner not in (0, os.geteuid(), os.fstat(fd).st_uid):
            raise NotAFileError(
                errno.ELOOP, "it is a link of somebody to a file of somebody else", str(path)
            )
        size = os.fstat(fd).st_size
        if size > max_bytes:
            raise NotAFileError(errno.EFBIG, f"it has more than {max_bytes:,} bytes", str(path))
        return os.pread(fd, size, 0)
    finally:
        os.close(fd)


def suffix_of(file_format: str) -> str:
    """What a file format is called in the names of its files."""
    output = outputs.get(file_format)
    return output.suffix if output is not None else file_format


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = json_object(read_linked(path, MAX_BYTES))
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing, so this dataset is not whole") from None
    except PermissionError:
        raise DatasetError(f"{path} cannot be read: {whose(path)}") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
    if document is None:
        raise DatasetError(
            f"{path} is damaged: it is no JSON object; see what `imagenet-builders verify` says"
        )
    return document


def _name(path: Path, info: Mapping[str, Any], key: str) -> str:
    value = info.get(key)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise DatasetError(
            f"{path} does not describe a dataset as TensorFlow Datasets 4.9.10 does: its {key} is "
            f"{_shown(value)}; it may be damaged, or of a newer version"
        )
    return value


def _splits(path: Path, info: Mapping[str, Any]) -> list[DescribedSplit]:
    entries: Any = info.get("splits", [])
    found = []
    each: Any
    for each in entries if isinstance(entries, list) else [None]:
        try:
            lengths = tuple(int(length) for length in each.get("shardLengths", ()))
            split = DescribedSplit(
                name=_name(path, each, "name"),
                size=int(each.get("numBytes", 0)),
                lengths=lengths,
                template=_template(each.get("filepathTemplate")),
            )
            if min(lengths, default=0) < 0:
                raise ValueError
            if not 0 <= split.size <= MAX_NUMBER or split.examples > MAX_NUMBER:
                raise ValueError
        except (AttributeError, TypeError, ValueError, OverflowError):
            raise DatasetError(
                f"{path} does not describe its splits as TensorFlow Datasets 4.9.10 does; it may "
                "be damaged, or of a newer version"
            ) from None
        found.append(split)
    if sum(len(split.lengths) for split in found) > _MAX_SHARDS:
        raise DatasetError(
            f"{path} names more than {_MAX_SHARDS:,} shards; it may be damaged, or of a newer "
            "version"
        )
    return found


def _template(value: Any) -> str:
    if not isinstance(value, str) or not value:
        return _TEMPLATE
    if "/" in value or not is_printable(value):
        raise ValueError
    return value


def _label_names(directory: Path, images: ImageFeatures | None) -> tuple[str, ...]:
    if images is None or images.label is None:
        return ()
    path = directory / f"{images.label.replace('/', '-')}.labels.txt"
    try:
        text = read_linked(path, MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    names = tuple(map(printable, text.removesuffix("\n").split("\n")))
    return names if len(names) == images.classes else ()


def _supervised(value: Any) -> str | None:
    """Supervised keys as TensorFlow Datasets prints them."""
    text = _supervised_text(value, 0)
    return None if text is None else printable(text)


def _supervised_text(value: Any, depth: int) -> str | None:
    value = _mapping(value)
    if isinstance(key := value.get("featureKey"), str):
        return repr(key)
    items = _mapping(value.get("tuple")).get("items")
    named = _mapping(value.get("dict")).get("dict")
    if depth > 3:
        return None
    if isinstance(named, dict):
        texts = {key: _supervised_text(each, depth + 1) for key, each in named.items()}
        return "{" + ", ".join(f"{key!r}: {text}" for key, text in texts.items()) + "}"
    if isinstance(items, list) and items:
        return f"({', '.join(str(_supervised_text(each, depth + 1)) for each in items)})"
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return (
        tuple(printable(each) for each in value if isinstance(each, str))
        if (isinstance(value, list))
        else ()
    )


def _shown(value: Any) -> str:
    return "not there" if value is None else repr(value)[:60]
