"""Times builds of imagenet2012_downsampled against TensorFlow Datasets' own `imagenet_resized`.

    python benchmarks/build_downsampled.py --images 100000 --size 64

Both get the same zips of npz files. TensorFlow Datasets downloads them by their addresses, so its
download is replaced here by one that hands out the local files; all else of it is as it is. Each
build is a process of its own, imports included, and they have their turns in each round.

The pictures are made up: opaque discs of power-law sizes on top of each other ("dead leaves", which
have the edges and the flat parts of photographs), with 1/f texture, reduced by a box filter from
four times the size, with a little noise. TensorFlow Datasets encodes them as 7,480 bytes at 64x64;
real ones take it 7,426 (measured elsewhere).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from harness import contestants, program
from harness.machine import describe_machine
from harness.measuring import Measured
from harness.page_cache import read_through

_PACKAGES = ("tensorflow-datasets", "tensorflow")
_POOL = 1000
_OVERSAMPLED = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; the exit status says whether all was built, not how fast."""
    arguments = _parse(argv)
    with program.work_place(arguments.work_dir, "build_downsampled") as work:
        manual = work / "manual"
        manual.mkdir()
        size, images = arguments.size, arguments.images
        paths = make_archives(manual, size, images, arguments.outer)
        total = sum(path.stat().st_size for path in paths)
        corpus = f"{', '.join(path.name for path in paths)}: {total / 1e9:.2f} GB"
        machine = {**describe_machine(work, _PACKAGES), "corpus": corpus}
        print(*machine.values(), sep="\n")
        print(f"{images:,} + {_validation(images):,} pictures of {size}x{size}", flush=True)
        sizes: dict[str, tuple[int, int]] = {}
        pictures = images + _validation(images)

        def run(name: str) -> Measured:
            for path in paths:
                read_through(path)
            measured, sizes[name] = _run(name, size, manual, work)
            program.say(name, measured, f"{pictures / measured.seconds:8,.0f} images/s")
            return measured

        names = ["stock", *(f"ours-{count}" for count in arguments.workers)]
        runs = program.run_in_turn(names, arguments.rounds, run)
    lines = list(_table(runs, sizes, pictures))
    seconds = program.seconds_of(runs)
    program.finish(lines, arguments.json, machine=machine, seconds=seconds, sizes=sizes)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = program.parser(__doc__, rounds=2)
    parser.add_argument("--images", type=int, default=100_000, help="train pictures")
    parser.add_argument("--size", type=int, default=64, choices=(8, 16, 32, 64))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument(
        "--outer",
        choices=("deflated", "stored"),
        default="deflated",
        help="how npz files are compressed in the zips (default: deflated)",
    )
    return parser.parse_args(argv)


def _validation(images: int) -> int:
    return max(1, images // 25)


def make_archives(directory: Path, size: int, images: int, outer: str) -> list[Path]:
    """Writes zips like the official ones: ten batches, stored arrays in the npz files."""
    pool = leaves(_POOL, size)
    rng = np.random.default_rng(0)
    method = zipfile.ZIP_DEFLATED if outer == "deflated" else zipfile.ZIP_STORED
    stems = {f"Imagenet{size}_train_npz": range(10)}
    if size == 64:
        stems = {
            "Imagenet64_train_part1_npz": range(5),
            "Imagenet64_train_part2_npz": range(5, 10),
        }
    paths = []
    for stem, batches in stems.items():
        paths.append(directory / f"{stem}.zip")
        with zipfile.ZipFile(paths[-1], "w", method, compresslevel=1) as archive:
            for batch in batches:
                count = (batch + 1) * images // 10 - batch * images // 10
                _add_npz(archive, f"train_data_batch_{batch + 1}.npz", pool, count, rng)
    paths.append(directory / f"Imagenet{size}_val_npz.zip")
    with zipfile.ZipFile(paths[-1], "w", method, compresslevel=1) as archive:
        _add_npz(archive, "val_data.npz", pool, _validation(images), rng)
    return paths


def _add_npz(
    archive: zipfile.ZipFile, name: str, pool: np.ndarray, count: int, rng: np.random.Generator
) -> None:
    """Adds a batch; each picture is one of the pool, mirrored and made a little lighter or not."""
    data = pool[rng.integers(len(pool), size=count)]
    mirrored = rng.random(count) < 0.5
    data[mirrored] = data[mirrored][..., ::-1]
    lighter = rng.integers(0, 24, size=count, dtype=np.uint8)[:, None, None, None]
    data = np.minimum(data, np.uint8(231)) + lighter
    arrays = {
        "data": data.reshape(count, -1),
        "labels": rng.integers(1, 1001, size=count),
        "mean": data.mean(axis=0).ravel(),
    }
    with tempfile.TemporaryFile() as file:
        np.savez(file, **arrays)
        file.seek(0)
        with archive.open(name, "w", force_zip64=True) as member:
            shutil.copyfileobj(file, member, 1 << 20)


def leaves(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Pictures with the statistics of photographs, uint8 of shape (count, 3, size, size)."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    large = size * _OVERSAMPLED
    frequency = np.hypot(np.fft.fftfreq(large)[:, None], np.fft.rfftfreq(large)[None, :])
    frequency[0, 0] = np.inf
    made = np.empty((count, 3, size, size), np.uint8)
    for number in range(count):
        ground = rng.uniform(40, 200, 3)
        image = Image.new("RGB", (large, large), tuple(map(int, ground)))
        canvas = ImageDraw.Draw(image)
        spread = rng.uniform(15, 60)
        for _ in range(int(60 * rng.uniform(0.2, 1.8))):
            radius = large * 0.03 / np.sqrt(1 - rng.uniform(0, 1 - (0.03 / 0.5) ** 2))
            x, y = rng.uniform(0, large, 2)
            flat = radius * rng.uniform(0.5, 1)
            color = ground + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
            box = (x - radius, y - flat, x + radius, y + flat)
            canvas.ellipse(box, fill=tuple(np.clip(color, 0, 255).astype(int).tolist()))
        phases = np.exp(1j * rng.uniform(0, 2 * np.pi, frequency.shape))
        texture = np.fft.irfft2(frequency**-1.2 * phases, s=(large, large))
        texture *= 10 * rng.uniform(0.3, 1.7) / texture.std()
        fine = np.asarray(image) + texture[..., None]
        shape = (size, _OVERSAMPLED, size, _OVERSAMPLED, 3)
        pixels = fine.reshape(shape).mean((1, 3))
        pixels += rng.normal(0, 1.5 * rng.uniform(), pixels.shape)
        made[number] = np.clip(np.rint(pixels), 0, 255).transpose(2, 0, 1)
    return made


def stock(size: str, manual: str, product: str) -> None:
    """TensorFlow Datasets' own builder, with the local zips for its downloads."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.datasets.imagenet_resized import imagenet_resized_dataset_builder

    def download(self: object, urls: list[str]) -> list[Path]:
        del self
        return [Path(manual, url.rpartition("/")[2]) for url in urls]

    tfds.download.DownloadManager.download = download
    builder = imagenet_resized_dataset_builder.Builder(
        data_dir=product, config=f"{size}x{size}", version="0.1.0"
    )
    builder.download_and_prepare(file_format="tfrecord")
    assert "imagenet_builders" not in sys.modules


def _run(name: str, size: int, manual: Path, work: Path) -> tuple[Measured, tuple[int, int]]:
    """One build: what it took, and its number of records and their bytes."""
    product, scratch = work / "product", work / "scratch"
    if name == "stock":
        command = [sys.executable, __file__, "--contestant", str(size), str(manual), str(product)]
    else:
        command = contestants.ours(
            f"imagenet2012_downsampled/{size}x{size}",
            manual=manual,
            product=product,
            scratch=scratch,
            workers=name.removeprefix("ours-"),
        )
    measured = program.measured_in(work, name, command)
    [info] = product.rglob("dataset_info.json")
    splits = json.loads(info.read_text())["splits"]
    records = sum(int(length) for split in splits for length in split["shardLengths"])
    files = sum(path.stat().st_size for path in info.parent.glob("*.tfrecord-*"))
    shutil.rmtree(product)
    shutil.rmtree(scratch, ignore_errors=True)
    return measured, (records, files)


def _table(
    runs: dict[str, list[Measured]], sizes: dict[str, tuple[int, int]], images: int
) -> Iterator[str]:
    assert len({records for records, _ in sizes.values()}) == 1, sizes
    yield "| | s | images/s | stock's s / s | CPU s | bytes an image | to stock's | peak MB |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, mine in runs.items():
        seconds = statistics.median(run.seconds for run in mine)
        ratios = (s.seconds / m.seconds for s, m in zip(runs["stock"], mine, strict=True))
        each = [sizes[which][1] / images for which in (name, "stock")]
        cpu = statistics.median(run.user_seconds + run.system_seconds for run in mine)
        peak = max(run.peak_bytes for run in mine) / 1e6
        yield (
            f"| {name} | {seconds:.1f} | {images / seconds:,.0f} | {statistics.median(ratios):.1f} "
            f"| {cpu:.1f} | {each[0]:,.0f} | {each[0] / each[1]:.3f} | {peak:,.0f} |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--contestant"]:
        stock(*sys.argv[2:])
        sys.exit()
    program.end(main, __file__)
