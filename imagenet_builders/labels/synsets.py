"""The meaning of a wnid: WordNet's words and gloss.

Labels are named by wnids because words are not unique: two classes of the 1,000 are "crane".
"""

from __future__ import annotations

import functools
import gzip

from imagenet_builders.errors import LabelError
from imagenet_builders.labels.spaces import HERE


def words(wnid: str) -> str:
    """Returns the words for a class, the usual one first, such as "tench, Tinca tinca".

    Args:
        wnid: A class of any label space.

    Raises:
        LabelError: No label space has the class.
    """
    return _entry(wnid)[0]


def gloss(wnid: str) -> str:
    """Returns WordNet's short definition of a class.

    Args:
        wnid: A class of any label space.

    Raises:
        LabelError: No label space has the class.
    """
    return _entry(wnid)[1]


def _entry(wnid: str) -> tuple[str, str]:
    entry = _entries().get(wnid)
    if entry is None:
        raise LabelError(
            f"nothing is known about the wnid {wnid!r}: expected 'n' and eight digits, and a class"
            " of one of the label spaces"
        )
    text, _, definition = entry.partition("\t")
    return text, definition


@functools.cache
def _entries() -> dict[str, str]:
    # Words and gloss stay one string until a caller asks for them, so the first look-up is fast.
    text = gzip.decompress((HERE / "words_and_glosses.tsv.gz").read_bytes()).decode("ascii")
    return {line[:9]: line[10:] for line in text.splitlines()}
