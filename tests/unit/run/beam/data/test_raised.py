"""Errors in documents: their types, what they say, their attributes and notes; nothing is run."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from support.jobs_for_workers import TwoArgumentsError, UnpicklableError

from imagenet_builders.errors import (
    ArchiveError,
    BadImageError,
    OptionError,
    StagingError,
    WorkerError,
)
from imagenet_builders.files.private_dir import NotOursError
from imagenet_builders.files.regular import NotAFileError
from imagenet_builders.run.beam.data import raised
from imagenet_builders.run.beam.data.document import DocumentError, Reader, Writer
from imagenet_builders.write.outputs.output import RecordFileError


def travelled(error: Exception) -> Exception:
    out = Writer(frozenset())
    read = Reader(out.finish(raised.write(error, out)))
    arrived = raised.read(read.structure, read)
    read.finish()
    return arrived


ERRORS = [
    ArchiveError("/a.tar", "odd", member="b", offset=512),
    BadImageError("/a.tar", "odd", member="b\udcff", offset=None),
    StagingError("nothing there"),
    OptionError("no such option"),
    NotOursError("somebody else's"),
    RecordFileError("cut off", 7, "more", "less"),
    OSError(28, "No space left on device", "/shard"),
    OSError(18, "Invalid cross-device link", "/a", None, "/b"),
    OSError("a text alone"),
    FileNotFoundError(2, "No such file or directory", b"/\xff"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    ImportError("no module"),
    AttributeError("no function"),
    ValueError("one", 2),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_of_python_or_ours_is_the_same_again(error: Exception) -> None:
    arrived = travelled(error)
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.args) == (str(error), error.args)
    assert vars(arrived) == vars(error)
    if isinstance(error, OSError):
        assert isinstance(arrived, OSError)
        for name in ("errno", "strerror", "filename", "filename2"):
            assert getattr(arrived, name) == getattr(error, name)


def test_notes_travel() -> None:
    for error in (
        OSError(5, "Input/output error"),
        SystemError("odd"),
        TwoArgumentsError("a", "b"),
    ):
        error.add_note("while the tide was low")
        assert travelled(error).__notes__ == ["while the tide was low"]


def test_what_is_derived_from_an_os_error_is_one_of_python() -> None:
    arrived = travelled(NotAFileError(22, "it is a FIFO", "/fifo"))
    assert type(arrived) is OSError
    assert (arrived.errno, arrived.strerror, arrived.filename) == (22, "it is a FIFO", "/fifo")
    assert type(travelled(socket.gaierror(-2, "unknown"))) is OSError


class LocalError(ArchiveError):
    """Of a package that the job is not of."""


@pytest.mark.parametrize(
    "error",
    [
        UnpicklableError(),
        TwoArgumentsError("one", "two"),
        LocalError("/a.tar", "odd"),
        ValueError(object),
        ExceptionGroup("two", [ValueError("one")]),
    ],
)
def test_any_other_becomes_a_worker_error_with_its_type_and_text(error: Exception) -> None:
    arrived = travelled(error)
    assert type(arrived) is WorkerError
    assert str(arrived) == f"{type(error).__name__}: {error}"


GOOD: dict[str, Any] = {
    "type": "builtins:OSError",
    "arguments": {"list": [28, "No space left"]},
    "attributes": {"keys": [], "values": []},
    "notes": [],
}


@pytest.mark.parametrize(
    "change",
    [
        {"type": "builtins:exec"},
        {"type": "builtins:KeyboardInterrupt"},
        {"type": "builtins:UnicodeDecodeError"},
        {"type": "os:system"},
        {"type": "subprocess:Popen"},
        {"type": "imagenet_builders.run.local:LocalWorkers"},
        {"type": "imagenet_builders.run.local:os._exit"},
        {"type": "imagenet_builders.cli:main"},
        {"type": None},
        {"arguments": 5},
        {"attributes": {"list": []}},
        {"attributes": {"keys": [1], "values": [1]}},
        {"notes": [1]},
        {"notes": None},
        {"more": 1},
    ],
)
def test_what_is_no_error_is_refused(change: dict[str, Any]) -> None:
    read = Reader(Writer().finish(GOOD | change))
    with pytest.raises(DocumentError):
        raised.read(read.structure, read)
