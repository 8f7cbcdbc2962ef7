"""Makes a SquashFS image of files that come one after another, by the program `sqfstar`.

The program reads a tar from a pipe, so no file is written besides the image. Each file has
blocks of its own, so that a reader of one reads nothing of another.

Source: `sqfstar -help` and `tar.c` of squashfs-tools 4.5.1.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Literal, Self

from imagenet_builders.errors import OptionError
from imagenet_builders.formats.tar_header import BLOCK, padded, plain_file

PROGRAM, PACKAGE = "sqfstar", "squashfs-tools"

Compression = Literal["none", "zstd"]
COMPRESSIONS: tuple[Compression, ...] = ("none", "zstd")
"""How the bytes of files are compressed. What tells of the files is compressed in any case."""

MAX_NAME = 99
"""Characters of the longest path of a file."""

# Without compressed data, any Linux can read it: tables are by gzip.
_COMPRESSED = {"none": ["-comp", "gzip", "-noD", "-noF"], "zstd": ["-comp", "zstd"]}
_OPTIONS = (
    *("-no-fragments", "-no-xattrs", "-root-mode", "755", "-mem", "256M"),
    *("-exit-on-error", "-no-progress", "-quiet"),
)

_PIPE_BYTES = 1 << 20
_KEPT_WORDS = 4096

_NUMBERS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS),
    *(errno.EACCES, errno.ENOENT),
)


def check_program() -> None:
    """Makes sure that the program is there.

    Raises:
        OptionError: It is not.
    """
    if shutil.which(PROGRAM) is None:
        raise OptionError(
            f"SquashFS images are made by the program {PROGRAM}, which is not on the PATH; install "
            f"the system's package {PACKAGE}, version 4.5 or later"
        )


class SquashFSFile:
    """An image that is being made; it is there, and whole, when the `with` block has ended.

    The same files in the same order give the same bytes, with the same version of the program.
    Errors are `OSError`s, with the number that the program names where it does.

    Args:
        path: The image, which is not there yet.
        compression: How files are compressed.
        processors: Number of threads that compress.
    """

    def __init__(self, path: Path, compression: Compression, processors: int):
        self._path = path
        self._command = [PROGRAM, *_COMPRESSED[compression], *_OPTIONS]
        self._command += ["-processors", str(processors), path.name]
        self._words = b""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            bufsize=_PIPE_BYTES,
            cwd=self._path.parent,
            # Times are those of the tar, which are 0, and no later than this.
            env={**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        with contextlib.suppress(OSError, AttributeError):  # Linux, as far as the user may.
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def add(self, name: str, data: bytes) -> None:
        """Adds a file.

        Args:
            name: Its path, ASCII of at most `MAX_NAME` characters.
            data: Its content.

        Raises:
            OSError: The program has ended.
        """
        self._write(plain_file(name, len(data)))
        self._write(data)
        self._write(bytes(padded(len(data)) - len(data)))

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            # What it has would be a whole image otherwise.
            self._process.kill()
            self._end()
            return
        self._write(bytes(2 * BLOCK))
        code = self._end()
        if code:
            raise self._error(code)

    def _write(self, data: bytes) -> None:
        try:
            self._stdin.write(data)
        except BrokenPipeError:
            raise self._error(self._end()) from None

    def _end(self) -> int:
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        code = self._process.wait()
        self._listener.join()
        return code

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            while words := os.read(stderr.fileno(), _KEPT_WORDS):
                self._words = (self._words + words)[-_KEPT_WORDS:]

    def _error(self, code: int) -> OSError:
        words = " ".join(self._words.decode("utf-8", "replace").split())
        if not words:
            words = f"signal {-code} ended it" if code < 0 else f"it ended with status {code}"
        number = next((each for each in _NUMBERS if os.strerror(each) in words), errno.EPIPE)
        return OSError(number, f"{PROGRAM}: {words}")
