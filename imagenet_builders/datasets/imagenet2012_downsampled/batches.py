"""Indexes imagenet2012_downsampled from its npz files.

Each npz file holds `data`, uint8 of shape (pictures, 3 * size * size), a picture's red, green and
blue planes in turn, and `labels`, 1 to 1000 in the order of the devkit. Source:
Imagenet32_Scripts, image2numpy_imagenet_train.py and map_clsloc.txt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012_downsampled import examples
from imagenet_builders.datasets.imagenet2012_downsampled.dataset import DATASET
from imagenet_builders.datasets.imagenet2012_downsampled.staged import Batch, find_batches
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import npz
from imagenet_builders.formats.npz import Array
from imagenet_builders.locate.choose import choose, layout_of
from imagenet_builders.locate.found import Survey
from imagenet_builders.locate.official import official_archives
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.scratch.unzip import Job, Unpacked, check
from imagenet_builders.sources.columns import number_array, text_array
from imagenet_builders.sources.rows import SourceFile, opened, row_schema
from imagenet_builders.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

OFFICIAL_ROWS = {split.name: split.images or 0 for split in DATASET.configs[0].splits}
"""Pictures of each split; the same in all sizes."""

_CLASSES = 1000
_ROW_NUMBER_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class _Opened:
    """An npz file whose arrays are known.

    Attributes:
        batch: The staged npz file.
        file: The file on disk that it is in now; it is in scratch space if it was unpacked.
        inner: Its name in that file, or None if it is that file.
        data: The pictures.
        labels: Their labels.
    """

    batch: Batch
    file: SourceFile
    inner: str | None
    data: Array
    labels: Array


def recipes(staged: Survey, context: BuildContext) -> list[SplitRecipe]:
    """Indexes the splits that are staged; warns of those that are not.

    Args:
        staged: What is staged of a configuration.
        context: What to index with.

    Returns:
        A recipe for each split.

    Raises:
        StagingError: Nothing is staged.
        SourceError: An npz file is damaged, or does not hold what it should.
        OptionError: There is too little scratch space.
    """
    size = int(staged.dataset.rpartition("x")[2])
    unpacked = Unpacked(staged.dataset, context)
    chosen = choose(staged, context.options.source)
    found = {split: find_batches(split, one.paths, context.copies) for split, one in chosen.items()}
    made = []
    for split, files in found.items():
        index = index_split(size, split, files, context, unpacked)
        read = dict.fromkeys(batch.file for batch in files)
        made.append(
            SplitRecipe(
                split,
                index,
                examples.make_examples,
                examples.example_sizes,
                also_read=tuple(file for file in read if file not in index.files),
                layout=layout_of(chosen[split]),
            )
        )
    return made


def index_split(
    size: int, split: str, batches: Sequence[Batch], context: BuildContext, unpacked: Unpacked
) -> Index:
    """The rows of a split.

    Args:
        size: Width and height of the pictures, in pixels.
        split: `train` or `validation`.
        batches: The npz files.
        context: What to index with.
        unpacked: Where compressed arrays go.

    Returns:
        The rows in the order of the batches; keys such as `train_data_batch_3/000123`, with the
        number of the row in its batch, from 0.

    Raises:
        SourceError: An npz file is damaged, or does not hold what it should.
        OptionError: There is too little scratch space.
    """
    files = list(dict.fromkeys(batch.file for batch in batches))
    places = _unpack_npz(batches, unpacked)
    whole = [_open(size, batch, *place) for batch, place in zip(batches, places, strict=True)]
    _check_count(split, files, whole)
    _check_all_differ(whole)
    arrays = _unpack_data(whole, unpacked)

    def make() -> Index:
        # Unpacking has checked what it unpacked. The rest is read once as a whole; this also brings
        # it into memory, before rows are read at random.
        unchecked = [
            Job(one.file, one.data.member, one.inner)
            for one, (file, _) in zip(whole, arrays, strict=True)
            if file == one.batch.file
        ]
        check(unchecked, context)
        used = list(dict.fromkeys(file for file, _ in arrays))
        tables = [
            _rows(one, used.index(file), offset)
            for one, (file, offset) in zip(whole, arrays, strict=True)
        ]
        return Index(_joined(tables), tuple(used))

    if any(file not in files for file, _ in arrays):
        return make()  # The index points into files that are removed after the build.
    return context.cache.get([DATASET.name, f"{size}x{size}", split], files, make)


def _unpack_npz(
    batches: Sequence[Batch], unpacked: Unpacked
) -> list[tuple[SourceFile, int, int, str | None]]:
    """The file with the npz of each batch, its beginning and end there, and its name inside."""
    packed = [(batch.file, batch.member, None) for batch in batches if _is_deflated(batch)]
    plain = iter(
        unpacked.unpack([(file, member, inner) for file, member, inner in packed if member])
    )
    places: list[tuple[SourceFile, int, int, str | None]] = []
    for batch in batches:
        member = batch.member
        if member is None:
            places.append((batch.file, 0, batch.file.size, None))
        elif _is_deflated(batch):
            file = next(plain)
            places.append((file, 0, file.size, None))
        else:
            end = member.offset + member.size
            places.append((batch.file, member.offset, end, member.name))
    return places


def _is_deflated(batch: Batch) -> bool:
    return batch.member is not None and batch.member.method == "deflated"


def _open(
    size: int, batch: Batch, file: SourceFile, start: int, end: int, inner: str | None
) -> _Opened:
    """Finds the arrays of a batch, and checks their shapes."""
    with opened(file) as fd:
        try:
            found = npz.find_arrays(
                fd, file.path, ["data", "labels"], start=start, end=end, inner=inner
            )
        except ArchiveError as error:
            if file == batch.file:
                raise
            # The name of an unpacked file says nothing, and the user has to mend the staged one.
            path, name = batch.file.path, _name(batch, error.member)
            raise ArchiveError(path, error.problem, member=name) from error
    data, numbers = found["data"], found["labels"]
    problem = None
    width = 3 * size * size
    if data.dtype != np.uint8 or len(data.shape) != 2 or data.shape[1] != width:
        problem = (
            f"expected data of type uint8 and shape (pictures, {width:,}), for pictures of "
            f"{size}x{size}, found {data.dtype} and {data.shape}"
        )
    elif numbers.dtype.kind not in "iu" or numbers.shape not in (
        data.shape[:1],
        (data.shape[0], 1),
    ):
        problem = (
            f"expected {counted(data.shape[0], 'label')}, whole numbers, one for each picture, "
            f"found {numbers.dtype} and shape {numbers.shape}"
        )
    elif not data.shape[0]:
        problem = "there is no picture in it"
    if problem is not None:
        raise ArchiveError(
            batch.file.path,
            f"{problem}; check that this is the npz file of this size",
            member=_name(batch),
        )
    return _Opened(batch, file, inner, data, numbers)


def _check_count(split: str, files: Sequence[SourceFile], whole: Sequence[_Opened]) -> None:
    """Refuses more pictures than officially, and fewer in archives of the official sizes."""
    found = sum(one.data.shape[0] for one in whole)
    if found > OFFICIAL_ROWS[split]:
        raise SourceError(
            f"{', '.join(file.path for file in files)}: {found:,} pictures, more than the official "
            f"{OFFICIAL_ROWS[split]:,} of {split}; check that these are the official files"
        )
    official = official_archives()
    for file in files:
        known = official.get(Path(file.path).name)
        if known is None or known.size != file.size:
            return
    if found != OFFICIAL_ROWS[split]:
        raise SourceError(
            f"{', '.join(file.path for file in files)}: {found:,} pictures instead of the official "
            f"{OFFICIAL_ROWS[split]:,}, though of the official size; compare the checksums and "
            "copy again"
        )


def _check_all_differ(whole: Sequence[_Opened]) -> None:
    """Refuses a batch that is a copy of another, by their checksums."""
    first: dict[tuple[int, int], Batch] = {}
    for one in whole:
        other = first.setdefault((one.data.member.crc, one.labels.member.crc), one.batch)
        if other is not one.batch:
            raise ArchiveError(
                one.batch.file.path,
                f"its pictures and labels are those of {other.name}.npz, so that one of the two is "
                "a copy under a wrong name; compare both with the official checksums, and copy "
                "the wrong one again",
                member=_name(one.batch),
            )


def _unpack_data(whole: Sequence[_Opened], unpacked: Unpacked) -> list[tuple[SourceFile, int]]:
    """The file that has the pictures of each batch uncompressed, and where they begin."""
    packed = [one for one in whole if not one.data.is_stored]
    plain = unpacked.unpack([(one.file, one.data.member, one.inner) for one in packed])
    by_batch = {one.batch: file for one, file in zip(packed, plain, strict=True)}
    return [
        (by_batch[one.batch], one.data.start)
        if one.batch in by_batch
        else (one.file, one.data.offset)
        for one in whole
    ]


def _rows(one: _Opened, file: int, offset: int) -> pa.Table:
    """The rows of a batch; its pictures begin at `offset` of the file with that position."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with opened(one.file) as fd:
        numbers = npz.read_array(fd, one.file.path, one.labels, inner=one.inner).ravel()
    count, row_bytes = one.data.shape
    converted = _converted(one.batch, numbers)
    number = np.arange(count, dtype=np.int64)
    digits = pc.utf8_lpad(
        pc.cast(number_array(number, pa.int64()), pa.string()), _ROW_NUMBER_DIGITS, "0"
    )
    name, slash = text_array([one.batch.name, "/"])
    columns = [
        pc.binary_join_element_wise(name, digits, slash),
        number_array(converted.astype(np.int32), pa.int32()),
        number_array(np.full(count, file, dtype=np.int32), pa.int32()),
        number_array(offset + row_bytes * number, pa.int64()),
        number_array(np.full(count, row_bytes, dtype=np.int64), pa.int64()),
    ]
    return pa.table(columns, schema=row_schema())


def _converted(batch: Batch, numbers: np.ndarray) -> np.ndarray:
    """The labels in the order of sorted wnids."""
    wrong = (numbers < 1) | (numbers > _CLASSES)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        problem = f"expected labels from 1 to {_CLASSES}, found {numbers[row]} in row {row:,}"
        if numbers.min() == 0 and numbers.max() < _CLASSES:
            problem = (
                f"these labels count from 0 (there is a 0 in row {row:,}), but those of the "
                f"official files count from 1 to {_CLASSES}"
            )
        raise ArchiveError(
            batch.file.path,
            f"{problem}; this is not the official file, and its labels may mean anything",
            member=_name(batch, "labels.npy"),
        )
    return labels.convert(numbers, "downsampled_npz", "imagenet2012")


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables).combine_chunks()


def _name(batch: Batch, array: str | None = None) -> str | None:
    """Name of a batch, or of an array in it, inside the file on disk."""
    parts = [batch.member.name if batch.member else None, array]
    return "/".join(part for part in parts if part) or None
