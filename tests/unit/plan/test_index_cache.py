"""The index: kept between builds, used only for the very same sources, never a reason to fail."""

from __future__ import annotations

import os
import resource
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from support import command_line
from support.built_datasets import records_by_split, split_info
from support.command_line import build, refused
from support.corpora import ilsvrc2012 as corpus
from support.corpora.ilsvrc2012 import TENCH, TRAIN, VAL, staged

from imagenet_builders.build import steps
from imagenet_builders.errors import SourceError
from imagenet_builders.plan import index as index_lib
from imagenet_builders.plan.index import Index, IndexCache
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import Rows, SourceFile


@pytest.fixture
def manual_dir(tmp_path: Path) -> Path:
    return staged().write(tmp_path / "staged")


def cached(scratch: Path, split: str) -> Path:
    [path] = scratch.rglob(f"ilsvrc2012-{split}-*.index.arrow")
    return path


def scratch_option(path: Path) -> tuple[str, str]:
    return "--scratch-dir", str(path / "scratch")


# --- between builds --------------------------------------------------------------------------


def test_an_index_is_reused_while_its_archive_is_unchanged(
    manual_dir: Path, tmp_path: Path
) -> None:
    """Seen by changing what is kept: a row is taken out of it, and the next build lacks it."""
    assert build(manual_dir, tmp_path / "first", *scratch_option(tmp_path)).status == 0
    path = cached(tmp_path / "scratch", "train")
    cache = IndexCache(path.parent)
    index = cache.load(path)
    assert index is not None
    assert cache.save(path, Index(index.table.slice(1), index.files))
    written = path.stat().st_mtime_ns
    assert build(manual_dir, tmp_path / "second", *scratch_option(tmp_path)).status == 0
    assert split_info(tmp_path / "second") == {"train": [8], "validation": [5], "test": [4]}
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("what", ["mtime", "size", "patch"])
def test_an_index_is_rebuilt_when_an_archive_changes(
    what: str, manual_dir: Path, tmp_path: Path
) -> None:
    assert build(manual_dir, tmp_path / "first", *scratch_option(tmp_path)).status == 0
    split = "test" if what == "patch" else "train"
    path = cached(tmp_path / "scratch", split)
    path.write_bytes(b"")  # Would be seen if it were used.
    archive = manual_dir / TRAIN
    if what == "mtime":
        os.utime(archive, ns=(0, archive.stat().st_mtime_ns + 1))
    elif what == "size":
        status = archive.stat()
        os.truncate(archive, status.st_size + 512)
        os.utime(archive, ns=(0, status.st_mtime_ns))
    else:
        (manual_dir / corpus.PATCH).unlink()
    assert build(manual_dir, tmp_path / "second", *scratch_option(tmp_path)).status == 0
    assert path.read_bytes() == b""
    assert len(list(path.parent.glob(f"ilsvrc2012-{split}-*"))) == 2
    assert split_info(tmp_path / "second") == split_info(tmp_path / "first")


DAMAGES = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "without_its_last_byte": lambda data: data[:-1],
    "text": lambda data: b"not an index\n" * 50,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_index_is_rebuilt(damage, manual_dir: Path, tmp_path: Path) -> None:
    assert build(manual_dir, tmp_path / "first", *scratch_option(tmp_path)).status == 0
    path = cached(tmp_path / "scratch", "train")
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    assert build(manual_dir, tmp_path / "second", *scratch_option(tmp_path)).status == 0
    assert records_by_split(tmp_path / "second") == records_by_split(tmp_path / "first")
    assert path.read_bytes() == sound


def test_any_flipped_bit_in_a_kept_index_is_noticed(tmp_path: Path) -> None:
    cache = IndexCache(tmp_path)
    index = some_index(tmp_path)
    path = cache.path(["train"], index.files)
    assert cache.save(path, index)
    sound = path.read_bytes()
    accepted = []
    # The columns lie between the schema in front and the footer; a flip in those two could also
    # be harmless.
    for position in range(0, len(sound), 3):
        damaged = bytearray(sound)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        found = cache.load(path)
        if found is not None and not (found.table.equals(index.table) and found == index):
            accepted.append(position)
    assert accepted == []


def test_a_kept_index_of_other_files_is_not_used(tmp_path: Path, manual_dir: Path) -> None:
    """Scratch space may be shared: what lies under the right name need not be ours."""
    other = staged()
    other.train[TENCH] = other.train[TENCH][:1]
    other.write(tmp_path / "elsewhere")
    for where in ("staged", "elsewhere"):
        scratch = ("--scratch-dir", str(tmp_path / f"scratch of {where}"))
        assert build(tmp_path / where, tmp_path / f"of {where}", *scratch).status == 0
    right = cached(tmp_path / "scratch of staged", "train")
    right.write_bytes(cached(tmp_path / "scratch of elsewhere", "train").read_bytes())
    scratch = ("--scratch-dir", str(tmp_path / "scratch of staged"))
    assert build(manual_dir, tmp_path / "again", *scratch).status == 0
    assert split_info(tmp_path / "again")["train"] == [9]


def test_a_build_needs_no_kept_index(manual_dir: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    assert build(manual_dir, tmp_path / "first", "--scratch-dir", str(scratch)).status == 0
    path = cached(scratch, "train")
    path.unlink()
    path.mkdir()
    assert build(manual_dir, tmp_path / "built", "--scratch-dir", str(scratch)).status == 0
    assert split_info(tmp_path / "built")["train"] == [9]
    assert not list(tmp_path.rglob("*.partial"))


# --- sources that change ---------------------------------------------------------------------


def change_before_writing(monkeypatch: pytest.MonkeyPatch, change) -> None:
    """Lets something happen between the indexing of the sources and the writing of shards."""
    write_everywhere = steps.write_everywhere

    def changed_first(*arguments, **options):
        change()
        return write_everywhere(*arguments, **options)

    monkeypatch.setattr(steps, "write_everywhere", changed_first)


def test_an_archive_that_changes_after_it_was_indexed_is_an_error(
    manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = manual_dir / VAL
    size = archive.stat().st_size
    changes = {
        "was touched": (lambda: os.utime(archive, ns=(0, 0)), f"{size:,} now"),
        "grew": (lambda: os.truncate(archive, size + 512), f"{size + 512:,} now"),
    }
    for name, (change, said) in changes.items():
        with monkeypatch.context() as patched:
            change_before_writing(patched, change)
            outcome = command_line.run(*command_line.build_arguments(manual_dir, tmp_path / name))
        sentence = refused(outcome, tmp_path / name)
        assert sentence.startswith(f"{archive}: the file changed after it was indexed")
        assert said in sentence


def test_an_archive_that_vanishes_after_it_was_indexed_is_an_error(
    manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_before_writing(monkeypatch, (manual_dir / VAL).unlink)
    outcome = command_line.run(*command_line.build_arguments(manual_dir, tmp_path / "built"))
    assert str(manual_dir / VAL) in refused(outcome, tmp_path / "built")


def test_an_archive_that_changes_while_it_is_read_is_an_error(
    manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a copy that is still running when the build begins."""
    read, read_into = Reader.read, Reader.read_into

    def change(reader: Reader, file: int) -> None:
        if reader.files[file].path == str(manual_dir / VAL):
            with (manual_dir / VAL).open("r+b") as archive:
                archive.write(archive.read(1 << 14))

    def read_then_change(self: Reader, file: int, offset: int, size: int) -> bytes:
        data = read(self, file, offset, size)
        change(self, file)
        return data

    def read_into_then_change(self: Reader, file: int, offset: int, buffer: memoryview) -> None:
        read_into(self, file, offset, buffer)
        change(self, file)

    monkeypatch.setattr(Reader, "read", read_then_change)
    monkeypatch.setattr(Reader, "read_into", read_into_then_change)
    outcome = command_line.run(*command_line.build_arguments(manual_dir, tmp_path / "built"))
    assert "changed" in refused(outcome, tmp_path / "built")


# --- the parts -------------------------------------------------------------------------------


def some_index(directory: Path, rows: int = 50) -> Index:
    source = directory / "source"
    source.write_bytes(bytes(range(100)))
    made = Rows()
    for number in range(rows):
        made.add(f"n01440764_{number}.JPEG", number % 3 - 1, 0, number, 1 << 40)
    return Index(made.table(), (SourceFile.of(source),))


def test_a_kept_index_is_read_back_unchanged(tmp_path: Path) -> None:
    index = some_index(tmp_path)
    cache = IndexCache(tmp_path / "not there yet")
    path = cache.path(["imagenet2012", "train"], index.files)
    assert cache.load(path) is None
    assert cache.save(path, index)
    found = cache.load(path)
    assert found is not None
    assert found.table.equals(index.table, check_metadata=True)
    assert found.files == index.files
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_file_name_of_a_kept_index_depends_on_all_that_matters(tmp_path: Path) -> None:
    [file] = some_index(tmp_path).files
    cache = IndexCache(tmp_path)
    others = [
        (["imagenet2012", "test"], [file]),
        (["imagenet2012", "train"], []),
        (["imagenet2012", "train"], [file, file]),
        (["imagenet2012", "train"], [SourceFile(file.path, file.size, file.mtime_ns + 1)]),
        (["imagenet2012", "train"], [SourceFile(file.path, file.size + 1, file.mtime_ns)]),
        (["imagenet2012", "train"], [SourceFile(file.path + "x", file.size, file.mtime_ns)]),
    ]
    names = {cache.path(what, files) for what, files in others}
    assert len(names) == len(others)
    assert cache.path(["imagenet2012", "train"], [file]) not in names
    assert cache.path(["a", "b"], [file]) == cache.path(["a", "b"], [file])


def test_an_index_is_made_only_where_none_is_kept(tmp_path: Path) -> None:
    index = some_index(tmp_path)
    cache = IndexCache(tmp_path)
    made = []

    def make() -> Index:
        made.append(1)
        return index

    for _ in range(3):
        assert len(cache.get(["train"], index.files, make)) == 50
    assert made == [1]


def test_a_slice_of_a_table_is_pickled_without_the_rest(tmp_path: Path) -> None:
    table = some_index(tmp_path, rows=10_000).table
    stream = index_lib.to_bytes(table.slice(5000, 3))
    assert index_lib.from_bytes(stream).equals(table.slice(5000, 3))
    assert len(stream) < 4096
    assert len(index_lib.to_bytes(table.slice(0, 0))) < 4096


def test_columns_have_the_promised_types(tmp_path: Path) -> None:
    assert some_index(tmp_path).table.schema.types == [
        pa.string(),
        pa.int32(),
        pa.int32(),
        pa.int64(),
        pa.int64(),
    ]


def test_an_open_file_other_than_the_indexed_one_is_an_error(tmp_path: Path) -> None:
    [file] = some_index(tmp_path).files
    with open(file.path, "r+b") as opened:
        file.check_unchanged(opened.fileno())
        assert SourceFile.of(file.path) == file
        os.utime(opened.fileno(), ns=(0, file.mtime_ns + 1))
        with pytest.raises(SourceError, match=r"changed after .* \(100 bytes then, 100 now\)"):
            file.check_unchanged(opened.fileno())
        os.utime(opened.fileno(), ns=(0, file.mtime_ns))
        file.check_unchanged(opened.fileno())
        opened.truncate(99)
        os.utime(opened.fileno(), ns=(0, file.mtime_ns))
        with pytest.raises(SourceError, match=r"\(100 bytes then, 99 now\)"):
            file.check_unchanged(opened.fileno())


def test_reading_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    with Reader(some_index(tmp_path).files) as reader:
        assert reader.read(0, 90, 10) == bytes(range(90, 100))
        assert reader.read(0, 100, 0) == b""
        assert reader.bytes_read == 10
        with pytest.raises(SourceError, match="11 bytes were indexed at byte 90, but only 10 are"):
            reader.read(0, 90, 11)


@pytest.fixture
def few_open_files() -> Iterator[None]:
    """A limit of so many more open files than there are now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_any_number_of_files_can_be_read(tmp_path: Path, few_open_files: None) -> None:
    files = []
    for number in range(300):
        path = tmp_path / str(number)
        path.write_bytes(b"%05d" % number)
        files.append(SourceFile.of(path))
    before = len(os.listdir("/proc/self/fd"))
    with Reader(files) as reader:
        for _ in range(2):
            for number in range(300):
                assert reader.read(number, 0, 5) == b"%05d" % number
        assert reader.open(299) == reader.open(299)  # The last ones are kept open.
        # A good part of the limit is left to whatever else the process opens.
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert len(os.listdir("/proc/self/fd")) <= before + limit // 2
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_image_that_changes_in_its_folder_is_found_and_then_indexed_anew(
    tmp_path: Path,
) -> None:
    """The folder does not show it: its own time stays, and with it the index that is kept."""
    from support.building import DUMMY_ARCHIVES

    folder = tmp_path / "staged" / "train" / "n01440764"
    folder.mkdir(parents=True)
    with tarfile.open(DUMMY_ARCHIVES / TRAIN) as outer:
        body = outer.extractfile("n01440764.tar")
        with tarfile.open(fileobj=body) as inner:
            inner.extractall(folder, filter="data")
    arguments = command_line.build_arguments(tmp_path / "staged", tmp_path / "built")
    assert command_line.run(*arguments).status == 0
    image = sorted(folder.iterdir())[0]
    with image.open("ab") as file:
        file.write(b"more")
    arguments.append("--overwrite")
    outcome = command_line.run(*arguments)
    assert outcome.status == 1
    assert str(image) in outcome.err
    assert command_line.run(*arguments).status == 0
