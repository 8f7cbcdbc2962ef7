"""The options of `build` as Markdown, for the docs: made from the very parser that reads them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from imagenet_builders.cli import build
from imagenet_builders.options import OPTIONS


def build_options() -> str:
    """A heading and a table for each group of options: option, meaning, environment variable."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    variables = {option.flag: f"`{option.variable}`" for option in OPTIONS.values()}
    parser = build.add_parser(argparse.ArgumentParser().add_subparsers())
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest != "help"]
        if not actions:
            continue
        title = group.title or ""
        yield from (f"### {title[:1].upper()}{title[1:]}", "")
        yield from ("| option | meaning | environment variable |", "|---|---|---|")
        for action in actions:
            [flag] = action.option_strings or [""]
            value = f" {action.metavar}" if action.metavar else ""
            meaning = (action.help or "").replace("%%", "%").replace("|", r"\|")
            yield f"| `{f'{flag}{value}'.strip()}` | {meaning} | {variables.get(flag, '')} |"
        yield ""
