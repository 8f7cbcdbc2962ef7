"""The table of options for the docs, and `build --help`: no option is missing in either."""

from __future__ import annotations

import re

from support.processes import run_cli

from imagenet_builders.cli import reference
from imagenet_builders.options import OPTIONS


def test_the_table_has_every_option_with_its_variable() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)[^`]*` \| .+ \| (.*) \|$", reference.build_options(), re.M)
    variables = dict(rows)
    assert len(variables) == len(rows)
    for option in OPTIONS.values():
        assert variables.pop(option.flag) == f"`{option.variable}`"
    assert {"--manual-dir", "--data-dir", "--file-format", "--beam-options"} <= set(variables)
    assert set(variables.values()) == {""}


def test_the_table_and_the_help_have_the_same_options_in_the_same_order() -> None:
    table = re.findall(r"^\| `(--[a-z-]+)", reference.build_options(), re.M)
    told = re.findall(r"^  (?:-h, )?(--[a-z-]+)", run_cli("build", "--help").stdout, re.M)
    assert told == ["--help", *table]


def test_every_cell_is_one_cell() -> None:
    lines = [line for line in reference.build_options().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
