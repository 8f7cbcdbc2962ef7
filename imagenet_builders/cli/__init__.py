"""`imagenet-builders`: the command line, a module a command.

    imagenet-builders build imagenet2012 --manual-dir /datashare/imagenet --data-dir /shared/tfds

Nothing but the standard library is imported before the arguments are known to be good.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import imagenet_builders
from imagenet_builders.cli import build, catalog, check, export, show, verify
from imagenet_builders.cli.arguments import HelpFormatter, Parser, with_dashes
from imagenet_builders.cli.streams import safe_streams, tell_error
from imagenet_builders.errors import ImagenetBuildersError, OptionError
from imagenet_builders.run import console

# How a batch system ends a job at its time limit, and a terminal that is closed.
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)

_COMMANDS = (check, build, verify, show, export, catalog)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        The exit status: 0 when all went well, 1 when it did not, 2 for arguments that cannot be
        used.
    """
    try:
        with safe_streams(), console.shown():
            return _run(_parser().parse_args(with_dashes(sys.argv[1:] if argv is None else argv)))
    finally:
        if argv is None:  # The process ends, and Python would look at all that it holds once more.
            gc.freeze()


def _run(arguments: argparse.Namespace) -> int:
    # What is ignored, as by `nohup`, stays ignored.
    heeded = [number for number in _ENDINGS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _terminate) for number in heeded}
    try:
        status: int | None = arguments.run(arguments)
    except KeyboardInterrupt as error:
        published = "; nothing was published" if arguments.run in (build.run, export.run) else ""
        tell_error(f"imagenet-builders: interrupted{published}")
        _print_notes(error)
        return 130
    except SystemExit as error:
        _print_notes(error)
        raise
    except (ImagenetBuildersError, OSError) as error:
        if arguments.verbose:
            tell_error(*traceback.format_exc().rstrip("\n").split("\n"))
        tell_error(f"imagenet-builders: error: {_sentence(error)}")
        _print_notes(error)
        return 2 if isinstance(error, OptionError) else 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status or 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        formatter_class=HelpFormatter,
        prog="imagenet-builders",
        description="Turns pre-staged ImageNet archives into TensorFlow Datasets: check what is "
        "staged, build, verify what was built, show how to read it, and export it.",
        epilog="`imagenet-builders COMMAND --help` explains a command and has an example.",
    )
    parser.add_argument(
        "--version", action="version", version=f"imagenet-builders {imagenet_builders.__version__}"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        names = [name for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([*map(str, names), error.strerror])
    return str(error)


def _print_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", []):
        tell_error(f"imagenet-builders: note: {note}")


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Ends like any other error would, so that nothing is left behind."""
    raise SystemExit(128 + number)
