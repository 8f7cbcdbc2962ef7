"""Builds one dataset in one file format, or in several, each in a directory of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from imagenet_builders.build.preparing import PreparingBuilder
from imagenet_builders.build.running import Running
from imagenet_builders.publish.published import Task


def build_all(
    builders: Mapping[PreparingBuilder, str | None], download_dir: Any, config: Any
) -> None:
    """Builds a dataset in one file format, or in several ones, for which images are read once.

    Where one of them is there already, or splits are added to it, each is built by itself.

    Args:
        builders: Builders, whose datasets lie in different directories, to their file formats.
        download_dir: As for `download_and_prepare`.
        config: As there.
    """
    asked = {each: each.ask(download_dir, config, name) for each, name in builders.items()}
    todo = [each for each in builders if not each.is_there(asked[each])]
    running: dict[PreparingBuilder, Running] = {}
    made: list[PreparingBuilder] = []
    with contextlib.ExitStack() as stack:
        # Always in the same order, so that no two processes wait for each other.
        for each in sorted(todo, key=lambda each: os.path.realpath(each.data_dir)):
            begun = stack.enter_context(each.holding(asked[each]))
            if begun is not None:
                running[each] = begun
        todo = [each for each in todo if each in running]
        at_once = all(running[each].task is not Task.ADD and each.is_planned for each in todo)
        groups = [todo] if todo and at_once else [[each] for each in todo]
        for first, *others in groups:
            made += first.prepare_and_publish(others, download_dir, config)
    for each in todo:
        name = builders[each] if len(builders) > 1 else None
        each.tell(running[each], is_made=each in made, file_format=name)
