"""Exports a dataset: the steps of a build, into a directory that was empty or not there."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import imagenet_builders
from imagenet_builders.build import steps
from imagenet_builders.build.summary import summary
from imagenet_builders.errors import BadImageError, OptionError, SourceError, TargetError
from imagenet_builders.export import grouped, joined, provenance
from imagenet_builders.export.form import Exported, Form, Part, Subject
from imagenet_builders.export.source import Planned, Source
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.identity import describe
from imagenet_builders.publish import unchanged
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.publish.provenance import read_provenance
from imagenet_builders.publish.readable import INFO
from imagenet_builders.publish.session import BuildSession, tidy
from imagenet_builders.publish.spread import files_of, spread
from imagenet_builders.publish.target import Target
from imagenet_builders.run.cpus import worker_count
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import phase
from imagenet_builders.scratch.space import make_scratch
from imagenet_builders.sources.reader import keep_files_open
from imagenet_builders.words import logger
from imagenet_builders.write import durable, marks
from imagenet_builders.write.outputs.output import Checksum, Output, Record, WrittenFile
from imagenet_builders.write.results import SplitResult
from imagenet_builders.write.space import BYTES_A_RECORD, Needs
from imagenet_builders.write.unread import examples_or_unread

_LOG = logger(__name__)

FLAG = "--out"

_PART = ".part"

# Of a shard that may be one of several in a part.
_FILES_A_SHARD = 2


def export(
    source: Source,
    form: Form,
    out: Path,
    options: BuildOptions,
    *,
    num_shards: int | None = None,
    workers: LocalWorkers | None = None,
) -> bool:
    """Exports a dataset, unless that is there already.

    An interrupted export is continued by the same call. The directory appears when it is whole.

    Args:
        source: What is exported.
        form: The form of the export.
        out: Its directory, which is empty or not there, or has such an export.
        options: How to build.
        num_shards: Number of parts of each split; None leaves it to the form.
        workers: Who does it, in a `with` block of the caller's; None has them started here.

    Returns:
        Whether it was exported; otherwise it was there.

    Raises:
        OptionError: What the form needs is not installed, an option cannot be used, or the
            directory is in a dataset or another export.
        StagingError: Nothing is staged.
        SourceError: A source is damaged.
        TargetError: Something is in the directory already, or it cannot be written.
        BusyError: Another process exports to the same directory.
    """
    form.check_installed()
    source.check(form, num_shards)
    out = out.absolute()
    name = f"{source.name} as {form.name}"
    if _is_there(out, source, form):
        if not form.joined:
            unchanged.warn_of_exported_shards(out, _shards_in(out), num_shards)
        tidy(Target(out), name)
        return False
    _check_place(out)
    building = BuildSession(Target(out), options, name, place=str(out))
    with building as session, contextlib.ExitStack() as at_end:
        if _is_there(out, source, form):  # Another process may have just made it.
            return False
        scratch = options.scratch_for(out.parent)
        if source.is_staged:  # Its index is kept there.
            scratch = make_scratch(scratch, options)
        when_built = contextlib.ExitStack()  # Not closed otherwise, for another attempt.
        if workers is None:
            workers = LocalWorkers(worker_count(options), on_start=keep_files_open)
            at_end.enter_context(workers)
        context = BuildContext(scratch, options, workers, at_end=at_end, when_built=when_built)
        with phase(f"indexing {source.name}") as shown:
            counting = context.with_workers(shown.counting(workers))
            planned = source.planned(form, num_shards, counting)
        shards = dict[str, list[range]]()
        if form.grouped:
            planned, shards = grouped.group(planned, unread=form.unread)
        elif form.unread:
            planned = _unread(planned)
        description = describe(
            planned.plans,
            [recipe.also_read for recipe in planned.recipes],
            dataset=source.name,
            file_format=form.name,
            mark_format=marks.FORMAT,
            version=imagenet_builders.__version__,
        )
        for split, parts_of_split in shards.items():  # What was asked for, for whoever is told.
            description["splits"][split]["shards"] = sum(map(len, parts_of_split))
        session.check_lock()
        session.open(description)
        written = joined.join(planned) if form.joined else planned
        results = _write(written, shards, source, form, context, session.incomplete, name)
        parts = {
            plan.split: _paths(session.incomplete, plan.split, plan.shard_count)
            for plan in written.plans
        }
        with phase(f"publishing {name}"):
            names, files = _spread(session.incomplete, form, parts)
            others = _finish(planned.subject, form, results, parts, session.incomplete)
            splits = results
            if form.joined:
                splits = joined.part(results[0], planned)
                files = dict.fromkeys((each.split for each in splits), files[joined.NAME])
            provenance.write(
                session.incomplete.place,
                others,
                planned.subject,
                form,
                source,
                steps.of_archives(splits, context.unpacked),
                options=options,
                plans={split: each["plan"] for split, each in description["splits"].items()},
                files=files,
                seconds=session.seconds,
            )
            session.incomplete.expect([*others, provenance.FILE_NAME], confirmed=names)
            session.publish(replace=False)
        when_built.close()
        seconds = session.seconds
    for line in summary(name, results, seconds):
        _LOG.info(line)
    return True


def _unread(planned: Planned) -> Planned:
    """The same, with images that are not read before the form has them read."""
    recipes = [
        dataclasses.replace(each, examples=functools.partial(examples_or_unread, each.examples))
        for each in planned.recipes
    ]
    return dataclasses.replace(planned, recipes=recipes)


def _is_there(out: Path, source: Source, form: Form) -> bool:
    """Whether there is such an export; as for builds, whatever it was made from.

    Raises:
        TargetError: Something else is there.
    """
    said = read_provenance(out) or {}
    if (said.get("dataset"), said.get("form")) == (source.name, form.name):
        return True
    check_free(out)
    return False


def _shards_in(out: Path) -> dict[str, int]:
    """Split to the number of its shards, of an export that has such."""
    try:
        splits = (read_provenance(out) or {})["splits"]
        return {name: int(each["shards"]) for name, each in splits.items() if "files" in each}
    except (KeyError, TypeError, ValueError, AttributeError):  # As somebody else wrote it.
        return {}


def check_free(out: Path) -> None:
    """Makes sure that nothing is in the way of an export.

    Raises:
        TargetError: Something is.
    """
    with durable.reading(out):
        if not os.path.lexists(out):
            return
        if out.is_dir() and not out.is_symlink() and not any(out.iterdir()):
            return
    raise TargetError(
        f"{out} is there and is no empty directory; an export replaces nothing, choose another "
        f"{FLAG}"
    )


def _check_place(out: Path) -> None:
    """Makes sure that an export goes into no dataset, and into no other export.

    Raises:
        OptionError: It would; who verifies what is there would find files that do not belong to it.
    """
    for each in Path(os.path.realpath(out)).parents:
        if any(os.path.lexists(each / name) for name in (INFO, provenance.FILE_NAME)):
            raise OptionError(
                f"{FLAG} {out}: there is a dataset or an export in {each}; choose a directory that "
                "is in none"
            )


def _write(
    planned: Planned,
    grouped_shards: Mapping[str, Sequence[range]],
    source: Source,
    form: Form,
    context: BuildContext,
    incomplete: IncompleteDir,
    name: str,
) -> list[SplitResult]:
    def output(split: str, number: int, count: int) -> Output:
        if form.grouped:
            of_split = grouped_shards[split]
            parts = [Part(split, each, of_split[-1].stop) for each in of_split[number]]
            write = functools.partial(grouped.write, form.write, planned.subject, parts)
        else:
            shards = source.shards(split) if form.follows else ()
            part = Part(split, number, count, shards)
            write = functools.partial(form.write, planned.subject, part)
        return Output(form.name, _PART, write, _no_records, is_tree=True)

    try:
        return steps.write_splits(
            planned.recipes,
            planned.plans,
            name=name,
            shard_path=functools.partial(_part_path, incomplete),
            output=output,
            incomplete=incomplete,
            options=context.options,
            workers=context.workers,
            needs=Needs(
                bytes_a_record=form.bytes_a_record + BYTES_A_RECORD,
                files_a_record=form.files_a_record,
                files=_FILES_A_SHARD * sum(map(len, itertools.chain(*grouped_shards.values()))),
                copies=form.copies,
                flag=FLAG,
            ),
        )
    except BadImageError:
        raise
    except SourceError:
        context.cache.forget()
        raise


def _part_path(incomplete: IncompleteDir, split: str, number: int, count: int) -> Path:
    return incomplete.shards / f"{split}-{number:05}-of-{count:05}{_PART}"


def _no_records(path: str, checksum: Checksum | None) -> Iterator[Record]:
    """Parts are no files of records."""
    del path, checksum
    return iter(())


def _paths(incomplete: IncompleteDir, split: str, count: int) -> list[Path]:
    return [_part_path(incomplete, split, number, count) for number in range(count)]


def _spread(
    incomplete: IncompleteDir, form: Form, parts: Mapping[str, Sequence[Path]]
) -> tuple[list[str], dict[str, list[WrittenFile]]]:
    """Moves all files to their paths; returns these, and what a provenance lists of each split."""
    names, files = list[str](), dict[str, list[WrittenFile]]()
    for split, paths in parts.items():
        listed = files[split] = []
        for file in spread(incomplete, paths):
            names.append(file.name)
            if not form.files_a_record:  # Of a file for each image, there are millions.
                listed.append(file)
    return names, files


def _finish(
    subject: Subject,
    form: Form,
    results: Sequence[SplitResult],
    parts: Mapping[str, Sequence[Path]],
    incomplete: IncompleteDir,
) -> list[str]:
    """Writes the files that tell of all of it, and returns their paths."""

    def files(split: str) -> Iterator[WrittenFile]:
        for path in parts[split]:
            yield from files_of(incomplete, path)

    contents = form.finish(Exported(subject, results, files))
    for name, content in contents.items():
        durable.write_file(incomplete.place / name, content)
    return list(contents)
