"""What `--stage` does around a build: archives are copied to scratch first, and named as they were.

A build that reads copies says of its sources what it would say without: `provenance.json` names the
originals, whose names, sizes and times the copies have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from imagenet_builders.assembly.engine import SplitResult
from imagenet_builders.assembly.progress import Progress
from imagenet_builders.options import BuildOptions
from imagenet_builders.scratch import size_text
from imagenet_builders.staging.copying import CopyReport, StagedCopy, staged_copy
from imagenet_builders.staging.found import Survey
from imagenet_builders.staging.to_copy import files_to_copy


def staged_sources(
    name: str,
    survey: Callable[[Path], Survey],
    manual_dir: Path,
    scratch: Path,
    options: BuildOptions,
) -> StagedCopy:
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
        OptionError: What is staged cannot be copied, or not to there.
        StagingError: `manual_dir` is not a directory.
        SourceError: A source cannot be read, or changed meanwhile.
    """
    if not options.stage:
        return StagedCopy(manual_dir)
    to_copy = files_to_copy(survey(manual_dir), manual_dir, options.source)
    if not to_copy.files:
        _say(f"{name}: there is nothing that --stage would copy; it is built from {manual_dir}")
        return StagedCopy(manual_dir)
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


@contextlib.contextmanager
def naming_originals(copy: StagedCopy) -> Iterator[None]:
    """Lets warnings in the block name the original archives, whichever are read."""
    if copy.place is None:
        yield
        return
    with warnings.catch_warnings():
        show = warnings.showwarning

        def renamed(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            text = str(message).replace(str(copy.manual_dir), str(copy.original))
            show(category(text), category, filename, lineno, file, line)

        warnings.showwarning = renamed
        yield


def as_original(
    results: Iterable[SplitResult], copy: StagedCopy, scratch: Path
) -> list[SplitResult]:
    """Results that name the original archives, not the copies and unpacked files that were read.

    Args:
        results: What was built.
        copy: What it was built from.
        scratch: The scratch directory of the build. The archives that the files in it were unpacked
            from are among the files of a result.

    Returns:
        The results as they would be had all been read in place.
    """
    unpacked = os.path.join(os.path.abspath(scratch), "")
    return [
        dataclasses.replace(
            result,
            files=tuple(
                dataclasses.replace(file, path=copy.original_of(file.path))
                for file in result.files
                if not file.path.startswith(unpacked)
            ),
            notes=tuple(
                dataclasses.replace(note, path=copy.original_of(note.path)) for note in result.notes
            ),
        )
        for result in results
    ]


def _say(text: str) -> None:
    print(f"imagenet-builders: {text}", file=sys.stderr, flush=True)
