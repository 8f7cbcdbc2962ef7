"""Measures what this package does by hand against the library that could do it.

    python benchmarks/by_hand.py [NAME ...]

The pages in `docs/decisions/` cite the figures. Times are of the processor, so that other work on
the machine matters little. `gzip_stream` and `squashfs` want the packages `rapidgzip` and
`PySquashfsImage`, which this project does not need.
"""

from __future__ import annotations

import collections
import io
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imagenet_builders.formats.tfrecord.example import FlatExample

Measurement = Callable[[Path], None]
MEASUREMENTS: dict[str, Measurement] = {}


def measurement(measure: Measurement) -> Measurement:
    MEASUREMENTS[measure.__name__] = measure
    return measure


def seconds(work: Callable[..., object], *arguments: Any, repeats: int = 3) -> float:
    """Processor time of one call, the best of some."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work(*arguments)
        times.append(time.process_time() - start)
    return min(times)


@measurement
def array_record_padding(directory: Path) -> None:
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


def photograph(seed: int, height: int = 375, width: int = 500) -> np.ndarray:
    """Noise with the spectrum of a photograph: uint8 of shape (height, width, 3)."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    strength = 1 / np.maximum(np.hypot(down, across), 1 / width)
    phases = rng.random((3, *strength.shape))
    planes = np.fft.irfft2(strength * np.exp(2j * np.pi * phases), s=(height, width))
    planes[1:] = planes[0] + 0.3 * planes[1:]
    planes *= 50 / planes.std(axis=(1, 2), keepdims=True)
    return np.clip(128 + planes, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def jpeg(seed: int, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photograph(seed)).save(stream, "JPEG", **({"quality": 92} | options))
    return stream.getvalue()


@measurement
def tar_headers(directory: Path) -> None:
    """Members of a pax archive, of which each has two headers, and of a plain one."""
    from imagenet_builders.formats import tar, tar_header

    count = 20_000
    for name, mtime in (("pax", 1350553049.123456), ("plain", 1350553049)):
        path = directory / f"{name}.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for number in range(count):
                info = tarfile.TarInfo(f"n01440764/n01440764_{number}.JPEG")
                info.size, info.mtime = 600, mtime
                archive.addfile(info, io.BytesIO(bytes(600)))

        def theirs(path: Path = path) -> int:
            with tarfile.open(path) as archive:
                return len(archive.getmembers())

        with open(path, "rb") as file:
            ours = seconds(lambda: sum(1 for _ in tar.walk(file.fileno(), "a.tar")))
        print(f"  {name}: ours {ours / count * 1e6:.1f} µs a member", end="")
        print(f", tarfile {seconds(theirs) / count * 1e6:.1f}")
    block = path.read_bytes()[:512]

    def by_hand() -> None:
        for _ in range(count):
            tar_header.has_right_checksum(block)
            tar_header.number(block[124:136])
            tar_header.text(block[:100])

    def frombuf() -> None:
        for _ in range(count):
            tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")

    print(f"  one header by hand: {seconds(by_hand) / count * 1e6:.1f} µs", end="")
    print(f", by TarInfo.frombuf: {seconds(frombuf) / count * 1e6:.1f} µs")


@measurement
def gzip_stream(directory: Path) -> None:
    """A gzip file of 300 MB of JPEGs: speed of one processor, and what damage does."""
    from isal import isal_zlib

    images = [jpeg(seed, quality=95) for seed in range(60)]
    rng = random.Random(0)
    plain = b"".join(rng.choice(images) for _ in range(300_000_000 // len(images[0])))
    path = directory / "a.tar.gz"
    # The program, as official archives were made; Python's zlib may store what does not shrink.
    path.write_bytes(subprocess.run(["gzip", "-6"], input=plain, stdout=-1, check=True).stdout)

    def by(library: Any) -> None:
        inflater = library.decompressobj(31)
        with open(path, "rb") as file:
            while data := file.read(1 << 20):
                while data:
                    inflater.decompress(data, 4 << 20)
                    data = inflater.unconsumed_tail

    for library in (zlib, isal_zlib):
        print(f"  {library.__name__}: {len(plain) / 1e6 / seconds(by, library):.0f} MB/s")
    import rapidgzip

    def rapid(processors: int) -> int:
        with rapidgzip.open(str(path), parallelization=processors) as file:
            return sum(map(len, iter(lambda: file.read(4 << 20), b"")))

    for processors in (1, 2, 16):
        speed = len(plain) / 1e6 / seconds(rapid, processors)
        print(f"  rapidgzip with {processors} threads: {speed:.0f} MB/s of processor time")
    plain = rng.randbytes(60_000_000)
    whole = subprocess.run(["gzip", "-6"], input=plain, stdout=-1, check=True).stdout
    kinds = {
        "cut in the middle": whole[: len(whole) // 2],
        "cut by 4 bytes": whole[:-4],
        "cut by 9 bytes": whole[:-9],
        "padded with zeros": whole + bytes(3000),
        "of another CRC": whole[:-8] + bytes(4) + whole[-4:],
    }
    for kind, data in kinds.items():
        path.write_bytes(data)
        try:
            outcome = f"{rapid(2):,} of {len(plain):,} bytes, no error"
        except (RuntimeError, ValueError) as error:
            outcome = f"{type(error).__name__}: {str(error)[:90]}"
        print(f"  rapidgzip, a file that is {kind}: {outcome}")


@measurement
def jpeg_headers(_: Path) -> None:
    """Headers of JPEGs: time, and verdicts on 6,000 damaged ones, TensorFlow's being the truth."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import simplejpeg
    import tensorflow as tf

    from imagenet_builders import images

    whole = jpeg(0)
    for name, look in (("ours", images.inspect), ("simplejpeg", simplejpeg.decode_jpeg_header)):
        time_ = seconds(lambda look=look: [look(whole) for _ in range(10_000)])
        print(f"  {name}: {time_ / 10_000 * 1e6:.1f} µs")

    def accepts(decode: Callable[[bytes], object]) -> Callable[[bytes], bool]:
        def verdict(data: bytes) -> bool:
            try:
                decode(data)
            except Exception:  # simplejpeg's is a KeyError now and then.
                return False
            return True

        return verdict

    theirs = accepts(tf.io.decode_jpeg)
    verdicts = {
        "ours": lambda data: images.inspect(data).problem is None and data[:2] == b"\xff\xd8",
        "simplejpeg, strict": accepts(simplejpeg.decode_jpeg_header),
        "simplejpeg": accepts(lambda data: simplejpeg.decode_jpeg_header(data, strict=False)),
    }
    rng = random.Random(0)
    small = Image.fromarray(photograph(1, 47, 63))
    sources = []
    for image, options in ((small, {}), (small.convert("L"), {}), (small, {"progressive": True})):
        stream = io.BytesIO()
        image.save(stream, "JPEG", **options)
        sources.append(stream.getvalue())
    wrong: dict[str, collections.Counter[str]] = {n: collections.Counter() for n in verdicts}
    for _number in range(6_000):
        data = bytearray(rng.choice(sources))
        end = data.index(b"\xff\xda") + 14
        for _flip in range(rng.choice((1, 1, 2))):
            data[rng.randrange(2, end)] = rng.randrange(256)
        for name, verdict in verdicts.items():
            taken, right = verdict(bytes(data)), theirs(bytes(data))
            if taken != right:
                wrong[name]["taken and not decoded" if taken else "refused and decoded"] += 1
    for name, counts in wrong.items():
        print(f"  {name}: {dict(counts)}")


@measurement
def record_writer(directory: Path) -> None:
    """Writes 2,000 examples of 100 kB."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import example_serializer

    from imagenet_builders.write.outputs import for_tfds

    image = random.Random(0).randbytes(100_000)
    features = tfds.features.FeaturesDict(
        {"file_name": tfds.features.Text(), "image": tfds.features.Image(), "label": np.int64}
    )
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    examples: list[FlatExample] = [
        {"file_name": f"{n}.JPEG", "image": image, "label": n} for n in range(2_000)
    ]

    def theirs() -> None:
        with tf.io.TFRecordWriter(str(directory / "theirs")) as writer:
            for example in examples:
                writer.write(serializer.serialize_example(example))

    def ours() -> None:
        for_tfds("tfrecord").write(directory / "ours", examples)

    for name, write in (("TFDS's serializer and TensorFlow's writer", theirs), ("ours", ours)):
        print(f"  {name}: {seconds(write) / 2_000 * 1e6:.0f} µs an example")


@measurement
def png_encoder(_: Path) -> None:
    """Encodes pictures of 32x32 and 64x64 pixels."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from imagenet_builders.formats import png

    for size in (32, 64):
        pictures = np.stack([photograph(seed, size, size) for seed in range(300)])
        planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        rows = png.block_rows(size)
        encoder = png.Encoder(rows, size, size)
        blocks = [planes[n : n + rows] for n in range(0, len(planes), rows)]

        def ours(encoder: png.Encoder = encoder, blocks: list[np.ndarray] = blocks) -> list[bytes]:
            return [data for block in blocks for data in encoder.encode_planes(block)]

        def pillow(pictures: np.ndarray = pictures) -> list[bytes]:
            found = []
            for picture in pictures:
                Image.fromarray(picture).save(stream := io.BytesIO(), "PNG")
                found.append(stream.getvalue())
            return found

        def tensorflow(pictures: np.ndarray = pictures) -> list[bytes]:
            return [tf.io.encode_png(picture).numpy() for picture in pictures]

        for encode in (ours, pillow, tensorflow):
            size_ = sum(map(len, encode())) / len(planes)
            time_ = seconds(encode) / len(planes) * 1e6
            print(
                f"  {size}x{size}, {encode.__name__}: {time_:.0f} µs, {size_:,.0f} bytes a picture"
            )


@measurement
def example_window(directory: Path) -> None:
    """Reads label and name out of 1,000 records of 100 kB, with and without the image."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from imagenet_builders.formats.tfrecord import frame
    from imagenet_builders.formats.tfrecord.example_values import Kind
    from imagenet_builders.formats.tfrecord.example_window import Features, Window
    from imagenet_builders.write.outputs import for_tfds

    path, image = directory / "a.tfrecord", random.Random(0).randbytes(100_000)
    examples: list[FlatExample] = [
        {"image": image, "label": n, "name": f"{n}.JPEG"} for n in range(1_000)
    ]
    for_tfds("tfrecord").write(path, examples)
    size = path.stat().st_size

    def ours() -> None:
        wanted = {b"image": Kind.PLACE, b"label": Kind.INTS, b"name": Kind.TEXT}
        features, at = Features(wanted, frozenset()), 0
        with open(path, "rb") as file:
            window = Window(file.fileno(), size)
            while at < size:
                begin = at + frame.HEAD_BYTES
                end = begin + frame.data_length(window.get(at, frame.HEAD_BYTES), size - at)
                features.read(window, begin, end)
                at = end + frame.TAIL_BYTES

    def protobuf() -> None:
        for record in tf.compat.v1.io.tf_record_iterator(str(path)):
            feature = tf.train.Example.FromString(record).features.feature
            assert all(feature[name] for name in ("label", "name", "image"))

    for read in (ours, protobuf):
        print(f"  {read.__name__}: {seconds(read) / 1_000 * 1e6:.0f} µs a record")


@measurement
def squashfs(directory: Path) -> None:
    """Lists an image of 3,000 files of 100 kB, and reads them; `mksquashfs` makes it."""
    from imagenet_builders.formats.squashfs.image import SquashFSImage

    tree, path = directory / "tree", directory / "a.squashfs"
    tree.mkdir()
    image = random.Random(0).randbytes(100_000)
    for number in range(3_000):
        (tree / f"n01440764_{number}.JPEG").write_bytes(image)
    subprocess.run(
        ["mksquashfs", tree, path, "-quiet", "-no-progress", "-no-duplicates"], check=True
    )

    def ours() -> None:
        with SquashFSImage(path) as opened:
            members = list(opened.members())
            assert sum(len(opened.read(m.reference, m.size)) for m in members) == 3_000 * len(image)

    print(f"  ours: {seconds(ours) / 3_000 * 1e6:.0f} µs a file")
    from PySquashfsImage import SquashFsImage

    def theirs() -> None:
        with SquashFsImage.from_file(str(path)) as opened:
            files = [file for file in opened if not file.is_dir]
            assert sum(len(file.read_bytes()) for file in files) == 3_000 * len(image)

    print(f"  PySquashfsImage (LGPL): {seconds(theirs) / 3_000 * 1e6:.0f} µs a file")


def main() -> None:
    for name in sys.argv[1:] or MEASUREMENTS:
        measure = MEASUREMENTS[name]
        print(f"{name}: {(measure.__doc__ or '').strip()}", flush=True)
        try:
            with tempfile.TemporaryDirectory() as directory:
                measure(Path(directory))
        except ImportError as error:
            print(f"  and no more: {error}")


if __name__ == "__main__":
    main()
