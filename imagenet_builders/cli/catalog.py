"""`imagenet-builders catalog`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from imagenet_builders.cli import arguments as arguments_lib
from imagenet_builders.cli.streams import tell
from imagenet_builders.errors import OptionError
from imagenet_builders.options import default_data_dir, require_local
from imagenet_builders.words import counted, printable

_MOST_IMAGES = 1_000
_MAX_NOTICE_BYTES = 1 << 20


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = arguments_lib.add_command(
        commands,
        "catalog",
        help="make a site of static pages on everything that was built",
        usage="--out SITE [--data-dir DIR] [options]",
        description="Makes the page that a site writes by hand: what datasets and exports there "
        "are, where, how to read them from each framework, their classes, statistics and "
        "provenance, the terms of access, and how to cite them. It is a directory of static files, "
        "opened from disk or served by any web server; nothing in it asks the network. Beside each "
        "page are croissant.json and a dataset card. A second run reads again only what has "
        "changed.",
        example="--data-dir /shared/tfds --out site --contact help@example.org",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        type=os.path.expanduser,
        help="directory of the datasets, with those that stock TensorFlow Datasets built and with "
        "exports (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )
    parser.add_argument(
        "--out",
        metavar="SITE",
        required=True,
        type=os.path.expanduser,
        help="the directory of the catalog; an earlier one is replaced in one step, anything else "
        "is left alone",
    )
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument(
        "--images",
        metavar="N",
        type=int,
        default=0,
        help="show so many examples of each split as small pictures, which are copies of images "
        "under their terms of access",
    )
    pictures.add_argument(
        "--no-images",
        dest="images",
        action="store_const",
        const=0,
        help="show no pictures (the default)",
    )
    parser.add_argument(
        "--notice",
        metavar="FILE",
        type=lambda text: Path(os.path.expanduser(text)),
        help="a text of your site, in Markdown, that stands above everything",
    )
    parser.add_argument("--contact", metavar="TEXT", default="", help="whom to ask")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="verify everything first, which reads all of it, and show what was found; the exit "
        "status is 1 if something is wrong",
    )
    arguments_lib.add_options(
        parser,
        ["workers"],
        workers="read shards with this many processes (default: as many as CPUs you may use)",
    )
    parser.add_argument("--verbose", action="store_true", help="show tracebacks of errors")


def run(arguments: argparse.Namespace) -> int:
    """Makes the catalog that was asked for.

    Returns:
        The exit status: 1 if it was asked to verify everything and something is wrong.
    """
    from imagenet_builders.run.cpus import worker_count

    options = arguments_lib.options_of(arguments)
    require_local("data_dir", arguments.data_dir, called="--data-dir")
    require_local("data_dir", arguments.out, called="--out")
    if not 0 <= arguments.images <= _MOST_IMAGES:
        raise OptionError(f"--images must be from 0 to {_MOST_IMAGES:,}, not {arguments.images}")
    notice = _notice(arguments.notice)

    from imagenet_builders.catalog.site import Wishes, make

    wishes = Wishes(
        images=arguments.images,
        notice=notice,
        contact=printable(arguments.contact),
        verify=arguments.verify,
        workers=worker_count(options),
    )
    out = Path(arguments.out).absolute()
    given = arguments.data_dir
    data_dir = Path(given) if given is not None else default_data_dir()
    site = make(data_dir, out, wishes)
    for fault in site.faults:
        tell(f"not in the catalog: {fault.path}: {fault.sentence}")
    if not site.entries:
        tell(f"there is no dataset and no export in {site.data_dir}")
    wrong = [each for each in site.entries if each.verified is not None and not each.verified.ok]
    if arguments.verify and wrong:
        what = counted(len(wrong), "dataset or export is", "datasets or exports are")
        tell(f"{what} wrong: {', '.join(each.path for each in wrong)}")
    tell(f"{counted(len(site.entries), 'page')}: {out / 'index.html'}")
    unread = any(each.unread for each in site.faults)
    return int(arguments.verify and (bool(wrong) or unread))


def _notice(path: Path | None) -> str:
    """The text of a site.

    Raises:
        OptionError: It cannot be read.
    """
    if path is None:
        return ""
    from imagenet_builders.files.regular import read_regular

    try:
        text = read_regular(path, _MAX_NOTICE_BYTES, follow=True).decode()
    except OSError as error:
        raise OptionError(
            f"--notice {path} cannot be read: {error.strerror}; give a file of text"
        ) from None
    except UnicodeDecodeError:
        raise OptionError(f"--notice {path} is not text in UTF-8; convert it") from None
    return "\n".join(map(printable, text.splitlines())).strip()
