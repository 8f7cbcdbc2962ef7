"""The splits of imagenet2012, and the rows in them, whatever they are staged as.

Labels come from the class in a train image's name and from the number in a validation image's name,
never from the order of anything: the official validation archive is not sorted, and one directory
entry in it would shift every label that is taken by position.
"""

from __future__ import annotations

from imagenet_builders.datasets.ilsvrc2012.examples import example_sizes
from imagenet_builders.datasets.ilsvrc2012.images import index_split
from imagenet_builders.datasets.imagenet2012 import examples
from imagenet_builders.locate.choose import choose, layout_of
from imagenet_builders.locate.found import Survey
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe


def recipes(staged: Survey, room: BuildContext) -> list[SplitRecipe]:
    """Indexes the splits that are staged; warns of those that are not.

    Args:
        staged: What is staged.
        room: What to index with.

    Returns:
        A recipe for each split.

    Raises:
        StagingError: Nothing is staged.
        SourceError: A source is damaged or is not what its name says.
    """
    return [
        SplitRecipe(
            split,
            index_split(found, room),
            examples.make_examples,
            example_sizes,
            layout=layout_of(found),
        )
        for split, found in choose(staged, room.options.source).items()
    ]
