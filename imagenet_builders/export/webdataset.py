"""The form `webdataset`: shards of samples in tars, as `timm/imagenet-1k-wds` has them.

For an image `n01440764_18.JPEG` with the label 0, a shard has the members `n01440764_18.cls` (the
label), `.jpg`, and `.json` (label, width, height and file name), in this order. A shard is what
WebDataset's own writer makes of the same samples with a time of 0. PNG images are `.png`. Without a
label, the label is -1. Boxes have no place in this form.

Beside the shards lie `imagenet1k-train-0000.idx`, the index that DALI's `wds2idx` makes of a shard;
`_info.json`, which timm reads; and `sizes.json`, which open_clip reads.

Source: `wds/tfds_to_wds.py` of rwightman/imagenet-12k, which wrote the published shards; WebDataset
1.0, `writer.py`; DALI, `tools/wds2idx.py`, version v1.2; timm, `data/readers/reader_wds.py`;
open_clip, `open_clip_train/data.py`.
"""

from __future__ import annotations

import functools
import json
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.export.form import Exported, Form, Part, Subject, image_of
from imagenet_builders.export.pictures import facts_of
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.outputs.output import Written, WrittenFile

if TYPE_CHECKING:
    from imagenet_builders.formats.tfrecord.example import FlatExample

_MODE, _OWNER = 0o444, "bigdata"  # Those of WebDataset.
_EXTENSIONS = {"jpeg": "jpg", "png": "png"}
_INDEX_VERSION = "v1.2"

# Where a header has the name, the size and the checksum; the size has eleven octal digits.
_NAME_BYTES, _SIZE_AT, _CHECKSUM_AT, _MAX_BYTES = 100, 124, 148, 8**11

# Three headers, a label and a description in a block each, and what fills the image's last one.
_BYTES_A_SAMPLE = 6 * tarfile.BLOCKSIZE
# The index: three names, offsets and sizes.
_BYTES_A_LINE = 192


def write(
    subject: Subject, part: Part, directory: Path, examples: Iterable[FlatExample]
) -> Written:
    """Writes a shard and its index; see `Form.write`.

    Raises:
        SourceError: An example has no name, no image, or a label of no class.
        TargetError: A file cannot be written.
    """
    shard = _shard_name(subject, part.split, part.number, part.count)
    count = size = 0
    lines: list[str] = []
    stems = set[str]()
    with NewFile(directory / shard) as file:
        at = 0
        for example in examples:
            stem, members = _sample(subject, example)
            if stem in stems:
                raise SourceError(
                    f"{subject.full_name}: two examples of a shard have the name {stem!r}, which "
                    "readers of WebDataset would take for one; see what is in the source"
                )
            stems.add(stem)
            line = []
            for extension, body in members:
                name = f"{stem}.{extension}"
                filled = -len(body) % tarfile.BLOCKSIZE
                head = _header(name, len(body))
                file.write([head, body, bytes(filled)], len(head) + len(body) + filled)
                line.append(f"{extension} {at + len(head)} {len(body)} {name}")
                at += len(head) + len(body) + filled
                size += len(body)
            lines.append(" ".join(line))
            count += 1
        end = 2 * tarfile.BLOCKSIZE
        end += -(at + end) % tarfile.RECORDSIZE
        file.write([bytes(end)], end)
    content = "".join(f"{line}\n" for line in (f"{_INDEX_VERSION} {count}", *lines)).encode()
    index = shard.removesuffix(".tar") + ".idx"
    with NewFile(directory / index) as index_file:
        index_file.write([content], len(content))
    files = [
        WrittenFile(shard, file.size, file.crc32c),
        WrittenFile(index, index_file.size, index_file.crc32c),
    ]
    return Written.of_files(count, size, files)


def finish(exported: Exported) -> Mapping[str, bytes]:
    """What timm and open_clip read of all shards; see `Form.finish`."""
    subject = exported.subject
    splits, sizes = {}, dict[str, int]()
    for result in exported.results:
        count = len(result.shard_lengths)
        names = [_shard_name(subject, result.split, number, count) for number in range(count)]
        splits[result.split] = {
            "name": result.split,
            "filenames": names,
            "shard_lengths": list(result.shard_lengths),
            "num_samples": result.examples,
        }
        sizes.update(zip(names, result.shard_lengths, strict=True))
    info = {"name": subject.stem, "splits": splits}
    return {"_info.json": _json(info), "sizes.json": _json(sizes)}


def _sample(subject: Subject, example: FlatExample) -> tuple[str, Sequence[tuple[str, bytes]]]:
    """The name of a sample and its members, by their extensions."""
    name, label, image = subject.file_name(example), subject.label(example), image_of(example)
    facts = facts_of(name, image)
    extension = _EXTENSIONS[facts.format]
    said = {"label": label, "width": facts.width, "height": facts.height, "filename": name}
    members = {"cls": str(label).encode(), extension: image, "json": json.dumps(said).encode()}
    stem = os.path.splitext(name)[0]
    if "." in stem:
        raise SourceError(
            f"{name!r} has two points, by which WebDataset would take a part of it for an extension"
        )
    return stem, sorted(members.items())


def _header(name: str, size: int) -> bytes:
    """The header of a member.

    Those of all members differ in name, size and checksum only, so these are put into one that
    `tarfile` has made: that takes 2 µs and not 14, three times for each image.
    """
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) > _NAME_BYTES or size >= _MAX_BYTES:
        return _made_header(name, size)
    template, total = _template()
    digits = b"%011o" % size
    checksum = b"%06o" % (total + sum(encoded) + sum(digits))
    return b"".join(
        (
            encoded.ljust(_NAME_BYTES, b"\0"),
            template[_NAME_BYTES:_SIZE_AT],
            digits,
            template[_SIZE_AT + len(digits) : _CHECKSUM_AT],
            checksum,
            template[_CHECKSUM_AT + len(checksum) :],
        )
    )


@functools.cache
def _template() -> tuple[bytes, int]:
    """The header of a member without name and bytes, and its checksum without those of its size."""
    header = _made_header("", 0)
    return header, int(header[_CHECKSUM_AT : _CHECKSUM_AT + 6], 8) - sum(b"0" * 11)


def _made_header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.uname, member.gname = size, _MODE, _OWNER, _OWNER
    try:
        return member.tobuf(tarfile.USTAR_FORMAT)
    except ValueError as error:
        raise SourceError(f"{name!r} cannot be the name of a member of a tar: {error}") from None


def _shard_name(subject: Subject, split: str, number: int, count: int) -> str:
    return f"{subject.stem}-{split}-{number:0{len(str(count - 1))}}.tar"


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=4) + "\n").encode()


FORM = Form(
    name="webdataset",
    write=write,
    finish=finish,
    bytes_a_record=_BYTES_A_SAMPLE + _BYTES_A_LINE,
    grouped=True,
)
"""WebDataset, as timm publishes it."""
