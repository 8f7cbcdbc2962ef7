"""Trains a small network by TensorFlow and Keras on a dataset that was built as TFRecord.

    python examples/train/tensorflow_keras.py --data-dir /shared/tfds --steps 100
    python examples/train/tensorflow_keras.py --dataset imagenet2012_downsampled/32x32 --steps 100

It needs `tensorflow`, `tensorflow-datasets` and `importlib_resources`, and no part of
imagenet_builders. It prints the images of a second: with `--only-read`, of the pipeline alone.
"""

import argparse
import time

import tensorflow as tf
import tensorflow_datasets as tfds


def batches(name, split, *, data_dir, size, batch):
    """Endless batches of images, float32 of (batch, size, size, 3) from 0 to 1, and labels."""
    # The bytes of each file: of a JPEG, only the part that is cut is decoded.
    skip = {"image": tfds.decode.SkipDecoding()}
    examples, info = tfds.load(
        name, split=split, data_dir=data_dir, decoders=skip, shuffle_files=True, with_info=True
    )
    is_jpeg = info.features["image"].encoding_format == "jpeg"

    def prepare(example):
        image = example["image"]
        if is_jpeg:
            begin, part, _ = tf.image.sample_distorted_bounding_box(
                tf.io.extract_jpeg_shape(image),
                tf.zeros((1, 0, 4)),
                area_range=(0.08, 1),
                min_object_covered=0,
                use_image_if_no_bounding_boxes=True,
            )
            window = tf.concat([begin[:2], part[:2]], 0)
            image = tf.image.decode_and_crop_jpeg(image, window, channels=3)
        else:
            image = tf.io.decode_png(image, channels=3)
        image = tf.image.random_flip_left_right(tf.image.resize(image, (size, size)))
        return image / 255, example["label"]

    examples = examples.repeat().shuffle(2_000)  # Undecoded: of ImageNet, 0.2 GB.
    examples = examples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return examples.batch(batch).prefetch(tf.data.AUTOTUNE), info


def network(classes, size):
    """A network that is too small to be of use."""
    return tf.keras.Sequential(
        [
            tf.keras.Input((size, size, 3)),
            tf.keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            tf.keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(classes),
        ]
    )


class Clock(tf.keras.callbacks.Callback):
    """Notes the time when the first step has been made, and the last."""

    def on_train_batch_end(self, step, logs=None):
        """Called by Keras."""
        self.ended = time.perf_counter()
        self.began = self.ended if step == 0 else self.began


def main():
    """Trains, or only reads."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="imagenet2012")
    parser.add_argument("--data-dir", help="default: $TFDS_DATA_DIR or ~/tensorflow_datasets")
    parser.add_argument("--split", default="train")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, help="pixels (default: 224, or those of the dataset)")
    parser.add_argument("--only-read", action="store_true")
    arguments = parser.parse_args()

    shape = (
        tfds.builder(arguments.dataset, data_dir=arguments.data_dir).info.features["image"].shape
    )
    size = arguments.size or shape[0] or 224
    examples, info = batches(
        arguments.dataset,
        arguments.split,
        data_dir=arguments.data_dir,
        size=size,
        batch=arguments.batch,
    )
    if arguments.only_read:
        batch = iter(examples)
        next(batch)
        began = time.perf_counter()
        for _ in range(arguments.steps):
            next(batch)
        seconds = time.perf_counter() - began
    else:
        model = network(info.features["label"].num_classes, size)
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, metrics=["accuracy"])
        clock = Clock()
        model.fit(
            examples,
            steps_per_epoch=arguments.steps + 1,
            callbacks=[clock],
            shuffle=False,
            verbose=2,
        )
        seconds = clock.ended - clock.began
    print(f"{arguments.steps * arguments.batch / seconds:,.0f} images/s")


if __name__ == "__main__":
    main()
