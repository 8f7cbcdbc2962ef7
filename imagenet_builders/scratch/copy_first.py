"""What `--stage` does before a build: copies archives to scratch space and tells of it.

A build that reads copies names the originals in `provenance.json`: the copies have their names,
sizes and times.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from imagenet_builders.locate.found import Survey
from imagenet_builders.options import BuildOptions
from imagenet_builders.run.progress import Progress
from imagenet_builders.scratch.copy import CopyReport, ScratchCopy, copy_to_scratch
from imagenet_builders.scratch.to_copy import files_to_copy
from imagenet_builders.words import logger, size_text

_LOG = logger(__name__)


def copy_first(
    name: str,
    survey: Callable[[Path], Survey],
    manual_dir: Path,
    scratch: Path,
    options: BuildOptions,
) -> ScratchCopy:
    """Copies the archives of a build to scratch space, if the options ask for it.

    Args:
        name: What is built, for messages.
        survey: Says what is staged of it.
        manual_dir: Where the archives are.
        scratch: The scratch directory of the build.
        options: How to build.

    Returns:
        The copies; none without `options.stage`, and where nothing is worth copying.

    Raises:
        OptionError: The archives cannot be copied to there.
        StagingError: `manual_dir` is not a directory.
        SourceError: A source cannot be read, or changed meanwhile.
    """
    if not options.stage:
        return ScratchCopy()
    to_copy = files_to_copy(survey(manual_dir), options.source)
    _warn_of_folders(name, to_copy.in_place)
    if not to_copy.files:
        if not to_copy.in_place:
            _LOG.info(
                f"{name}: there is nothing that --stage would copy; it is built from {manual_dir}"
            )
        return ScratchCopy()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        progress: list[Progress] = []

        def begins(text: str, size: int) -> None:
            _LOG.info(f"{name}: {text}")
            progress.append(stack.enter_context(Progress(f"copying {name}", images=0, size=size)))

        report = CopyReport(begins, lambda done: progress[0].update(0, done))
        copy = copy_to_scratch(manual_dir, to_copy, scratch, name, report)
    seconds = time.monotonic() - started
    _LOG.info(f"{name}: copied {size_text(copy.size)} in {seconds:.1f} s")
    return copy


def _warn_of_folders(name: str, folders: Sequence[Path]) -> None:
    if folders:
        _LOG.warning(
            f"{name}: --stage does not copy folders of small files, because reading them in place "
            f"takes less time; read in place: {', '.join(map(str, folders))}; an archive of them "
            "(tar, SquashFS) would be copied"
        )
