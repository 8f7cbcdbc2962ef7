"""Trains a small network by JAX and Grain on a dataset that was built, or on the archives in place.

    python examples/train/jax_grain.py --data-dir /shared/tfds --workers 8 --steps 100
    python examples/train/jax_grain.py --manual-dir /datashare/imagenet --workers 8 --steps 100
    python examples/train/jax_grain.py --dataset imagenet2012_downsampled/32x32 --steps 100

It needs `jax`, `grain`, `absl-py` and imagenet_builders, and imports no TensorFlow. It prints the
images of a second: with `--only-read`, of the pipeline alone.
"""

import functools
import itertools
import time

import grain
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from PIL import Image

from imagenet_builders import reading

DATASET = flags.DEFINE_string("dataset", "imagenet2012", "name, or name/config")
DATA_DIR = flags.DEFINE_string("data-dir", None, "$TFDS_DATA_DIR or ~/tensorflow_datasets if none")
MANUAL_DIR = flags.DEFINE_string("manual-dir", None, "read the archives staged here, in place")
SPLIT = flags.DEFINE_string("split", "train", "as for TFDS")
CLASSES = flags.DEFINE_integer("classes", 1000, "number of classes")
STEPS = flags.DEFINE_integer("steps", 20, "steps after the first one")
BATCH = flags.DEFINE_integer("batch", 64, "images of a step")
WORKERS = flags.DEFINE_integer("workers", 2, "processes that read; 0 for threads of this one")
SIZE = flags.DEFINE_integer("size", None, "pixels; 224, or those of the images, if none")
ONLY_READ = flags.DEFINE_boolean("only-read", False, "train nothing")


class Prepare(grain.transforms.RandomMap):
    """A random part of at least 8 % of an image, at one size."""

    def __init__(self, size):
        self.size = size

    def random_map(self, example, rng):
        """Called by Grain, in its workers."""
        height, width = example["image"].shape[:2]
        side = max(1, round((height * width * rng.uniform(0.08, 1)) ** 0.5))
        side = min(side, height, width)
        left, top = rng.integers(width - side + 1), rng.integers(height - side + 1)
        part = Image.fromarray(example["image"][top : top + side, left : left + side])
        image = np.asarray(part.resize((self.size, self.size), Image.Resampling.BILINEAR))
        return {"image": image[:, ::-1] if rng.random() < 0.5 else image, "label": example["label"]}


def init(classes):
    """The weights of a network that is too small to be of use."""
    shapes = {"first": (3, 3, 3, 16), "second": (3, 3, 16, 32), "last": (32, classes)}
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return {
        name: jax.random.normal(key, shape) * np.prod(shape[:-1]) ** -0.5
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def loss_of(weights, images, labels):
    """The mean cross entropy of a batch."""
    layout = ("NHWC", "HWIO", "NHWC")
    conv = functools.partial(
        jax.lax.conv_general_dilated,
        window_strides=(2, 2),
        padding="SAME",
        dimension_numbers=layout,
    )
    hidden = jax.nn.relu(conv(images.astype(jnp.float32) / 255, weights["first"]))
    hidden = jax.nn.relu(conv(hidden, weights["second"])).mean((1, 2))
    scores = jax.nn.log_softmax(hidden @ weights["last"])
    return -jnp.take_along_axis(scores, labels[:, None], axis=1).mean()


@jax.jit
def step_of(weights, images, labels):
    """One step of gradient descent."""
    loss, gradients = jax.value_and_grad(loss_of)(weights, images, labels)
    return jax.tree.map(lambda w, g: w - 0.1 * g, weights, gradients), loss


def main(argv):
    """Trains, or only reads."""
    # Each process of a larger job reads its own part.
    part = reading.even_splits(SPLIT.value, jax.process_count())[jax.process_index()]
    source = reading.data_source(
        DATASET.value, part, data_dir=DATA_DIR.value, manual_dir=MANUAL_DIR.value
    )
    size = SIZE.value or min(224, *source[0]["image"].shape[:2])
    examples = grain.MapDataset.source(source).seed(0).shuffle().repeat()
    batches = examples.random_map(Prepare(size)).to_iter_dataset().batch(BATCH.value)
    if WORKERS.value:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=WORKERS.value))
    weights, loss = init(CLASSES.value), None
    for step, batch in enumerate(itertools.islice(batches, STEPS.value + 1)):
        if not ONLY_READ.value:
            weights, loss = step_of(weights, batch["image"], batch["label"])
            loss.block_until_ready()
        if step == 0:  # Until then, workers were started, and the step was compiled.
            began = time.perf_counter()
    seconds = time.perf_counter() - began
    if loss is not None:
        print(f"loss {loss:.3f}")
    print(f"{STEPS.value * BATCH.value / seconds:,.0f} images/s")


if __name__ == "__main__":
    app.run(main)
