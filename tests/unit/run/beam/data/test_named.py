"""Functions by name: those of a module alone, and those of allowed packages alone."""

from __future__ import annotations

import os
import shutil
import threading
from typing import Any

import pytest
from support import jobs_for_workers as jobs

from imagenet_builders.run.beam.data.document import DocumentError, Writer
from imagenet_builders.run.beam.data.named import (
    NotDataError,
    Unresolved,
    annotations_of,
    fields_of,
    find,
    name_in,
)
from imagenet_builders.write.shard import ShardJob, write_shard

OURS: frozenset[str] = frozenset()


def test_a_function_is_found_by_its_name() -> None:
    for function, packages in ((write_shard, OURS), (jobs.square, frozenset({"support"}))):
        out = Writer()
        name = name_in(function, out)
        assert find(name, packages) is function
        assert out.packages == {name.partition(".")[0]}


@pytest.mark.parametrize(
    "function",
    [lambda: None, jobs.unknown_to_workers.__code__, len, os.path.join, shutil.rmtree],
)
def test_only_what_stands_at_the_top_of_a_module_has_a_name(function: Any) -> None:
    def inner() -> None: ...

    for each in (lambda: None, inner):
        with pytest.raises(NotDataError, match="does not stand at the top of a module"):
            name_in(each, Writer())


def test_a_function_that_another_has_replaced_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    square = jobs.square
    monkeypatch.setattr(jobs, "square", jobs.echo)
    with pytest.raises(NotDataError, match="where another thing has that name"):
        name_in(square, Writer())


def test_a_document_names_nothing_of_another_package() -> None:
    with pytest.raises(NotDataError, match="of a package that the job is not of"):
        name_in(jobs.square, Writer(OURS))
    assert name_in(write_shard, Writer(OURS)) == "imagenet_builders.write.shard:write_shard"


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "subprocess:Popen",
        "support.jobs_for_workers:square",
        "imagenet_builders.write.shard:os.unlink",
        "imagenet_builders.write.shard:contextlib.suppress",
        "imagenet_builders.write.shard:durable.flush",
        "imagenet_builders.write.shard:Path.touch",
        "imagenet_builders.write.shard:ShardJob.__init__.__globals__",
        "imagenet_builders.write.shard:_REPORT_EVERY",
        "imagenet_builders.write.kept:shutil.rmtree",
        "imagenet_builders.cli.__main__:main",
        "imagenet_builders.write.shard",
        "imagenet_builders.write.shard:",
        ":write_shard",
        "../imagenet_builders:x",
        "",
        None,
        7,
        ["imagenet_builders.write.shard:write_shard"],
    ],
)
def test_nothing_else_is_found(name: object) -> None:
    with pytest.raises((DocumentError, AttributeError)):
        find(name, OURS)


def test_what_is_not_here_is_said_as_python_says_it() -> None:
    with pytest.raises(ImportError, match="no_such"):
        find("imagenet_builders.no_such:function", OURS)
    with pytest.raises(AttributeError, match="no_such"):
        find("imagenet_builders.write.shard:no_such", OURS)


def test_annotations_are_what_they_mean_where_they_stand() -> None:
    assert annotations_of(write_shard)["job"] is ShardJob
    assert list(annotations_of(jobs.fail_twice)) == ["job", "report", "return"]
    assert annotations_of(jobs.fail_twice)["job"] == tuple[str, int]
    assert fields_of(ShardJob)["rows"] is bytes
    assert "write" in fields_of(fields_of(ShardJob)["output"])


def test_a_name_for_type_checkers_alone_is_not_there() -> None:
    def function(a: NoSuchType.of[int] | None, b: pa.Table) -> None: ...  # type: ignore[name-defined] # noqa: F821

    import pyarrow as arrow

    found = annotations_of(function)
    assert isinstance(found["a"].__args__[0], Unresolved)
    assert repr(found["a"].__args__[0]) == "NoSuchType.of"
    assert found["b"] is arrow.Table


def test_a_lock_has_no_name() -> None:
    with pytest.raises(AttributeError):
        name_in(threading.Lock(), Writer())  # type: ignore[arg-type]
