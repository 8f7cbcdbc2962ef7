"""The packagings of ImageNet that are not read, whichever dataset they are of.

Those of a dataset are in its value, `Dataset.packagings`. What a kind of source reads is no row:
it is found, and never comes here.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagenet_builders import datasets
from imagenet_builders.formats import signatures
from imagenet_builders.locate.packaging import Packaging

_ORIGINALS = "stage the archives that it was made from"
_NAMES = (
    "write its images out under their official names (n01440764/n01440764_18.JPEG) with the "
    f"program that made it, or {_ORIGINALS}"
)

ROWS = (
    Packaging(
        names=r".*",
        is_folder=True,
        example="train.lmdb/",
        inside=r"data\.mdb",
        what="an LMDB database, in which each program keeps images in its own way",
        way=_NAMES,
    ),
    Packaging(
        names=r".*\.l?mdb",
        example="train.mdb",
        what="an LMDB database, in which each program keeps images in its own way",
        begins=(signatures.LMDB,),
        way=_NAMES,
    ),
    Packaging(
        names=r".*\.beton",
        example="train_500_0.50_90.beton",
        what="a dataset of FFCV, which has no names of images, and most often smaller ones",
        way=_ORIGINALS,
    ),
    Packaging(
        names=r".*\.rec",
        example="train.rec",
        what="RecordIO of MXNet, which has no names of images, and most often smaller ones",
        begins=(signatures.RECORD_IO,),
        way=_ORIGINALS,
    ),
    Packaging(
        names=r".*\.(idx|lst)",
        example="train.idx",
        what="an index or a list for MXNet or DALI",
        way="not needed here",
        holds_of_exports=True,
    ),
    Packaging(
        names=r".*\.(h5|hdf5)",
        example="imagenet.hdf5",
        what="an HDF5 file, in which each program keeps images in its own way",
        way=_NAMES,
    ),
    Packaging(
        names=r".*\.parquet",
        example="train.parquet",
        what="a Parquet file under a name that no layout has",
        begins=(signatures.PARQUET,),
        way=(
            "those of Hugging Face's imagenet-1k are read under their own names in a folder data "
            "(data/train-00000-of-00294.parquet)"
        ),
    ),
    Packaging(
        names=r".*\.arrow",
        example="imagenet-1k-train-00000-of-00257.arrow",
        what="a file of the cache in which Hugging Face's datasets keeps what it has prepared",
        way="give the directory of the files that it was prepared from",
    ),
    Packaging(
        names=r"\.imagenet_builders-[0-9]+",
        is_folder=True,
        example=".imagenet_builders-1000/",
        what="a scratch directory of this package",
        way="builds find their index in it",
    ),
    Packaging(
        names=r".*",
        is_folder=True,
        example="train/",
        inside=r"state\.json",
        what="a split that save_to_disk of Hugging Face's datasets has written",
        way=(
            "its Arrow files are not read; Parquet files are, in a folder data "
            "(export --to huggingface --parquet)"
        ),
    ),
    Packaging(
        names=r".*",
        is_folder=True,
        example="5.1.0/",
        inside=r"dataset_info\.json",
        what="a dataset that TensorFlow Datasets has built",
        way=(
            "it is read by tfds.builder_from_directory; only derived datasets are built from one "
            "(--source built)"
        ),
    ),
    Packaging(
        names=r".*\.tfrecords?(-[0-9]+-of-[0-9]+)?",
        example="train.tfrecord-00000-of-01024",
        what="TFRecords under other names than slim's (train-00000-of-01024)",
        way=_ORIGINALS,
    ),
    Packaging(
        names=r".*[0-9]{3,}\.tar",
        example="imagenet-train-000000.tar",
        what="shards of WebDataset, it seems, under a name that no layout has",
        begins=(signatures.TAR,),
        way=(
            "if the members have the images' official names (tar -t), unpack all shards of a split "
            f"into a folder train or val; else {_ORIGINALS}"
        ),
    ),
    Packaging(
        names=r".*",
        is_folder=True,
        example="datasets--ILSVRC--imagenet-1k/",
        inside="snapshots",
        what="a cache of Hugging Face",
        way="give the directory snapshots/REVISION in it",
    ),
    Packaging(
        names=r".*\.(sqsh|squashfs|sfs|sqfs|img)",
        example="imagenet.sqsh",
        what="a SquashFS image whose name does not say what is in it",
        begins=(signatures.SQUASHFS,),
        way="mount it (squashfuse IMAGE DIR), and check that directory",
        holds_of_exports=True,
    ),
    Packaging(
        names=r".*\.zip",
        example="imagenet.zip",
        what="a zip archive under a name that no layout has",
        begins=(signatures.ZIP,),
        way="unpack it into a folder of its name (unzip -d), and check again",
    ),
    Packaging(
        names=r".*\.tar",
        example="imagenet.tar",
        what="a tar archive under a name that no layout has",
        begins=(signatures.TAR,),
        way="unpack it into a folder of its name, and check again",
    ),
    Packaging(
        names=r".*\.(tar\.(gz|bz2|xz|zst|lz4)|tgz|tbz2|txz)",
        example="imagenet.tar.gz",
        what="a compressed tar archive under a name that no layout has",
        way="unpack it into a folder of its name (tar -xf), and check again",
    ),
)
"""The rows, the more particular ones first; those of datasets come before all of them."""


def rows() -> Iterator[Packaging]:
    """All rows: those of datasets, and then `ROWS`."""
    for dataset in datasets.every():
        yield from dataset.packagings
    yield from ROWS
