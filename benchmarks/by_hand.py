"""Measures what this package does by hand against the library that could do it.

    python benchmarks/by_hand.py [NAME ...]

The pages in `docs/decisions/` cite the figures. Times are seconds of processor time, so that other
work on the machine matters little.
"""

from __future__ import annotations

import collections
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MEASUREMENTS: dict[str, Callable[[Path], None]] = {}


def measurement(measure: Callable[[Path], None]) -> Callable[[Path], None]:
    MEASUREMENTS[measure.__name__] = measure
    return measure


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Processor time of one call, the best of some."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@measurement
def array_record(directory: Path) -> None:
    """What ArrayRecord's own reader does not notice of 3,000 flipped bytes."""
    from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

    def write(path: Path, records: list[bytes]) -> None:
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for record in records:
            writer.write(record)
        writer.close()

    def read(path: Path) -> str:
        try:
            reader = ArrayRecordReader(str(path))
            count = reader.num_records()
            by_turn = [reader.read() for _ in range(count)]
            by_number = [reader.read([number])[0] for number in range(count)]
        except (RuntimeError, ValueError, IndexError):
            return "refused"
        if count != len(records):
            return "another number of records"
        return "all records are right" if by_turn == by_number == records else "WRONG RECORDS"

    rng = random.Random(0)
    records = [rng.randbytes(rng.randrange(2_000, 20_000)) for _ in range(40)]
    path = directory / "a.array_record"
    write(path, records)
    whole = path.read_bytes()
    ends = (range(64), range(len(whole) - 70_000, len(whole)), range(len(whole)))
    outcomes: collections.Counter[str] = collections.Counter()
    for number in range(3_000):
        damaged = bytearray(whole)
        damaged[rng.choice(ends[number % 3])] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        outcomes[read(path)] += 1
    print(f"  {len(whole):,} bytes, flips at both ends and anywhere: {dict(outcomes)}")


def main() -> None:
    for name in sys.argv[1:] or MEASUREMENTS:
        measure = MEASUREMENTS[name]
        print(f"{name}: {(measure.__doc__ or '').strip()}", flush=True)
        with tempfile.TemporaryDirectory() as directory:
            measure(Path(directory))


if __name__ == "__main__":
    main()
