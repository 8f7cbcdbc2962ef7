"""The scratch directory: where it is, and the one sentence if it cannot be used; addresses too."""

from __future__ import annotations

import os
import re
import stat
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.command_line import Outcome, assert_nothing_published, build, run
from support.corpora.ilsvrc2012 import staged
from support.file_systems import mounted

from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions
from imagenet_builders.scratch.space import find_scratch, make_scratch


@pytest.fixture
def manual_dir(tmp_path: Path) -> Path:
    return staged().write(tmp_path / "staged")


def refused(outcome: Outcome, data_dir: Path) -> str:
    """The sentence with which a build ended before any work was done."""
    assert outcome.status == 2, outcome
    [sentence] = outcome.errors
    assert_nothing_published(data_dir)
    assert not list(data_dir.rglob("*.index.arrow"))
    return sentence


def test_a_scratch_directory_is_made_where_the_one_above_is_there(manual_dir: Path, tmp_path: Path):
    scratch = tmp_path / "scratch"
    assert build(manual_dir, tmp_path / "built", f"--scratch-dir={scratch}").status == 0
    assert len(list(scratch.rglob("*.index.arrow"))) == 3


@pytest.mark.parametrize("variable", ["SLURM_TMPDIR", "TMPDIR"])
def test_a_jobs_own_directory_is_the_default(
    variable: str, manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", "/nowhere/at/all")
    (tmp_path / "job").mkdir()
    monkeypatch.setenv(variable, str(tmp_path / "job"))
    assert build(manual_dir, tmp_path / "one").status == 0
    assert len(list((tmp_path / "job").rglob("*.index.arrow"))) == 3
    assert not list((tmp_path / "one").rglob("*.index.arrow"))
    assert build(manual_dir, tmp_path / "two", f"--scratch-dir={tmp_path / 'named'}").status == 0
    assert len(list((tmp_path / "named").rglob("*.index.arrow"))) == 3


def test_without_any_setting_scratch_is_beside_the_datasets(manual_dir: Path, tmp_path: Path):
    assert build(manual_dir, tmp_path / "built").status == 0
    kept = list((tmp_path / "built" / f".imagenet_builders-{os.getuid()}").glob("*.index.arrow"))
    assert len(kept) == 3


def test_a_missing_directory_is_named(manual_dir: Path, tmp_path: Path):
    scratch = tmp_path / "mistyped" / "scratch"
    said = refused(
        build(manual_dir, tmp_path / "built", f"--scratch-dir={scratch}"), tmp_path / "built"
    )
    assert said == (
        f"scratch directory {scratch} (--scratch-dir) does not exist, nor does {scratch.parent}; "
        "make it, or choose another with --scratch-dir"
    )
    assert not scratch.parent.exists()


def test_a_variable_that_names_a_file_is_named(
    manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "file"))
    said = refused(build(manual_dir, tmp_path / "built"), tmp_path / "built")
    assert said == f"scratch directory {tmp_path / 'file'} ($SLURM_TMPDIR) is not a directory"


def test_a_broken_link_is_refused(manual_dir: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    outcome = build(manual_dir, tmp_path / "built", f"--scratch-dir={tmp_path / 'link'}")
    assert refused(outcome, tmp_path / "built").endswith("is not a directory")


def test_the_home_of_an_unknown_user_is_refused(manual_dir: Path, tmp_path: Path):
    outcome = build(manual_dir, tmp_path / "built", "--scratch-dir=~no-such-user/scratch")
    assert "scratch directory ~no-such-user/scratch (--scratch-dir) does not exist, nor" in refused(
        outcome, tmp_path / "built"
    )


@pytest.mark.parametrize("stage", [(), ("--stage",)])
def test_a_read_only_file_system_is_named_as_such(
    stage: tuple[str, ...], manual_dir: Path, tmp_path: Path
):
    with mounted(tmp_path / "scratch", "ro") as scratch:
        outcome = build(manual_dir, tmp_path / "built", f"--scratch-dir={scratch}", *stage)
    said = refused(outcome, tmp_path / "built")
    assert str(scratch) in said
    assert said.endswith(
        "cannot be written to: its file system is mounted read-only; choose another with "
        "--scratch-dir"
    )


@pytest.mark.parametrize("options", ["size=64k", "nr_inodes=2"])
def test_a_full_file_system_is_an_error_only_where_space_is_needed(
    options: str, manual_dir: Path, tmp_path: Path
):
    """An index alone can be done without."""
    with mounted(tmp_path / "scratch", options) as scratch:
        (scratch / "others").write_bytes(bytes(1 << 16))
        arguments = (manual_dir, tmp_path / "built", f"--scratch-dir={scratch}")
        said = refused(build(*arguments, "--stage"), tmp_path / "built")
        assert build(*arguments).status == 0
    assert "cannot be written to: no space, or no file (inode), is left there" in said


def as_nobody(path: Path, work: Callable[[], None]) -> None:
    """Does something as another user, who may reach a path; it must succeed."""
    for each in [path, *path.parents]:
        if each.stat().st_mode & 0o005 != 0o005:
            each.chmod(each.stat().st_mode | 0o005)
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


@as_root
def test_a_directory_that_may_not_be_written_to_is_refused(tmp_path: Path):
    (tmp_path / "scratch").mkdir(mode=0o755)
    options = BuildOptions(scratch_dir=str(tmp_path / "scratch"))

    def work() -> None:
        with pytest.raises(OptionError, match="cannot be written to: you may not write there"):
            make_scratch(options.scratch_for(tmp_path), options)

    as_nobody(tmp_path, work)


# --- a name that somebody else has taken -----------------------------------------------------


def a_directory(path: Path) -> None:
    path.mkdir()
    os.chown(path, 12_345, -1)


def a_directory_that_others_may_write_to(path: Path) -> None:
    path.mkdir()
    path.chmod(0o775)


def a_file(path: Path) -> None:
    path.touch()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_our_own(path: Path) -> None:
    (path.parent / "precious").mkdir(mode=0o700)
    path.symlink_to(path.parent / "precious")


TAKEN = [a_directory, a_directory_that_others_may_write_to, a_file, a_fifo, a_link_to_our_own]


@as_root
@pytest.mark.parametrize("take", TAKEN)
@pytest.mark.parametrize("where", ["chosen", "default"])
def test_another_directory_is_made_beside_it_once_and_found_again(
    where: str, take: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    options = BuildOptions(scratch_dir=str(tmp_path) if where == "chosen" else None)
    named = options.scratch_for(tmp_path)
    take(named)
    before = named.lstat()
    assert find_scratch(named) == tmp_path
    used = make_scratch(named, options)
    assert re.fullmatch(rf"{re.escape(named.name)}-[0-9a-f]{{16}}", used.name)
    assert stat.S_IMODE(used.stat().st_mode) == 0o700
    assert f"the scratch directory is {used}" in caplog.text
    for _ in range(2):
        assert make_scratch(named, options) == find_scratch(named) == used
    assert [path for path in tmp_path.iterdir() if path.name.startswith(named.name)] in (
        [named, used],
        [used, named],
    )
    assert named.lstat().st_mtime_ns == before.st_mtime_ns
    # What was kept there is used when nobody has the name any more, too.
    named.rename(tmp_path / "away")
    assert make_scratch(named, options) == used


@as_root
def test_what_others_put_beside_it_is_not_used(tmp_path: Path):
    named = tmp_path / "imagenet_builders-0"
    for number, take in enumerate([a_directory, *TAKEN]):
        take(named.with_name(f"{named.name}{f'-{number:016x}' if number else ''}"))
    named.with_name(f"{named.name}-0-0").mkdir(mode=0o700)
    options = BuildOptions(scratch_dir=str(tmp_path))
    used = make_scratch(named, options)
    assert used not in [named.with_name(f"{named.name}-{n:016x}") for n in range(9)]
    assert stat.S_IMODE(used.stat().st_mode) == 0o700
    assert list(used.iterdir()) == []


def test_many_that_start_at_once_use_one_directory(tmp_path: Path):
    (tmp_path / "named").touch()
    with ThreadPoolExecutor(8) as threads:
        options = BuildOptions(scratch_dir=str(tmp_path))
        for _ in threads.map(lambda _: make_scratch(tmp_path / "named", options), range(64)):
            pass
    used = make_scratch(tmp_path / "named", options)
    assert find_scratch(tmp_path / "named") == used


@as_root
def test_each_user_has_another_one_beside_the_datasets(tmp_path: Path):
    tmp_path.chmod(0o777)
    options = BuildOptions()
    ours = make_scratch(options.scratch_for(tmp_path), options)

    def work() -> None:
        theirs = make_scratch(options.scratch_for(tmp_path), options)
        assert theirs == tmp_path / ".imagenet_builders-65534"

    as_nobody(tmp_path, work)
    assert ours == tmp_path / ".imagenet_builders-0"


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["gs://bucket/x", "s3://bucket/x", "hdfs://host/x"])
@pytest.mark.parametrize("option", ["manual-dir", "data-dir", "scratch-dir"])
def test_a_url_is_refused(option: str, address: str, manual_dir: Path, tmp_path: Path):
    options = {"manual-dir": str(manual_dir), "data-dir": str(tmp_path / "built"), option: address}
    outcome = run("build", "imagenet2012", *(f"--{name}={v}" for name, v in options.items()))
    assert outcome.status == 2
    [said] = outcome.errors
    assert said.startswith(f"--{option} must be a directory in a file system, not {address}; ")
    assert not (tmp_path / "built").exists()


def test_a_file_url_gets_a_hint_at_the_path(manual_dir: Path, tmp_path: Path):
    outcome = run("build", "imagenet2012", f"--manual-dir=file://{manual_dir}")
    assert outcome.errors == [
        f"--manual-dir must be a directory in a file system, not file://{manual_dir}; "
        f"write {manual_dir}"
    ]


@pytest.mark.parametrize("option", ["--data-dir", "--scratch-dir", ""])
def test_check_refuses_urls(option: str, manual_dir: Path):
    arguments = [option, "gs://bucket/x"] if option else []
    outcome = run("check", str(manual_dir) if option else "gs://bucket/x", *arguments)
    assert outcome.status == 2
    [said] = outcome.errors
    name = option or "MANUAL_DIR"
    assert said.startswith(f"{name} must be a directory in a file system, not gs://bucket/x; ")


def test_variables_with_urls_are_refused(
    manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket/x")
    outcome = run("build", "imagenet2012", f"--manual-dir={manual_dir}")
    assert outcome.errors[0].startswith("TFDS_DATA_DIR must be a directory in a file system")
    monkeypatch.setenv("IMAGENET_BUILDERS_SCRATCH_DIR", "gs://bucket/x")
    with pytest.raises(OptionError, match=r"^IMAGENET_BUILDERS_SCRATCH_DIR must be a directory in"):
        BuildOptions.from_environment()


def test_the_python_interface_refuses_urls(manual_dir: Path, tmp_path: Path):
    import tensorflow_datasets as tfds
    from etils import epath

    from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder

    builder = Builder(data_dir=tmp_path / "built")
    for address in ("gs://bucket/x", Path("gs://bucket/x"), epath.Path("gs://bucket/x")):
        with pytest.raises(OptionError, match="manual_dir must be a directory in a file system"):
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(manual_dir=address)
            )
    assert not (tmp_path / "built").exists()
    builder._data_dir = "gs://bucket/x"  # As it is where Google's storage can be reached.
    with pytest.raises(OptionError, match=r"data_dir must be a directory .*; build into a dir"):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
        )
