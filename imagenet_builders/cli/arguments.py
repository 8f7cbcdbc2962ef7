"""Arguments that several commands take, and how they are spelled."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from imagenet_builders import datasets as datasets_lib
from imagenet_builders.cli.streams import tell_error
from imagenet_builders.datasets import names, no_such
from imagenet_builders.errors import OptionError
from imagenet_builders.options import OPTIONS, BuildOptions, require_local
from imagenet_builders.run.terminal import width_of, wrapped
from imagenet_builders.write import outputs

# Longer lines are hard to read.
_MAX_WIDTH = 100
_SIZE = re.compile(r"([0-9]+)\s*([KMGT]i?)?B?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12} | {
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


class HelpFormatter(argparse.HelpFormatter):
    """Help as wide as the terminal, in lines that end between words."""

    def __init__(self, prog: str, **more: Any):
        width = min(_MAX_WIDTH, width_of(sys.stdout)) - 2
        # On a narrow terminal, what an option does stands beneath it.
        super().__init__(prog, width=width, max_help_position=24 if width > 60 else 8, **more)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(" ".join(text.split()), width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:  # An example, as one types it.
            return "".join(f"{indent}{_typed(line, width)}\n" for line in text.splitlines())
        return "\n".join(wrapped(" ".join(text.split()), width, indent))

    def _format_usage(self, usage: str | None, *others: Any) -> str:
        if usage is None or "\n" in usage:
            return super()._format_usage(usage, *others)
        prefix = others[-1] or "usage: "
        return "\n".join(wrapped(usage, self._width, prefix, " " * 7)) + "\n\n"


def _typed(line: str, width: int) -> str:
    """A line of a command as one types it, in several lines if it is longer."""
    words = line.lstrip(" ")
    indent = line[: len(line) - len(words)]
    lines = wrapped(words.removesuffix(" \\"), width - 2, indent, f"{indent}    ")
    return " \\\n".join(lines) + (" \\" if words.endswith(" \\") else "")


class Parser(argparse.ArgumentParser):
    """A parser that repeats nothing that acts on a terminal, such as a file's name from a `*`."""

    def error(self, message: str) -> NoReturn:
        """As in argparse: prints the usage and a sentence, and ends the process."""
        self.print_usage(sys.stderr)
        tell_error(f"{self.prog}: error: {message}")
        self.exit(2)


def add_command(
    commands: Any, name: str, usage: str, description: str, example: str, **more: Any
) -> argparse.ArgumentParser:
    """Adds a command to the parser.

    Args:
        commands: What `add_subparsers` gave.
        name: Name of the command.
        usage: Its arguments in short.
        description: What it does.
        example: Arguments of an example; lines after the first go on with it.
        **more: Further arguments of `add_parser`.

    Returns:
        The parser of the command.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=f"imagenet-builders {name} {usage}",
        description=description,
        epilog=f"example:\n  imagenet-builders {name} {example}",
        formatter_class=HelpFormatter,
        **more,
    )
    return parser


def add_built_datasets(parser: argparse.ArgumentParser, directory_of: str) -> None:
    """Adds the arguments that name datasets which were built.

    Args:
        parser: The parser of a command.
        directory_of: What a directory may be of, in words.
    """
    parser.add_argument(
        "datasets",
        nargs="+",
        metavar="DATASET",
        help="NAME, NAME/CONFIG, either with :VERSION (default: the newest); the directory of "
        f"{directory_of}; or `all` for every dataset of this package that is there",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        type=lambda text: Path(os.path.expanduser(text)),
        help="directory of the datasets (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )


def add_options(parser: Any, names: Iterable[str], **instead: str) -> None:
    """Adds options of a build to a parser, or to a group of its arguments.

    Args:
        parser: The parser or group.
        names: Fields of `BuildOptions`. A value stays the text that was given, for `options_of`.
        **instead: Help for some of them, where they mean something else to this command.
    """
    for name in names:
        option = OPTIONS[name]
        kind: dict[str, Any] = {"metavar": option.metavar}
        if option.is_switch:
            kind = {"action": "store_const", "const": not option.default}
        help_text = instead.get(name, option.help_text).replace("%", "%%")
        parser.add_argument(option.flag, dest=name, default=None, help=help_text, **kind)


def options_of(arguments: argparse.Namespace) -> BuildOptions:
    """The options that were given, and for the others those in the environment.

    Args:
        arguments: Arguments of a parser that `add_options` added some to.

    Returns:
        The options.

    Raises:
        OptionError: A flag or a variable has a value that cannot be used.
    """
    given = {}
    for name, option in OPTIONS.items():
        value = getattr(arguments, name, None)
        if value is not None:
            given[name] = value if option.is_switch else option.read(value, option.flag)
    return BuildOptions.from_environment().replace(**given)


def check_places(arguments: argparse.Namespace, *, manual_dir: str = "--manual-dir") -> None:
    """Makes sure that `manual_dir` and `data_dir` are in a file system.

    Args:
        arguments: What was given.
        manual_dir: What the argument for `manual_dir` is called.

    Raises:
        OptionError: One is an address, or empty.
    """
    require_local("manual_dir", arguments.manual_dir, called=manual_dir)
    if arguments.data_dir is not None:
        require_local("data_dir", arguments.data_dir, called="--data-dir")
    else:
        default = os.environ.get("TFDS_DATA_DIR") or None
        require_local("data_dir", default, called="TFDS_DATA_DIR")


def at_least(least: int, value: int | None, flag: str) -> None:
    """Makes sure that a number that was given is large enough.

    Raises:
        OptionError: It is too small.
    """
    if value is not None and value < least:
        raise OptionError(f"{flag} must be at least {least}, not {value}")


def dataset(text: str) -> tuple[str, str | None]:
    """A dataset and perhaps one of its configurations (a `type` of argparse)."""
    name, slash, config = text.partition("/")
    if (name not in names() and text != "all") or bool(slash) != bool(config):
        raise argparse.ArgumentTypeError(no_such(text))
    return name, config or None


def check_configs(asked: Iterable[tuple[str, str | None]]) -> None:
    """Makes sure that datasets have the configurations asked for.

    Args:
        asked: Names of datasets, each with a configuration or None.

    Raises:
        OptionError: One has no such configuration.
    """
    for name, config in asked:
        if config is None:
            continue
        configs = datasets_lib.get(name).config_names
        if config not in configs:
            if not configs:
                raise OptionError(f"{name} has no configurations, so leave out {config!r}")
            raise OptionError(f"{name} has the configurations {', '.join(configs)}, not {config!r}")


def asked_for(datasets: Sequence[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The datasets asked for; `all` stands for each of them that is not derived from another."""
    asked: list[tuple[str, str | None]] = []
    for name, config in datasets:
        if name == "all":
            asked += [(each.name, None) for each in datasets_lib.original()]
        else:
            asked.append((name, config))
    return asked


def check_own_options(
    arguments: argparse.Namespace, datasets: Sequence[tuple[str, str | None]]
) -> None:
    """Makes sure that some dataset takes the options that only some take.

    Args:
        arguments: The arguments, with the options of a build.
        datasets: Names and configurations of the datasets that are asked for.

    Raises:
        OptionError: One was given, and no dataset that is asked for takes it.
    """
    asked = (datasets_lib.get(name) for name, _ in asked_for(datasets))
    taken = {name for each in asked for name in each.options}
    for option in (each for each in OPTIONS.values() if each.of_some):
        if getattr(arguments, option.name, None) is not None and option.name not in taken:
            raise datasets_lib.only_of_some(option)


def with_dashes(argv: Sequence[str]) -> list[str]:
    """Accepts TFDS's spelling: `--manual_dir` for `--manual-dir`."""
    dashed = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        if name.startswith("--"):
            name = name.replace("_", "-")
        dashed.append(name + equals + value)
    return dashed


def file_format(text: str) -> str:
    """File formats that shards can be written in, as they were given (a `type` of argparse)."""
    try:
        return ",".join(outputs.file_format_names(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def size(text: str) -> int:
    """A number of bytes (a `type` of argparse)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500MiB or 1GB")
    number = int(match[1]) * _FACTORS[(match[2] or "").lower()]
    if number == 0:
        raise argparse.ArgumentTypeError("a shard cannot have a size of 0")
    return number
