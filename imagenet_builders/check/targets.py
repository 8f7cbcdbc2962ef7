"""What is to be checked: datasets and their configurations, and what is staged of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.check.report import full_name
from imagenet_builders.datasets.description import Config, Dataset, Split
from imagenet_builders.errors import ImagenetBuildersError, StagingError
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.sources.inspection import Problem


@dataclasses.dataclass(frozen=True)
class Target:
    """A dataset, or one of its configurations, to be checked.

    Attributes:
        dataset: The dataset.
        config: Its configuration.
        manual_dir: Where it is looked for.
        required: Whether it was asked for by name, so that it is an error if it is not there.
        one_of: Whether any other configuration of the dataset would do as well.
    """

    dataset: Dataset
    config: Config
    manual_dir: Path
    required: bool
    one_of: bool = False

    @property
    def name(self) -> str:
        """The dataset, with its configuration if it has any."""
        return full_name(self.dataset.name, self.config.name)

    def split(self, name: str) -> Split:
        """What is known of a split; nothing where it is no official one."""
        return self.config.split(name) or Split(name, None, None, "")

    def problem(
        self, severity: str, expected: str, found: str, cause: str = "", action: str = ""
    ) -> Problem:
        """A problem of the target where it is looked for."""
        path = str(self.manual_dir)
        return Problem(severity, path, expected, found, cause, action, (self.name,))


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
            if found and (not self.target.dataset.needs_boxes or self.survey.boxes.get(split))
        }


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

    def targets_of(name: str, config: str | None, *, required: bool) -> list[Target]:
        dataset = datasets.get(name)
        where = manual_dir / name if add_name else manual_dir
        configs = [one for one in dataset.configs if config in (None, one.name)]
        one_of = required and len(configs) > 1
        return [Target(dataset, one, where, required, one_of) for one in configs]

    for name, config in named:
        for target in targets_of(name, config, required=True):
            # By its configuration is more than by its name alone.
            if (name, target.config.name) not in targets or not target.one_of:
                targets[name, target.config.name] = target
    for name in datasets.names() if len(named) < len(asked) or not asked else ():
        for target in targets_of(name, None, required=False):
            targets.setdefault((name, target.config.name), target)
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
        staged = target.dataset.survey(manual_dir or target.manual_dir, target.config.name)
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
