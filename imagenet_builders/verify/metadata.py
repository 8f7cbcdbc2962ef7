"""Reads a dataset's own description strictly: `dataset_info.json` and `features.json`."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagenet_builders.errors import ImagenetBuildersError
from imagenet_builders.files.regular import NotAFileError, read_regular
from imagenet_builders.publish import readable
from imagenet_builders.write import outputs
from imagenet_builders.write.outputs.output import Output

MAX_METADATA_BYTES = 1 << 26
"""Bound on a metadata file; the provenance of 13 million images has some megabytes at most."""

_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_MAX_SHARDS = 100_000
_PREFIX = "tensorflow_datasets.core.features."


class MetadataError(ImagenetBuildersError):
    """A metadata file is missing, damaged, or says something impossible.

    Attributes:
        path: The file.
        what: What is wrong.
    """

    def __init__(self, path: Path, what: str):
        super().__init__(f"{path}: {what}")
        self.path, self.what = str(path), what


@dataclasses.dataclass(frozen=True)
class Field:
    """One feature of the serialized examples.

    Attributes:
        path: Its name there, such as `objects/bbox`.
        kind: `image`, `label`, `text` or `bbox`.
        sequence: Name of the sequence that it is in, or None.
        classes: Number of classes of a label.
        encoding: `jpeg` or `png`, for an image, or None where either may be.
        shape: Height, width and channels of an image; None where any may be.
    """

    path: str
    kind: str
    sequence: str | None = None
    classes: int = 0
    encoding: str | None = None
    shape: tuple[int | None, ...] = ()


@dataclasses.dataclass(frozen=True)
class SplitInfo:
    """A split according to the metadata.

    Attributes:
        name: Its name.
        record_bytes: Bytes of all its records.
        lengths: Number of records of each shard.
        shards: File name of each shard.
    """

    name: str
    record_bytes: int
    lengths: tuple[int, ...]
    shards: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Alternative:
    """Another format that a dataset's shards are in, too.

    Attributes:
        name: Name of the format.
        output: The output that reads it; None where there is none.
        shards: Split to the file name of each shard.
    """

    name: str
    output: Output | None
    shards: dict[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Description:
    """A dataset according to its metadata.

    Attributes:
        name: Its name.
        config: Its configuration, or None.
        version: Its version.
        output: The output that wrote its shards.
        splits: Its splits.
        fields: The features of its examples.
        labels: Feature path of each label to the names of the classes; empty without a file.
        label_files: Name of each file of class names.
        alternatives: The other formats that its shards are in.
    """

    name: str
    config: str | None
    version: str
    output: Output
    splits: tuple[SplitInfo, ...]
    fields: tuple[Field, ...]
    labels: dict[str, tuple[str, ...]]
    label_files: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()

    @property
    def full_name(self) -> str:
        """Name with configuration and version, such as `tiny_imagenet:1.0.0`."""
        return "/".join(filter(None, (self.name, self.config))) + f":{self.version}"


def converted_from(directory: Path) -> str | None:
    """Where `tfds convert_format --out_dir` took a dataset from; None for any other dataset.

    Args:
        directory: The directory of its version.
    """
    try:
        info = read_json(directory / "dataset_info.json")
        parts = [
            [each["tfdsDataset"].get(key) for key in ("dataDir", "name", "config", "version")]
            for each in info["dataSourceAccesses"]
            if "tfdsDataset" in each
        ]
        return "/".join(filter(None, parts[-1]))
    except (MetadataError, LookupError, TypeError, AttributeError):
        return None


def read_json(path: Path) -> Any:
    """Reads a JSON document, in which no name may occur twice in an object.

    Raises:
        MetadataError: There is no such document.
    """
    return parse_json(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """Reads a metadata file; raises `MetadataError` if it cannot be read."""
    try:
        return read_regular(path, MAX_METADATA_BYTES, follow=True)
    except FileNotFoundError:
        raise MetadataError(path, "this file is missing") from None
    except NotAFileError as error:
        raise MetadataError(path, f"this is not a file of metadata: {error.strerror}") from None
    except PermissionError:
        what = f"this file cannot be read: {readable.whose(path)}"
        raise MetadataError(path, what) from None
    except OSError as error:
        raise MetadataError(path, f"this file cannot be read ({error.strerror})") from None


def parse_json(path: Path, data: bytes) -> Any:
    """Parses a JSON document; see `read_json`."""
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except RecursionError:
        raise MetadataError(path, "not JSON: it is nested too deeply") from None
    except ValueError as error:
        raise MetadataError(path, f"not JSON as it should be: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name is there twice in an object")
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def describe(directory: Path) -> Description:
    """Reads the metadata of a dataset.

    Args:
        directory: The directory of its version.

    Returns:
        The description.

    Raises:
        MetadataError: A file is missing or damaged.
    """
    path = directory / "dataset_info.json"
    info = _mapping(path, read_json(path), "the document")
    name = _text(path, info, "name")
    output = _output(path, info)
    splits = tuple(
        _split(path, name, output.suffix, entry) for entry in _list(path, info, "splits")
    )
    if len({split.name for split in splits}) != len(splits):
        raise MetadataError(path, "a split is there twice")
    if not splits:
        raise MetadataError(path, "it names no split, so nothing was built here")
    features_path = directory / "features.json"
    fields = tuple(_fields(features_path, read_json(features_path), "", None))
    labels, files = {}, []
    for field in fields:
        if field.kind != "label":
            continue
        file = directory / f"{field.path.replace('/', '-')}.labels.txt"
        if file.exists():  # A label without names has none.
            text = read_bytes(file).decode("utf-8", "replace")
            labels[field.path] = tuple(text.removesuffix("\n").split("\n"))
            files.append(file.name)
            if len(labels[field.path]) != field.classes:
                raise MetadataError(
                    file,
                    f"expected the names of {field.classes:,} classes, as features.json says, "
                    f"found {len(labels[field.path]):,}",
                )
    return Description(
        name,
        _text(path, info, "configName") if "configName" in info else None,
        _text(path, info, "version"),
        output,
        splits,
        fields,
        labels,
        tuple(files),
        tuple(_alternatives(path, name, output, info)),
    )


def _alternatives(
    path: Path, dataset: str, own: Output, info: dict[str, Any]
) -> Iterator[Alternative]:
    """The formats that `tfds convert_format` has added; a repeated run lists one again."""
    entries = _list(path, info, "alternativeFileFormats")
    for name in dict.fromkeys(map(str, entries)):
        if not re.fullmatch(r"[a-z_0-9]{1,40}", name):
            raise MetadataError(path, f"{name[:60]!a} is not the name of a file format")
        output = outputs.get(name)
        if output == own:
            continue
        suffix = output.suffix if output is not None else name
        splits = (_split(path, dataset, suffix, entry) for entry in _list(path, info, "splits"))
        yield Alternative(name, output, {split.name: split.shards for split in splits})


def _output(path: Path, info: dict[str, Any]) -> Output:
    if "fileFormat" not in info:
        return outputs.DEFAULT
    name = _text(path, info, "fileFormat")
    output = outputs.get(name)
    if output is None:
        raise MetadataError(path, f"the file format {name!a} cannot be verified")
    return output


def _split(path: Path, dataset: str, suffix: str, entry: Any) -> SplitInfo:
    entry = _mapping(path, entry, "a split")
    name = _text(path, entry, "name")
    template = entry.get("filepathTemplate", _TEMPLATE)
    lengths = tuple(_number(path, length) for length in _list(path, entry, "shardLengths"))
    if len(lengths) > _MAX_SHARDS:
        raise MetadataError(path, f"split {name[:60]!a} has more than {_MAX_SHARDS:,} shards")
    if not isinstance(template, str) or "/" in dataset + name + template:
        raise MetadataError(path, "the name of a split or of its files is not as it should be")
    shards = tuple(
        template.replace("{DATASET}", dataset)
        .replace("{SPLIT}", name)
        .replace("{FILEFORMAT}", suffix)
        .replace("{SHARD_X_OF_Y}", f"{number:05}-of-{len(lengths):05}")
        for number in range(len(lengths))
    )
    if len(set(shards)) != len(shards):
        raise MetadataError(path, f"the template {template[:80]!a} names several shards alike")
    return SplitInfo(name, _number(path, entry.get("numBytes", "0")), lengths, shards)


def _fields(path: Path, document: Any, name: str, sequence: str | None) -> list[Field]:
    feature = _mapping(path, document, f"feature {name!a}")
    kind = str(feature.get("pythonClassName", "")).removeprefix(_PREFIX)
    if kind == "features_dict.FeaturesDict":
        inner = _mapping(path, feature.get("featuresDict"), "featuresDict").get("features")
        inner = _mapping(path, inner, "features")
        return [
            field
            for each, value in inner.items()
            for field in _fields(path, value, f"{name}/{each}" if name else each, sequence)
        ]
    if kind == "sequence_feature.Sequence" and sequence is None:
        content = _mapping(path, feature.get("sequence"), "sequence")
        if content.get("length") == "-1":
            return _fields(path, content.get("feature"), name, name)
    if kind == "text_feature.Text":
        return [Field(name, "text", sequence)]
    if kind == "bounding_boxes.BBoxFeature":
        box = _mapping(path, feature.get("boundingBox", {}), "boundingBox")
        if box.get("bboxFormat", "REL_YXYX") == "REL_YXYX":
            return [Field(name, "bbox", sequence)]
    if kind == "class_label_feature.ClassLabel":
        label = _mapping(path, feature.get("classLabel"), "classLabel")
        return [Field(name, "label", sequence, classes=_number(path, label.get("numClasses")))]
    if kind == "image_feature.Image":
        image = _mapping(path, feature.get("image"), "image")
        shape = _mapping(path, image.get("shape", {}), "shape").get("dimensions", [])
        encoding = image.get("encodingFormat") or None
        if (
            isinstance(shape, list)
            and len(shape) in (0, 3)
            and encoding in (None, "jpeg", "png")
            and image.get("dtype", "uint8") == "uint8"
        ):
            sizes = (None if size == "-1" else _number(path, size) for size in shape)
            return [Field(name, "image", sequence, encoding=encoding, shape=tuple(sizes))]
    raise MetadataError(path, f"a feature {name[:60]!a} of this kind ({kind[:80]!a}) is not known")


def _mapping(path: Path, value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MetadataError(path, f"{what} should be an object in braces")
    return value


def _list(path: Path, document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list):
        raise MetadataError(path, f"{name!r} should be a list")
    return value


def _text(path: Path, document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise MetadataError(path, f"{name!r} should be a text")
    return value


def _number(path: Path, value: Any) -> int:
    """Parses a number as protobuf's JSON writes it, in quotes."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        return int(value)
    raise MetadataError(path, f"expected a number in quotes, found {str(value)[:40]!a}")
