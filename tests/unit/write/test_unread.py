"""What forms make of images that they have read to their places is what they make of examples."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from makers import pictures
from support.image_tables import table_of

from imagenet_builders import labels
from imagenet_builders.datasets.ilsvrc2012.examples import make_boxed_examples, make_examples
from imagenet_builders.datasets.imagenet2012_downsampled.examples import (
    make_examples as make_downsampled,
)
from imagenet_builders.errors import ImagenetBuildersError, SourceError
from imagenet_builders.export import huggingface, slim, webdataset
from imagenet_builders.export.form import Form, Part, Subject
from imagenet_builders.plan.recipe import ImagePolicy, MakeExamples, Note
from imagenet_builders.sources.reader import RANGES, Access, Reader
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.write import blocks
from imagenet_builders.write.outputs.output import Written
from imagenet_builders.write.unread import unread_examples, unread_image

Size = tuple[int, int]
SIZES: tuple[Size, ...] = ((127, 128), (128, 127), (128, 128), (8, 300), (300, 8), (160, 120))
COPYING = Access(RANGES.read, RANGES.ranges)
PARQUET = huggingface.FORM.switches["--parquet"](huggingface.FORM, "")
FORMS = [slim.FORM, webdataset.FORM, huggingface.FORM, PARQUET]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 1 << 16)


SUBJECT = Subject(
    name="imagenet2012",
    config=None,
    version="5.1.0",
    stem="imagenet1k",
    key="file_name",
    classes=tuple(labels.wnids("imagenet2012")),
    splits=("train",),
)
PART = Part("train", 3, 20)

Outcome = tuple[Written | str, dict[str, bytes], list[Note]]


@functools.cache
def picture(size: Size) -> bytes:
    return pictures.jpeg(pictures.draw("tench", key="n01440764_1.JPEG", size=size))


@functools.cache
def odd_images() -> tuple[bytes, ...]:
    """Images that are stored otherwise than they are found, or not at all, or looked at longer."""
    drawn = pictures.draw("tench", key="n01440764_1.JPEG")
    plain = pictures.jpeg(drawn)
    repaired = pictures.cmyk_jpeg(drawn), pictures.png(drawn)
    unusual = pictures.jpeg(drawn, grey=True), pictures.jpeg(drawn, progressive=True)
    bad = b"", plain[:-100], bytes(900), b"not found\n" * 9
    large = plain[:-2] + bytes(5 << 18) + plain[-2:]
    return *repaired, *unusual, *bad, large


class Shard:
    """A shard of some images.

    Args:
        directory: Where they are put.
        images: The images.
        names: Their names; None gives each one of its own.
        numbers: Their labels.
    """

    def __init__(
        self,
        directory: Path,
        images: Sequence[bytes],
        *,
        names: Sequence[str] | None = None,
        numbers: Sequence[int] | None = None,
    ):
        self.directory = directory
        path = directory / "images"
        path.write_bytes(b"-".join(images))
        self.file = SourceFile.of(path)
        self.rows = table_of(images, names=names, numbers=numbers)

    def written(
        self,
        form: Form,
        make: MakeExamples,
        *,
        unread: bool,
        skip: bool = True,
        access: Access = RANGES,
    ) -> Outcome:
        policy, notes = ImagePolicy("skip" if skip else "fail"), list[Note]()
        place = self.directory / f"{form.name} {unread}"
        place.mkdir()
        with Reader([self.file], access) as reader:
            given = self.rows, reader, policy, notes
            made = unread_examples(make, *given) if unread else make(*given)
            assert made is not None
            try:
                written: Written | str = form.write(SUBJECT, PART, place, (e for _, e in made))
            except ImagenetBuildersError as error:
                return f"{type(error).__name__}: {error}", {}, notes
        return written, {path.name: path.read_bytes() for path in place.iterdir()}, notes

    def in_both_ways(self, form: Form, *, skip: bool = True) -> Outcome:
        with_care = self.written(form, make_examples, unread=False, skip=skip)
        assert self.written(form, make_examples, unread=True, skip=skip) == with_care
        return with_care


@pytest.mark.parametrize("access", [RANGES, COPYING], ids=["of its own", "copied"])
@pytest.mark.parametrize("make", [make_examples, make_boxed_examples], ids=["plain", "boxed"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("seed", range(4))
def test_the_files_and_notes_are_the_same(
    tmp_path: Path, seed: int, form: Form, make: MakeExamples, access: Access
) -> None:
    rng = random.Random(seed)
    images = [picture(rng.choice(SIZES)) for _ in range(300)] + [*odd_images()] * 3
    rng.shuffle(images)
    shard = Shard(tmp_path, images)
    expected = shard.written(form, make, unread=False)
    assert shard.written(form, make, unread=True, access=access) == expected
    written, files, notes = expected
    assert isinstance(written, Written)
    assert written.examples == len(images) - 3 * 4
    assert len(files) == (1 if form is huggingface.FORM else 2)
    assert len(notes) == 3 * (2 + 4)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_plain_images_are_all_put_to_their_places(
    tmp_path: Path, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [picture(size) for size in SIZES if min(size) >= 128 or form is not slim.FORM]
    shard = Shard(tmp_path, images * 20)
    expected = shard.written(form, make_examples, unread=False)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("imagenet_builders.write.unread._Rows.example", never)
    assert shard.written(form, make_examples, unread=True) == expected


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_no_images_and_none_that_stays(tmp_path: Path, form: Form) -> None:
    for number, images in enumerate(((), odd_images()[4:8])):
        directory = tmp_path / str(number)
        directory.mkdir()
        written, _, _ = Shard(directory, images).in_both_ways(form)
        assert isinstance(written, Written)
        assert written.examples == 0


BAD_NAMES = ("a.b.JPEG", "a:b.JPEG", "../a.JPEG", "\udcff.JPEG", "n" * 97 + ".JPEG", "twice.JPEG")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("name", BAD_NAMES[:3] + BAD_NAMES[4:])
@pytest.mark.parametrize("image", [picture(SIZES[2]), bytes(900)], ids=["sound", "left out"])
def test_a_name_is_refused_only_of_an_image_that_is_not_left_out(
    tmp_path: Path, form: Form, name: str, image: bytes
) -> None:
    names = ["a.JPEG", "twice.JPEG", name, "z\u00e9\U0001f600.JPEG"]
    images = [picture(SIZES[2]), picture(SIZES[0]), image, picture(SIZES[1])]
    written, _, _ = Shard(tmp_path, images, names=names).in_both_ways(form)
    if image == bytes(900):
        assert isinstance(written, Written)
        assert written.examples == 3


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("number", [-2, 1000])
def test_so_is_a_label(tmp_path: Path, form: Form, number: int) -> None:
    written, _, _ = Shard(tmp_path, [picture(SIZES[2])] * 2, numbers=[5, number]).in_both_ways(form)
    assert str(written).startswith("SourceError: imagenet2012/5.1.0: expected labels from -1 to")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("image", odd_images()[:8], ids=range(8))
def test_a_bad_image_ends_it_with_the_same_words(tmp_path: Path, form: Form, image: bytes) -> None:
    shard = Shard(tmp_path, [picture(SIZES[2]), image, picture(SIZES[2])])
    shard.in_both_ways(form, skip=False)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("damage", [cut, remove])
def test_a_source_that_changed_is_told_as_that(
    tmp_path: Path, form: Form, damage: Callable[[Path], None]
) -> None:
    shard = Shard(tmp_path, [picture(SIZES[2])] * 3)
    damage(tmp_path / "images")
    with Reader([shard.file]) as reader:
        made = unread_examples(make_examples, shard.rows, reader, ImagePolicy("fail"), [])
        assert made is not None
        (tmp_path / "out").mkdir()
        with pytest.raises(SourceError, match="images"):
            form.write(SUBJECT, PART, tmp_path / "out", (each for _, each in made))


def test_images_that_are_decoded_or_encoded_anew_are_left_to_the_careful_way(
    tmp_path: Path,
) -> None:
    shard = Shard(tmp_path, [picture(SIZES[2])])
    with Reader([shard.file]) as reader:
        policy = ImagePolicy("fail")
        assert unread_examples(make_examples, shard.rows, reader, policy, []) is not None
        decoding = ImagePolicy("fail", decode=True)
        assert unread_examples(make_examples, shard.rows, reader, decoding, []) is None
        assert unread_examples(make_downsampled, shard.rows, reader, policy, []) is None


def test_one_that_is_not_put_is_passed_over(tmp_path: Path) -> None:
    images = [picture(size) for size in SIZES]
    shard = Shard(tmp_path, images)
    with Reader([shard.file]) as reader:
        made = unread_examples(make_examples, shard.rows, reader, ImagePolicy("fail"), [])
        assert made is not None
        for number, (_, example) in enumerate(made):
            image = unread_image(example)
            assert image is not None
            assert image.size == len(images[number])
            if number % 2:
                found = image.example()
                assert found is not None
                assert found["image"] == images[number]
            else:
                buffer = bytearray(image.size)
                assert image.put(memoryview(buffer)) == SIZES[number]
                assert buffer == images[number]
