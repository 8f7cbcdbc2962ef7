"""Writes the same examples by several outputs at once, so that each example is made once.

Most are written faster: `write.shard` has one output give its records to the other, where it can.

An output takes examples as it writes them. So the first one does in the thread that asks, and the
others in threads of their own, which are handed the examples over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING

from imagenet_builders.write.outputs.output import Output, Written

if TYPE_CHECKING:
    from imagenet_builders.formats.tfrecord.example import FlatExample

# Examples that are handed over at once, and how often an output may lie behind: some megabytes.
_BATCH = 8
_BEHIND = 4


class _Ended(Exception):  # noqa: N818  # It is no error of its own.
    """Nothing more is written, because something else went wrong."""


class _Other:
    """An output that writes in another thread."""

    def __init__(self, output: Output, path: Path, threads: ThreadPoolExecutor):
        self._queue: Queue[list[FlatExample] | _Ended | None] = Queue(_BEHIND)
        self._output, self._path = output, path
        self.written: Future[Written] = threads.submit(self._write)
        self.has_failed = False

    def put(self, batch: list[FlatExample] | _Ended | None) -> None:
        """Hands examples over; None and `_Ended` are the last."""
        self._queue.put(batch)

    def _write(self) -> Written:
        batches = self._batches()
        try:
            return self._output.write(self._path, (each for batch in batches for each in batch))
        except BaseException:
            self.has_failed = True
            raise
        finally:
            # Whoever hands over must not wait for one that does not write any more.
            try:
                for _ in batches:
                    pass
            except _Ended:
                pass

    def _batches(self) -> Iterator[list[FlatExample]]:
        while (batch := self._queue.get()) is not None:
            if isinstance(batch, _Ended):
                raise batch
            yield batch


def write_together(
    files: Sequence[tuple[Output, Path]], examples: Iterable[FlatExample]
) -> list[Written]:
    """Writes examples into several files.

    Args:
        files: How, and where; see `Output.write`.
        examples: The examples, in order.

    Returns:
        What was written, file by file.

    Raises:
        TargetError: A file cannot be written.
        Exception: What `examples` raises.
    """
    (output, path), *rest = files
    if not rest:
        return [output.write(path, examples)]
    with ThreadPoolExecutor(len(rest), thread_name_prefix="write-shards") as threads:
        others = [_Other(*each, threads) for each in rest]
        end: _Ended | None = _Ended()
        try:
            written = output.write(path, _handed_over(examples, others))
            end = None
        except _Ended:
            pass  # An output has failed, and says why below.
        finally:
            for other in others:
                other.put(end)
        errors = (other.written.exception() for other in others)
        for error in sorted(filter(None, errors), key=lambda error: isinstance(error, _Ended)):
            raise error
    return [written, *(other.written.result() for other in others)]


def _handed_over(examples: Iterable[FlatExample], others: list[_Other]) -> Iterator[FlatExample]:
    """Passes examples on, after the others have them."""
    batch: list[FlatExample] = []
    for example in examples:
        batch.append(example)
        if len(batch) >= _BATCH:
            _hand_over(batch, others)
            batch = []
        yield example
    _hand_over(batch, others)


def _hand_over(batch: list[FlatExample], others: list[_Other]) -> None:
    for other in others:
        if other.has_failed:
            raise _Ended
        other.put(batch)
