"""Readers of ImageNet, each as the number of images in batch after batch of one pass over train.

A training's work for each image is to decode it and to cut a random part of it, which becomes
224 x 224 pixels (`RandomResizedCrop`); a reader that does not decode gives the bytes of the files.
Where a library says what to use, that is used.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import random
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.reading_corpus import DATASETS

BATCH = 32
CROP = 224
WARM_UP = 4
"""Batches before the clock is started: those that workers have made while others were."""

PASSES = 8
"""How often those read the corpus that do not decode, and are so fast."""

Batches = Iterable[int]
"""Number of images of each batch."""

Source = Callable[[Path, str], Any]
"""Opens a sequence of examples."""

Open = Callable[[Path, str], Batches]
"""Makes batches of what is in the directory of a corpus: of its `original` or `resized` images."""


def tf_data(how: str, corpus: Path, images: str) -> Batches:
    """TensorFlow's pipeline over TFRecord by stock TFDS: `raw`, `crop` or `full` decoding."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(corpus / "tfrecord" / DATASETS[images])
    decoders = None if how == "full" else {"image": tfds.decode.SkipDecoding()}
    examples = builder.as_dataset(split="train", decoders=decoders, shuffle_files=True)

    def cropped(example: Any) -> tuple[Any, Any]:
        image = example["image"]
        shape = tf.shape(image) if how == "full" else tf.io.extract_jpeg_shape(image)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            shape,
            tf.zeros((1, 0, 4)),
            area_range=(0.08, 1),
            min_object_covered=0,
            use_image_if_no_bounding_boxes=True,
        )
        if how == "full":
            part = tf.slice(image, begin, size)
        else:
            window = tf.concat([begin[:2], size[:2]], 0)
            part = tf.image.decode_and_crop_jpeg(image, window, channels=3)
        return tf.image.resize(part, (CROP, CROP)), example["label"]

    if how == "raw":
        examples = examples.map(lambda each: (each["image"], each["label"])).repeat(PASSES)
    else:
        examples = examples.map(cropped, num_parallel_calls=tf.data.AUTOTUNE)
    batches = examples.batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return (len(labels) for _, labels in batches.as_numpy_iterator())


def of_records(file_format: str, decode: bool, corpus: Path, images: str) -> Any:
    """Our data source over what was built."""
    from imagenet_builders import reading

    name = DATASETS[images].rpartition("/")[0]
    return reading.data_source(name, "train", data_dir=corpus / file_format, decode=decode)


def in_place(decode: bool, corpus: Path, images: str) -> Any:
    """Our data source over the archives."""
    from imagenet_builders import reading

    del images
    return reading.data_source("imagenet2012", "train", manual_dir=corpus / "staged", decode=decode)


def of_tfds(decode: bool, corpus: Path, images: str) -> Any:
    """The data source of TFDS over ArrayRecord."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(corpus / "array_record" / DATASETS[images])
    decoders = None if decode else {"image": tfds.decode.SkipDecoding()}
    return builder.as_data_source("train", decoders=decoders)


def of_hugging_face(decode: bool, corpus: Path, images: str) -> Any:
    """The Arrow files of Hugging Face, mapped into memory."""
    import datasets

    del images
    split = datasets.load_from_disk(str(corpus / "arrow"))["train"]
    return split if decode else split.cast_column("image", datasets.Image(decode=False))


class Files:
    """Class folders as `torchvision.datasets.ImageFolder` finds them, not decoded."""

    def __init__(self, corpus: Path, images: str):
        del images
        top = corpus / "imagefolder" / "train"
        with os.scandir(top) as folders:
            names = sorted(each.path for each in folders)
        self._paths = [each.path for name in names for each in os.scandir(name)]

    def __len__(self) -> int:
        return len(self._paths)

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [{"image": Path(self._paths[number]).read_bytes()} for number in numbers]


def loop(source: Source, corpus: Path, images: str, *, passes: int = PASSES) -> Batches:
    """Batches in random order, in this process, without any loader."""
    opened = source(corpus, images)
    numbers = list(range(len(opened)))
    for number in range(passes):
        random.Random(number).shuffle(numbers)
        for start in range(0, len(numbers), BATCH):
            yield len(opened.__getitems__(numbers[start : start + BATCH]))


def by_torch(
    source: Source,
    decoder: str,
    workers: int,
    corpus: Path,
    images: str,
    *,
    method: str | None = None,
) -> Batches:
    """PyTorch's `DataLoader` over a source of examples."""
    return _Loaded(source(corpus, images), workers, _Collate(decoder), method, shuffle=True)


def image_folder(workers: int, corpus: Path, images: str) -> Batches:
    """`torchvision.datasets.ImageFolder` and Pillow, as torchvision's own training does."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    del images
    transform = v2.Compose([v2.RandomResizedCrop(CROP, antialias=True), v2.PILToTensor()])
    folder = ImageFolder(str(corpus / "imagefolder" / "train"), transform)
    return _Loaded(folder, workers, None, None, shuffle=True)


def web_dataset(workers: int, corpus: Path, images: str) -> Batches:
    """WebDataset's pipeline and Pillow."""
    import webdataset as wds
    from torchvision.transforms import v2

    del images
    transform = v2.Compose([v2.RandomResizedCrop(CROP, antialias=True), v2.PILToTensor()])
    shards = sorted(map(str, (corpus / "wds").glob("*train*.tar")))
    pipeline = wds.WebDataset(shards, shardshuffle=len(shards)).decode("pil")
    pipeline = pipeline.to_tuple("jpg", "cls").map_tuple(transform, lambda label: label)
    return _Loaded(pipeline, workers, None, None, shuffle=False)


def by_grain(source: Source, workers: int, corpus: Path, images: str) -> Batches:
    """Grain over a source of decoded examples; Pillow resizes the part that is cut."""
    import absl.flags
    import grain

    absl.flags.FLAGS.mark_as_parsed()  # As `absl.app.run` does; where JAX is, workers want it.
    opened = source(corpus, images)
    # Without end, because Grain reads examples ahead: so it does that to the last batch.
    examples = grain.MapDataset.source(opened).shuffle(seed=0).repeat().map(_cut)
    ahead = grain.ReadOptions(prefetch_buffer_size=2 * BATCH)
    batches = examples.to_iter_dataset(ahead).batch(BATCH)
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    some = itertools.islice(batches, len(opened) // BATCH)
    return (len(batch["label"]) for batch in some)


def _cut(example: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    from PIL import Image

    height, width = example["image"].shape[:2]
    left, top, right, bottom = _window(width, height)
    part = Image.fromarray(example["image"][top:bottom, left:right])
    image = part.resize((CROP, CROP), Image.Resampling.BILINEAR)
    return {"image": np.asarray(image), "label": example["label"]}


def _window(width: int, height: int) -> tuple[int, int, int, int]:
    """A random part as `RandomResizedCrop` takes it."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1)
        ratio = random.uniform(3 / 4, 4 / 3)
        wide, high = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < wide <= width and 0 < high <= height:
            left, top = random.randint(0, width - wide), random.randint(0, height - high)
            return left, top, left + wide, top + high
    side = min(width, height)
    return 0, 0, side, side


class _Collate:
    """Puts a batch together: decodes where the source has not, cuts, and stacks.

    Args:
        decoder: `none`, `source` for pixels that the source gives, `PIL` or `torchvision.io`.
    """

    def __init__(self, decoder: str):
        self.decoder = decoder

    def __call__(self, examples: list[dict[str, Any]]) -> Any:
        import torch
        from torchvision.transforms import v2

        if self.decoder == "none":
            return [example["image"] for example in examples]
        crop = v2.RandomResizedCrop(CROP, antialias=True)
        cut = [crop(self._image(example["image"])) for example in examples]
        as_tensors = [
            each if isinstance(each, torch.Tensor) else v2.functional.pil_to_tensor(each)
            for each in cut
        ]
        return torch.stack(as_tensors), torch.tensor([each["label"] for each in examples])

    def _image(self, image: Any) -> Any:
        import torch

        if self.decoder == "PIL":
            from PIL import Image

            return Image.open(io.BytesIO(image)).convert("RGB")
        if self.decoder == "torchvision.io":
            from torchvision.io import ImageReadMode, decode_jpeg

            data = torch.frombuffer(bytearray(image), dtype=torch.uint8)
            return decode_jpeg(data, mode=ImageReadMode.RGB)
        if hasattr(image, "convert"):  # Hugging Face's are Pillow's.
            return image.convert("RGB")
        return torch.from_numpy(image).permute(2, 0, 1)


class _Loaded:
    """Batches of a `DataLoader`, whose workers live as long as this."""

    def __init__(
        self, source: Any, workers: int, collate: Any, method: str | None, *, shuffle: bool
    ):
        import torch

        torch.set_num_threads(1)
        self._is_raw = isinstance(collate, _Collate) and collate.decoder == "none"
        self._loader = torch.utils.data.DataLoader(
            source,
            batch_size=BATCH,
            shuffle=shuffle,
            num_workers=workers,
            collate_fn=collate,
            multiprocessing_context=method if workers else None,
            persistent_workers=bool(workers),
        )

    def __iter__(self) -> Iterator[int]:
        for _ in range(PASSES if self._is_raw else 1):
            for batch in self._loader:
                yield len(batch if self._is_raw else batch[1])


def measured(open_reader: Open, corpus: Path, images: str) -> dict[str, float]:
    """Reads train once.

    Args:
        open_reader: The reader.
        corpus: The directory of the corpus.
        images: `original` or `resized`.

    Returns:
        Seconds until the first batch (`start`), imports included, and its CPU seconds
        (`start_cpu`), and `images`, `seconds` and `cpu` of those between the first few batches and
        the last.
    """
    first, first_cpu = time.perf_counter(), cpu_seconds()
    start, start_cpu, count = 0.0, 0.0, 0
    began, began_cpu, ended = 0.0, 0.0, 0.0
    batches = open_reader(corpus, images)
    for number, size in enumerate(batches):
        if number == 0:
            start, start_cpu = time.perf_counter() - first, cpu_seconds() - first_cpu
        if number < WARM_UP:
            began, began_cpu = time.perf_counter(), cpu_seconds()
            continue
        count += size
        ended = time.perf_counter()
    ended_cpu = cpu_seconds()
    return {
        "start": start,
        "start_cpu": start_cpu,
        "images": count,
        "seconds": ended - began,
        "cpu": ended_cpu - began_cpu,
    }


def cpu_seconds() -> float:
    """CPU time of this process and of all below it, alive or not."""
    import psutil

    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += sum(times[:4])
    return total


def bounded(descriptors: int, open_reader: Open, corpus: Path, images: str) -> Batches:
    """A reader in a process that may have so many files open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    return open_reader(corpus, images)


def forked_after_reading(source: Source, corpus: Path, images: str) -> Batches:
    """`DataLoader` with workers that are forked from a process that has read."""
    opened = source(corpus, images)
    opened.__getitems__(range(BATCH))
    return by_torch(lambda *_: opened, "source", 2, corpus, images, method="fork")


def _partials() -> Iterator[tuple[str, Open]]:
    part = functools.partial
    yield "files, not decoded", part(loop, Files)
    yield "tf.data, not decoded", part(tf_data, "raw")
    raw: dict[str, Source] = {
        "tfrecord": part(of_records, "tfrecord", False),
        "array_record": part(of_records, "array_record", False),
        "tar in place": part(in_place, False),
        "TFDS's array_record": part(of_tfds, False),
        "Hugging Face": part(of_hugging_face, False),
    }
    for name, source in raw.items():
        yield f"{name}, not decoded", part(loop, source)
    yield "tfrecord, DataLoader 2, not decoded", part(by_torch, raw["tfrecord"], "none", 2)
    yield "tf.data, full decoding", part(tf_data, "full")
    yield "tf.data, decode_and_crop", part(tf_data, "crop")
    for workers in (0, 2):
        for decoder in ("PIL", "torchvision.io"):
            yield (
                f"tfrecord, DataLoader {workers}, {decoder}",
                part(by_torch, raw["tfrecord"], decoder, workers),
            )
        decoded: dict[str, tuple[Source, str | None]] = {
            "tfrecord": (part(of_records, "tfrecord", True), None),
            "array_record": (part(of_records, "array_record", True), "forkserver"),
            "tar in place": (part(in_place, True), None),
        }
        for name, (source, method) in decoded.items():
            yield (
                f"{name}, DataLoader {workers}, simplejpeg",
                part(by_torch, source, "source", workers, method=method),
            )
            if name != "array_record":
                yield f"{name}, grain {workers}, simplejpeg", part(by_grain, source, workers)
        yield (
            f"TFDS's array_record, DataLoader {workers}, PIL",
            part(by_torch, part(of_tfds, True), "source", workers, method="forkserver"),
        )
        yield f"ImageFolder, DataLoader {workers}, PIL", part(image_folder, workers)
        yield f"webdataset, DataLoader {workers}, PIL", part(web_dataset, workers)
        yield (
            f"Hugging Face, DataLoader {workers}, PIL",
            part(by_torch, part(of_hugging_face, True), "source", workers),
        )


READERS: dict[str, Open] = dict(_partials())
"""Name of a reader to what opens it."""

PROMISES: dict[str, Open] = {
    "tfrecord, 256 descriptors": functools.partial(
        bounded, 256, functools.partial(loop, functools.partial(of_records, "tfrecord", False))
    ),
    "array_record, 256 descriptors": functools.partial(
        bounded, 256, functools.partial(loop, functools.partial(of_records, "array_record", False))
    ),
    "TFDS's array_record, 256 descriptors": functools.partial(
        bounded, 256, functools.partial(loop, functools.partial(of_tfds, False))
    ),
    "tfrecord, fork after reading": functools.partial(
        forked_after_reading, functools.partial(of_records, "tfrecord", True)
    ),
    "tar in place, fork after reading": functools.partial(
        forked_after_reading, functools.partial(in_place, True)
    ),
    "array_record, fork after reading": functools.partial(
        forked_after_reading, functools.partial(of_records, "array_record", True)
    ),
    "TFDS's array_record, fork after reading": functools.partial(
        forked_after_reading, functools.partial(of_tfds, True)
    ),
}
"""What is a question of whether, not of how fast."""

MANY_SHARDS: dict[str, Open] = {
    f"{name}, 1,024 shards": functools.partial(loop, source)
    for name, source in (
        ("tfrecord", functools.partial(of_records, "tfrecord", False)),
        ("array_record", functools.partial(of_records, "array_record", False)),
        ("TFDS's array_record", functools.partial(of_tfds, False)),
    )
}
"""Of the corpus of many shards."""

RESULT = "RESULT"
"""Before what a reader took, in the last line of its own."""


def main(arguments: Sequence[str]) -> None:
    """The process of one reader: prints what it took."""
    import json

    name, corpus, images = arguments
    everything = READERS | MANY_SHARDS | PROMISES
    found = measured(everything[name], Path(corpus), images)
    print(RESULT, json.dumps(found), flush=True)
    # Grain's threads read on, and would keep the process.
    os._exit(0)
