"""What `--stage` does around a build: archives are copied to scratch first, and named as they were.

A build that reads copies says of its sources what it would say without: `provenance.json` names the
originals, whose names, sizes and times the copies have.
"""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from imagenet_builders.locate.found import Survey
from imagenet_builders.options import BuildOptions
from imagenet_builders.run.progress import Progress
from imagenet_builders.scratch.copy import CopyReport, ScratchCopy, staged_copy
from imagenet_builders.scratch.to_copy import files_to_copy
from imagenet_builders.words import size_text


def staged_sources(
    name: str,
    survey: Callable[[Path], Survey],
    manual_dir: Path,
    scratch: Path,
    options: BuildOptions,
) -> ScratchCopy:
    """Where a build reads its archives: a copy of them in scratch space, if that was asked for.

    Args:
        name: What is built, for messages.
        survey: Says what is staged of it.
        manual_dir: Where the archives are.
        scratch: The scratch directory of the build.
        options: How to build.

    Returns:
        The copy; `manual_dir` itself without `options.stage`, and where nothing is worth copying.

    Raises:
        OptionError: What is staged cannot be copied to there.
        StagingError: `manual_dir` is not a directory.
        SourceError: A source cannot be read, or changed meanwhile.
    """
    if not options.stage:
        return ScratchCopy(manual_dir)
    to_copy = files_to_copy(survey(manual_dir), manual_dir, options.source)
    _warn_of_folders(name, to_copy.in_place)
    if not to_copy.files:
        if not to_copy.in_place:
            _say(f"{name}: there is nothing that --stage would copy; it is built from {manual_dir}")
        return ScratchCopy(manual_dir)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        progress: list[Progress] = []

        def begins(text: str, size: int) -> None:
            _say(f"{name}: {text}")
            progress.append(stack.enter_context(Progress(f"copying {name}", images=0, size=size)))

        report = CopyReport(begins, lambda done: progress[0].update(0, done))
        copy = staged_copy(manual_dir, to_copy, scratch, name, report)
    seconds = time.monotonic() - started
    _say(
        f"{name}: copied in {seconds:.1f} s; {copy.manual_dir} in what follows stands for "
        f"{manual_dir}, of which it has {size_text(copy.size)}"
    )
    return copy


def _warn_of_folders(name: str, folders: Sequence[Path]) -> None:
    if folders:
        warnings.warn(
            f"{name}: --stage does not copy folders of small files, because that takes longer than "
            f"to read them in place, as is done with {', '.join(map(str, folders))}; an archive of "
            "them (tar, SquashFS) would be copied",
            stacklevel=4,
        )


def _say(text: str) -> None:
    print(f"imagenet-builders: {text}", file=sys.stderr, flush=True)
