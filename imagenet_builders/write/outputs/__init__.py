"""The outputs: the file formats that a planned shard can be written in, by name.

A new output is one module with an `Output`, and one call of `register`. The engine, marks,
verification and the command line take whatever `Output` they are given and name none.
"""

from __future__ import annotations

from imagenet_builders.errors import OptionError
from imagenet_builders.write.outputs import array_record, tfrecord
from imagenet_builders.write.outputs.output import Output

DEFAULT = tfrecord.OUTPUT
"""The output of a build that asks for none, which is also that of TensorFlow Datasets."""

_OUTPUTS: dict[str, Output] = {}


def register(output: Output) -> None:
    """Makes an output known by its name.

    Raises:
        ValueError: Another output has this name.
    """
    if _OUTPUTS.setdefault(output.name, output) != output:
        raise ValueError(f"there already is an output named {output.name!r}")


def get(name: str) -> Output | None:
    """The output of a name, or None."""
    return _OUTPUTS.get(name)


def file_formats() -> tuple[str, ...]:
    """The names that `--file-format` takes: outputs that TensorFlow Datasets can read."""
    return tuple(name for name, output in _OUTPUTS.items() if output.tfds_call is not None)


def for_tfds(name: str) -> Output:
    """The output that writes a file format of TensorFlow Datasets.

    Raises:
        OptionError: No output does, or its library is not installed.
    """
    if name not in file_formats():
        raise OptionError(f"file_format must be one of {', '.join(file_formats())}, not {name!r}")
    output = _OUTPUTS[name]
    output.import_library()
    return output


register(tfrecord.OUTPUT)
register(array_record.OUTPUT)
