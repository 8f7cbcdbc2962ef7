"""A dataset that is not seen yet, or for a moment, or that is closed to who reads it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.command_line import DATASET, build_arguments
from support.killing.forks import Server
from support.killing.moments import OFTEN, built, wait_for
from support.killing.remains import differences
from support.killing.trials import SHARDS

from imagenet_builders import cli
from imagenet_builders.publish import readable
from imagenet_builders.publish.holder import Holder
from imagenet_builders.publish.target import Target

WITHOUT_LINKS = (
    "import errno, os\n"
    "def link(*paths, **options): raise OSError(errno.EPERM, 'Operation not permitted', paths[0])\n"
    "os.link = link\n"
)


def test_a_waiter_looks_again_until_the_files_are_seen(
    forks: Server, small: Path, data_dir: Path, expected: dict, tmp_path: Path
) -> None:
    """On network file systems a directory may be seen before its files."""
    other = tmp_path / "other"
    built(forks, small, other, *SHARDS)
    target = Target(data_dir / DATASET)
    target.path.parent.mkdir(parents=True)
    holder = json.dumps(dataclasses.asdict(Holder.me()))
    target.lock().write_text(holder)
    waiting = forks.start(build_arguments(small, data_dir, *SHARDS), data_dir, first=OFTEN)
    wait_for(lambda: "waiting" in waiting.err.read_text())
    target.path.mkdir()
    target.lock().unlink()
    time.sleep(1.0)
    for path in sorted((other / DATASET).iterdir()):  # `dataset_info.json` before the shards.
        shutil.move(path, target.path)
    ended = waiting.wait()
    assert (ended.status, ended.out) == (0, f"{DATASET} is there already: {target.path}\n"), ended
    assert differences(data_dir, expected) == []


@pytest.mark.parametrize("first", ["", WITHOUT_LINKS], ids=["links", "no_links"])
def test_a_killed_builder_s_own_file_goes_with_its_lock(
    first: str, forks: Server, small: Path, data_dir: Path, expected: dict
) -> None:
    """Also where a listing does not show it yet, as a network file system's cache may not."""
    target = Target(data_dir / DATASET)
    target.path.parent.mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    holder = dataclasses.replace(Holder.me(), pid=dead.pid, started=1)
    own = target.lock_file(holder.host, holder.pid, holder.token)
    for path in (own, target.lock()):
        path.write_bytes(holder.to_bytes())
    unseen = (
        "from imagenet_builders.publish import target\ntarget.Target.lock_files = lambda self: []\n"
    )
    ended = forks.run(build_arguments(small, data_dir, *SHARDS), data_dir, first=first + unseen)
    assert ended.status == 0, ended
    assert not own.exists()
    assert differences(data_dir, expected) == []


@pytest.fixture(scope="module")
def dataset(forks: Server, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("read")
    built(forks, small, data_dir, *SHARDS)
    return data_dir


@pytest.mark.parametrize("how", ["load", "verify", "find"])
def test_readers_wait_while_a_dataset_changes_places_in_two_steps(
    how: str, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow_datasets as tfds

    path = dataset / DATASET
    old = Target(path).old("01234567")
    path.rename(old)
    back = threading.Timer(1.0, old.rename, [path])
    back.start()
    try:
        if how == "load":
            builder = tfds.builder("imagenet2012", data_dir=dataset)
            assert builder.info.splits["train"].num_examples == 9
        else:
            asked = "imagenet2012" if how == "find" else str(path)
            assert cli.main(["verify", asked, "--data-dir", str(dataset)]) == 0
    finally:
        back.join()


def test_a_dataset_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    readable.wait_for_exchange(tmp_path / "nothing")
    assert not readable.is_there(tmp_path / "nothing")
