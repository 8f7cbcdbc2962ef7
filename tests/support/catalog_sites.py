"""Catalogs made by hand: sound ones, and one in which every text is hostile."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import random
from pathlib import Path

from imagenet_builders import labels
from imagenet_builders.catalog.model import (
    ClassRow,
    Density,
    Entry,
    Fault,
    Histogram,
    NamedImage,
    Picture,
    Site,
    Snippet,
    Source,
    Split,
    SplitStatistics,
    Terms,
    Verified,
)
from imagenet_builders.catalog.pages.render import pages

HOSTILE = (
    "<script>window.hit=1</script>",
    '"><img src=x onerror="window.hit=2">',
    "</script><script>window.hit=3</script>",
    "{{ 7*7 }}<!--",
    "' onfocus='window.hit=4' autofocus='",
    "javascript:window.hit=5",
    "[a](javascript:window.hit=6) ![b](https://example.invalid/b.png)",
)
"""Texts that would act if a page did not show them as text."""

TABS = ("TensorFlow", "PyTorch", "JAX", "DALI", "timm", "shell")
_SPACES = ("imagenet2012", "imagenet21k_winter21", "imagenet21k_p", "imagenet2012_devkit")


def write(catalog: Site, out: Path) -> None:
    """Writes the pages of a catalog into a directory.

    Args:
        catalog: What they show.
        out: The directory, which is there.
    """
    for name, content in pages(catalog):
        path = out / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def site(*entries: Entry, **changed: object) -> Site:
    """A catalog of some datasets.

    Args:
        *entries: The datasets.
        **changed: What else is to be different.
    """
    plain = Site(
        data_dir="/shared/tfds",
        made_at="2026-11-30T02:15:45Z",
        entries=entries,
        faults=(),
        contact="",
        notice="",
        package_version="1.2.3",
    )
    return dataclasses.replace(plain, **changed)  # type: ignore[arg-type]


def entry(space: str = "imagenet2012", **changed: object) -> Entry:
    """A dataset with all that a page can show.

    Args:
        space: The label space of its classes.
        **changed: What is to be different.
    """
    path = "/shared/tfds/imagenet2012/5.1.0"
    classes = class_rows(space)
    train = sum(row.counts["train"] for row in classes)
    plain = Entry(
        slug="imagenet2012-5.1.0",
        name="imagenet2012",
        config=None,
        version="5.1.0",
        path=path,
        made_by="imagenet_builders",
        form="tfrecord",
        also_as=("array_record",),
        description=(
            "ILSVRC 2012, commonly known as *ImageNet*, is an image dataset organized according to "
            "the WordNet hierarchy.\n\nLabels are positions in the sorted list of wnids, such as "
            "`n01440764`."
        ),
        homepage="https://image-net.org/",
        release_notes=(("5.1.0", "Added test split."), ("5.0.0", "New split API.")),
        citation="@article{ILSVRC15,\n  title = {{ImageNet} <Challenge>},\n  year = {2015},\n}",
        terms=Terms(
            "The images are used under ImageNet's terms of access:\n\n"
            "1. Use is for non-commercial research and educational purposes only.\n"
            "2. The researcher accepts full responsibility for the use of the database.",
            "https://image-net.org/download.php",
        ),
        splits=(
            Split("train", train, 1024, 144_020_000_000, 1_281_167, None),
            Split("validation", 50 * len(classes), 64, 6_700_000_000, 50 * len(classes), None),
            Split("test", 4_000, 8, 400_000_000, 100_000, "The first 4,000 images only."),
        ),
        features=(
            "FeaturesDict({\n    'file_name': Text(shape=(), dtype=string),\n"
            "    'image': Image(shape=(None, None, 3), dtype=uint8),\n"
            f"    'label': ClassLabel(shape=(), dtype=int64, num_classes={len(classes)}),\n}})"
        ),
        supervised_keys="('image', 'label')",
        file_count=1100,
        size=151_120_000_000,
        built_at="2026-11-21T10:03:00Z",
        built_with={"imagenet_builders": "1.2.3", "tensorflow_datasets": "4.9.10"},
        built_from=(
            Source(
                "/datashare/imagenet/ILSVRC2012_img_train.tar",
                147_897_477_120,
                {"md5": "1d675b47d978889d74fa0da5fadfb00e"},
                "the official train images",
                ("train",),
            ),
            Source(
                "/datashare/imagenet/ILSVRC2012_img_val.tar", 6744924160, {}, None, ("validation",)
            ),
        ),
        differences=("train has 3 images fewer than the official 1,281,167.",),
        repaired=(NamedImage("train", "n02105855_2933.JPEG", "a PNG, stored as JPEG"),),
        skipped=(NamedImage("train", "n01440764_1.JPEG", "ends early"),),
        verified=Verified(
            at="2026-11-29T08:00:00Z",
            ok=True,
            problems=(),
            problem_count=0,
            notes=("22 images were CMYK, and were stored as RGB.",),
            decoded=True,
            current=True,
        ),
        statistics=tuple(
            statistics(name, count)
            for name, count in (("train", train), ("validation", 50_000), ("test", 4_000))
        ),
        no_statistics=None,
        classes=classes,
        has_boxes=True,
        snippets=tuple(
            Snippet(
                tab,
                "Read the train split",
                "shell" if tab == "shell" else "python",
                f"import {tab.lower()}\n\nread({path!r}, split='train')",
                "" if tab == "TensorFlow" else f"Needs {tab}: https://example.org/{tab}.",
            )
            for tab in TABS
        ),
        pictures=(),
        warnings=(),
        json_ld=json.dumps({"@context": "https://schema.org/", "@type": "sc:Dataset"}),
    )
    return dataclasses.replace(plain, **changed)  # type: ignore[arg-type]


@functools.cache
def class_rows(space: str) -> tuple[ClassRow, ...]:
    """All classes of a label space, with drawn numbers of images.

    Args:
        space: Its name.
    """
    chance = random.Random(1)
    ids = {name: dict(zip(labels.wnids(name), _ids(name), strict=True)) for name in _spaces()}
    return tuple(
        ClassRow(
            label=label,
            wnid=wnid,
            words=labels.words(wnid),
            gloss=labels.gloss(wnid),
            ids={name: known[wnid] for name, known in ids.items() if wnid in known},
            counts={
                "train": (count := chance.choice([1300] * 5 + [*range(732, 1300, 9)])),
                "validation": 50,
            },
            official={"train": 1300 if label == 1 else count, "validation": 50},
        )
        for label, wnid in enumerate(labels.wnids(space))
    )


def _spaces() -> list[str]:
    return [name for name in labels.SPACES if len(labels.space(name)) > 900]


def _ids(name: str) -> range:
    space = labels.space(name)
    return range(space.first_id, space.last_id + 1)


@functools.cache
def statistics(split: str, examples: int, sampled: str | None = None) -> SplitStatistics:
    """What drawn images look like.

    Args:
        split: The name of the split.
        examples: The number of its examples.
        sampled: A sentence on the sample, if it is one.
    """
    chance = random.Random(split)
    edges = tuple(1000 * 2 ** (step / 2) for step in range(25))
    ratios = tuple(2 ** (step / 4) for step in range(-10, 11))
    pixels = tuple(100.0 * step for step in range(31))
    rows = [[0] * 30 for _ in range(30)]
    for _ in range(3000):
        short, long = (max(0, min(29, int(chance.gauss(mean, 1.6)))) for mean in (3.7, 5))
        x, y = (long, short) if chance.random() < 0.7 else (short, long)
        rows[y][x] += 1
    return SplitStatistics(
        split=split,
        examples=examples,
        looked_at=examples,
        sampled=sampled,
        density=Density(pixels, pixels, tuple(map(tuple, rows))),
        sizes=Histogram(edges, _bell(24, 13, 2.2, examples)),
        aspects=Histogram(ratios, _bell(20, 11, 1.5, examples)),
        kinds=(("JPEG, colour", examples - 20), ("JPEG, grey", 20)),
        boxes=Histogram(tuple(map(float, range(6))), (0, examples, examples // 9, 40, 3)),
        box_areas=Histogram(tuple(step / 20 for step in range(21)), _bell(20, 9, 5, examples)),
        unreadable=0,
    )


def _bell(count: int, middle: float, width: float, examples: int) -> tuple[int, ...]:
    return tuple(
        int(examples / 3 * math.exp(-(((step - middle) / width) ** 2))) for step in range(count)
    )


def hostile() -> Site:
    """A catalog in which every text that may come from a file is hostile."""
    script, picture, closing, template, attribute, address, link = HOSTILE
    every = " ".join(HOSTILE)
    rows = tuple(
        dataclasses.replace(
            row, wnid=text, words=text, gloss=text, counts={script: 9 - row.label}, official={}
        )
        for row, text in zip(class_rows("imagenet2012"), HOSTILE, strict=False)
    )
    bad = entry(
        slug="hostile",
        name=script,
        config=picture,
        version=closing,
        path=f"/shared/{every}",
        form=script,
        also_as=(picture,),
        description=every,
        homepage=address,
        release_notes=((script, picture),),
        citation=every,
        terms=Terms(every, address),
        splits=(Split(script, 5, 1, 1, 6, picture), Split(picture, 5, 0, 1, None, None)),
        features=every,
        supervised_keys=every,
        built_at=script,
        built_with={script: picture},
        built_from=(Source(f"{script}/{picture}", 1, {script: picture}, closing, (script,)),),
        differences=HOSTILE,
        repaired=(NamedImage(script, picture, closing),),
        skipped=(NamedImage(picture, script, template),),
        verified=Verified(script, False, HOSTILE, 9, HOSTILE, True, True),
        statistics=(
            statistics(script, 5, sampled=picture),
            dataclasses.replace(statistics(picture, 5), kinds=((closing, 5),)),
        ),
        no_statistics=script,
        classes=rows,
        snippets=tuple(
            Snippet(text, text, attribute, text, f"{text} {address}") for text in HOSTILE
        ),
        pictures=(Picture(script, picture, 0, closing, ((0.1, 0.1, 0.5, 0.5),), address, 9, 9),),
        warnings=HOSTILE,
        json_ld=json.dumps({"name": closing, "description": every}),
    )
    return site(
        bad,
        data_dir=f"/shared/{script}/{picture}",
        faults=(Fault(f"/{script}/{attribute}", closing),),
        contact=f"{every} {link}",
        notice=every,
        made_at=script,
        package_version=picture,
    )
