"""Inflates a large gzip file with several processors: by `rapidgzip`, where that is installed.

Its word is not taken. It ends without an error on files that are cut off, and does not say where a
file is damaged; so what it gives counts only if the CRC-32 and the length are those in the last
bytes of the file, as zlib compares them. In all other cases (`Doubt`) the file is to be read again,
by zlib, which names what is wrong and where.

It has a process of its own. As a module it would keep an index, 50 MB for each GB; and it is C++
that reads what anybody may have written.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Generator

from isal import isal_zlib

from imagenet_builders.formats import compressed_stream, gzip_stream
from imagenet_builders.run.cpus import usable_cpus
from imagenet_builders.sources.unpacking import Packed, decompressed

# To start the process takes as long as to inflate this much.
_LEAST_BYTES = 64 << 20

# Faster than most storage, in half a gigabyte.
_MOST_PROCESSORS = 16

_PROGRAM = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
    "import rapidgzip; sys.exit(rapidgzip.cli())"
)

_HEAD_BYTES = 8
_TAIL_BYTES = 8

# Flags of a header whose checksum it does not compare, and those that mean nothing, which it passes
# over. Source: RFC 1952, 2.3.1.
_FLAGS_AT = 3
_REFUSED_FLAGS = 0b1110_0010


class Doubt(Exception):  # noqa: N818  # It says nothing of the file.
    """What was inflated need not be what is in the file, which is to be read again by zlib."""


def processors_for(packed: Packed, fd: int, processors: int) -> int:
    """How many processors inflate a file here.

    Args:
        packed: What is to be unpacked.
        fd: An open descriptor of the file.
        processors: Those that may be used.

    Returns:
        A number for `pieces`, or 0 where zlib is to do it: the file is small, no gzip file, or only
        a part of one, or has a header that few have; or there is one processor, or rapidgzip is not
        installed.
    """
    processors = min(processors, usable_cpus(), _MOST_PROCESSORS)
    head, tail = os.pread(fd, _HEAD_BYTES, 0), _tail(packed, fd)
    if (
        processors < 2
        or packed.size < _LEAST_BYTES
        or packed.size != packed.file.size
        or packed.content is not decompressed
        or compressed_stream.format_of(head) != "gzip"
        or head[_FLAGS_AT] & _REFUSED_FLAGS
        or not any(tail)  # Padding, which it does not know.
        or not os.path.exists(f"/proc/self/fd/{fd}")
        or importlib.util.find_spec("rapidgzip") is None
    ):
        return 0
    return processors


def pieces(
    packed: Packed, fd: int, processors: int, report: Callable[[int], None]
) -> Generator[bytes]:
    """The content of a gzip file of one member.

    Args:
        packed: The file.
        fd: An open descriptor of it.
        processors: How many to use.
        report: Told of bytes of the file that were read, about; in all they are its size.

    Yields:
        About a megabyte at a time. Only a caller that reads to the end knows that
        they are right.

    Raises:
        Doubt: They need not be.
    """
    command = [sys.executable, "-c", _PROGRAM]
    command += ["-d", "-c", "-P", str(processors), f"/proc/self/fd/{fd}"]
    path = filter(None, sys.path)  # Of the working directory, nothing is taken.
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[fd],
            # As the workers of a build: Ctrl-C is for this process.
            process_group=0,
            env=os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path)},
        )
    except OSError as error:  # As where no more processes are allowed.
        raise Doubt from error
    assert process.stdout is not None
    at_a_time = min(gzip_stream.READ_BYTES, gzip_stream.PIECE_BYTES)
    crc = size = told = 0
    try:
        with process.stdout as stream:
            while piece := stream.read(at_a_time):
                crc = isal_zlib.crc32(piece, crc)
                size += len(piece)
                # Images do not shrink.
                step = min(len(piece), packed.size - told)
                told += step
                report(step)
                yield piece
        status = process.wait()
    finally:
        process.kill()
        process.wait()
    # Source: RFC 1952, 2.3.1.
    stored = crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    if status or stored != _tail(packed, fd):
        raise Doubt
    report(packed.size - told)


def _tail(packed: Packed, fd: int) -> bytes:
    return os.pread(fd, _TAIL_BYTES, max(0, packed.size - _TAIL_BYTES))
