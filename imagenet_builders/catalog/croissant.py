"""`croissant.json`: a dataset in the words of Croissant 1.1, which search engines and tools read.

`mlcroissant` validates it, and reads its records of classes and splits, and of an export in which
each image is a file. TFRecord and ArrayRecord it does not read, nor, in version 1.1.1, Parquet in a
local directory (only in a repository), so there the fields of examples are described only.

A checksum in Croissant is MD5 or SHA-256. Small files have theirs. To compute it of the shards is
to read all of the dataset; their CRC-32C are in `provenance.json`, whose SHA-256 stands for the
directory.

Source: http://mlcommons.org/croissant/1.1, and mlcroissant 1.1.1.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from imagenet_builders.catalog.model import Entry
from imagenet_builders.words import counted

CLASSES = "classes.csv"
"""The file with the classes, beside the document."""

DOCUMENT = "croissant.json"

_CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_DIRECTORY = "directory"

# What the specification, and mlcroissant, want it to be.
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclasses.dataclass(frozen=True)
class SmallFile:
    """A file of a dataset whose SHA-256 is known.

    Attributes:
        name: Its path in the directory of the dataset.
        sha256: The hash, in hexadecimal.
        size: Its bytes.
    """

    name: str
    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class FileSet:
    """Files that are alike.

    Attributes:
        name: What they are called here.
        includes: Patterns of their paths in the directory of the dataset.
        encoding: Their MIME type.
        columns: Field of an example to its column; empty where nothing tells the one from the
            other.
        is_images: Whether each file is an image.
        class_of: A regular expression whose first group is the class of an image, in its path.
    """

    name: str
    includes: tuple[str, ...]
    encoding: str
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_images: bool = False
    class_of: str | None = None


@dataclasses.dataclass(frozen=True)
class Files:
    """The files of a dataset.

    Attributes:
        directory_sha256: The SHA-256 of the file that has the checksums of the others, or, without
            one, of its metadata.
        small: Metadata.
        sets: Shards, or images.
    """

    directory_sha256: str
    small: tuple[SmallFile, ...]
    sets: tuple[FileSet, ...]


def classes_csv(entry: Entry) -> bytes:
    """The table of the classes: label, wnid, words, and the number in each label space."""
    spaces = list(dict.fromkeys(space for row in entry.classes for space in row.ids))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "name", "words", *(f"id_in_{space}" for space in spaces)])
    for row in entry.classes:
        ids = (row.ids.get(space, "") for space in spaces)
        writer.writerow([row.label, row.wnid, row.words, *ids])
    return text.getvalue().encode(errors="backslashreplace")


def document(entry: Entry, files: Files, classes_sha256: str | None) -> dict[str, Any]:
    """A dataset as Croissant has it.

    Args:
        entry: The dataset.
        files: Its files.
        classes_sha256: The hash of the table of its classes; None without one.
    """
    found: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": entry.slug,
        "alternateName": entry.full_name,
        "description": entry.description or entry.full_name,
        "conformsTo": _CONFORMS_TO,
        "version": entry.version,
        "distribution": list(_distribution(entry, files, classes_sha256)),
        "recordSet": list(_record_sets(entry, files, classes_sha256)),
    }
    if entry.citation:
        found["citeAs"] = entry.citation
    if entry.homepage:
        found["url"] = entry.homepage
    if entry.terms is not None:
        found["license"] = entry.terms.url or entry.terms.text
    if entry.built_at:
        found["datePublished"] = entry.built_at
    if entry.terms is not None and entry.terms.are_of_imagenet:
        found["creator"] = {
            "@type": "sc:Organization",
            "name": "ImageNet",
            "url": "https://image-net.org",
        }
    return found


def text_of(made: Mapping[str, Any]) -> bytes:
    """The file of a document."""
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")


def embedded(made: Mapping[str, Any]) -> str:
    r"""A document for a `<script type="application/ld+json">`, where nothing in it ends that.

    >>> embedded({"name": "</script>&"})
    '{"name": "\\u003c/script\\u003e\\u0026"}'
    """
    text = json.dumps(made)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _distribution(entry: Entry, files: Files, classes_sha256: str | None) -> list[dict[str, Any]]:
    found = [_directory(_DIRECTORY, entry, files)]
    if classes_sha256 is not None:
        found.append(
            {
                "@type": "cr:FileObject",
                "@id": CLASSES,
                "name": CLASSES,
                "contentUrl": CLASSES,
                "encodingFormat": "text/csv",
                "sha256": classes_sha256,
            }
        )
    for file in files.small:
        found.append(
            {
                "@type": "cr:FileObject",
                "@id": file.name,
                "name": file.name,
                "contentUrl": f"{entry.path}/{file.name}",
                "contentSize": f"{file.size} B",
                "encodingFormat": "application/json"
                if file.name.endswith(".json")
                else ("text/plain"),
                "sha256": file.sha256,
            }
        )
    for each in files.sets:
        # mlcroissant 1.1.1 reads no more than one set of files of a container.
        container = f"{each.name}_{_DIRECTORY}"
        found.append(_directory(container, entry, files))
        found.append(
            {
                "@type": "cr:FileSet",
                "@id": each.name,
                "name": each.name,
                "containedIn": {"@id": container},
                "encodingFormat": each.encoding,
                "includes": list(each.includes),
            }
        )
    return found


def _directory(name: str, entry: Entry, files: Files) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": "The directory of the dataset. Its SHA-256 is that of provenance.json, "
        "which has the checksums of all other files; without that, of dataset_info.json.",
        "contentUrl": entry.path,
        "contentSize": f"{entry.size} B",
        "encodingFormat": "inode/directory",
        "sha256": files.directory_sha256,
    }


def _record_sets(entry: Entry, files: Files, classes_sha256: str | None) -> list[dict[str, Any]]:
    found = []
    if classes_sha256 is not None:
        said = counted(len(entry.classes), "class", "classes")
        columns = {"label": "sc:Integer", "name": "sc:Text", "words": "sc:Text"}
        source = {"fileObject": {"@id": CLASSES}}
        found.append(
            {
                "@type": "cr:RecordSet",
                "@id": "classes",
                "name": "classes",
                "description": f"The {said}, in the order of their labels.",
                "key": {"@id": "classes/label"},
                "field": [
                    _field("classes", name, kind, source, {"column": name})
                    for name, kind in columns.items()
                ],
            }
        )
    if entry.splits:
        found.append(
            {
                "@type": "cr:RecordSet",
                "@id": "splits",
                "name": "splits",
                "description": "The splits and the numbers of their examples.",
                "dataType": "cr:Split",
                "key": {"@id": "splits/name"},
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"splits/{name}",
                        "name": name,
                        "dataType": kind,
                    }
                    for name, kind in (("name", "sc:Text"), ("examples", "sc:Integer"))
                ],
                "data": [
                    {"splits/name": split.name, "splits/examples": split.examples}
                    for split in entry.splits
                ],
            }
        )
    for each in files.sets:
        fields = _image_fields(each) if each.is_images else _columns(each, classes_sha256)
        if fields:
            found.append(
                {
                    "@type": "cr:RecordSet",
                    "@id": f"{each.name}_records",
                    "name": f"{each.name}_records",
                    "field": fields,
                }
            )
    return found


_KINDS = {
    "image": "sc:ImageObject",
    "label": "sc:Integer",
    "boxes": "cr:BoundingBox",
    "text": "sc:Text",
}


def _columns(files: FileSet, classes_sha256: str | None) -> list[dict[str, Any]]:
    """The fields of examples in shards: column to kind."""
    source = {"fileSet": {"@id": files.name}}
    fields = []
    for column, kind in files.columns.items():
        field = _field(f"{files.name}_records", column, _KINDS[kind], source, {"column": column})
        if kind == "label" and classes_sha256 is not None:
            field["references"] = {"field": {"@id": "classes/label"}}
        if kind == "boxes":
            field |= {"isArray": True, "arrayShape": "-1,4"}
        fields.append(field)
    return fields


def _image_fields(files: FileSet) -> list[dict[str, Any]]:
    """The fields of images that are files: picture, name, and the class by the directory."""
    source = {"fileSet": {"@id": files.name}}
    where = f"{files.name}_records"
    fields = [
        _field(where, "image", "sc:ImageObject", source, {"fileProperty": "content"}),
        _field(where, "file_name", "sc:Text", source, {"fileProperty": "filename"}),
    ]
    if files.class_of is not None:
        field = _field(where, "class", "sc:Text", source, {"fileProperty": "fullpath"})
        field["source"]["transform"] = {"regex": files.class_of}
        fields.append(field)
    return fields


def _field(
    where: str,
    name: str,
    kind: str,
    source: Mapping[str, Any],
    extract: Mapping[str, Sequence[str] | str],
) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{where}/{name}",
        "name": name,
        "dataType": kind,
        "source": {**source, "extract": dict(extract)},
    }
