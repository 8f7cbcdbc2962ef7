"""Turns pre-staged ImageNet archives on shared storage into TensorFlow Datasets.

Importing this package offers its builders to TensorFlow Datasets by name, and costs milliseconds:
TensorFlow Datasets, TensorFlow and Beam are not imported, only hooked for when they are.

    import imagenet_builders
    import tensorflow_datasets as tfds

    tfds.builder("imagenet2012", data_dir="/shared/tfds").download_and_prepare(...)
"""

from imagenet_builders.registration import register as _register

__version__ = "0.4.0"

_register()
