"""Checks of what surrounds the shards of a dataset: its path, its features and its other files."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from imagenet_builders.datasets.description import Config, Dataset
from imagenet_builders.publish import default_config
from imagenet_builders.verify import provenance
from imagenet_builders.verify.metadata import Description
from imagenet_builders.verify.problems import Problem, Problems
from imagenet_builders.verify.provenance import Recorded
from imagenet_builders.write import outputs

# Other people's files do no harm to a dataset, but these look as if they belonged to it.
_DEBRIS = re.compile(
    r".*record.*-of-.*|.*\.(partial|tmp|incomplete|lock|done|marker)|\.?incomplete.*"
    r"|.*\.incomplete\..*|tmp.*"
)


def check_path(directory: Path, description: Description, problems: Problems) -> None:
    """Compares the names in a dataset's path with those in its metadata.

    Args:
        directory: The directory of its version.
        description: Its metadata.
        problems: Receives what is wrong.
    """
    info = str(directory / "dataset_info.json")
    if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", directory.name):
        parts = [directory.name, description.config, description.name]
        expected = [part for part in parts if part is not None]
        found = [directory.name, *(parent.name for parent in directory.parents)][: len(expected)]
        expected[0] = description.version
        if found != expected:
            problems.add(
                Problem(
                    info,
                    "name, configuration and version are not those of the directory",
                    expected="/".join(reversed(found)),
                    found=ascii("/".join(reversed(expected)))[1:-1][:200],
                )
            )


def check_default_config(directory: Path, description: Description, problems: Problems) -> None:
    """Makes sure that stock readers know which configuration the bare name of a dataset means.

    Args:
        directory: The directory of its version.
        description: Its metadata.
        problems: Receives what is wrong, and notes of what is harmless.
    """
    names = (directory.parent.parent.name, directory.parent.name)
    if names != (description.name, description.config):
        return  # There are no configurations, or it lies alone.
    path = default_config.path_of(directory)
    advice = "run its build again: it writes this file and leaves the dataset as it is"
    try:
        default = default_config.read(path)
    except ValueError as error:
        problems.add(Problem(str(path), str(error), advice=advice))
        return
    if default is None:
        what = "this file is missing, so stock readers have to name the configuration"
        problems.add(Problem(str(path), what, advice=advice))
    elif not (path.parent.parent / default).is_dir():
        problems.note(
            f"{description.name} alone means {description.name}/{default}, which is not built "
            "here; readers name the configuration"
        )


def check_features(
    directory: Path, description: Description, dataset: Dataset, config: Config, problems: Problems
) -> None:
    """Compares the features and classes in the metadata with those of the dataset.

    Args:
        directory: The directory of its version.
        description: Its metadata.
        dataset: The dataset.
        config: Its configuration.
        problems: Receives what is wrong.
    """
    classes = config.classes()
    fields = {field.path for field in description.fields}
    for name in ("image", "label", dataset.key):
        if name not in fields:
            path = str(directory / "features.json")
            problems.add(Problem(path, f"the feature {name} of this dataset is missing"))
    for field in description.fields:
        if field.kind != "label":
            continue
        file = f"{field.path.replace('/', '-')}.labels.txt"
        names = description.labels.get(field.path)
        if names is None:
            path = str(directory / file)
            if all(problem.path != path for problem in problems.kept):  # By its checksum.
                problems.add(Problem(path, "this file is missing"))
            continue
        expected = classes if dataset.fixed_classes else tuple(sorted(set(names)))
        if names != expected:
            what = "the classes are not those of this dataset in their order"
            pairs = zip(classes, names, strict=False)
            at = next(((a, b) for a, b in pairs if a != b), None)
            problems.add(
                Problem(
                    str(directory / file),
                    what,
                    expected=at[0] if at else f"{len(classes):,} classes",
                    found=ascii(at[1])[1:-1][:60] if at else f"{len(names):,}",
                )
            )


def check_listing(
    directory: Path, description: Description, recorded: Recorded, problems: Problems
) -> None:
    """Looks for files that do not belong to a dataset, in its directory and beside it.

    Args:
        directory: The directory of its version.
        description: Its metadata.
        recorded: What its provenance records.
        problems: Receives what is wrong, and notes of what is harmless.
    """
    shards = {shard for split in description.splits for shard in split.shards}
    shards |= {
        shard
        for alternative in description.alternatives
        for of_split in alternative.shards.values()
        for shard in of_split
    }
    belong = shards | recorded.files | set(description.label_files)
    belong |= {"dataset_info.json", "features.json", "LICENSE", provenance.FILE_NAME}
    if description.output.index is not None:
        belong.add(description.output.index.folder)  # See `index_file`.
    there = sorted(os.listdir(directory))
    # A conversion that was ended has written shards, and lists their format last.
    suffixes = [output.suffix for name in outputs.file_formats() if (output := outputs.get(name))]
    unfinished = {
        shard.replace(f".{description.output.suffix}-", f".{suffix}-")
        for suffix in suffixes
        for split in description.splits
        for shard in split.shards
    }
    other = [name for name in there if name not in belong]
    debris = [name for name in other if _DEBRIS.fullmatch(name)]
    for name in debris:
        what, advice = (
            "this file does not belong to the dataset",
            "if no build is running, see what made it, and move it elsewhere",
        )
        if name in unfinished:
            what = "this shard is of another file format, which dataset_info.json does not list"
            advice = (
                "move it elsewhere; if it was being converted, then run `tfds convert_format` "
                "again, with an absolute path"
            )
        problems.add(Problem(str(directory / name), what, advice=advice))
    if len(other) > len(debris):
        names = ", ".join(ascii(name)[1:-1] for name in other if name not in debris)[:200]
        problems.note(
            f"{directory} has files that are not the dataset's and were not read: {names}"
        )
    beside = list[str]()
    with contextlib.suppress(OSError):  # A directory above may be one to go through only.
        beside = sorted(os.listdir(directory.parent))
    left = [name for name in beside if ".incomplete" in f".{name}"]
    if left:
        names = ", ".join(ascii(name)[1:-1] for name in left)[:200]
        problems.note(f"{directory.parent} has what a build left that ended or still runs: {names}")
