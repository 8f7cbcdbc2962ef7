"""Which figures a dataset has, and what they say in words."""

from __future__ import annotations

import dataclasses

from support import catalog_sites

from imagenet_builders.catalog.model import Density, Histogram
from imagenet_builders.catalog.pages import figures


def test_a_split_without_labels_has_no_plot_of_classes() -> None:
    found = figures.by_class(catalog_sites.entry())
    assert [each.split for each in found] == ["train", "validation"]


def test_differences_from_the_official_numbers_are_counted() -> None:
    train, validation = figures.by_class(catalog_sites.entry())
    assert train.caption == (
        "732 to 1,300 images a class. 1 of 1,000 classes has another number than the official one."
    )
    assert [name for _, name in train.legend] == ["train", "official"]
    assert validation.caption == "50 images a class. Every class has its official number."
    assert not validation.plot  # It would be one block.


def test_classes_without_images_are_counted_and_not_drawn() -> None:
    entry = catalog_sites.entry()
    classes = tuple(
        dataclasses.replace(row, counts={"train": 3 - row.label % 3} if row.label < 6 else {})
        for row in entry.classes
    )
    (train,) = figures.by_class(dataclasses.replace(entry, classes=classes))
    assert train.caption == (
        "1 to 3 images a class. 994 classes have none. 1,000 of 1,000 classes have another number "
        "than the official one, which is 732 to 1,300."
    )
    assert len(train.table.rows) == 6


def test_one_image_of_each_class_is_said_so() -> None:
    entry = catalog_sites.entry()
    classes = tuple(dataclasses.replace(row, counts={"train": 1}) for row in entry.classes[:3])
    (train,) = figures.by_class(dataclasses.replace(entry, classes=classes))
    assert train.caption.startswith("1 image a class. ")


def test_the_table_has_the_classes_with_most_and_fewest_images() -> None:
    train = figures.by_class(catalog_sites.entry())[0]
    assert len(train.table.rows) == 10
    assert train.table.rows[0][2] == "1,300"
    assert train.table.rows[-1][2] == "732"


def test_a_sample_is_not_compared_with_official_numbers() -> None:
    sampled = catalog_sites.statistics("train", 100, "Every tenth shard.")
    entry = dataclasses.replace(catalog_sites.entry(), statistics=(sampled,))
    (train,) = figures.by_class(entry)
    assert "of a sample" in train.caption
    assert train.legend == ()


def test_a_dataset_without_boxes_has_no_plot_of_them() -> None:
    entry = catalog_sites.entry()
    with_boxes = [each.title for each in figures.spread(entry)]
    assert with_boxes == [
        "Bytes of an image",
        "Width to height",
        "Boxes of an image",
        "Area of a box",
    ]
    bare = tuple(dataclasses.replace(each, boxes=None, box_areas=None) for each in entry.statistics)
    without = figures.spread(dataclasses.replace(entry, statistics=bare))
    assert [each.title for each in without] == with_boxes[:2]


def test_what_a_plot_shows_is_in_its_table() -> None:
    sizes = figures.spread(catalog_sites.entry())[0]
    assert sizes.table.head == ("size of a file", "train", "validation", "test")
    assert all(len(row) == 4 for row in sizes.table.rows)
    density = figures.densities(catalog_sites.entry())[0]
    assert density.table.head == ("width", "height", "images")
    assert len(density.table.rows) == 10


def test_images_that_are_all_alike_are_told_in_words() -> None:
    like = dataclasses.replace(
        catalog_sites.statistics("train", 30),
        density=Density((8, 9), (8, 9), ((30,),)),
        aspects=Histogram((1, 1.25), (30,)),
    )
    entry = dataclasses.replace(catalog_sites.entry(), statistics=(like,))
    (density,) = figures.densities(entry)
    assert (density.caption, density.plot) == ("All images: 8 pixels wide, 8 high.", "")
    aspect = figures.spread(entry)[1]
    assert (aspect.caption, aspect.plot) == ("All images: 1:1 to 1.25:1.", "")


def test_a_dataset_without_statistics_has_no_figures() -> None:
    entry = dataclasses.replace(catalog_sites.entry(), statistics=())
    assert figures.by_class(entry) == figures.densities(entry) == figures.spread(entry) == ()
