"""Shards whose images are read to where they lie are those that are made with care."""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from makers import pictures
from support.image_tables import table_of

from imagenet_builders.datasets.ilsvrc2012.examples import make_boxed_examples, make_examples
from imagenet_builders.errors import BadImageError, ImagenetBuildersError, SourceError
from imagenet_builders.plan.recipe import ImagePolicy, MakeExamples, Note
from imagenet_builders.sources.reader import RANGES, Access, Reader
from imagenet_builders.sources.rows import MAX_IMAGE_BYTES, SourceFile
from imagenet_builders.write import image_rows
from imagenet_builders.write.image_rows import RowExamples
from imagenet_builders.write.outputs import array_record, tfrecord
from imagenet_builders.write.outputs.output import Output, Written

PICTURE = pictures.draw("tench", key="n01440764_1.JPEG")
PLAIN = pictures.jpeg(PICTURE)
SOUND = {
    "plain": PLAIN,
    "another": pictures.jpeg(PICTURE, quality=97),
    "grey": pictures.jpeg(PICTURE, grey=True),
    "progressive": pictures.jpeg(PICTURE, progressive=True),
    "larger than the buffer": PLAIN[:-2] + bytes(5 << 18) + PLAIN[-2:],
}
REPAIRED = {"CMYK": pictures.cmyk_jpeg(PICTURE), "PNG": pictures.png(PICTURE)}
BAD = {"empty": b"", "cut off": PLAIN[:-100], "zeros": bytes(900), "text": b"not found\n" * 9}
OUTPUTS = (tfrecord.OUTPUT, array_record.OUTPUT)
COPYING = Access(RANGES.read, RANGES.ranges)
"""How rows are read by a kind that has no way of its own to fill a buffer."""

Outcome = tuple[Written, bytes] | ImagenetBuildersError


class Both:
    """A shard of some images, made in both ways."""

    def __init__(
        self,
        directory: Path,
        images: Sequence[bytes],
        *,
        skip: bool = False,
        output: Output = tfrecord.OUTPUT,
    ):
        self.output = output
        self.path = directory / "images"
        self.path.write_bytes(b"-".join(images))
        self.table = table_of(images)
        self.file = SourceFile.of(self.path)
        self.policy = ImagePolicy("skip" if skip else "fail")
        self.notes: list[Note] = []
        self.target = directory / "shard"

    def with_care(self, examples: MakeExamples = make_examples) -> Outcome:
        self.notes = []
        with Reader([self.file]) as reader:
            made = (each for _, each in examples(self.table, reader, self.policy, self.notes))
            try:
                written = self.output.write(self.target, made)
            except ImagenetBuildersError as error:
                return error
        return written, self.target.read_bytes()

    def fast(self, examples: MakeExamples = make_examples, *, access: Access = RANGES) -> Outcome:
        self.notes, self.told = [], 0
        assert self.output.write_images is not None
        with Reader([self.file], access) as reader:
            try:
                ways = RowExamples.of(examples)
                assert ways is not None
                given = self.table, reader, self.policy, self.notes, self._tell
                rows = ways.image_rows(*given)
                written = self.output.write_images(self.target, rows, ())
            except ImagenetBuildersError as error:
                return error
        return written, self.target.read_bytes()

    def _tell(self) -> None:
        self.told += 1


@pytest.mark.parametrize("access", [RANGES, COPYING], ids=["of its own", "copied"])
@pytest.mark.parametrize("examples", [make_examples, make_boxed_examples], ids=["plain", "boxed"])
@pytest.mark.parametrize(
    "output", [tfrecord.OUTPUT, array_record.OUTPUT], ids=lambda each: each.name
)
def test_sound_repaired_and_skipped_images_give_the_same_bytes(
    tmp_path: Path, access: Access, examples: MakeExamples, output: Output
) -> None:
    images = [*SOUND.values(), *REPAIRED.values(), *BAD.values()] * 3
    random.Random(2).shuffle(images)
    both = Both(tmp_path, images, skip=True, output=output)
    expected = both.with_care(examples)
    notes = both.notes
    assert not isinstance(expected, ImagenetBuildersError)
    assert both.fast(examples, access=access) == expected
    assert both.notes == notes
    assert len(notes) == 3 * (len(REPAIRED) + len(BAD))
    assert both.told == len(images)


def test_the_records_of_one_output_are_written_by_another_too(tmp_path: Path) -> None:
    images = [*SOUND.values(), *REPAIRED.values(), *BAD.values()] * 2
    both = Both(tmp_path, images, skip=True, output=array_record.OUTPUT)
    expected = both.with_care()
    examples, write = RowExamples.of(make_examples), tfrecord.OUTPUT.write_images
    assert examples is not None
    assert write is not None
    assert array_record.OUTPUT.writer is not None
    other = tmp_path / "other"
    with Reader([both.file]) as reader, array_record.OUTPUT.writer(other) as writer:
        rows = examples.image_rows(both.table, reader, both.policy, [], lambda: None)
        leading = write(both.target, rows, [writer])
    assert (writer.written(), other.read_bytes()) == expected
    by_itself = Both(tmp_path, images, skip=True).fast()
    assert (leading, both.target.read_bytes()) == by_itself


def test_many_small_images_fill_the_buffer_again_and_again(tmp_path: Path) -> None:
    both = Both(tmp_path, [PLAIN] * (3 * (1 << 20) // len(PLAIN)))
    assert both.fast() == both.with_care()


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda each: each.name)
def test_what_surrounds_images_is_made_for_some_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    images = [*SOUND.values(), *REPAIRED.values()] * 3
    both = Both(tmp_path, images, output=output)
    expected = both.with_care(make_boxed_examples)
    for rows in (1, 4, len(images) - 1, len(images)):
        monkeypatch.setattr(image_rows, "_ROWS_AT_A_TIME", rows)
        assert both.fast(make_boxed_examples) == expected


def test_memory_does_not_grow_with_the_rows_of_a_shard(tmp_path: Path) -> None:
    both = Both(tmp_path, [PLAIN])
    examples = RowExamples.of(make_boxed_examples)
    assert examples is not None
    peaks = []
    for times in (1 << 13, 1 << 15):
        table = pa.concat_tables([both.table] * times).combine_chunks()
        with Reader([both.file]) as reader:
            rows = examples.image_rows(table, reader, both.policy, [], lambda: None)
            tracemalloc.start()
            try:
                assert sum(1 for _ in rows.surroundings()) == times
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_what_is_read_and_written_in_small_pieces_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As network file systems may do it."""
    both = Both(tmp_path, [*SOUND.values()] * 2)
    expected = both.with_care()
    preadv, writev = os.preadv, os.writev
    with monkeypatch.context() as patched:
        patched.setattr(
            os, "preadv", lambda fd, buffers, offset: preadv(fd, [buffers[0][:70_001]], offset)
        )
        patched.setattr(
            os, "writev", lambda fd, buffers: writev(fd, [memoryview(buffers[0])[:80_003]])
        )
        assert both.fast() == expected


def test_no_rows_give_an_empty_file(tmp_path: Path) -> None:
    both = Both(tmp_path, [])
    assert both.fast() == both.with_care()


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_the_first_bad_image_is_the_error(tmp_path: Path, bad: bytes) -> None:
    both = Both(tmp_path, [PLAIN, *REPAIRED.values(), bad, PLAIN, b""])
    expected, found = both.with_care(), both.fast()
    assert isinstance(expected, BadImageError)
    assert isinstance(found, BadImageError)
    assert str(found) == str(expected)
    assert [note.action for note in both.notes] == ["repaired"] * len(REPAIRED)


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    both = Both(tmp_path, [PLAIN, PLAIN])
    with open(both.path, "r+b") as file:
        file.truncate(2 * len(PLAIN) - 100)
    # As if it happened after the file was opened.
    both.file = SourceFile.of(both.path)
    expected, found = both.with_care(), both.fast()
    assert isinstance(expected, SourceError)
    assert str(found) == str(expected)
    assert f"only {len(PLAIN) - 101:,} are there" in str(found)


def test_what_claims_to_be_too_large_takes_no_memory(tmp_path: Path) -> None:
    both = Both(tmp_path, [PLAIN])
    sizes = pa.array([MAX_IMAGE_BYTES + 1], pa.int64())
    both.table = both.table.set_column(4, "size", sizes)
    expected, found = both.with_care(), both.fast()
    assert isinstance(expected, SourceError)
    assert str(found) == str(expected)
