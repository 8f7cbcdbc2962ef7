"""What a catalog says: plain values, which the pages and the machine-readable files show.

Text that came from a file is here as the file has it, made printable and nothing else: whoever
writes HTML escapes it. Times are UTC, such as `2026-11-30T02:15:45Z`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Histogram:
    """How many values lie in each of consecutive intervals.

    Attributes:
        edges: The n + 1 bounds of n intervals, ascending. An interval has its lower bound, and not
            its upper one.
        counts: The n numbers of values. Values beyond the outer bounds are in the outer intervals.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Density:
    """How many images have which width and height.

    Attributes:
        width_edges: The n + 1 bounds of n intervals of widths in pixels, as in `Histogram`.
        height_edges: The m + 1 bounds of m intervals of heights in pixels.
        counts: The m rows of n numbers of images, the smallest heights first.
    """

    width_edges: tuple[float, ...]
    height_edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class SplitStatistics:
    """What the headers of the images of a split say.

    The intervals are the same for all splits of a dataset, so that they can be compared.

    Attributes:
        split: Name of the split.
        examples: Number of its examples.
        looked_at: Number of those that were looked at; all but in a sample.
        sampled: A sentence on the sample, or None where all were looked at.
        density: Width and height in pixels.
        sizes: Bytes of an image file; the edges are spaced logarithmically.
        aspects: Width by height; the edges are spaced logarithmically, and 1 is one of them.
        kinds: Kind of image to the number of images, most first, such as `("JPEG, colour", 99)`.
        boxes: Boxes of an image, an interval for each number up to the last, which has all more;
            None for a dataset without boxes.
        box_areas: Area of a box as a part of the image's, 0 to 1; None like `boxes`.
        unreadable: Number of images whose header says nothing.
    """

    split: str
    examples: int
    looked_at: int
    sampled: str | None
    density: Density
    sizes: Histogram
    aspects: Histogram
    kinds: tuple[tuple[str, int], ...]
    boxes: Histogram | None
    box_areas: Histogram | None
    unreadable: int


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """A class of a dataset.

    Attributes:
        label: Its number in the dataset.
        wnid: Its name in the dataset; a wnid in all datasets of ImageNet.
        words: WordNet's words for it; empty where they are not known.
        gloss: WordNet's short explanation; empty where it is not known.
        ids: Label space to the class's number there, for the spaces that have it.
        counts: Split to the number of images of the class among those looked at
            (`SplitStatistics.looked_at`); empty where there are no statistics.
        official: Split to the official number of images of the class, where it is known.
    """

    label: int
    wnid: str
    words: str
    gloss: str
    ids: Mapping[str, int]
    counts: Mapping[str, int]
    official: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of a dataset.

    Attributes:
        name: Its name.
        examples: Number of its examples.
        shards: Number of its shards, or 0 in a form without shards.
        size: Bytes of its records or files.
        official: The official number of examples; None where it is not known.
        part: A sentence on the part of the official split that it is, or None for all of it.
    """

    name: str
    examples: int
    shards: int
    size: int
    official: int | None
    part: str | None


@dataclasses.dataclass(frozen=True)
class Source:
    """A file that a dataset was built from.

    Attributes:
        path: Where it was.
        size: Its bytes.
        hashes: Algorithm (`md5`, `sha256`) to the hash, in hexadecimal; empty where none is known.
        known_as: The official file that has this name, size or hash, in words, or None.
        splits: The splits that have examples of it.
    """

    path: str
    size: int
    hashes: Mapping[str, str]
    known_as: str | None
    splits: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NamedImage:
    """An image that was repaired or left out.

    Attributes:
        split: Its split.
        name: Its name in the source.
        what: What was wrong with it, or what was done.
    """

    split: str
    name: str
    what: str


@dataclasses.dataclass(frozen=True)
class Verified:
    """What the last verification found.

    Attributes:
        at: When.
        ok: Whether nothing was wrong.
        problems: A sentence for each of the first problems.
        problem_count: The number of all problems.
        notes: Sentences on what is worth knowing, and no problem.
        decoded: Whether every pixel was decoded.
        current: Whether no file has changed since, as far as its size and time tell.
    """

    at: str
    ok: bool
    problems: tuple[str, ...]
    problem_count: int
    notes: tuple[str, ...]
    decoded: bool
    current: bool


@dataclasses.dataclass(frozen=True)
class Snippet:
    """How to read a dataset with one library.

    Attributes:
        tab: The library, such as `TensorFlow` or `PyTorch`; several snippets may share a tab.
        title: What it does, a few words.
        language: `python` or `shell`.
        text: The code, with the real paths.
        needs: A sentence on what must be installed, or empty.
    """

    tab: str
    title: str
    language: str
    text: str
    needs: str


@dataclasses.dataclass(frozen=True)
class Picture:
    """A thumbnail of an example.

    Attributes:
        split: Its split.
        key: The name of the image.
        label: Its label, or -1.
        words: The words for its label; empty without one.
        boxes: Boxes as (ymin, xmin, ymax, xmax), parts of the height and width.
        file: The thumbnail, relative to the directory of the page.
        width: Width of the thumbnail in pixels.
        height: Height of the thumbnail in pixels.
    """

    split: str
    key: str
    label: int
    words: str
    boxes: tuple[tuple[float, float, float, float], ...]
    file: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Terms:
    """The terms of access.

    Attributes:
        text: The notice.
        url: Where the terms are.
    """

    text: str
    url: str

    @property
    def are_of_imagenet(self) -> bool:
        """Whether they are ImageNet's."""
        return re.match(r"https?://(www\.)?image-net\.org(/|$)", self.url) is not None


@dataclasses.dataclass(frozen=True)
class Entry:
    """A dataset in one configuration and version, or an export of one.

    Its page is `<slug>/index.html`; `<slug>/croissant.json` and `<slug>/README.md` lie beside it.

    Attributes:
        slug: Name of its directory in the site: letters, digits, `-`, `_` and `.`, and unique.
        name: Name of the dataset.
        config: Name of the configuration, or None.
        version: The version.
        path: Where it is.
        made_by: `imagenet_builders`, `tfds` (stock TensorFlow Datasets, or another) or `export`.
        form: The file format, such as `tfrecord`, or the form of an export, such as `webdataset`.
        also_as: Other file formats that lie in the same directory.
        description: What it is, in Markdown.
        homepage: URL, or None.
        release_notes: Pairs of version and note, the newest first.
        citation: BibTeX; empty without one.
        terms: The terms of access, or None where they are not known.
        splits: The splits.
        features: The features as TensorFlow Datasets prints them; empty in an export.
        supervised_keys: Such as `('image', 'label')`; None without.
        file_count: Number of files.
        size: Bytes of all files.
        built_at: When it was built, or None where nothing says so.
        built_with: Package to the version that it was built with.
        built_from: The files that it was built from, where provenance names them.
        differences: Sentences on how it differs from the official numbers.
        repaired: The images that were repaired, as provenance names them.
        skipped: The images that were left out, as provenance names them.
        verified: What the last verification found, or None if there was none.
        statistics: What the headers of its images say, a value for each split, or empty.
        no_statistics: A sentence on why there are no statistics, or None.
        classes: Its classes, in the order of their labels.
        has_boxes: Whether examples may have bounding boxes.
        snippets: How to read it.
        pictures: Thumbnails, if they were asked for.
        warnings: Sentences that a reader of the page must know, such as what is damaged.
        json_ld: The text of `croissant.json` for a `<script type="application/ld+json">`, in which
            it needs no more escaping.
        exported_from: The slug of the dataset that an export was made from, if that has a page.
    """

    slug: str
    name: str
    config: str | None
    version: str
    path: str
    made_by: str
    form: str
    also_as: tuple[str, ...]
    description: str
    homepage: str | None
    release_notes: tuple[tuple[str, str], ...]
    citation: str
    terms: Terms | None
    splits: tuple[Split, ...]
    features: str
    supervised_keys: str | None
    file_count: int
    size: int
    built_at: str | None
    built_with: Mapping[str, str]
    built_from: tuple[Source, ...]
    differences: tuple[str, ...]
    repaired: tuple[NamedImage, ...]
    skipped: tuple[NamedImage, ...]
    verified: Verified | None
    statistics: tuple[SplitStatistics, ...]
    no_statistics: str | None
    classes: tuple[ClassRow, ...]
    has_boxes: bool
    snippets: tuple[Snippet, ...]
    pictures: tuple[Picture, ...]
    warnings: tuple[str, ...]
    json_ld: str
    exported_from: str = ""

    @property
    def full_name(self) -> str:
        """Name, configuration and version, such as `imagenet2012/5.1.0`."""
        return "/".join(filter(None, (self.name, self.config, self.version)))


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something under the data directory that has no page, or no whole one.

    Attributes:
        path: Where it is.
        sentence: What is wrong, or what is going on.
        unread: Whether a dataset or an export is there that could not be read.
    """

    path: str
    sentence: str
    unread: bool = False


@dataclasses.dataclass(frozen=True)
class Site:
    """A catalog of everything under a data directory.

    Attributes:
        data_dir: The directory.
        made_at: When the catalog was made.
        entries: What is there, sorted by name.
        faults: What has no page.
        contact: Whom to ask, the site's own words; empty without.
        notice: The site's own words, in plain text or Markdown; empty without.
        package_version: The version of this package.
    """

    data_dir: str
    made_at: str
    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...]
    contact: str
    notice: str
    package_version: str
