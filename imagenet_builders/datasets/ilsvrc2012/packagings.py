"""Packagings of ILSVRC2012 that are not read as they are.

Sources: the download pages of ILSVRC2015 and ILSVRC2017; the README files of Swin Transformer and
of `imagenet-face-obfuscation`; Kaggle's ImageNet object localization challenge.
"""

from __future__ import annotations

from imagenet_builders.formats import signatures
from imagenet_builders.locate.packaging import READ_HERE, SHARDS_READ_HERE, Packaging

_NOT_NEEDED = "not needed here"
_UNPACK = (
    "unpack it: its folders ILSVRC/Data/CLS-LOC and ILSVRC/Annotations/CLS-LOC are read where the "
    "directory that holds ILSVRC is given"
)

PACKAGINGS = (
    Packaging(
        names=r"(train|val|validation|test)_blurred(\.tar(\.gz)?|\.tgz)?",
        example="train_blurred.tar.gz",
        what="ILSVRC2012 with faces blurred, whose images are others than the original ones",
        way="stage the original archives",
    ),
    Packaging(
        names=r"ILSVRC2017_CLS-LOC(\.tar(\.gz)?|\.tgz)",
        example="ILSVRC2017_CLS-LOC.tar.gz",
        what="the archive of ILSVRC2017's classification task, with the images of 2012",
        way=READ_HERE,
        is_read=True,
    ),
    Packaging(
        names=r"ILSVRC20[0-9]{2}_CLS-LOC(\.tar(\.gz)?|\.tgz)?",
        example="ILSVRC2015_CLS-LOC.tar.gz",
        what="the archive of a later ILSVRC's classification task, with the images of 2012",
        way=_UNPACK,
    ),
    Packaging(
        names=r"imagenet[-_]object[-_]localization[-_].*",
        example="imagenet-object-localization-challenge.zip",
        what="Kaggle's archive of the object localization challenge",
        way=READ_HERE,
        is_read=True,
    ),
    Packaging(
        names=r"ILSVRC20[0-9]{2}_(DET|VID)[_.].*",
        example="ILSVRC2017_DET.tar.gz",
        what="images of another task of ILSVRC (detection, video)",
        way=_NOT_NEEDED,
    ),
    Packaging(
        names=r"(train_images_[0-9]+|(val|test)_images)\.tar\.gz",
        example="train_images_0.tar.gz",
        what="an archive of Hugging Face's imagenet-1k",
        begins=(signatures.GZIP,),
        way=READ_HERE,
        is_read=True,
    ),
    Packaging(
        names=r"imagenet1k-(train|validation)-[0-9]+\.tar",
        example="imagenet1k-train-0000.tar",
        what="shards of WebDataset, as timm/imagenet-1k-wds has them",
        begins=(signatures.TAR,),
        way=SHARDS_READ_HERE,
        is_read=True,
    ),
    Packaging(
        names=r"(train|val)\.zip",
        example="train.zip",
        what="a zip archive of a split's folders or images, as Swin Transformer takes them",
        begins=(signatures.ZIP,),
        way="unpack it into a folder of its name: unzip train.zip -d train, unzip val.zip -d val",
    ),
    Packaging(
        names=r"(train|val)_map\.txt",
        example="train_map.txt",
        what="the list that belongs to Swin Transformer's train.zip or val.zip",
        way=_NOT_NEEDED,
    ),
    Packaging(
        names=r"ILSVRC20[0-9]{2}_devkit.*",
        example="ILSVRC2012_devkit_t12.tar.gz",
        what="a development kit",
        way="not needed here: classes and labels are in this package",
    ),
    Packaging(
        names=r"meta\.bin",
        example="meta.bin",
        what="the list of classes that torchvision's ImageNet reads",
        way=_NOT_NEEDED,
    ),
    Packaging(
        names=r"LOC_(synset_mapping|train_solution|val_solution|sample_submission)\.(csv|txt)",
        example="LOC_synset_mapping.txt",
        what="a table of Kaggle's object localization challenge",
        way=_NOT_NEEDED,
    ),
)
