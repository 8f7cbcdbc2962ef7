"""Times readers of ImageNet: TensorFlow's, PyTorch's, JAX's, and our data source below them.

    pip install -e '.[benchmark]' torch torchvision grain datasets
    python benchmarks/read.py --work-dir /scratch/bench --rounds 3 --json read.json

All read the same photographs, turn by turn within each round; each is a process of its own.
README.md says what is measured and how to read the tables.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import program, readers
from harness.contestants import environment
from harness.errors import BenchmarkError
from harness.machine import busy_share, describe_machine
from harness.measuring import measure
from harness.page_cache import evict, read_through
from harness.reading_corpus import reading_corpus
from harness.rounds import TEMPERATURES, in_turn

PACKAGES = (
    *("tensorflow", "tensorflow-datasets", "array_record", "torch", "torchvision", "grain"),
    *("webdataset", "datasets", "simplejpeg", "pillow"),
)
RESIZED = (
    "tf.data, decode_and_crop",
    "tf.data, full decoding",
    *(f"tfrecord, DataLoader 0, {decoder}" for decoder in ("PIL", "torchvision.io", "simplejpeg")),
    "tfrecord, DataLoader 2, simplejpeg",
)
"""Those that read `resized/256`, too."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What one process took.

    Attributes:
        start: Seconds to the first batch, imports included; Python itself had been started.
        start_cpu: CPU seconds of the same.
        rate: Images a second, after the first batches.
        cpu_rate: Images a CPU second, of all its processes.
        peak_bytes: The most memory of all its processes together.
    """

    start: float
    start_cpu: float
    rate: float
    cpu_rate: float
    peak_bytes: int


Key = tuple[str, str, str]
"""Reader, images (`original`, `resized`, `many`), temperature."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; the exit status says whether all could read, not how fast."""
    arguments = _parse(argv)
    arguments.work_dir.mkdir(parents=True, exist_ok=True)
    corpus = reading_corpus(arguments.work_dir, arguments.images)
    sizes = [path.stat().st_size for path in (corpus / "imagefolder").rglob("*.JPEG")]
    what = f"{len(sizes):,} photographs, {statistics.mean(sizes) / 1e3:.0f} kB each"
    machine = {**describe_machine(corpus, PACKAGES), "corpus": what}
    print(*machine.values(), sep="\n", flush=True)
    chosen = [
        *((name, "original") for name in readers.READERS),
        *((name, "resized") for name in RESIZED),
        *((name, "many") for name in readers.MANY_SHARDS),
    ]
    chosen = [each for each in chosen if any(map(each[0].__contains__, arguments.only))]
    if not chosen:
        raise BenchmarkError(f"no reader has any of {', '.join(arguments.only)} in its name")
    runs: dict[Key, list[Run]] = {}
    busy = []
    for number in range(arguments.rounds):
        for temperature in arguments.temperatures:
            turn = in_turn([f"{name}/{images}" for name, images in chosen], number)
            for name, _, images in (each.rpartition("/") for each in turn):
                busy.append(busy_share())
                run = _run(corpus, name, images, temperature)
                runs.setdefault((name, images, temperature), []).append(run)
                _say(name, images, temperature, run, busy[-1])
    lines = [*_table(runs), "", f"Others used {statistics.median(busy):.0%} of the CPUs before."]
    lines += ["", *_wanted(runs)]
    if not arguments.no_promises:
        lines += ["", *_promises(corpus)]
    listed = [
        {"reader": key[0], "images": key[1], "temperature": key[2], **dataclasses.asdict(run)}
        for key, mine in runs.items()
        for run in mine
    ]
    program.finish(lines, arguments.json, machine=machine, runs=listed)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = program.parser(__doc__, rounds=2, work_dir=Path("bench"))
    parser.add_argument("--images", type=int, default=2000, help="photographs that are read")
    parser.add_argument("--temperatures", nargs="+", choices=TEMPERATURES, default=TEMPERATURES)
    parser.add_argument("--only", nargs="+", default=[""], help="those with this in their names")
    parser.add_argument("--no-promises", action="store_true", help="only what takes time")
    return parser.parse_args(argv)


def _run(corpus: Path, name: str, images: str, temperature: str) -> Run:
    """One reader's turn."""
    where = corpus / "many" if images == "many" else corpus
    for path in where.rglob("*"):
        if path.is_file():
            (evict if temperature == "cold" else read_through)(path)
    return _measured(where, name, "original" if images == "many" else images)


def _measured(corpus: Path, name: str, images: str) -> Run:
    log = corpus.parent / "reader.log"
    found = measure(
        name,
        [sys.executable, __file__, "--reader", name, str(corpus), images],
        log=log,
        cwd=corpus,
        environment={
            **environment(),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "XDG_CACHE_HOME": str(corpus / "cache"),
        },
    )
    lines = log.read_text(errors="replace").splitlines()
    [result] = [line for line in lines if line.startswith(readers.RESULT)]
    said = json.loads(result.removeprefix(readers.RESULT))
    return Run(
        start=said["start"],
        start_cpu=said["start_cpu"],
        rate=said["images"] / said["seconds"],
        cpu_rate=said["images"] / said["cpu"],
        peak_bytes=found.peak_bytes,
    )


def _say(name: str, images: str, temperature: str, run: Run, busy: float) -> None:
    print(
        f"{temperature} {name}, {images}: {run.rate:,.0f} images/s, {run.cpu_rate:,.0f} a CPU s; "
        f"start {run.start:.2f} s ({run.start_cpu:.2f} CPU), peak {run.peak_bytes / 1e6:,.0f} MB; "
        f"others used {busy:.0%} of the CPUs before",
        file=sys.stderr,
        flush=True,
    )


def _median(runs: dict[Key, list[Run]], key: Key, field: str) -> float | None:
    return statistics.median(getattr(run, field) for run in runs[key]) if key in runs else None


def _table(runs: dict[Key, list[Run]]) -> Iterator[str]:
    yield (
        "| reader | images | images/CPU s: warm, cold | images/s: warm, cold "
        "| start s: warm, cold | start CPU s | peak MB |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, images in dict.fromkeys((name, images) for name, images, _ in runs):
        cells = []
        for field, form in (("cpu_rate", ",.0f"), ("rate", ",.0f"), ("start", ".2f")):
            found = [_median(runs, (name, images, each), field) for each in ("warm", "cold")]
            cells.append(", ".join("-" if each is None else f"{each:{form}}" for each in found))
        mine = [run for key, each in runs.items() if key[:2] == (name, images) for run in each]
        cells.append(f"{statistics.median(run.start_cpu for run in mine):.2f}")
        cells.append(f"{max(run.peak_bytes for run in mine) / 1e6:,.0f}")
        yield f"| {name} | {images} | {' | '.join(cells)} |"


# What is wanted: a sentence, two readers with their images, what is compared, and the least ratio.
_RATIOS = (
    (
        "our tfrecord to TFDS's array_record, not decoded",
        ("tfrecord, not decoded", "original"),
        ("TFDS's array_record, not decoded", "original"),
        ("cpu_rate", 1.0),
    ),
    (
        "our array_record to TFDS's, not decoded",
        ("array_record, not decoded", "original"),
        ("TFDS's array_record, not decoded", "original"),
        ("cpu_rate", 1.0),
    ),
    *(
        (
            f"start with 1,024 shards: TFDS's array_record to our {name}",
            ("TFDS's array_record, 1,024 shards", "many"),
            (f"{name}, 1,024 shards", "many"),
            ("start_cpu", 2.0),
        )
        for name in ("tfrecord", "array_record")
    ),
    (
        "tar in place to tfrecord, not decoded",
        ("tar in place, not decoded", "original"),
        ("tfrecord, not decoded", "original"),
        ("cpu_rate", 0.9),
    ),
    (
        "tar in place to tfrecord, decoded",
        ("tar in place, DataLoader 0, simplejpeg", "original"),
        ("tfrecord, DataLoader 0, simplejpeg", "original"),
        ("cpu_rate", 0.9),
    ),
    *(
        (
            f"resized/256 to originals, {name}",
            (name, "resized"),
            (name, "original"),
            ("cpu_rate", 2.0),
        )
        for name in RESIZED
    ),
    (
        "ours with simplejpeg to ImageFolder with PIL, in this process",
        ("tfrecord, DataLoader 0, simplejpeg", "original"),
        ("ImageFolder, DataLoader 0, PIL", "original"),
        ("cpu_rate", 1.5),
    ),
    (
        "ours with simplejpeg to ImageFolder with PIL, two workers",
        ("tfrecord, DataLoader 2, simplejpeg", "original"),
        ("ImageFolder, DataLoader 2, PIL", "original"),
        ("cpu_rate", 1.5),
    ),
)


def _wanted(runs: dict[Key, list[Run]]) -> Iterator[str]:
    yield "| ratio, of medians, warm | wanted | found |"
    yield "|---|---|---|"
    for sentence, first, second, (field, least) in _RATIOS:
        one = _median(runs, (*first, "warm"), field)
        other = _median(runs, (*second, "warm"), field)
        if one is not None and other is not None:
            yield f"| {sentence} | {least} | {one / other:.2f} |"


def _promises(corpus: Path) -> Iterator[str]:
    yield "| what must work | found |"
    yield "|---|---|"
    for name in readers.PROMISES:
        where = corpus / "many" if "descriptors" in name else corpus
        try:
            _measured(where, name, "original")
            found = "works"
        except BenchmarkError as error:
            found = " ".join(str(error).split())[-160:]
        yield f"| {name} | {found} |"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--reader"]:
        readers.main(sys.argv[2:])
        sys.exit()
    program.end(main, __file__)
