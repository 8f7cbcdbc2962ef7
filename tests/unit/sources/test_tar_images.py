"""Class tars inside an archive, read by threads or not."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.paths import DUMMY_DATA

from imagenet_builders.errors import ArchiveError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.run.jobs import ignore
from imagenet_builders.sources import tar_images
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.sources.tar_images import ClassTarsJob, class_images, class_tars

ARCHIVE = DUMMY_DATA / "imagenet2012" / "ILSVRC2012_img_train.tar"


def job_of(path: Path) -> ClassTarsJob:
    file = SourceFile.of(path)
    tars, _ = class_tars(file, Naming("train").label_of)
    return ClassTarsJob(file, 0, tuple(tars))


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The threads that read class tars."""
    seen: set[int] = set()
    rows = tar_images._class_rows

    def noted(*arguments: object) -> object:
        seen.add(threading.get_ident())
        return rows(*arguments)  # type: ignore[arg-type]  # As they came.

    monkeypatch.setattr(tar_images, "_class_rows", noted)
    return seen


def test_threads_read_what_is_not_in_memory_and_find_the_same(
    readers: set[int], monkeypatch: pytest.MonkeyPatch
):
    job = job_of(ARCHIVE)
    places: list[tuple[int, int]] = []
    tables = []
    for is_there in (True, False):

        def say(of: Iterable[tuple[int, int]], found: bool = is_there) -> bool:
            places.extend(of)
            return found

        monkeypatch.setattr(tar_images, "are_in_memory", say)
        readers.clear()
        tables.append(class_images([job], ignore))
        assert (readers == {threading.get_ident()}) == is_there
    assert tables[0].equals(tables[1])
    assert tables[0].num_rows
    middles = [offset for _, offset in places[: len(job.tars)]]
    assert all(each.start < at < each.end for (each, _), at in zip(job.tars, middles, strict=True))


@pytest.mark.parametrize("is_there", [True, False])
def test_the_first_that_is_damaged_is_told(
    tmp_path: Path, is_there: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tar_images, "are_in_memory", lambda of: is_there)
    path = tmp_path / "train.tar"
    content = bytearray(ARCHIVE.read_bytes())
    job = job_of(ARCHIVE)
    for each, _ in job.tars[1:]:
        content[each.start + 150] ^= 1  # In the checksum of a header.
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=job.tars[1][0].wnid):
        class_images([job_of(path)], ignore)
