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
from imagenet_builders.write.laid_out import LaidOutFile
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.outputs.output import Written, WrittenFile
from imagenet_builders.write.unread import Unread, unread_image

if TYPE_CHECKING:
    from imagenet_builders.formats.tfrecord.example import FlatExample

_MODE, _OWNER = 0o444, "bigdata"  # Those of WebDataset.
_EXTENSIONS = {"jpeg": "jpg", "png": "png"}
_INDEX_VERSION = "v1.2"

# Where a header has the name, the size and the checksum; the size has eleven octal digits.
_NAME_BYTES, _SIZE_AT, _CHECKSUM_AT, _MAX_BYTES = 100, 124, 148, 8**11

# Three headers, a label and a description in a block each, and what fills the image's last one.
_BYTES_A_SAMPLE = 6 * tarfile.BLOCKSIZE
# In the description, a letter of the name may be `\\ud83d\\ude00`.
_LETTER_BYTES = 12
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
    with LaidOutFile(directory / shard) as file:
        samples = _Samples(subject, file)
        for example in examples:
            samples.write(example)
        end = 2 * tarfile.BLOCKSIZE
        end += -(samples.end + end) % tarfile.RECORDSIZE
        file.write([bytes(end)], end)
    count = len(samples.lines)
    lines = (f"{_INDEX_VERSION} {count}", *samples.lines)
    content = "".join(f"{line}\n" for line in lines).encode()
    index = shard.removesuffix(".tar") + ".idx"
    with NewFile(directory / index) as index_file:
        index_file.write([content], len(content))
    files = [
        WrittenFile(shard, file.size, file.crc32c),
        WrittenFile(index, index_file.size, index_file.crc32c),
    ]
    return Written.of_files(count, samples.size, files)


class _Samples:
    """The samples of a shard.

    Args:
        subject: The dataset.
        file: The shard.

    Attributes:
        lines: Those of the index, one for each sample.
        size: Bytes of all members.
        end: Bytes of the shard.
    """

    def __init__(self, subject: Subject, file: LaidOutFile):
        self._subject, self._file = subject, file
        self._stems = set[str]()
        self.lines: list[str] = []
        self.size = self.end = 0

    def write(self, example: FlatExample) -> None:
        """Writes the members of a sample, if its image is not left out."""
        image = unread_image(example)
        if image is not None:
            if self._put(example, image):
                return
            made = image.example()
            if made is None:
                return
            example = made
        sample = _Sample(self._subject, example)
        data = image_of(example)
        facts = facts_of(sample.name, data)
        extension, said = _EXTENSIONS[facts.format], sample.said(facts.width, facts.height)
        members = sorted({"cls": sample.label, extension: data, "json": said}.items())
        self._check_new(sample.stem)
        at, line = self.end, []
        for each, body in members:
            name = f"{sample.stem}.{each}"
            head, filled = _header(name, len(body)), -len(body) % tarfile.BLOCKSIZE
            self._file.write([head, body, bytes(filled)], len(head) + len(body) + filled)
            line.append(f"{each} {at + len(head)} {len(body)} {name}")
            at += len(head) + len(body) + filled
        self._add(line, at, sum(len(body) for _, body in members))

    def _put(self, example: FlatExample, image: Unread) -> bool:
        """Has an image read to where it is to lie, between the two other members of its sample."""
        try:
            sample = _Sample(self._subject, example)
            stem, size = sample.stem, image.size
            label, jpeg, json_name = f"{stem}.cls", f"{stem}.jpg", f"{stem}.json"
            before = _member(label, sample.label) + _header(jpeg, size)
        except SourceError:
            return False  # It is raised once it is known that the image is not left out.
        begin, end = len(before), len(before) + size
        filled = -size % tarfile.BLOCKSIZE
        room = self._file.room(end + filled + _BYTES_A_SAMPLE + _LETTER_BYTES * len(sample.name))
        sides = image.put(room[begin:end])
        if sides is None:
            return False
        said = sample.said(*sides)
        after = bytes(filled) + _member(json_name, said)
        self._check_new(stem)
        room[:begin] = before
        room[end : end + len(after)] = after
        self._file.add(end + len(after))
        at = self.end
        line = [
            f"cls {at + tarfile.BLOCKSIZE} {len(sample.label)} {label}",
            f"jpg {at + begin} {size} {jpeg}",
            f"json {at + end + filled + tarfile.BLOCKSIZE} {len(said)} {json_name}",
        ]
        self._add(line, at + end + len(after), len(sample.label) + size + len(said))
        return True

    def _check_new(self, stem: str) -> None:
        if stem in self._stems:
            raise SourceError(
                f"{self._subject.full_name}: two examples of a shard have the name {stem!r}, which "
                "readers of WebDataset would take for one; see what is in the source"
            )
        self._stems.add(stem)

    def _add(self, line: Sequence[str], end: int, size: int) -> None:
        self.lines.append(" ".join(line))
        self.end = end
        self.size += size


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


class _Sample:
    """What a sample says of its image.

    Attributes:
        name: The image's name.
        stem: What the names of its members have before their extensions.
        label: The member with the label.
    """

    def __init__(self, subject: Subject, example: FlatExample):
        self.name, self._number = subject.file_name(example), subject.label(example)
        self.label = str(self._number).encode()
        self.stem = os.path.splitext(self.name)[0]
        if "." in self.stem:
            raise SourceError(
                f"{self.name!r} has two points, by which WebDataset would take a part of it for an "
                "extension"
            )

    def said(self, width: int, height: int) -> bytes:
        """The member with the description."""
        said = {"label": self._number, "width": width, "height": height, "filename": self.name}
        return json.dumps(said).encode()


def _member(name: str, body: bytes) -> bytes:
    return _header(name, len(body)) + body + bytes(-len(body) % tarfile.BLOCKSIZE)


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
    unread=True,
)
"""WebDataset, as timm publishes it."""
