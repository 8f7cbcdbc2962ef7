"""Examples in any order without TensorFlow, of what was built or of the archives in place."""

from __future__ import annotations

import os
from pathlib import Path

from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions, default_data_dir, require_local
from imagenet_builders.reading.source import DataSource
from imagenet_builders.reading.split_text import EvenSplit, Splits, Together, even_splits

__all__ = [
    "BuildOptions",
    "DataSource",
    "EvenSplit",
    "Splits",
    "Together",
    "data_source",
    "even_splits",
]


def data_source(
    name: str,
    split: Splits,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
    decode: bool = True,
    decode_at_least: tuple[int, int] | None = None,
    options: BuildOptions | None = None,
) -> DataSource:
    """The examples of a split, in any order: a sequence for `DataLoader`, Grain or a loop.

    The order and the examples are the same wherever they are read from: shards of either file
    format, or the archives themselves, which need no build.

    Args:
        name: The dataset: `NAME`, `NAME/CONFIG`, either with `:VERSION` for one that was built.
            Without a version it is the newest; without a configuration, the default one.
        split: As for `tfds.load`: `train`, `train[:10%]`, `train+validation`, or of `even_splits`.
        data_dir: Where datasets are built; by default `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
        manual_dir: Where archives are staged, in any layout that a build takes. Then nothing that
            was built is read. The first time, an index is made and kept for you: of the official
            archives in a minute or two. It is kept in your cache directory unless a scratch
            directory is chosen, by `options`, `$SLURM_TMPDIR` or `$TMPDIR`. Archives that must be
            unpacked, such as compressed ones, are read only where one is chosen.
        decode: Whether images are pixels, or the bytes of their files.
        decode_at_least: Height and width in pixels that are needed of each image, such as the crop
            of a training. A JPEG that is twice as large or more is decoded at 1/2, 1/4 or 1/8 of
            its size, the least that is not below either: in less time, with pixels that are
            averages. Boxes are relative, so they fit as they are.
        options: With `manual_dir`: the source, where the index is kept, and what a build would do
            with bad images; by default as the environment says.

    Returns:
        The examples.

    Raises:
        OptionError: There is no such dataset or split, an argument cannot be used, or archives
            would have to be unpacked and no scratch directory is chosen.
        StagingError: Nothing of it was built, or nothing is staged.
        SourceError: What is there is damaged.
    """
    if data_dir is not None and manual_dir is not None:
        raise OptionError("data_dir and manual_dir are both given; one of them is read")
    if manual_dir is not None:
        from imagenet_builders.reading.staged import StagedExamples

        require_local("manual_dir", manual_dir)
        if ":" in name:
            raise OptionError(f"{name}: archives in place have no version; leave it out")
        chosen = options or BuildOptions.from_environment()
        staged = StagedExamples(name, Path(manual_dir).expanduser(), chosen, split)
        return DataSource(staged, split, decode=decode, decode_at_least=decode_at_least)
    from imagenet_builders.datasets import built
    from imagenet_builders.reading.built import BuiltExamples

    require_local("data_dir", data_dir)
    root = default_data_dir() if data_dir is None else Path(data_dir).expanduser()
    return DataSource(
        BuiltExamples(built.one(name, root)), split, decode=decode, decode_at_least=decode_at_least
    )
