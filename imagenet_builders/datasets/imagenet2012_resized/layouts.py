"""How the dataset that this one is made of is staged where it was built.

What else provides its images is in `datasets/ilsvrc2012/layouts.py`.
"""

from __future__ import annotations

from imagenet_builders.locate.search import Layout

BUILT = Layout(
    "imagenet2012 as TFRecord",
    "built",
    (".", "imagenet2012/5.1.0", "5.1.0"),
    {
        part: (rf"imagenet2012-{part}\.tfrecord-[0-9]+-of-[0-9]+",)
        for part in ("train", "validation", "test")
    },
)
"""What provides images besides."""
