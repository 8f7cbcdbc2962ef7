"""Verifies one shard: the work of a worker process, without TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from typing import cast

import google_crc32c

from imagenet_builders.datasets.description import Dataset
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats.tfrecord.example import parse
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.run.jobs import Report
from imagenet_builders.verify.example import Finding, check_features, check_image, check_key
from imagenet_builders.verify.index_file import IndexFile, Places, check_index
from imagenet_builders.verify.metadata import Field
from imagenet_builders.verify.problems import Problem, Problems
from imagenet_builders.write.outputs.output import Output, Record, RecordFileError

_REPORT_EVERY = 8 << 20


@dataclasses.dataclass(frozen=True)
class VerifyJob:
    """One shard to verify.

    Attributes:
        dataset: The dataset, or None where it is not known.
        split: The split.
        number: The shard, counted from 0.
        path: The file.
        output: The output that wrote it.
        fields: The features of its examples.
        classes: The classes in the order of their labels.
        examples: Number of records that it should have.
        decode: Decode every pixel.
        file_crc: CRC-32C that the file should have, or None if that is not recorded.
        file_bytes: Bytes that it should have, or None if that is not recorded.
        index: The index beside it; None where there is none to verify.
    """

    dataset: Dataset | None
    split: str
    number: int
    path: str
    output: Output
    fields: tuple[Field, ...]
    classes: tuple[str, ...]
    examples: int
    decode: bool
    file_crc: int | None = None
    file_bytes: int | None = None
    index: IndexFile | None = None


@dataclasses.dataclass(frozen=True)
class VerifyResult:
    """What was found in a shard.

    Attributes:
        split: The split.
        number: The shard, counted from 0.
        examples: Records that were read.
        record_bytes: Bytes of these records.
        labels: Label to the number of examples that have it.
        first: Hash of the first key, or None where there is none.
        last: Hash of the last key, or None.
        problems: The first of the problems.
        problem_count: The number of all problems.
    """

    split: str
    number: int
    examples: int
    record_bytes: int
    labels: dict[int, int]
    first: bytes | None
    last: bytes | None
    problems: tuple[Problem, ...]
    problem_count: int


def verify_shard(job: VerifyJob, report: Report) -> VerifyResult:
    """Reads one shard and compares everything in it with what it should be.

    Args:
        job: The shard.
        report: Told of progress, in records and bytes.

    Returns:
        What was found; a file that cannot be read is a problem in it, not an error.
    """
    return _Shard(job, report).verified()


@contextlib.contextmanager
def held_open(path: str) -> Iterator[str]:
    """A path that leads to a regular file as it is now, whatever has its name meanwhile.

    Args:
        path: The file, or a link to it.

    Raises:
        OSError: It is something else, such as a FIFO, or cannot be opened.
    """
    fd = open_regular(path, follow=True)
    try:
        place = f"/proc/self/fd/{fd}"
        yield place if os.path.exists(place) else path
    finally:
        os.close(fd)


class _Shard:
    """A shard while it is verified."""

    def __init__(self, job: VerifyJob, report: Report):
        self.job, self.report = job, report
        self.problems = Problems()
        self.labels: Counter[int] = Counter()
        self.count = self.size = 0
        self.first: bytes | None = None
        self.last: bytes | None = None
        self.places = Places()
        self.dataset = job.dataset
        if self.dataset is not None:
            self.label_of = self.dataset.label_of(job.split, _ids(job.classes))
        self.salt = hashlib.md5(job.split.encode(), usedforsecurity=False)

    def verified(self) -> VerifyResult:
        job = self.job
        try:
            self._read()
        except RecordFileError as error:
            self._problem(Finding(error.what, error.expected, error.found), offset=error.offset)
        except OSError as error:
            self._problem(Finding(f"the file cannot be read: {error.strerror or error}"), None)
        else:
            if self.count != job.examples:
                self._problem(
                    Finding(
                        "the file has another number of records than dataset_info.json says",
                        f"{job.examples:,}",
                        f"{self.count:,}",
                    )
                )
            if job.index is not None:
                places = None if self.problems.count else self.places
                for problem in check_index(job.index, job.examples, places):
                    self.problems.add(problem)
        return VerifyResult(
            job.split,
            job.number,
            self.count,
            self.size,
            dict(self.labels),
            self.first,
            self.last,
            tuple(self.problems.kept),
            self.problems.count,
        )

    def _read(self) -> None:
        with held_open(self.job.path) as place:
            self._read_at(place)

    def _read_at(self, place: str) -> None:
        job = self.job
        size = os.stat(place).st_size
        if job.file_bytes is not None and size != job.file_bytes:
            self._problem(
                Finding(
                    "the file has another size than provenance.json says",
                    f"{job.file_bytes:,} bytes",
                    f"{size:,}",
                )
            )
        checksum = google_crc32c.Checksum()
        told = images = 0
        try:
            for record in job.output.read(place, None if job.file_crc is None else checksum):
                self._check(record)
                self.places.add(record)
                self.count += 1
                self.size += len(record.data)
                images += 1
                if self.size - told >= _REPORT_EVERY:
                    self.report(images, self.size - told)
                    told, images = self.size, 0
        finally:
            # With the frames of the records, and what cannot be read.
            self.report(images, max(0, size - told))
        crc = int.from_bytes(checksum.digest(), "big")
        if job.file_crc is not None and crc != job.file_crc:
            self._problem(
                Finding(
                    "the file is not the one that was built: it has another CRC-32C than "
                    "provenance.json says",
                    f"{job.file_crc:08x}",
                    f"{crc:08x}",
                )
            )

    def _check(self, record: Record) -> None:
        if record.damage is not None:
            damage = record.damage
            self._problem(Finding(damage.what, damage.expected, damage.found), record)
            return
        try:
            features = parse(record.data)
        except DamageError as error:
            self._problem(Finding(f"not an example: {error}"), record)
            return
        findings = list(check_features(features, self.job.fields, self.dataset, self.job.split))
        for finding in findings:
            self._problem(finding, record)
        if any(field.path not in features for field in self.job.fields):
            return
        label: int | None = None
        for field in self.job.fields:
            values = features[field.path].values
            if field.kind == "image" and field.sequence is None and _single(values, bytes):
                for finding in check_image(cast("bytes", values[0]), field, decode=self.job.decode):
                    self._problem(finding, record)
            if field.path == "label" and _single(values, int):
                label = cast("int", values[0])
                if -1 <= label < field.classes:
                    self.labels[label] += 1
        if self.dataset is None or self.dataset.key not in features:
            return
        keys = features[self.dataset.key].values
        if _single(keys, bytes):
            self._check_key(cast("bytes", keys[0]), label, self.dataset.key, record)

    def _check_key(self, key: bytes, label: int | None, feature: str, record: Record) -> None:
        for finding in check_key(key, label, feature, self.label_of):
            self._problem(finding, record)
        digest = self.salt.copy()
        digest.update(key)
        hashed = digest.digest()
        if self.first is None:
            self.first = hashed
        elif self.last is not None and hashed <= self.last:
            self._problem(out_of_order(key, hashed == self.last), record)
        self.last = hashed

    def _problem(
        self, finding: Finding, record: Record | None = None, offset: int | None = None
    ) -> None:
        self.problems.add(
            Problem(
                self.job.path,
                finding.what,
                None if record is None else self.count,
                offset if record is None else record.offset,
                finding.expected,
                finding.found,
                finding.advice,
            )
        )


def out_of_order(key: bytes, same: bool) -> Finding:
    """Describes a record whose key does not follow that of the record before it."""
    name = ascii(key[:60].decode("utf-8", "replace"))
    if same:
        return Finding(f"the key {name} is that of the record before, too; keys must be unique")
    return Finding(
        f"the record of the key {name} is not in its place: records are in the order of the MD5 "
        "of split and key"
    )


def _single(values: list[bytes] | list[float] | list[int], kind: type) -> bool:
    return len(values) == 1 and isinstance(values[0], kind)


@functools.lru_cache(maxsize=4)
def _ids(classes: tuple[str, ...]) -> dict[str, int]:
    return {wnid: label for label, wnid in enumerate(classes)}
