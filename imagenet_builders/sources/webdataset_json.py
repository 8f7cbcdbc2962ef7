"""Compares the `.json` of a sample with that of another, which is known to be sound.

All of a shard come from one program: the same keys in the same order, with the same spaces. One
that is like another but for its numbers and plain texts needs no parser.
"""

from __future__ import annotations

import re
from typing import Self

_NUMBER = rb"(?:0|[1-9][0-9]{0,8})"
# Of a file name: no quotes, no backslash, no slash, nothing but ASCII. Of other texts: the slash.
_NAME = rb"[ !#-.0-\[\]-~]*"
_TEXT = rb"[ !#-\[\]-~]*"
_SPACE = rb"[ \t\n\r]*"
_PAIR = re.compile(rb'"([A-Za-z_]+)"(%s:%s)(?:(%s)|"%s")' % (_SPACE, _SPACE, _NUMBER, _TEXT))
_FLAT = re.compile(
    rb"_\{_(?:PAIR)(?:_,_(?:PAIR))*_\}_".replace(b"_", _SPACE).replace(b"PAIR", _PAIR.pattern)
)


class AlikeJson:
    """Tells JSON texts that are like another, and say the right thing.

    Args:
        pattern: What they are like; its groups `label` and `filename` are what it is about.
    """

    def __init__(self, pattern: re.Pattern[bytes]):
        self._match = pattern.fullmatch
        self._label = pattern.groupindex.get("label")
        self._name = pattern.groupindex.get("filename")

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """Tells those like a text that has been parsed; None if it is not of plain values alone."""
        pairs = list(_PAIR.finditer(data)) if _FLAT.fullmatch(data) else []
        keys = [pair[1] for pair in pairs]
        if not pairs or len(set(keys)) < len(keys):
            return None
        pattern = b""
        at = 0
        for pair in pairs:
            is_number = pair[3] is not None
            pattern += re.escape(data[at : pair.end(2)])
            at = pair.end()
            if pair[1] == b"label":
                value = rb"(?P<label>%s)" % _NUMBER
                expected = is_number
            elif pair[1] == b"filename":
                value = rb'"(?P<filename>%s)"' % _NAME
                expected = not is_number
            else:
                value = _NUMBER if is_number else rb'"%s"' % _TEXT
                expected = True
            if not expected:
                return None
            pattern += value
        return cls(re.compile(pattern + re.escape(data[at:])))

    def says(self, data: bytes, start: int, end: int, label: bytes, stem: bytes) -> bool:
        """Whether a text is like it, and says nothing but this label and the name of this sample.

        Args:
            data: Bytes that the text is in.
            start: Where it begins.
            end: Where it ends.
            label: The label, in decimal.
            stem: The name of the sample.
        """
        match = self._match(data, start, end)
        if match is None or (self._label and match[self._label] != label):
            return False
        return not self._name or match[self._name].partition(b".")[0] == stem
