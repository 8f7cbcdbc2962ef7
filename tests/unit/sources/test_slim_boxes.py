"""The boxes in records of slim: those in order are taken as they are, as `voc.relative` would."""

from __future__ import annotations

import random
from array import array

from imagenet_builders.formats import voc
from imagenet_builders.sources.slim_boxes import WANTED, boxes_of

EDGES = [0.0, -0.0, 1.0, 0.25, 0.5, 1e-45, 1 - 2**-24, -0.5, 1.5]


def test_boxes_are_those_of_annotations_of_the_same_corners():
    rng = random.Random(8)
    odd = 0
    for _ in range(3000):
        count = rng.choice([1, 1, 2, 5])
        sides = [
            tuple(
                array(
                    "f",
                    (
                        rng.choice(EDGES) if rng.random() < 0.2 else rng.random()
                        for _ in range(count)
                    ),
                )
            )
            for _ in range(4)
        ]
        if rng.random() < 0.7:  # As nearly all are.
            for low, high in ((0, 2), (1, 3)):
                pairs = [sorted(pair) for pair in zip(sides[low], sides[high], strict=True)]
                sides[low], sides[high] = zip(*pairs, strict=True)
        labels = tuple(rng.randrange(1, 1001) for _ in range(count))
        found = dict(zip(WANTED, [*sides, labels], strict=True))
        boxes = boxes_of(found, "n01440764_1.JPEG", 0, 1)
        names = (str(label - 1) for label in labels)
        objects = tuple(map(voc.VocObject, names, *sides))
        expected = voc.relative(voc.Annotation(1.0, 1.0, objects))
        assert array("f", boxes.corners).tobytes() == expected.corners.tobytes()
        assert list(map(str, boxes.labels)) == list(expected.names)
        assert boxes.odd == (expected.swapped, expected.clamped, expected.empty)
        odd += any(boxes.odd)
    assert 500 < odd < 2500
