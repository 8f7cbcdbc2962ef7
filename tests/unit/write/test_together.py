"""The same examples written by several outputs at once; what ends one ends all."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from support import toy_output

from imagenet_builders.errors import TargetError
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.write.outputs import array_record, tfrecord
from imagenet_builders.write.outputs.output import Output, Written
from imagenet_builders.write.together import write_together

OUTPUTS = [tfrecord.OUTPUT, array_record.OUTPUT, toy_output.OUTPUT]


def examples(count: int) -> list[FlatExample]:
    return [{"image": bytes([number % 256]) * 1000, "label": number} for number in range(count)]


def places(directory: Path, outputs: list[Output]) -> list[tuple[Output, Path]]:
    return [(output, directory / output.name) for output in outputs]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 500])
def test_each_file_is_as_if_written_alone(tmp_path: Path, count: int) -> None:
    (tmp_path / "alone").mkdir()
    alone = [
        output.write(path, examples(count)) for output, path in places(tmp_path / "alone", OUTPUTS)
    ]
    made = []

    def once() -> Iterator[FlatExample]:
        for each in examples(count):
            made.append(each)
            yield each

    assert write_together(places(tmp_path, OUTPUTS), once()) == alone
    assert len(made) == count
    for output in OUTPUTS:
        assert (tmp_path / output.name).read_bytes() == (
            tmp_path / "alone" / output.name
        ).read_bytes()


@pytest.mark.parametrize("at", [0, 1, 100, 499])
def test_an_error_of_the_examples_is_the_error(tmp_path: Path, at: int) -> None:
    def bad() -> Iterator[FlatExample]:
        for number, each in enumerate(examples(500)):
            if number == at:
                raise ValueError("a bad image")
            yield each

    with pytest.raises(ValueError, match="a bad image"):
        write_together(places(tmp_path, OUTPUTS), bad())


def fails_at(number: int, output: Output) -> Output:
    """The same output on a disk that is full at some example."""

    def write(path: Path, examples: Iterable[FlatExample]) -> Written:
        def until() -> Iterator[FlatExample]:
            for at, each in enumerate(examples):
                if at == number:
                    raise TargetError(f"{path} cannot be written: No space left on device")
                yield each

        return output.write(path, until())

    return Output("full", "full", write, output.read)


@pytest.mark.parametrize("at", [0, 3, 100, 499])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_output_that_fails_ends_the_others(tmp_path: Path, which: int, at: int) -> None:
    outputs = [*OUTPUTS]
    outputs[which] = fails_at(at, outputs[which])
    made = []

    def counted() -> Iterator[FlatExample]:
        for each in examples(500):
            made.append(each)
            yield each

    with pytest.raises(TargetError, match="full cannot be written: No space left on device"):
        write_together(places(tmp_path, outputs), counted())
    assert len(made) <= at + 100
