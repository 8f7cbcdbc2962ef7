"""The base class of the datasets' builders: a planned builder that has its dataset's value."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from imagenet_builders import datasets
from imagenet_builders.build.builder import PlannedBuilder
from imagenet_builders.datasets.description import Dataset
from imagenet_builders.datasets.recipes_ahead import Asked, RecipesAhead
from imagenet_builders.locate.found import Survey
from imagenet_builders.options import OPTIONS, BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe


class DatasetBuilder(PlannedBuilder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """A builder that surveys and indexes with the functions of its dataset's value.

    Args:
        options: As for `PlannedBuilder`.
        ahead: Recipes that are being made, which may be those of this builder.
        **kwargs: As there.
    """

    dataset: ClassVar[Dataset]

    def __init__(
        self,
        *,
        options: BuildOptions | None = None,
        ahead: RecipesAhead | None = None,
        **kwargs: Any,
    ):
        if options is not None and options != (own := self.dataset.own_options(options)):
            different = (each for each in OPTIONS if getattr(own, each) != getattr(options, each))
            raise datasets.only_of_some(OPTIONS[next(different)])
        self._ahead = ahead
        super().__init__(options=options, **kwargs)

    def survey(self, manual_dir: Path) -> Survey:
        """All that is staged of it."""
        return self.dataset.survey(manual_dir, self._config_name)

    def split_recipes(self, manual_dir: Path, context: BuildContext) -> list[SplitRecipe]:
        """Finds and indexes the splits staged under `manual_dir`; warns of those that are not."""
        names = [name for name in self.split_names if name not in context.kept]
        only = names if context.kept else None
        if only is None and self._ahead is not None:
            asked = Asked(
                self.name, self._config_name, manual_dir, context.options, context.scratch
            )
            made = self._ahead.take(asked, context)
            if made is not None:
                return made
        return self.dataset.indexed(manual_dir, self._config_name, context, only)

    @property
    def split_names(self) -> list[str]:
        """Names of its official splits, in their order."""
        config = self.dataset.config(self._config_name)
        return [split.name for split in config.splits] if config else []

    @property
    def _config_name(self) -> str | None:
        return self.builder_config.name if self.builder_config else None
