"""`--stage`: archives are copied to scratch space first, and the dataset is the same."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from makers import pictures
from support import built_datasets, command_line
from support.builds_with_stage import copies, opened_files, same_with_and_without, warned
from support.command_line import build
from support.corpora import layouts as layouts_corpus
from support.corpora import sites
from support.corpora.ilsvrc2012 import PATCH, TENCH, TEST, TRAIN, VAL, staged, test_name
from support.file_systems import mounted
from support.paths import DUMMY_DATA
from support.processes import environment, found_during

from imagenet_builders.errors import OptionError, SourceError
from imagenet_builders.scratch import space
from imagenet_builders.scratch.copy import CopyReport, ScratchCopy, copy_to_scratch
from imagenet_builders.scratch.to_copy import ToCopy
from imagenet_builders.sources.rows import SourceFile


@pytest.fixture
def manual_dir(tmp_path: Path) -> Path:
    return staged().write(tmp_path / "staged")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def lose_the_node(self: object, **how: object) -> None:
    raise OSError(5, "the node is lost")


PUBLISH = "imagenet_builders.publish.session.BuildSession.publish"


# --- the same dataset ----------------------------------------------------------------------------


def test_archives_give_the_same_files_and_provenance(manual_dir: Path, tmp_path: Path):
    outcome = same_with_and_without(manual_dir, tmp_path)
    assert "imagenet2012: copying 4 files of " in outcome.err
    paths = {
        source["path"]
        for split in built_datasets.provenance(tmp_path / "with").values()
        for source in split["sources"]
    }
    assert paths == {str(manual_dir / name) for name in (TRAIN, VAL, TEST, PATCH)}


def test_repaired_and_skipped_images_are_located_in_the_originals(tmp_path: Path):
    odd = staged()
    odd.train[TENCH][1] = (odd.train[TENCH][1][0], b"\xff\xd8\xff no picture")
    odd.validation[0] = (
        odd.validation[0][0],
        pictures.png(pictures.draw("test", key="png", size=(20, 20))),
    )
    manual_dir = odd.write(tmp_path / "staged")
    same_with_and_without(manual_dir, tmp_path, "--bad-images=skip")
    splits = built_datasets.provenance(tmp_path / "with")
    [skipped], [repaired] = splits["train"]["skipped"], splits["validation"]["repaired"]
    assert skipped["path"] == str(manual_dir / TRAIN)
    assert repaired["path"] == str(manual_dir / VAL)


@pytest.mark.parametrize(
    "dataset", sorted(path.name for path in DUMMY_DATA.glob("*_*") if path.is_dir())
)
def test_every_dataset_is_the_same_with_and_without_stage(dataset: str, tmp_path: Path):
    outcome = same_with_and_without(DUMMY_DATA / dataset, tmp_path, dataset=dataset)
    if dataset == "imagenet21k_winter21":  # Archives in gzip are unpacked to scratch in any case.
        assert "there is nothing that --stage would copy" in outcome.err
    else:
        assert re.search(r": copied [0-9.]+ [kM]B in [0-9.]+ s$", outcome.err, re.MULTILINE)


@pytest.mark.parametrize("site", ["nibi", "hyak", "timm", "slim", "class_archives"])
def test_layouts_without_folders_are_the_same_with_and_without_stage(site: str, tmp_path: Path):
    sites.SITES[site](tmp_path / "staged", layouts_corpus.pictures("imagenet2012"))
    source = {"class_archives": "class-tars"}.get(site)
    more = [f"--source={source}"] if source else []
    same_with_and_without(tmp_path / "staged", tmp_path, *more)


def test_only_archives_that_are_read_are_copied(manual_dir: Path, tmp_path: Path, scratch: Path):
    (manual_dir / "train").mkdir()
    shutil.copy(manual_dir / TRAIN, manual_dir / "another.tar")
    shutil.copy(DUMMY_DATA / "tiny_imagenet" / "tiny-imagenet-200.zip", manual_dir)
    (manual_dir / VAL).write_bytes(b"damaged")
    outcome = build(manual_dir, tmp_path / "built", "--stage", f"--scratch-dir={scratch}")
    assert outcome.status == 1
    assert set(copies(scratch)) == {TRAIN, VAL, TEST, PATCH}


def test_missing_files_are_reported_in_the_original_directory(manual_dir: Path, tmp_path: Path):
    (manual_dir / VAL).unlink()
    warnings = warned(same_with_and_without(manual_dir, tmp_path))
    [said] = [each for each in warnings if "expected the official" not in each]
    assert f"there is no {manual_dir / VAL}" in said


def test_strays_beside_class_archives_are_reported_as_without_stage(tmp_path: Path):
    sites.SITES["class_archives"](tmp_path / "staged", layouts_corpus.pictures("imagenet2012"))
    [train] = (tmp_path / "staged").glob("*_train")
    (train / "notes.txt").write_text("do not forget")
    (train / "old").mkdir()
    for folder in (tmp_path / "staged").glob("ILSVRC2012_img_[vt][ea]*"):
        if folder != train:
            shutil.rmtree(folder)
    outcome = same_with_and_without(tmp_path / "staged", tmp_path)
    [said] = [each for each in outcome.err.splitlines() if "passed over" in each]
    assert "'notes.txt'" in said
    assert "'old'" in said


# --- what is not copied --------------------------------------------------------------------------


def test_archives_are_preferred_to_folders_beside_them(tmp_path: Path):
    sites.SITES["image_folder"](tmp_path / "staged", layouts_corpus.pictures("imagenet2012"))
    sites.official(tmp_path / "staged", layouts_corpus.pictures("imagenet2012"))
    same_with_and_without(tmp_path / "staged", tmp_path)


def test_an_empty_manual_dir_is_reported_as_without_stage(tmp_path: Path, scratch: Path):
    (tmp_path / "staged").mkdir()
    outcomes = [
        build(tmp_path / "staged", tmp_path / "built", f"--scratch-dir={scratch}", *more)
        for more in ((), ("--stage",))
    ]
    assert [outcome.status for outcome in outcomes] == [1, 1]
    errors = [[e for e in o.err.splitlines() if e.startswith(command_line.ERROR)] for o in outcomes]
    assert errors[0] == errors[1] != []


def test_too_little_space_is_reported_before_anything_is_copied(manual_dir: Path, tmp_path: Path):
    with open(manual_dir / TRAIN, "ab") as file:
        file.truncate(8 << 20)
    with mounted(tmp_path / "small", "size=4m") as scratch:
        outcome = build(manual_dir, tmp_path / "built", "--stage", f"--scratch-dir={scratch}")
        left = list(scratch.rglob("staged/*"))
    assert outcome.status == 2
    [said] = outcome.errors
    assert said.endswith(
        f"are needed to copy 4 files of {manual_dir} there (--stage); free some, or choose another "
        "with --scratch-dir"
    )
    assert "has 4.2 MB free, but 8.4 MB are needed" in said
    assert not left
    command_line.assert_nothing_published(tmp_path / "built")


# --- what is kept, and gone on with --------------------------------------------------------------


def test_after_a_failure_the_next_run_copies_nothing_again(tmp_path: Path, scratch: Path):
    bad = staged()
    bad.validation[0] = (bad.validation[0][0], b"no picture")
    manual_dir = bad.write(tmp_path / "staged")
    arguments = ("--stage", f"--scratch-dir={scratch}")
    outcome = build(manual_dir, tmp_path / "built", *arguments)
    assert outcome.status == 1
    assert "the copies of " in outcome.err
    assert "are kept in " in outcome.err
    before = {name: path.stat() for name, path in copies(scratch).items()}
    assert set(before) == {TRAIN, VAL, TEST, PATCH}
    for name, status in before.items():
        original = (manual_dir / name).stat()
        assert (status.st_size, status.st_mtime_ns) == (original.st_size, original.st_mtime_ns)
    staged().write(tmp_path / "whole")
    shutil.copyfile(tmp_path / "whole" / VAL, manual_dir / VAL)
    read: list[str] = []
    with opened_files(read):
        # Not by a helper that looks at all files before and after.
        outcome = command_line.run(
            *command_line.build_arguments(manual_dir, tmp_path / "built", *arguments)
        )
    assert outcome.status == 0
    inside = {name for name in read if name.startswith(f"{manual_dir}/")}
    assert inside == {str(manual_dir / VAL)}
    assert not copies(scratch)


def test_a_copy_of_a_vanished_archive_is_removed(manual_dir: Path, tmp_path: Path, scratch: Path):
    (manual_dir / TRAIN).write_bytes(b"damaged")
    arguments = ("--stage", f"--scratch-dir={scratch}")
    assert build(manual_dir, tmp_path / "built", *arguments).status == 1
    (manual_dir / TRAIN).unlink()
    (manual_dir / PATCH).unlink()
    assert build(manual_dir, tmp_path / "built", *arguments).status == 0
    assert set(built_datasets.provenance(tmp_path / "built")) == {"validation", "test"}
    names = [
        Path(s["path"]).name
        for s in built_datasets.provenance(tmp_path / "built")["test"]["sources"]
    ]
    assert names == [TEST]


_COPY = """
import sys
from pathlib import Path
from imagenet_builders.scratch.copy import copy_to_scratch, CopyReport
from imagenet_builders.scratch.to_copy import ToCopy
manual_dir, scratch, *names = map(Path, sys.argv[1:])
report = CopyReport(copied=lambda size: print(size, flush=True))
to_copy = ToCopy(tuple(manual_dir / name for name in names))
copy_to_scratch(manual_dir, to_copy, scratch, "x", report)
"""


def copy_of(copy: ScratchCopy, name: str) -> Path:
    """The copy of the file of a name."""
    [path] = [path for path in copy.files.values() if Path(path).name == name]
    return Path(path)


def large_files(manual_dir: Path) -> tuple[Path, ...]:
    """Two files of 50 MB that have no two blocks alike."""
    manual_dir.mkdir()
    for name in ("a.tar", "b.tar"):
        (manual_dir / name).write_bytes(os.urandom(50_000_001))
    return (manual_dir / "a.tar", manual_dir / "b.tar")


def test_a_killed_copy_continues(tmp_path: Path, scratch: Path):
    files = large_files(tmp_path / "staged")
    ours = scratch / "ours"
    process = subprocess.Popen(
        [sys.executable, "-c", _COPY, str(tmp_path / "staged"), str(ours), "a.tar", "b.tar"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    told = 0
    for line in process.stdout:
        told += int(line)
        if told > files[0].stat().st_size:  # In the middle of the second file.
            process.kill()
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    [whole] = copies(scratch).values()
    inode = whole.stat().st_ino
    [partial] = scratch.rglob("*.partial")
    begun = partial.stat().st_size
    assert 0 < begun < files[1].stat().st_size
    said: list[tuple[str, int]] = []
    sizes: list[int] = []
    copy = copy_to_scratch(
        tmp_path / "staged",
        ToCopy(files),
        ours,
        "x",
        CopyReport(lambda *what: said.append(what), sizes.append),
    )
    assert sizes[:2] == [files[0].stat().st_size, begun]  # Neither was copied again.
    assert sum(sizes) == said[0][1] == copy.size == sum(file.stat().st_size for file in files)
    assert " are there already)" in said[0][0]
    assert whole.stat().st_ino == inode
    for file in files:
        assert copy_of(copy, file.name).read_bytes() == file.read_bytes()
        assert copy_of(copy, file.name).stat().st_mtime_ns == file.stat().st_mtime_ns
    assert not list(scratch.rglob("*.partial"))
    copy.remove()
    copy.close()
    assert not list(ours.iterdir())


def test_a_copy_begun_before_a_reboot_is_not_trusted(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    files = large_files(tmp_path / "staged")

    def stop(size: int) -> None:
        if size:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_to_scratch(
            tmp_path / "staged", ToCopy(files), scratch / "s", "x", CopyReport(copied=stop)
        )
    [partial] = scratch.rglob("*.partial")
    partial.write_bytes(bytes(partial.stat().st_size))  # As after a loss of power.
    (tmp_path / "boot").write_text("another")
    monkeypatch.setattr(space, "_BOOT_ID", tmp_path / "boot")
    copy = copy_to_scratch(tmp_path / "staged", ToCopy(files), scratch / "s", "x")
    assert copy_of(copy, "a.tar").read_bytes() == files[0].read_bytes()
    copy.close()


def test_a_build_killed_by_the_time_limit_continues(tmp_path: Path, scratch: Path):
    """SIGTERM in the middle of copying, as Slurm sends it, then the same command again."""
    manual_dir = staged().write(tmp_path / "staged")
    with open(manual_dir / TRAIN, "r+b") as file:
        file.truncate(2 << 30)  # A hole, which takes a while to be copied.
    command = [sys.executable, "-m", "imagenet_builders.cli"]
    command += command_line.build_arguments(manual_dir, tmp_path / "built", "--stage")
    command += [f"--scratch-dir={scratch}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not found_during(scratch, "*.partial"):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert list(scratch.rglob("*.partial"))
    staged().write(manual_dir)
    assert build(manual_dir, tmp_path / "built", "--stage", f"--scratch-dir={scratch}").status == 0
    assert not list(scratch.rglob("*.partial"))


# --- sources that change -------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["grows", "is_overwritten", "is_cut_off", "is_written_back"])
def test_a_source_that_changes_during_the_copy_is_reported(
    change: str, tmp_path: Path, scratch: Path
):
    files = large_files(tmp_path / "staged")
    before = SourceFile.of(files[0])
    told = []

    def copied(size: int) -> None:
        told.append(size)
        if sum(told) and len(told) == 4:
            with open(files[0], "r+b") as file:
                if change == "is_cut_off":
                    file.truncate(1000)
                else:
                    file.seek(0, os.SEEK_END if change == "grows" else os.SEEK_SET)
                    file.write(b"something else")

    with pytest.raises(SourceError, match="the file changed while it was copied to scratch") as e:
        copy_to_scratch(
            tmp_path / "staged", ToCopy(files), scratch / "s", "x", CopyReport(copied=copied)
        )
    assert str(files[0]) in str(e.value)
    assert not copies(scratch)
    if change == "is_written_back":  # By a program that sets sizes and times, such as rsync.
        os.utime(files[0], ns=(before.mtime_ns, before.mtime_ns))
    copy = copy_to_scratch(tmp_path / "staged", ToCopy(files), scratch / "s", "x")
    assert copy_of(copy, "a.tar").read_bytes() == files[0].read_bytes()
    copy.close()


def test_a_source_that_changed_since_is_copied_again(tmp_path: Path, scratch: Path):
    files = large_files(tmp_path / "staged")
    copy_to_scratch(tmp_path / "staged", ToCopy(files), scratch / "s", "x").close()
    with open(files[1], "r+b") as file:
        file.write(b"something else")
    copy = copy_to_scratch(tmp_path / "staged", ToCopy(files), scratch / "s", "x")
    assert copy_of(copy, "b.tar").read_bytes() == files[1].read_bytes()
    copy.close()


def test_an_unreadable_source_is_named(tmp_path: Path, scratch: Path):
    files = large_files(tmp_path / "staged")
    files[0].unlink()
    with pytest.raises(SourceError, match=r"a\.tar cannot be copied: No such file or directory"):
        copy_to_scratch(tmp_path / "staged", ToCopy(files), scratch / "s", "x")
    assert not list((scratch).rglob("x-*"))


def test_a_full_disk_is_reported_and_copies_are_kept(tmp_path: Path):
    files = large_files(tmp_path / "staged")
    with mounted(tmp_path / "disk", "size=110m") as disk:

        def others(size: int) -> None:
            if not (disk / "others").exists():
                (disk / "others").write_bytes(bytes(30 << 20))

        with pytest.raises(OptionError, match=r"No space left on device; what is there is kept"):
            copy_to_scratch(
                tmp_path / "staged", ToCopy(files), disk / "s", "x", CopyReport(copied=others)
            )
        assert set(copies(disk)) == {"a.tar"}
        (disk / "others").unlink()
        copy = copy_to_scratch(tmp_path / "staged", ToCopy(files), disk / "s", "x")
        assert copy_of(copy, "b.tar").read_bytes() == files[1].read_bytes()
        copy.close()


# --- more than one -------------------------------------------------------------------------------


def test_two_builds_do_not_share_a_copy(manual_dir: Path, tmp_path: Path, scratch: Path):
    arguments = ("--stage", f"--scratch-dir={scratch}")
    original = (manual_dir / VAL).read_bytes()
    (manual_dir / VAL).write_bytes(b"damaged")
    assert build(manual_dir, tmp_path / "one", *arguments).status == 1
    (manual_dir / VAL).write_bytes(original)
    [lock] = scratch.glob("*/staged/*/lock")
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = build(manual_dir, tmp_path / "two", *arguments)
    assert outcome.status == 1
    assert "another build is using the copies there at this moment" in outcome.err
    assert set(copies(scratch)) == {TRAIN, VAL, TEST, PATCH}
    assert build(manual_dir, tmp_path / "two", *arguments).status == 0


def test_processes_that_make_and_remove_one_copy_never_share_it(tmp_path: Path, scratch: Path):
    (tmp_path / "staged").mkdir()
    file = tmp_path / "staged" / "a.tar"
    file.write_bytes(b"content")
    errors: list[BaseException] = []
    inside: list[int] = []

    def work() -> None:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                copy = copy_to_scratch(tmp_path / "staged", ToCopy((file,)), scratch / "s", "x")
            except SourceError as error:
                if "another build is using" not in str(error):
                    errors.append(error)
                continue
            except BaseException as error:
                errors.append(error)
                return
            inside.append(1)
            if sum(inside) != 1 or copy_of(copy, "a.tar").read_bytes() != b"content":
                errors.append(AssertionError(f"{sum(inside)} at a time"))
            inside.append(-1)
            copy.remove()
            copy.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(inside) > 2


def test_a_build_resumes_from_another_copy_or_none(
    manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Requeued to another node: its own disk has other paths, and the shards are still of use."""
    data_dir = tmp_path / "built"
    with monkeypatch.context() as patch:
        patch.setattr(PUBLISH, lose_the_node)
        for more in (["--stage", f"--scratch-dir={tmp_path / 'node1'}"], []):
            outcome = build(manual_dir, data_dir, *more)
            assert outcome.status == 1
            assert ("already finished: 3 of " in outcome.err) is (not more)
    outcome = build(manual_dir, data_dir, "--stage", f"--scratch-dir={tmp_path / 'node2'}")
    assert outcome.status == 0
    assert "already finished: 3 of " in outcome.err


def test_options_and_variables_agree(
    manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMAGENET_BUILDERS_STAGE", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    outcome = build(manual_dir, tmp_path / "built")
    assert outcome.status == 0
    place = tmp_path / f"imagenet_builders-{os.getuid()}" / "staged"
    assert f" to {place}/imagenet2012-" in outcome.err
    assert not place.exists()


def test_a_patched_test_image_is_located_in_the_original(tmp_path: Path, scratch: Path):
    odd = staged()
    odd.patch = [(test_name(3), b"no picture")]
    manual_dir = odd.write(tmp_path / "staged")
    same_with_and_without(manual_dir, tmp_path, "--bad-images=skip")
    [skipped] = built_datasets.provenance(tmp_path / "with")["test"]["skipped"]
    assert skipped["path"] == str(manual_dir / PATCH)


# --- with the rest -------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [(), ("--stage",)])
def test_unpacked_sources_do_not_restart_a_build(
    stage: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another node, or the same after a restart, unpacks again; what is unpacked is the same."""
    manual_dir = DUMMY_DATA / "imagenet2012_downsampled"
    arguments = ["build", "imagenet2012_downsampled/8x8", f"--manual-dir={manual_dir}"]
    arguments += [f"--data-dir={tmp_path / 'built'}", *stage]
    with monkeypatch.context() as patch:
        patch.setattr(PUBLISH, lose_the_node)
        assert command_line.run(*arguments, f"--scratch-dir={tmp_path / 'node1'}").status == 1
    (tmp_path / "boot").write_text("another")
    monkeypatch.setattr(space, "_BOOT_ID", tmp_path / "boot")
    again = command_line.run(*arguments, f"--scratch-dir={tmp_path / 'node2'}")
    assert again.status == 0
    assert "already finished: 2 of " in again.err
    [path] = (tmp_path / "built").rglob("provenance.json")
    splits = json.loads(path.read_text())["splits"]
    sources = {Path(each["path"]).name for split in splits.values() for each in split["sources"]}
    assert sources == {"Imagenet8_train_npz.zip", "Imagenet8_val_npz.zip"}


def test_beam_builds_from_a_copy(manual_dir: Path, tmp_path: Path):
    beam = "--beam-options=runner=DirectRunner,direct_running_mode=in_memory"
    same_with_and_without(manual_dir, tmp_path, beam)


def test_a_bad_beam_runner_is_refused_before_anything_is_copied(
    manual_dir: Path, tmp_path: Path, scratch: Path
):
    arguments = ("--stage", f"--scratch-dir={scratch}", "--beam-options=runner=NoSuchRunner")
    outcome = build(manual_dir, tmp_path / "built", *arguments)
    assert outcome.status == 2
    assert "copying" not in outcome.err
    assert not list(scratch.glob("*/staged"))
