"""Jobs and results: those that builds have are the same again, and none is another's."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import json
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builders.datasets.imagenet12k import staged as imagenet12k
from imagenet_builders.datasets.imagenet12k.layouts import SHARDS as IMAGENET_12K
from imagenet_builders.formats.zip_members import ZipMember
from imagenet_builders.labels.image_names import Annotated, Naming
from imagenet_builders.plan.index import to_bytes
from imagenet_builders.plan.recipe import ImagePolicy, Note
from imagenet_builders.run.beam.cluster import WorkerFacts, worker_facts_job
from imagenet_builders.run.beam.data.document import DocumentError, Reader, Writer
from imagenet_builders.run.beam.data.named import NotDataError
from imagenet_builders.run.beam.data.schema import FUNCTION, codec, job_codec, result_codec
from imagenet_builders.scratch import means, unzip
from imagenet_builders.sources import folder_images, kinds, shard_sets, tar_images, webdataset
from imagenet_builders.sources.box_archives import Xml, XmlBatch, parse_batch
from imagenet_builders.sources.box_folders import FilesJob, parse_files
from imagenet_builders.sources.folder_images import ImageFolder
from imagenet_builders.sources.rows import PassedOver, Rows, SourceFile
from imagenet_builders.sources.tar_images import ClassTar, ClassTarsJob
from imagenet_builders.sources.unpacking import packed_tar
from imagenet_builders.write import outputs
from imagenet_builders.write.kept import KeptShard, check_kept
from imagenet_builders.write.marks import MarkedShard, finished_shard
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs import array_record
from imagenet_builders.write.results import ShardResult
from imagenet_builders.write.shard import (
    AlsoWritten,
    ShardJob,
    ShardsJob,
    write_shard,
    write_shards,
)

if TYPE_CHECKING:
    from imagenet_builders.errors import ArchiveError

HERE = frozenset({__name__.partition(".")[0]})


def travelled(hint: Any, value: Any) -> Any:
    return through(codec(hint), value)


def through(each: Any, value: Any) -> Any:
    out = Writer()
    read = Reader(out.finish(each.write(value, out)), frozenset(out.packages))
    arrived = each.read(read.structure, read)
    read.finish()
    return arrived


FILE = SourceFile("/data/a\udcff.tar", 1 << 40, 1_700_000_000_123_456_789, "/scratch/copy")
NAMING = Naming("train", {"n01440764": 0})
STREAM = to_bytes(Rows().table())

SHARD_JOB = ShardJob(
    split="train",
    number=3,
    path="/d/x-00003-of-00004",
    output=outputs.DEFAULT,
    examples=imagenet12k.make_examples,
    rows=STREAM,
    files=(FILE, SourceFile("/b", 0, -1)),
    policy=ImagePolicy("skip", decode=True),
    mark="/d/mark",
)

JOBS: dict[str, tuple[Callable[..., Any], Any]] = {
    "shard": (write_shard, SHARD_JOB),
    "shards": (
        write_shards,
        ShardsJob(SHARD_JOB, (AlsoWritten("/e/x-00003-of-00004", array_record.OUTPUT),)),
    ),
    "marked shard": (finished_shard, MarkedShard("train", 0, "/a", "/b", ImagePolicy())),
    "kept shard": (check_kept, KeptShard("/a", "/b", 5, 6, "0123abcd", outputs.DEFAULT)),
    "gunzip": (means.work, means.Job(packed_tar(FILE, name="a.tar"), "/scratch")),
    "unzip": (unzip.work, unzip.Job(FILE, ZipMember("a", "stored", 1, 2, 3, 4, 5), None)),
    "class archives": (
        tar_images.class_images,
        (ClassTarsJob(FILE, 0, ((ClassTar("n.tar", "n01440764", 512, 9, 0), 7),)),) * 2,
    ),
    "annotations": (
        parse_batch,
        XmlBatch(
            "/a.tar",
            tuple(Xml(f"a/{i}.xml", Annotated("k", i, None), i, b"<a/>" * i) for i in range(3)),
            NAMING.ids,
        ),
    ),
    "annotations in folders": (
        parse_files,
        FilesJob("/a", (("a.xml", Annotated("k", 1, "n01440764")),), NAMING.ids),
    ),
    "shards of a source": (functools.partial(webdataset.shards_table, webdataset.IMAGENET_1K),
        shard_sets.ShardsJob("train", ((0, FILE), (1, FILE)))),
    "facts": (worker_facts_job, ("/a", "/b")),
}  # fmt: skip


@pytest.mark.parametrize("name", JOBS)
def test_a_job_of_a_build_is_the_same_again(name: str) -> None:
    function, job = JOBS[name]
    assert same(through(job_codec(function), job), job)
    assert same(through(FUNCTION, function), function)


@pytest.mark.parametrize("output", outputs.file_formats())
def test_every_output_travels(output: str) -> None:
    found = outputs.get(output)
    assert found is not None
    assert travelled(type(found), found) == found


def test_the_reading_of_every_kind_of_source_travels() -> None:
    for name in kinds.names():
        access = kinds.kind(name).access
        assert travelled(type(access), access) == access


def test_a_folder_takes_the_rule_for_its_names_along_and_many_share_one() -> None:
    """The rule has a thousand classes; a job has 64 folders."""
    naming = Naming("train")
    folders = tuple(
        ImageFolder(FILE, at, functools.partial(naming.row_of_file, folder="n01440764"))
        for at in range(64)
    )
    each = job_codec(folder_images.folder_images)
    out = Writer()
    assert len(out.finish(each.write(folders, out))) < 20_000
    arrived = through(each, folders)
    assert [one.row_of("n01440764_1.JPEG") for one in arrived] == [("n01440764_1.JPEG", 0)] * 64
    assert len({id(one.row_of.func.__self__) for one in arrived}) == 1
    with pytest.raises(ValueError, match="expected an image of the folder's class"):
        arrived[0].row_of("n01443537_1.JPEG")


def test_a_rule_of_another_dataset_travels() -> None:
    arrived = travelled(webdataset.Collection, IMAGENET_12K)
    assert arrived == IMAGENET_12K
    assert arrived.rule("train")("n01440764_1.JPEG") == IMAGENET_12K.rule("")("n01440764_1.JPEG")


SHARD_RESULT = ShardResult(
    examples=2,
    record_bytes=5,
    file_bytes=9,
    crc32c="00000000",
    offsets=RecordOffsets(bytes(24)),
    split="train",
    number=1,
    decoded=False,
    notes=(Note("k", "repaired", "CMYK", "/a", 5),) * 3,
)

RESULTS: dict[str, tuple[Callable[..., Any], Any]] = {
    "shard": (write_shard, SHARD_RESULT),
    "shards": (write_shards, (SHARD_RESULT, SHARD_RESULT)),
    "no finished shard": (finished_shard, None),
    "rows": (tar_images.class_images, PassedOver(1, ("._a",)).noted_in(Rows().table())),
    "facts": (worker_facts_job, WorkerFacts({"Python": "3.11"}, ("/a",))),
    "nothing": (check_kept, None),
    "kept shard": (check_kept, RecordOffsets(bytes(24))),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_of_a_build_is_the_same_again(name: str) -> None:
    function, result = RESULTS[name]
    arrived = through(result_codec(function), result)
    assert arrived == result
    if isinstance(result, pa.Table):
        assert PassedOver.of(arrived) == PassedOver.of(result)


def test_a_part_of_a_table_travels_without_the_rest() -> None:
    table = pa.table({"a": np.arange(1_000_000)})
    out = Writer()
    assert len(out.finish(codec(pa.Table).write(table.slice(5, 2), out))) < 2_000
    assert travelled(pa.Table, table.slice(5, 2)).to_pydict() == {"a": [5, 6]}


class Point(NamedTuple):
    x: int
    y: float


@dataclasses.dataclass(frozen=True)
class Node:
    name: str
    data: bytes = b""
    inner: tuple[Node, ...] = ()
    first: Node | None = None


@dataclasses.dataclass(frozen=True)
class Empty: ...


POINTS = st.builds(Point, st.integers(), st.floats(allow_nan=False))
NODES = st.recursive(
    st.builds(Node, st.text(), st.binary()),
    lambda inner: st.builds(
        Node, st.text(), st.binary(), st.lists(inner).map(tuple), st.none() | inner
    ),
    max_leaves=8,
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.just(Path("/a/b")),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner)
    ),
)
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Any, PLAIN),
    (object, PLAIN),
    (Node, NODES),
    (list[Node], st.lists(NODES)),
    (tuple[Point, ...], st.lists(POINTS).map(tuple)),
    (tuple[Empty, ...], st.lists(st.builds(Empty)).map(tuple)),
    (tuple[int, str, None], st.tuples(st.integers(), st.text(), st.none())),
    (list[tuple[bytes, int]], st.lists(st.tuples(st.binary(), st.integers()))),
    (dict[str, Point], st.dictionaries(st.text(), POINTS)),
    (Mapping[int, bytes], st.dictionaries(st.integers(), st.binary())),
    (frozenset[str], st.frozensets(st.text())),
    (set[int] | None, st.sets(st.integers()) | st.none()),
    (int | str | bytes | None, st.integers() | st.text() | st.binary() | st.none()),
    (tuple[bytes, int] | tuple[bytes, str], st.tuples(st.binary(), st.integers() | st.text())),
    (Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    (bool, st.booleans()),
    (Path, st.just(Path("/a\udcff"))),
    (SourceFile, st.builds(SourceFile, st.text(), st.integers(), st.integers(), st.text())),
]


@pytest.mark.parametrize(("hint", "values"), TYPES)
@settings(max_examples=25)
@given(data=st.data())
def test_data_of_a_type_are_the_same_again(
    hint: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    arrived = travelled(hint, value)
    assert arrived == value
    assert type(arrived) is type(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["name", "data", "inner", "first", "list", "bytes"]), inner
        )
    ),
)


@pytest.mark.parametrize(("hint", "values"), TYPES)
@settings(max_examples=25)
@given(data=st.data())
def test_other_data_are_refused_and_nothing_else_happens(
    hint: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    """Forged: any JSON in place of what was written, or a part of it exchanged."""
    out = Writer()
    document = codec(hint).write(data.draw(values), out)
    structure = data.draw(JSON | st.just(forged(document, data.draw(st.integers(0, 30)))))
    read = Reader(out.finish(structure))
    with contextlib.suppress(DocumentError):
        arrived = codec(hint).read(read.structure, read)
        # Data of the type all the same.
        codec(hint).write(arrived, Writer())


def forged(document: Any, at: int) -> Any:
    """A document with one of its values exchanged."""
    text = json.dumps(document)
    for old, new in (("0", "-1"), ("[", "[null, "), ("null", "[]"), ('"', '"x')):
        place = text.find(old, at)
        if place >= 0:
            with contextlib.suppress(ValueError):
                return json.loads(text[:place] + new + text[place + len(old) :])
    return None


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True)
class Derived(Node):
    more: int = 0


@dataclasses.dataclass(frozen=True)
class ForCheckersAlone:
    error: ArchiveError


class Called:
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        (int, "1", "of type builtins.str, not int"),
        (int, 1.0, "of type builtins.float, not int"),
        (str, b"", "of type builtins.bytes, not str"),
        (bytes, "", "of type builtins.str, not bytes"),
        (Node, Derived("a"), "of type test_schema.Derived, not Node"),
        (Node, Node("a", "b"), "Node.data is of type builtins.str, not bytes"),  # type: ignore[arg-type]
        (Sequence[str], "abc", "of type builtins.str, not a sequence"),
        (tuple[int, int], (1,), "of type builtins.tuple, not a tuple of 2"),
        (Any, object(), "of type builtins.object, not a number"),
        (Any, np.int64(1), "of type numpy.int64, not a number"),
        (Colour, Colour.RED, "Colour"),
        (np.ndarray, np.zeros(1), "of type numpy.ndarray"),
        (ForCheckersAlone, ForCheckersAlone(None), "error is annotated as Archive"),  # type: ignore[arg-type]
        (Callable[..., int], print, "of type builtins.builtin_function_or_method, not a function"),
        (Callable[..., int], Called(), "Called, not a function"),
        (Callable[..., int], lambda: 1, "does not stand at the top of a module"),
        (Callable[..., int], "".join, "builtin_function_or_method, not a function"),
        (Callable[..., int], functools.partial(print, 1), "not a function"),
        (Callable[..., int], Path("/a").exists, "a method of PosixPath, which is no dataclass"),
        (Literal["a"], "b", "'b', not one of"),
        (Path, "/a", "of type builtins.str, not a path"),
        (pa.Table, {}, "of type builtins.dict, not an Arrow table"),
    ],
)  # fmt: skip
def test_what_is_no_data_of_the_type_is_named(hint: Any, value: Any, words: str) -> None:
    with pytest.raises(NotDataError) as told:
        codec(hint).write(value, Writer())
    assert words.replace("test_schema", __name__) in str(told.value)


def test_numbers_of_numpy_become_plain_ones() -> None:
    arrived = travelled(tuple[int, ...], (np.int64(3), 4, True))
    assert arrived == (3, 4, True)
    assert type(arrived[0]) is int


def test_unions_of_the_same_types_in_another_order_are_read_alike() -> None:
    out = Writer()
    written = codec(bytes | int | str).write("a", out)
    assert written == codec(str | bytes | int).write("a", out)


def bound(first: int, second: bytes, /, *, third: Collection[str] = ()) -> int:
    return first


def test_bound_values_are_of_the_types_of_the_parameters() -> None:
    partial = functools.partial(functools.partial(bound, 1), b"2", third=("3",))
    out = Writer()
    read = Reader(out.finish(FUNCTION.write(partial, out)), frozenset(out.packages))
    arrived = FUNCTION.read(read.structure, read)
    assert (arrived.func, arrived.args, arrived.keywords) == (bound, (1, b"2"), {"third": ("3",)})
    for wrong in (
        functools.partial(bound, "1"),  # type: ignore[arg-type]
        functools.partial(bound, 1, b"2", 3),  # type: ignore[call-arg, arg-type]
        functools.partial(bound, fourth=1),  # type: ignore[call-arg]
    ):
        with pytest.raises(NotDataError):
            FUNCTION.write(wrong, Writer())


@pytest.mark.parametrize(
    "document",
    [
        "os:system",
        f"{ShardJob.__module__}:ShardJob",
        {"function": "os:system", "arguments": ["id"], "keywords": {}},
        {"function": f"{__name__}:bound", "arguments": ["id"], "keywords": {}},
        {"function": f"{__name__}:bound", "arguments": [1, 2, 3], "keywords": {}},
        {"function": f"{__name__}:bound", "arguments": [], "keywords": {"x": 1}},
        {"method": "touch", "class": "pathlib:Path", "of": "/tmp/RUN"},
        {"method": "__init__", "class": f"{Naming.__module__}:Naming", "of": "/tmp/RUN"},
        {"method": "close", "class": "imagenet_builders.run.local:LocalWorkers", "of": {}},
        {"method": "no_such", "class": f"{Naming.__module__}:Naming", "of": {}},
        {"method": [], "class": [], "of": []},
        5,
        None,
        [],
        {},
    ],
)
def test_no_other_function_is_read(document: Any) -> None:
    read = Reader(Writer().finish(document), HERE)
    with pytest.raises(DocumentError):
        FUNCTION.read(read.structure, read)


def later(job: int, report: object) -> bytes | Future[bytes]:
    return b""


def without_annotations(job, report):
    return job


def test_a_result_may_come_later_and_a_function_may_have_no_annotations() -> None:
    assert through(result_codec(later), b"a") == b"a"
    assert through(job_codec(without_annotations), [1, (b"2",)]) == [1, (b"2",)]
    assert through(job_codec(functools.partial(later, report=1)), 5) == 5


def test_a_damaged_table_is_refused() -> None:
    out = Writer()
    written = codec(pa.Table).write(pa.table({"a": ["b"] * 50}), out)
    whole = out.finish(written)
    refused = 0
    for at in range(len(whole) - written, len(whole)):
        for bit in (1, 128):
            damaged = bytearray(whole)
            damaged[at] ^= bit
            read = Reader(bytes(damaged))
            try:
                codec(pa.Table).read(read.structure, read)
            except DocumentError:
                refused += 1
    assert refused > 100


def same(one: Any, other: Any) -> bool:
    """Whether values are the same, `functools.partial` and methods of values included."""
    if isinstance(one, types.MethodType):
        return same(
            (one.__func__, one.__self__),
            (getattr(other, "__func__", None), getattr(other, "__self__", None)),
        )
    if isinstance(one, functools.partial):
        mine, theirs = ((each.func, each.args, each.keywords) for each in (one, other))
        return same(mine, theirs)
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        return type(one) is type(other) and all(
            same(getattr(one, field.name), getattr(other, field.name))
            for field in dataclasses.fields(one)
        )
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
