"""The targets of a check, datasets in their configurations, and the survey of each."""

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
    """A dataset to check, in one of its configurations.

    Attributes:
        dataset: The dataset.
        config: Its configuration.
        manual_dir: The directory to survey.
        required: Whether the user named it, so that it is an error if it is missing.
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

    def path(self, data_dir: Path) -> Path:
        """The directory that a build makes."""
        dataset = self.dataset
        return Path(data_dir, *filter(None, (dataset.name, self.config.name, dataset.version)))

    def split(self, name: str) -> Split:
        """The official facts about a split; an unofficial one has none."""
        return self.config.split(name) or Split(name, None, None, "")

    def problem(
        self, severity: str, expected: str, found: str, cause: str = "", action: str = ""
    ) -> Problem:
        """A problem of the target in its directory."""
        path = str(self.manual_dir)
        return Problem(severity, path, expected, found, cause, action, (self.name,))


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """A target and its survey.

    Attributes:
        target: The target.
        survey: The survey; it has found nothing if it failed.
        error: The reason why it failed, or None.
    """

    target: Target
    survey: Survey
    error: ImagenetBuildersError | OSError | None = None

    @property
    def buildable(self) -> dict[str, tuple[Found, ...]]:
        """Split to its sources, for the splits that can be built."""
        return self.survey.buildable


def all_targets(
    manual_dir: Path, asked: Sequence[tuple[str, str | None]], *, add_name: bool
) -> list[Target]:
    """The targets of a check.

    Args:
        manual_dir: The directory with the archives.
        asked: Datasets asked for, each with a configuration or None for any. `all` adds the others,
            which need not be there, without those that are derived; so does an empty list.
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
            # A configuration that was named is required itself.
            if (name, target.config.name) not in targets or not target.one_of:
                targets[name, target.config.name] = target
    for each in datasets.original() if len(named) < len(asked) or not asked else ():
        name = each.name
        for target in targets_of(name, None, required=False):
            targets.setdefault((name, target.config.name), target)
    return list(targets.values())


def survey(
    target: Target, manual_dir: Path | None = None, *, source: str | None = None
) -> Surveyed:
    """Surveys what is staged of a target.

    Args:
        target: The target.
        manual_dir: Another directory to survey than the target's own.
        source: The kind of source that a build would be asked to take, or None for the preferred.
    """
    nothing = Survey(target.name, {})
    try:
        where = manual_dir or target.manual_dir
        staged = target.dataset.survey(where, target.config.name, headers=True)
        return Surveyed(target, _of_kind(staged, source) if source else staged)
    except StagingError as error:
        return Surveyed(target, dataclasses.replace(nothing, missing={"": (str(error),)}))
    except (ImagenetBuildersError, OSError) as error:
        return Surveyed(target, nothing, error)


def _of_kind(staged: Survey, source: str) -> Survey:
    """A survey with the sources of one kind first, and without splits that have none of it."""
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
