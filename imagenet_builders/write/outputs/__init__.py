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

# Measured with TensorFlow Datasets 4.9.10: `_batched` in its core/file_adapters.py skips examples.
_REASONS = {
    "parquet": "TensorFlow Datasets 4.9.10 writes only a part of the examples of a Parquet shard, "
    "600 of 2,563"
}


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


def file_format(text: str) -> str:
    """A text that names an output which TensorFlow Datasets can read (a `type` of argparse).

    Raises:
        ValueError: It does not; the words begin with what it must be.
    """
    if text in file_formats():
        return text
    reason = f": {_REASONS[text]}" if text in _REASONS else ""
    raise ValueError(f"must be one of {', '.join(file_formats())}, not {text!r}{reason}")


def file_format_names(text: str) -> list[str]:
    """The names in a text that has one or, with commas between, several; see `file_format`.

    Raises:
        ValueError: One is none, or is there twice.
    """
    names = [file_format(name.strip()) for name in text.split(",")]
    if len(set(names)) < len(names):
        raise ValueError(f"must name each file format once, not {text!r}")
    return names


def for_tfds(name: str) -> Output:
    """The output that writes a file format of TensorFlow Datasets.

    Raises:
        OptionError: No output does, or its library is not installed.
    """
    try:
        output = _OUTPUTS[file_format(name)]
    except ValueError as error:
        raise OptionError(f"file_format {error}") from None
    output.import_library()
    return output


register(tfrecord.OUTPUT)
register(array_record.OUTPUT)
