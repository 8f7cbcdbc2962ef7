"""What is to be checked: datasets and their configurations, and what is staged of each."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.check.report import full_name
from imagenet_builders.errors import ImagenetBuildersError, StagingError
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.official import official_splits

# Its splits need their boxes; those of the dogs can do without.
_NEEDS_BOXES = frozenset({"imagenet2012_localization"})

_CLASSES = {
    ("imagenet2012", None): "imagenet2012",
    ("imagenet2012_localization", None): "imagenet2012",
    ("imagenet2012_dogs", None): "dogs",
    ("imagenet21k_winter21", "whole"): "imagenet21k_winter21",
    ("imagenet21k_winter21", "p"): "imagenet21k_p",
    ("tiny_imagenet", None): "tiny_imagenet",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """A dataset, or one of its configurations, to be checked.

    Attributes:
        dataset: Name of the dataset.
        config: The configuration, or None where there are none.
        manual_dir: Where it is looked for.
        required: Whether it was asked for by name, so that it is an error if it is not there.
        one_of: Whether any other configuration of the dataset would do as well.
    """

    dataset: str
    config: str | None
    manual_dir: Path
    required: bool
    one_of: bool = False

    @property
    def name(self) -> str:
        """The dataset, with its configuration if it has any."""
        return full_name(self.dataset, self.config)

    @property
    def splits(self) -> list[str]:
        """Names of the official splits."""
        return [
            split
            for dataset, config, split in official_splits()
            if (dataset, config) == (self.dataset, self.config)
        ]

    @property
    def class_space(self) -> str | None:
        """Name of the label space of the classes that folders and class tars are named by."""
        return _CLASSES.get((self.dataset, self.config))

    @property
    def needs_boxes(self) -> bool:
        """Whether a split cannot be built without boxes."""
        return self.dataset in _NEEDS_BOXES


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """What is staged of a target.

    Attributes:
        target: The target.
        survey: What there is; nothing found where the survey failed.
        error: Why the survey failed, or None.
    """

    target: Target
    survey: Survey
    error: ImagenetBuildersError | OSError | None = None

    @property
    def buildable(self) -> dict[str, tuple[Found, ...]]:
        """Split to what provides it, where all that it needs is there."""
        return {
            split: found
            for split, found in self.survey.found.items()
            if found and (not self.target.needs_boxes or self.survey.boxes.get(split))
        }


def configs_of(dataset: str) -> list[str | None]:
    """The configurations of a dataset, in their order; only None where it has none."""
    return list(dict.fromkeys(config for name, config, _ in official_splits() if name == dataset))


def all_targets(
    manual_dir: Path, asked: Sequence[tuple[str, str | None]], *, add_name: bool
) -> list[Target]:
    """What is to be checked.

    Args:
        manual_dir: Where to look.
        asked: Datasets asked for, each with a configuration or None for any; `all` stands for those
            not named besides, which need not be there, and so does nothing.
        add_name: Look for each dataset in the directory of its name below `manual_dir`.
    """
    named = [each for each in asked if each[0] != "all"]
    targets: dict[tuple[str, str | None], Target] = {}
    for name, config in named:
        where = manual_dir / name if add_name else manual_dir
        configs = [config] if config else configs_of(name)
        for each in configs:
            target = Target(name, each, where, required=True, one_of=len(configs) > 1)
            # By its configuration is more than by its name alone.
            if (name, each) not in targets or not target.one_of:
                targets[name, each] = target
    for name in datasets.BUILDER_MODULES if len(named) < len(asked) or not asked else ():
        where = manual_dir / name if add_name else manual_dir
        for each in configs_of(name):
            targets.setdefault((name, each), Target(name, each, where, required=False))
    return list(targets.values())


def survey(
    target: Target, manual_dir: Path | None = None, *, source: str | None = None
) -> Surveyed:
    """Looks at what is staged of a target.

    Args:
        target: The target.
        manual_dir: Where to look instead.
        source: The kind of source that a build would be asked to take, or None for the preferred.
    """
    nothing = Survey(target.name, {})
    try:
        module, _, function = datasets.SURVEYS[target.dataset].partition(":")
        look: Callable[..., Survey] = getattr(importlib.import_module(module), function)
        staged = look(manual_dir or target.manual_dir, target.config)
        return Surveyed(target, _of_kind(staged, source) if source else staged)
    except StagingError as error:
        return Surveyed(target, dataclasses.replace(nothing, missing={"": (str(error),)}))
    except (ImagenetBuildersError, OSError) as error:
        return Surveyed(target, nothing, error)


def _of_kind(staged: Survey, source: str) -> Survey:
    """The same, with what is of a kind before all else, and without the splits that have none."""
    found: dict[str, tuple[Found, ...]] = {}
    missing = dict(staged.missing)
    for split, sources in staged.found.items():
        wanted = tuple(one for one in sources if one.kind == source)
        others = tuple(one for one in sources if one.kind != source)
        if wanted:
            found[split] = wanted + others
        else:
            missing[split] = (
                f"something staged as {source}, not only {', '.join(map(str, others))}",
            )
    return dataclasses.replace(staged, found=found, missing=missing)
