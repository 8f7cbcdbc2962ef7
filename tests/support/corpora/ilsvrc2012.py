"""Small staged corpora, whole or damaged, and builds of them by the real command line."""

from __future__ import annotations

import dataclasses
import functools
import tarfile
from collections.abc import Callable
from pathlib import Path

from makers import archives, pictures
from makers.ilsvrc2012 import (
    TEST_ARCHIVE,
    TEST_PATCH_ARCHIVE,
    TRAIN_ARCHIVE,
    VALIDATION_ARCHIVE,
)

TRAIN, VAL, TEST, PATCH = TRAIN_ARCHIVE, VALIDATION_ARCHIVE, TEST_ARCHIVE, TEST_PATCH_ARCHIVE

TENCH, GOLDFISH, COUGAR = "n01440764", "n01443537", "n02125311"
CLASSES = (GOLDFISH, TENCH, COUGAR)  # In the order of the archive, which is not the sorted one.


@functools.cache
def picture(name: str) -> bytes:
    """A small JPEG that is not the same for any two names."""
    return pictures.jpeg(pictures.draw("test", key=name, size=(40, 30)), quality=60)


def val_name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def test_name(number: int) -> str:
    return f"ILSVRC2012_test_{number:08d}.JPEG"


# Not a test, whatever its name says to pytest.
vars(test_name)["__test__"] = False

Member = tuple[str | tarfile.TarInfo, bytes]


@dataclasses.dataclass
class Staged:
    """What is to be staged; a test changes it before it is written."""

    train: dict[str, list[Member]]
    validation: list[Member]
    test: list[Member]
    patch: list[Member]
    tar_format: int = tarfile.GNU_FORMAT
    in_outer: Callable[[list[Member]], list[Member]] = list
    """What the train archive has instead of the class tars as they are."""

    def outer(self) -> list[Member]:
        """The members of the train archive: a tar a class."""
        return self.in_outer(
            [
                (f"{wnid}.tar", archives.tar_bytes(members, tar_format=self.tar_format))
                for wnid, members in self.train.items()
            ]
        )

    def write(self, directory: Path) -> Path:
        """Writes the archives that have members; gives the directory back."""
        for name, members in (
            (TRAIN, self.outer()),
            (VAL, self.validation),
            (TEST, self.test),
            (PATCH, self.patch),
        ):
            if members:
                archives.write_tar(directory / name, members, tar_format=self.tar_format)
        return directory


def staged() -> Staged:
    """Three classes of three pictures, five of validation and four of test, the last patched."""
    return Staged(
        train={
            wnid: [(name, picture(name)) for name in (f"{wnid}_{n}.JPEG" for n in (7, 2, 11))]
            for wnid in CLASSES
        },
        validation=[(val_name(n), picture(val_name(n))) for n in (3, 1, 50_000, 2, 236)],
        test=[(test_name(n), picture(test_name(n))) for n in (2, 1, 100_000, 3)],
        patch=[(test_name(3), picture("patched"))],
    )


def member_offsets(archive: Path, member: str) -> tuple[int, int]:
    """Byte offsets of a member's first header and of its body, as `tarfile` sees them.

    A member of an inner tar is written `n01440764.tar/n01440764_2.JPEG`.
    """
    outer, inside, inner = member.partition(".tar/")
    with tarfile.open(archive) as opened:
        if not inside:
            info = opened.getmember(member)
            return info.offset, info.offset_data
        start = opened.getmember(f"{outer}.tar").offset_data
        body = opened.extractfile(f"{outer}.tar")
        assert body is not None
        with tarfile.open(fileobj=body) as opened_inner:
            info = opened_inner.getmember(inner)
            return start + info.offset, start + info.offset_data


def with_image(path: Path, where: str, data: bytes) -> tuple[Path, str, int]:
    """Stages a corpus with one other image; gives its archive, name and first byte."""
    one_other = staged()
    name, file, members = {
        "train": (f"{TENCH}_2.JPEG", TRAIN, one_other.train[TENCH]),
        "validation": (val_name(1), VAL, one_other.validation),
        "test": (test_name(1), TEST, one_other.test),
        "patch": (test_name(3), PATCH, one_other.patch),
    }[where]
    members[[member for member, _ in members].index(name)] = (name, data)
    archive = one_other.write(path) / file
    prefix = f"{TENCH}.tar/" if where == "train" else ""
    return archive, name, member_offsets(archive, prefix + name)[1]
