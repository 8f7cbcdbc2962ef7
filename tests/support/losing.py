"""Words by which somebody would lose or repeat work, which nothing sound may be met with."""

from __future__ import annotations

import re

LOSES_WORK = re.compile(
    r"\b(remov(e|ing) |delet(e|ing) |renam(e|ing) |move it (away|elsewhere)|copy it again"
    r"|copy the (archive|image|file)s? again|cut off|broke off)",
    re.IGNORECASE,
)
